"""Pictures of how far a training has come: some people again and again."""

from collections.abc import Callable

import cv2
import numpy as np

from smplcli.body.model import BodyModel
from smplcli.datasets.joined import JoinedSplits
from smplcli.datasets.shards import PreparedSplit
from smplcli.evaluation.heat_maps import contact_sheet
from smplcli.evaluation.inference import predict_samples
from smplcli.evaluation.portraits import attention_of, draw_portrait, subject_of
from smplcli.evaluation.predictions import ImageCamera
from smplcli.evaluation.protocols import SMPL24
from smplcli.evaluation.scoring import neutral_posers, truth_of
from smplcli.models.network import Network
from smplcli.types import Pixels

PEOPLE = 6
ATTENTIVE = 2
"""People whose attention maps are shown."""

VIEWS = ("picture", "label", "prediction", "both from the side")
PANELS_PER_ROW, PANEL = 5, (160, 160)
"""Attention maps side by side, and the sides of each, pixels."""


def picture_maker(
    split: PreparedSplit | JoinedSplits, model: BodyModel
) -> Callable[[Network], dict[str, Pixels]]:
    """What draws the same people of a split for any network.

    Args:
        split: Held-out people.
        model: The body of labels and predictions.

    Returns:
        Function from a network to pictures by name: ``people`` with bodies drawn over them, and
        ``attention`` if the network has any.
    """
    rows = np.linspace(0, len(split) - 1, min(len(split), PEOPLE)).round().astype(np.int64)
    samples = [split[row] for row in rows.tolist()]
    everybody, posers = truth_of(split), neutral_posers(model, SMPL24)
    gender = everybody.gender[rows]
    truth = posers.neutral(everybody.full_pose[rows], everybody.betas[rows], gender)

    def draw(network: Network) -> dict[str, Pixels]:
        found = predict_samples(network, split, [rows])
        posed = posers.neutral(found.full_pose[rows], found.betas[rows], gender)
        camera = None if found.camera is None else ImageCamera(*(f[rows] for f in found.camera))
        panels = []
        for index, sample in enumerate(samples):
            subject = subject_of(sample, truth, posed, index, camera)
            portrait = draw_portrait(subject, model.faces)
            views = (view if view is not None else portrait.photo for view in portrait)
            panels += list(zip(VIEWS, views, strict=True))
        pictures = {"people": contact_sheet(panels, columns=len(VIEWS))}
        maps = [
            panel
            for looked in attention_of(network, samples[:ATTENTIVE])
            for panel in (("parts", looked.parts), *looked.joints.items())
        ]
        if maps:
            shown = [
                (name, np.asarray(cv2.resize(picture, PANEL), np.uint8)) for name, picture in maps
            ]
            pictures["attention"] = contact_sheet(shown, columns=PANELS_PER_ROW)
        return pictures

    return draw
