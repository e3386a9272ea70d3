"""Predictions without a network: people of the demo body who stand side by side."""

import json

import numpy as np

from smplcli.body.files import load_body
from smplcli.workflows.people import PERSON_FIELDS

WIDTH, HEIGHT, FOCAL = 160, 120, 200.0


def upright(points):
    """Points of the demo body at rest, turned about the pelvis into a camera's axes."""
    body = load_body()
    pelvis = body.joint_regressor[0] @ body.v_template
    return (points - pelvis) * [1, -1, -1] + pelvis


def people_arrays(names, *, statuses=None, **changes):
    """Upright people side by side, one row per name, as `predict` would write them."""
    rows = len(names)
    arrays = {name: np.zeros((rows, *row), kind) for name, (row, kind) in PERSON_FIELDS.items()}
    body = load_body()
    arrays["imgname"] = np.array(names, dtype=str)
    arrays["person_id"] = np.array([names[:i].count(x) for i, x in enumerate(names)], np.int32)
    arrays["track_id"][:] = -1
    arrays["pose"][:, 0] = np.pi
    arrays["joints3d"][:] = upright(body.joint_regressor @ body.v_template)
    arrays["cam_t"] = np.stack([arrays["person_id"] - 0.5, np.zeros(rows), np.full(rows, 4)], 1)
    arrays["cam_t"] = arrays["cam_t"].astype(np.float32)
    arrays["focal_length"][:] = FOCAL
    arrays["principal_point"][:] = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
    arrays["img_size"][:] = WIDTH, HEIGHT
    status = statuses or dict.fromkeys(names, "ok")
    arrays |= {
        "status_imgname": np.array(list(status), dtype=str),
        "status": np.array(list(status.values()), dtype=str),
        "status_detail": np.array([""] * len(status)),
        "meta": np.array(json.dumps({"body": {"name": body.name, "sha256": body.sha256}})),
    }
    return arrays | changes
