"""A prepared data set of a few people whose labels are random and whose pictures are noise."""

import json

import numpy as np

from smplcli.datasets.shards import FORMAT, PreparedSample, write_shard
from smplcli.files import write_npz

WALK, ARGUE = "walk_00", "argue_00"
PEOPLE = {
    "train": [("talk_00/image_00000.jpg", 0)],
    "validation": [("stairs_00/image_00000.jpg", 0)],
    "test": [
        (f"{WALK}/image_00000.jpg", 0),
        (f"{WALK}/image_00000.jpg", 1),
        (f"{WALK}/image_00002.jpg", 0),
        (f"{WALK}/image_00002.jpg", 1),
        (f"{ARGUE}/image_00001.jpg", 0),
    ],
}
"""Image name and person by split. Nobody was labelled in the frame between the two of the walk."""


def sample(imgname, person_id, *, seed, **changes):
    rng = np.random.default_rng(seed)
    pose = 0.3 * rng.normal(size=72)
    pose[:3] = [np.pi, 0, 0]
    values = {
        "imgname": imgname,
        "person_id": person_id,
        "gender": "n",
        "image_size": np.array([640, 480]),
        "center": np.array([300.0, 200.0]),
        "scale": 1.2,
        "cam_int": np.array([[800.0, 0, 320], [0, 800, 240], [0, 0, 1]]),
        "has_smpl": 1,
        "pose": pose,
        "shape": rng.normal(size=10),
        "transl": np.array([0.0, 0, 5]),
        "part": np.zeros((24, 3)),
        "S": np.zeros((24, 4)),
        "openpose": np.zeros((25, 3)),
        "head_size": 0.0,
        "activity": "",
        "keypoints": np.zeros((17, 3)),
        "detected": np.concatenate(
            [rng.uniform(100, 400, size=(17, 2)), np.full((17, 1), 0.9)], axis=1
        ),
        "part_map": np.zeros((56, 56)),
        "crop_to_image": np.array([[1.4, 0, 121.5], [0, 1.4, 21.5]]),
        "image": rng.integers(0, 255, size=(256, 256, 3), dtype=np.uint8),
    }
    return PreparedSample(**{**values, **changes})


def write_prepared(folder, *, people=PEOPLE, body=None, source="synthetic", **changes):
    """Write the data set and return its folder; ``changes`` are fields of every sample."""
    folder.mkdir(parents=True)
    shards = []
    for split, ids in people.items():
        samples = [sample(*who, seed=seed, **changes) for seed, who in enumerate(ids)]
        write_shard(folder / f"{split}-00000.npz", samples)
        shards.append({"name": f"{split}-00000.npz", "split": split, "count": len(samples)})
    manifest = {"format": FORMAT, "source": source, "shards": shards, "body": body}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def write_truth(path, folder, splits=("test",), *, keep=lambda rows: rows, **changes):
    """Write the labels of a data set as predictions of it; ``keep`` chooses and orders rows."""
    shards = [np.load(folder / f"{split}-00000.npz") for split in splits]
    renamed = {"imgname": "imgname", "person_id": "person_id", "pose": "pose", "shape": "betas"}
    arrays = {
        ours: np.concatenate([shard[name] for shard in shards]) for name, ours in renamed.items()
    }
    rows = keep(np.arange(len(arrays["pose"])))
    write_npz(path, {**{name: array[rows] for name, array in arrays.items()}, **changes})
    return path
