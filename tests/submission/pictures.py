"""Predictions of pictures, as `predict` writes them, of people made up here."""

import json

import numpy as np

from smplcli.files import write_npz


def write_predictions(path, imgnames, *, person_id=None, size=(1280, 720), demo=False, **changes):
    """Write a ``preds.npz``; ``changes`` are arrays of it."""
    rng = np.random.default_rng(0)
    count = len(imgnames)
    pose = 0.3 * rng.normal(size=(count, 72)).astype(np.float32)
    pose[:, :3] = [np.pi, 0, 0]
    centre = np.array([0.7 * size[0], 0.6 * size[1]])
    arrays = {
        "imgname": np.array(imgnames),
        "person_id": np.zeros(count, np.int32) if person_id is None else np.array(person_id),
        "pose": pose,
        "betas": rng.normal(size=(count, 10)).astype(np.float32),
        "cam_t": (rng.normal(size=(count, 3)) * 0.1 + [0, 0, 5]).astype(np.float32),
        "joints2d": (centre + 40 * rng.normal(size=(count, 24, 2))).astype(np.float32),
        "img_size": np.tile(np.array(size, np.int32), (count, 1)),
        "meta": np.array(json.dumps({"body": {"is_demo": demo}})),
    }
    write_npz(path, arrays | changes)
    return path
