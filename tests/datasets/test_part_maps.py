"""Part maps of rendered people, prepared from 3DPW's layout: they lie where the people are."""

from dataclasses import replace

import numpy as np
import pytest

from smplcli.body.files import load_body, write_body_npz
from smplcli.conventions import COCO17_JOINTS, SCALE_PIXELS, SMPL_JOINTS
from smplcli.crops import crop_matrix, transform_points
from smplcli.datasets.part_maps import PART_CONTEXT
from smplcli.datasets.samples import SampleSet
from smplcli.datasets.shards import open_prepared
from smplcli.datasets.threedpw_layout import SequencePlan, write_3dpw_layout
from smplcli.workflows.prepare import prepare
from tests.people import FewPeople

PLANS = (SequencePlan("train", "two_00", 2, 6), SequencePlan("train", "one_00", 1, 6))


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    write_3dpw_layout(folder / "raw", plans=PLANS)
    prepare("3dpw", folder / "raw", folder / "out", jobs=1)
    return open_prepared(folder / "out", "train")


def notes_with(body, tmp_path):
    write_3dpw_layout(tmp_path / "raw", plans=PLANS[1:])
    report = prepare("3dpw", tmp_path / "raw", tmp_path / "out", body=body, jobs=1)
    return " ".join(report.notes)


def official(path, gender):
    """The demo body as if it were SMPL's."""
    write_body_npz(path, replace(load_body(), licence="", name=path.name, gender=gender))
    return path


def test_one_body_for_all_gives_part_maps_and_no_3d_joints(tmp_path):
    notes = notes_with(official(tmp_path / "SMPL_NEUTRAL.npz", "neutral"), tmp_path)

    assert "Part maps of all genders are those of one body" in notes
    assert "are left out: there is no such body" in notes
    assert not open_prepared(tmp_path / "out", "train").field("S").any()


def test_gendered_bodies_give_part_maps_and_3d_joints(tmp_path):
    for gender in ("male", "female"):
        official(tmp_path / f"SMPL_{gender.upper()}.npz", gender)

    notes = notes_with(tmp_path, tmp_path)

    split = open_prepared(tmp_path / "out", "train")
    assert "art maps" not in notes
    assert "left out" not in notes
    assert split.field("S")[..., 3].any()
    assert (split.field("part_map") != 255).all()


def side_of(name):
    return name.split("_")[0] if name.startswith(("left", "right")) else "middle"


PART_SIDES = np.array(["none", *map(side_of, SMPL_JOINTS)])


def limbs():
    """Rows of COCO's keypoints that are far from the body's middle."""
    return [
        row
        for row, name in enumerate(COCO17_JOINTS)
        if name.endswith(("elbow", "wrist", "knee", "ankle"))
    ]


def test_left_limbs_have_left_parts_and_right_limbs_right_ones(split):
    agree = differ = 0
    for sample in map(split.__getitem__, range(len(split))):
        to_map = crop_matrix(sample.center, PART_CONTEXT * sample.scale * SCALE_PIXELS, 56)
        places = transform_points(to_map, sample.keypoints[:, :2]).round().astype(int)
        for row in limbs():
            x, y = places[row]
            if sample.keypoints[row, 2] > 0 and 0 <= x < 56 and 0 <= y < 56:
                found, wanted = PART_SIDES[sample.part_map[y, x]], side_of(COCO17_JOINTS[row])
                agree += found == wanted
                differ += found not in {wanted, "middle", "none"}

    assert agree > 40
    assert differ < 0.25 * agree  # limbs before others


def test_most_of_the_body_lies_inside_the_map(split):
    edges = [
        np.concatenate([part_map[0], part_map[-1], part_map[:, 0], part_map[:, -1]]).any()
        for part_map in split.field("part_map")
    ]

    assert np.mean(edges) < 0.3


def test_a_training_sample_shows_the_parts_where_its_keypoints_are(split):
    samples, hits = SampleSet(split, size=112, part_size=56), []
    for row in range(len(split)):
        sample = samples[0, row]
        known = sample.gt_keypoints2d[:, 2] > 0
        cells = ((sample.gt_keypoints2d[known, :2] + 1) / 2 * 56).long()
        inside = ((cells >= 0) & (cells < 56)).all(1)
        hits.append((sample.part_map[cells[inside, 1], cells[inside, 0]] > 0).float())

    assert np.concatenate(hits).mean() > 0.85


def test_around_a_body_that_goes_on_nothing_is_known(split):
    stored = split[0]
    cut_off = np.zeros((56, 56), np.uint8)
    cut_off[:, 20:30] = 1
    whole = np.zeros((56, 56), np.uint8)
    whole[20:30, 20:30] = 1
    people = FewPeople(
        stored._replace(part_map=part_map, scale=stored.scale * 3) for part_map in (cut_off, whole)
    )
    people.crop_size, people.part_share = split.crop_size, split.part_share

    goes_on, ends = SampleSet(people, size=112, part_size=56)[[(0, 0), (0, 1)]].part_map.numpy()

    assert goes_on[0, 0] == -1
    assert ends[0, 0] == 0
    assert (goes_on == 1).any()
    assert (ends == 1).any()
