"""Bodies of the people in pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smplcli.paths import takes_texts
from smplcli.rendering.views import OverlayStyle
from smplcli.videos import DEFAULT_FPS
from smplcli.workflows.pictures import PictureInputs
from smplcli.workflows.predict_outputs import Conduct, TableFormat
from smplcli.workflows.predict_settings import MOVENET, PredictSettings
from smplcli.workflows.predict_task import Task, open_task, shared_file
from smplcli.workflows.progress import Progress, no_progress
from smplcli.workflows.shards import Shard

if TYPE_CHECKING:
    from smplcli.models.inference import Precision
    from smplcli.workflows.meshes import MeshFormat
    from smplcli.workflows.predict_report import PredictReport


@takes_texts
def predict(
    inputs: PictureInputs,
    out: Path | None = None,
    *,
    boxes: Path | None = None,
    whole_image: bool = False,
    network: Path | None = None,
    average: Sequence[Path] = (),
    flip_test: bool = False,
    refine: bool | None = None,
    body: Path | None = None,
    overlay_dir: Path | None = None,
    overlay_style: OverlayStyle = "mesh",
    mesh_dir: Path | None = None,
    mesh_format: "MeshFormat" = "glb",
    bvh_dir: Path | None = None,
    table_format: TableFormat | None = None,
    vertices: bool = False,
    device: str = "auto",
    precision: "Precision" = "auto",
    batch_size: int | None = None,
    detector: str = MOVENET,
    detector_weights: Path | None = None,
    min_score: float | None = None,
    max_people: int | None = None,
    focal_length: float | None = None,
    intrinsics: Path | None = None,
    recursive: bool = False,
    every: int = 1,
    track: bool = False,
    smooth: bool = False,
    fps: float = DEFAULT_FPS,
    shard: Shard | None = None,
    nproc: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> "PredictReport":
    """Estimate pose, shape and place of the people in pictures.

    A picture that cannot be read gets a row that says so, and the others are worked on. As many
    pictures are worked on at once as ``torch.get_num_threads()`` says; how many makes no
    difference to the result.

    Args:
        inputs: Pictures, folders, patterns, or text files of paths, as `find_pictures` takes them;
            or pictures as arrays, (H, W, 3) of RGB, uint8.
        out: The ``.npz`` file to write; ``np.load`` reads from it what the report has as arrays.
        boxes: csv, JSON or npz file of boxes, instead of detecting people.
        whole_image: Take every picture as one person's box, instead of detecting people.
        network: Weights file; the one that is shipped without.
        average: Weights files of further networks; bodies are the mean of all answers.
        flip_test: Whether the networks also see everybody in a mirror, for the mean.
        refine: Whether bodies are fitted to the keypoints; by default, those of the network that
            is shipped, whose mistakes are known, alone.
        body: SMPL file; the demo body without one.
        overlay_dir: Folder for pictures of the bodies over the photos, from the side and from
            above; videos become videos.
        overlay_style: What is drawn there: ``mesh`` or ``skeleton``.
        mesh_dir: Folder for mesh files of the bodies, one for each picture with people.
        mesh_format: ``glb`` with skin, skeleton and camera, which moves where people are linked,
            or posed surfaces: ``obj``, ``ply``.
        bvh_dir: Folder for motion as BVH files, one for each track, or person of a single picture.
        table_format: Also write the rows beside ``out``, as ``jsonl`` or ``csv``.
        vertices: Also write the bodies' surfaces, 83 kB for a person.
        device: ``auto``, ``cpu``, or a CUDA device.
        precision: Of convolutions: ``fp32``, ``bf16``, or ``auto``, which is bf16 for MoveNet and
            large networks on devices that are made for it.
        batch_size: People estimated at once; by default what suits the device. The last digits of
            the result depend on it.
        detector: ``movenet``, or ``torchvision:`` and the name of one of torchvision's.
        detector_weights: File of its weights.
        min_score: Least score of a person who is detected, 0..1; by default what suits the
            detector.
        max_people: People who are detected in a picture at most: the surest.
        focal_length: Of the camera, pixels of the pictures; without one, what a picture's Exif
            data say, else its diagonal.
        intrinsics: File of camera matrices instead, as `read_intrinsics` takes it.
        recursive: Whether folders are looked into with all that is in them.
        every: Take the frames of videos whose numbers divide by this.
        track: Also link the people of numbered pictures, as those of videos always are.
        smooth: Filter the motion of those who are linked; numbered pictures are then linked too.
        fps: Frames per second of numbered pictures.
        shard: Work on this part of the pictures only; `merge_shards` puts all parts together.
        nproc: Share the work among so many processes; under torchrun, those share it that it has
            started, and the first one's report is that of the whole.
        resume: Go on where an interrupted run stopped that was to write the same file.
        overwrite: Whether results that are there may be replaced.
        progress: Shows the pictures.

    Raises:
        ConfigError: The arguments contradict each other, or those of the interrupted run.
        MissingFileError: An input, boxes, network or body are not there.
        UnreadableFileError: Boxes, network or body are not what they should be.
        OutputExistsError: A result is there and ``overwrite`` is false.
        ResourceError: A result cannot be written.
    """
    settings = PredictSettings(
        boxes=boxes,
        whole_image=whole_image,
        network=network,
        average=tuple(average),
        flip_test=flip_test,
        refine=refine,
        body=body,
        overlay_dir=overlay_dir,
        overlay_style=overlay_style,
        mesh_dir=mesh_dir,
        mesh_format=mesh_format,
        bvh_dir=bvh_dir,
        table_format=table_format,
        vertices=vertices,
        device=device,
        precision=precision,
        batch_size=batch_size,
        detector=detector,
        detector_weights=detector_weights,
        min_score=min_score,
        max_people=max_people,
        focal_length=focal_length,
        intrinsics=intrinsics,
        recursive=recursive,
        every=every,
        track=track or smooth,
        smooth=smooth,
        fps=fps,
        shard=shard,
    )
    conduct = Conduct(resume, overwrite, progress)
    task = open_task(inputs, out, settings, conduct)
    if nproc > 1:
        shared_file(task, nproc)
    return _work(task, nproc)


def _work(task: Task, nproc: int) -> "PredictReport":
    # They import torch, which takes longer than to find a mistake in the arguments.
    from smplcli.workflows.predict_many import run_task  # noqa: PLC0415
    from smplcli.workflows.sequence_files import with_sequence_files  # noqa: PLC0415

    return with_sequence_files(run_task(task, nproc=nproc), task)
