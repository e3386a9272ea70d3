"""Published weights of backbones, fetched when somebody asks for them by name and never else."""

import hashlib
import json
import logging
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast
from urllib.request import urlopen

import torch

from smplcli.errors import ConfigError, IntegrityError, MissingFileError, ResourceError
from smplcli.files import asset, atomic_write, sha256_of
from smplcli.models.backbones import MOVENET

logger = logging.getLogger(__name__)

Pretrained = Literal["imagenet", "dino", "detector", "none"]

HUB = "https://huggingface.co"
"""Where timm's weights are."""

TIMEOUT = 30
"""Seconds without an answer."""

CHUNK = 1 << 20


class Published(NamedTuple):
    """A file that somebody published."""

    url: str
    sha256: str
    """How its hash begins; empty where the publisher states none."""


IMAGENET = {
    name: Published(f"https://download.pytorch.org/models/{name}-{digest}.pth", digest)
    for name, digest in (
        ("resnet18", "f37072fd"),
        ("resnet34", "b627a593"),
        ("resnet50", "0676ba61"),
    )
}
"""torchvision's first ImageNet weights, which PARE and the report's authors began with."""

DINO = {
    "resnet50": Published(
        "https://dl.fbaipublicfiles.com/dino/dino_resnet50_pretrain/dino_resnet50_pretrain.pth", ""
    )
}
"""Caron et al., "Emerging properties in self-supervised vision transformers", ICCV 2021."""


def pretrained_file(backbone: str, weights: Pretrained | Path) -> Path:
    """The file of a backbone's weights: the one that is given, or a published one.

    Published files are kept where torch keeps its own, ``$TORCH_HOME/hub/checkpoints``.

    Args:
        backbone: `resnet50`, or any other that `Backbone` knows.
        weights: ``imagenet``, ``dino``, ``detector`` (those of the detector that is shipped, for
            `movenet`), or a file.

    Raises:
        ConfigError: Nobody published such weights of this backbone.
        MissingFileError: The file has to be fetched, and cannot be.
        IntegrityError: Its bytes are not those that were published.
    """
    if isinstance(weights, Path):
        return weights
    if (backbone, weights) == (MOVENET, "detector"):
        return asset("detector.onnx")
    published = {"imagenet": IMAGENET, "dino": DINO}.get(weights, {}).get(backbone)
    if published is None and weights == "imagenet":
        published = _of_timm(backbone)
    if published is None:
        raise ConfigError(
            f"no {weights} weights of this backbone: {backbone}",
            hint="Name a file with backbone_weights, or leave it out.",
        )
    path = Path(torch.hub.get_dir()) / "checkpoints" / _file_name(published.url)
    if not path.is_file():
        _fetch(published, path)
    if not sha256_of(path).startswith(published.sha256):
        raise IntegrityError(
            f"not the published weights: {path}", hint="Delete the file to fetch it again."
        )
    return path


def _of_timm(backbone: str) -> Published | None:
    import timm  # noqa: PLC0415 - imports torchvision

    config: Any = timm.get_pretrained_cfg(backbone)
    if config is None:
        return None
    stem, _, digest = str(config.url or "").removesuffix(".pth").rpartition("-")
    if stem and len(digest) == 8:  # the older files carry their hash in their names
        return Published(config.url, digest)
    if config.hf_hub_id:
        return Published(f"{HUB}/{config.hf_hub_id}/resolve/main/model.safetensors", "")
    return None


def _file_name(url: str) -> str:
    *_, repository, _, _, name = url.rsplit("/", 4)
    return f"{repository}.safetensors" if name == "model.safetensors" else name


def _fetch(published: Published, path: Path) -> None:
    logger.warning("fetching weights: %s", published.url)
    digest = hashlib.sha256()
    try:
        promised = published.sha256 or _hub_sha256(published.url)
        with _open(published.url) as answer, atomic_write(path) as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                digest.update(chunk)
            if not digest.hexdigest().startswith(promised):
                raise IntegrityError(f"what came is not what was published: {published.url}")
    except ResourceError:  # also an OSError, but nothing is wrong with the connection
        raise
    except (OSError, HTTPException) as error:
        raise MissingFileError(
            f"backbone weights cannot be fetched: {published.url}",
            hint=f"Fetch the file by other means and save it as {path}, "
            "or name a file with backbone_weights.",
        ) from error


def _open(url: str) -> HTTPResponse:
    return cast("HTTPResponse", urlopen(url, timeout=TIMEOUT))  # noqa: S310 - from the tables above


def _hub_sha256(url: str) -> str:
    """Hash of a file on the hub, by the hub's own listing; empty for other places."""
    if not url.startswith(HUB):
        return ""
    repository = url.removeprefix(f"{HUB}/").split("/resolve/")[0]
    with _open(f"{HUB}/api/models/{repository}/tree/main") as answer:
        files = json.load(answer)
    return str(next(file["lfs"]["oid"] for file in files if file["path"] == "model.safetensors"))
