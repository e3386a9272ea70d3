"""The rasteriser on one body that fills a picture."""

import functools
from collections.abc import Iterator

import torch

from smplcli.body.files import load_body
from smplcli.rendering.rasteriser import rasterise
from tests.benchmarks.duel import Duel


def duels() -> Iterator[Duel]:
    """A small and a large picture."""
    model = load_body()
    vertices = torch.from_numpy(model.v_template).float() * torch.tensor([1.0, -1.0, -1.0])
    faces = torch.from_numpy(model.faces).long()
    for side in (224, 1024):
        x, y = (vertices[:, :2] / 2.0 * side + side / 2).unbind(-1)
        points = torch.stack([x, y, vertices[:, 2] + 5.0], dim=-1)[None]
        yield Duel(
            f"rasterise one body, {side} x {side}",
            functools.partial(rasterise, points, faces, (side, side)),
        )
