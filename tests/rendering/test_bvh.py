"""Motion files, read back by a reader of our own that knows nothing of how they were written."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from smplcli.body.files import load_body
from smplcli.body.layer import BodyLayer
from smplcli.conventions import SMPL_JOINTS
from smplcli.rendering.bvh import bvh_file, continuous_angles, zxy_angles

FRAMES = 12
AXES = {"X": [1, 0, 0], "Y": [0, 1, 0], "Z": [0, 0, 1]}


class Bvh:
    """Walks through a file word by word, as the format's description says."""

    def __init__(self, content):
        self.words = content.decode().split()
        self.names, self.parents, self.offsets, self.channels = [], [], [], []
        assert self.next() == "HIERARCHY"
        assert self.next() == "ROOT"
        self.read_joint(-1)
        assert [self.next() for _ in range(2)] == ["MOTION", "Frames:"]
        count = int(self.next())
        assert [self.next() for _ in range(2)] == ["Frame", "Time:"]
        self.frame_time = float(self.next())
        self.values = np.array(self.words, float).reshape(count, -1)

    def next(self):
        return self.words.pop(0)

    def read_joint(self, parent):
        number = len(self.names)
        self.names.append(self.next())
        self.parents.append(parent)
        assert [self.next() for _ in range(2)] == ["{", "OFFSET"]
        self.offsets.append([float(self.next()) for _ in range(3)])
        assert self.next() == "CHANNELS"
        self.channels.append([self.next() for _ in range(int(self.next()))])
        while (word := self.next()) != "}":
            if word == "JOINT":
                self.read_joint(number)
            else:
                assert [word, self.next(), self.next(), self.next()] == [
                    "End",
                    "Site",
                    "{",
                    "OFFSET",
                ]
                assert len([float(self.next()) for _ in range(3)]) == 3
                assert self.next() == "}"

    def joints(self, frame):
        """Places of all joints by name, in the file's unit."""
        values = iter(self.values[frame])
        places, turns = [], []
        for parent, offset, channels in zip(
            self.parents, self.offsets, self.channels, strict=True
        ):
            place, turn = np.array(offset), np.eye(3)
            for channel in channels:
                axis, value = np.array(AXES[channel[0]]), next(values)
                if channel.endswith("position"):
                    place = place + axis * value
                else:
                    turn = turn @ Rotation.from_rotvec(np.radians(value) * axis).as_matrix()
            before = (np.zeros(3), np.eye(3)) if parent < 0 else (places[parent], turns[parent])
            places.append(before[0] + before[1] @ place)
            turns.append(before[1] @ turn)
        return dict(zip(self.names, places, strict=True))


@pytest.fixture(scope="module")
def motion():
    """Random poses, one of which locks a gimbal, and where SMPL's own layer puts the joints."""
    body = load_body()
    rng = np.random.default_rng(0)
    rotations = Rotation.from_rotvec(rng.normal(scale=0.8, size=(FRAMES * 24, 3))).as_matrix()
    rotations = rotations.reshape(FRAMES, 24, 3, 3)
    rotations[3, 16] = Rotation.from_euler("ZXY", [0.3, np.pi / 2, 0.2]).as_matrix()
    betas = rng.normal(size=10)
    transl = rng.normal(size=(FRAMES, 3)) + [0, 0, 5]
    posed = BodyLayer(body)(
        torch.from_numpy(rotations).float(), torch.from_numpy(betas).float().expand(FRAMES, -1)
    )
    joints = posed.joints.numpy() + transl[:, None]
    rest = body.joint_regressor @ (body.v_template + body.shapedirs @ betas)
    content = bvh_file(rest, body.parents, rotations, joints[:, 0], frame_seconds=0.04)
    return Bvh(content), joints


def test_joints_lie_where_ours_are_to_a_millimetre(motion):
    bvh, joints = motion

    for frame in range(FRAMES):
        found = bvh.joints(frame)
        ours = 100 * joints[frame] * [1, -1, -1]
        assert np.stack([found[x] for x in SMPL_JOINTS]) == pytest.approx(ours, abs=0.05)


def test_the_hierarchy_has_smpls_names_and_tree(motion):
    bvh, _ = motion
    body = load_body()

    assert sorted(bvh.names) == sorted(SMPL_JOINTS)
    for name, parent in zip(bvh.names, bvh.parents, strict=True):
        ours = body.parents[SMPL_JOINTS.index(name)]
        assert (parent, ours) == (-1, -1) or bvh.names[parent] == SMPL_JOINTS[ours]


def test_the_time_of_a_frame_is_in_the_file(motion):
    assert motion[0].frame_time == 0.04
    assert len(motion[0].values) == FRAMES


def test_angles_do_not_jump_where_the_motion_is_smooth():
    given = np.linspace([0, -2, 0.1], [4 * np.pi, 2, 0.1], 60)
    turns = Rotation.from_euler("ZXY", given)
    angles = zxy_angles(turns.as_matrix())

    smooth = continuous_angles(angles)

    again = Rotation.from_euler("ZXY", smooth)
    assert np.abs(np.diff(angles, axis=0)).max() > 3
    assert np.abs(np.diff(smooth, axis=0)).max() < 0.5
    assert (again.inv() * turns).magnitude().max() < 1e-6
