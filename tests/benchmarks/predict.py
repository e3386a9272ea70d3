"""A folder of large photos from files to file, beside its stages alone and beside plainer ways."""

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from smplcli.body.files import load_body
from smplcli.body.layer import BodyLayer
from smplcli.files import asset
from smplcli.images import read_image, write_image
from smplcli.rendering.overlay import mesh_drawer
from smplcli.rendering.views import Lens, add_views
from smplcli.types import Floats
from smplcli.workflows.bodies import BodyEstimator, Subject
from smplcli.workflows.finders import choose_finder, open_detector
from smplcli.workflows.people import PERSON_FIELDS, People, posed_vertices
from smplcli.workflows.predict import predict
from smplcli.workflows.predict_run import AUTO_BATCH, SHIPPED_NETWORK
from tests.benchmarks.duel import Duel

SIZE = (1920, 1080)
NUM_PHOTOS = 40
REACH = 0.8
"""Of what the stages alone would let pass, were nothing lost between them."""


def duels() -> Iterator[Duel]:
    """The whole of it beside its parts, beside one person after the other, and with drawings."""
    folder = Path(tempfile.mkdtemp(prefix="smplcli-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    photos = _write_photos(folder / "photos")
    run = functools.partial(predict, folder / "photos", folder / "preds.npz", overwrite=True)
    threads = torch.get_num_threads()
    job = f"predict {NUM_PHOTOS} photos of {SIZE[0]} x {SIZE[1]}, lite"
    yield Duel(
        f"{job}, {threads} thread{'s' * (threads > 1)}",
        run,
        "decode, detect, crop, network, body alone, one thread",
        functools.partial(_stages, photos, AUTO_BATCH["cpu"]),
        reach=REACH * threads,
    )
    yield Duel(job, run, "one person after the other", functools.partial(_stages, photos, 1))
    yield Duel(
        job, run, "the same with overlays", functools.partial(run, overlay_dir=folder / "drawn")
    )
    run()
    yield Duel(
        f"decode and draw over {NUM_PHOTOS} photos, one thread",
        functools.partial(_draw, _placed(photos, folder / "preds.npz"), folder / "alone"),
        "decode, detect, crop, network, body alone, one thread",
        functools.partial(_stages, photos, AUTO_BATCH["cpu"]),
    )


def _placed(photos: list[Path], predictions: Path) -> list[tuple[Path, Floats, Lens]]:
    """Photos with the bodies in them, where somebody was found."""
    layer = BodyLayer(load_body())
    with np.load(predictions) as arrays:
        fields = {name: arrays[name] for name in PERSON_FIELDS}
    placed = []
    for photo in photos:
        rows = [x for x, name in enumerate(fields["imgname"]) if Path(name).name == photo.name]
        if not rows:
            continue
        people = People({name: column[rows] for name, column in fields.items()}, 0, (), {})
        lens = Lens(float(fields["focal_length"][rows[0]]), fields["principal_point"][rows[0]])
        placed.append((photo, posed_vertices(people, list(range(len(rows))), layer), lens))
    return placed


def _draw(placed: list[tuple[Path, Floats, Lens]], folder: Path) -> None:
    """Decode photos, draw bodies over them and write that, in one thread."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    folder.mkdir(exist_ok=True)
    draw = mesh_drawer(load_body().faces)
    for photo, vertices, lens in placed:
        image = read_image(photo, orientation="displayed")
        write_image(folder / photo.name, add_views(image, vertices, lens, draw))
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


def _write_photos(folder: Path) -> list[Path]:
    """The shipped photos, enlarged and shifted so that no two are the same."""
    folder.mkdir()
    shipped = [read_image(x, orientation="displayed") for x in sorted(asset("photos").iterdir())]
    paths = [folder / f"{number:03d}.jpg" for number in range(NUM_PHOTOS)]
    for number, path in enumerate(paths):
        photo = np.roll(shipped[number % len(shipped)], 10 * number, axis=1)
        large = cv2.resize(photo[..., ::-1], SIZE, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(path), large, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return paths


def _stages(photos: list[Path], batch_size: int) -> None:
    """What has to be done, in a loop that does nothing else, in one thread."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    estimator = BodyEstimator(asset(SHIPPED_NETWORK), None, torch.device("cpu"))
    find = choose_finder(boxes=None, whole_image=False, detector=open_detector(), max_people=None)
    people: list[Subject] = []
    for index, photo in enumerate(photos):
        image = read_image(photo, orientation="displayed")
        people += [
            estimator.cut_out(image, person, image_index=index, person_id=number)
            for number, person in enumerate(find(index, image))
        ]
    for start in range(0, len(people), batch_size):
        estimator.estimate(people[start : start + batch_size])
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])
