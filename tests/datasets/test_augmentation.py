"""What is done to a training sample's picture, and that chance alone decides it."""

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from smplcli.datasets.augmentation import AugmentationConfig, draw_plan
from smplcli.datasets.cutouts import SIDE, Cutouts
from smplcli.datasets.joined import JoinedSplits
from smplcli.datasets.samples import SampleSet
from smplcli.errors import MissingFileError
from tests.people import FewPeople, few_people

STILL = {"mirror": 0, "rotation": 0, "scale": 0, "shift": 0, "colour": 0, "detected": 0}
EVERYTHING = AugmentationConfig(truncation=0.5, blur=0.5, occluders=0.7, erasing=0.5)
KEYS = [[(0, 0), (0, 1)], [(0, 2), (1, 0)], [(1, 1), (5, 2)], [(0, 5), (2, 4)]]


@pytest.fixture(scope="module")
def split():
    return few_people()


def _samples(split, augmentation=EVERYTHING, *, seed=0):
    return SampleSet(split, size=64, part_size=8, augmentation=augmentation, seed=seed)


def _still(**changes):
    return AugmentationConfig(**STILL | changes)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [2, 8])
def test_any_number_of_processes_makes_the_same_samples(split, workers):
    alone = DataLoader(_samples(split), sampler=KEYS, batch_size=None)
    together = DataLoader(_samples(split), sampler=KEYS, batch_size=None, num_workers=workers)

    for ours, theirs in zip(alone, together, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("augmentation", [None, EVERYTHING])
def test_a_batch_is_its_samples_to_the_last_bit(split, augmentation):
    samples = _samples(JoinedSplits([few_people(2), FewPeople(split.samples[2:])]), augmentation)
    keys = [(epoch, index) for epoch in (0, 7) for index in range(6)]

    together, alone = samples[keys], default_collate([samples[key] for key in keys])

    for ours, theirs in zip(together, alone, strict=True):
        assert torch.equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_samples_do_not_depend_on_what_was_read_before(split):
    first = _samples(split)[1, 3]
    after_others = _samples(split)
    for index in range(6):
        after_others[0, index]

    assert all(torch.equal(a, b) for a, b in zip(first, after_others[1, 3], strict=True))


def test_no_two_samples_share_their_draws(split):
    same = FewPeople([split[0]] * 6)
    loader = DataLoader(
        _samples(same, AugmentationConfig()),
        sampler=[[(epoch, index) for index in range(6)] for epoch in range(4)],
        batch_size=None,
        num_workers=2,
    )

    images = torch.cat([batch.image for batch in loader])

    assert len(np.unique(images.flatten(1).numpy(), axis=0)) == 24


def test_a_sample_drawn_twice_in_one_process_differs_only_by_its_key(split):
    samples = _samples(split)

    assert torch.equal(samples[2, 1].image, samples[2, 1].image)
    assert not torch.equal(samples[2, 1].image, samples[3, 1].image)


@pytest.mark.parametrize("effect", ["blur", "occluders", "erasing"])
def test_an_effect_changes_pictures_and_no_label(split, effect):
    plain, changed = _samples(split, _still()), _samples(split, _still(**{effect: 1}))

    differ = 0
    for index in range(6):
        ours, theirs = plain[0, index], changed[0, index]
        differ += not torch.equal(ours.image, theirs.image)
        for name in ("gt_keypoints2d", "full_pose", "betas", "part_map", "focal_length"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name))

    assert differ >= 5


def test_blur_keeps_the_light(split):
    plain, blurred = _samples(split, _still()), _samples(split, _still(blur=1))

    for index in range(6):
        light = plain[0, index].image.float().mean()
        assert blurred[0, index].image.float().mean() == pytest.approx(light, abs=3)


def test_what_is_erased_is_around_keypoints(split):
    plain, erased = _samples(split, _still())[0, 0], _samples(split, _still(erasing=1))[0, 0]
    changed = (plain.image != erased.image).any(dim=0).numpy()
    points = ((plain.gt_keypoints2d[:, :2].numpy() + 1) * 64 - 1) / 2
    near = np.ones((64, 64), np.uint8)
    for x, y in points:
        cv2.rectangle(near, (int(x) - 10, int(y) - 10), (int(x) + 10, int(y) + 10), 0, -1)

    assert changed.any()
    assert not changed[near > 0].any()


def test_truncated_squares_lie_within_the_whole_one():
    config = _still(truncation=1)
    plans = [draw_plan(np.zeros(2), 100.0, config, np.random.default_rng(k)) for k in range(200)]

    assert all(plan.truncated and 45 <= plan.size <= 80 for plan in plans)
    assert all((np.abs(plan.center) + plan.size / 2 <= 50 + 1e-9).all() for plan in plans)


def test_a_network_is_not_told_keypoints_that_truncation_cuts_off(split):
    seen = FewPeople([s._replace(detected=s.keypoints) for s in split.samples])
    samples = _samples(seen, _still(truncation=1, detected=1))

    keypoints = torch.stack([samples[0, index].keypoints for index in range(6)])

    beyond = (keypoints[..., :2].abs() > 1).any(-1)
    assert beyond.any()
    assert (keypoints[beyond][:, 2] == 0).all()


def test_some_keypoints_are_withheld_but_their_labels_are_not(split):
    told = _samples(split, _still())
    withheld = _samples(split, _still(withheld=1))

    pairs = [(told[0, index], withheld[0, index]) for index in range(6)]

    known = [torch.stack([p[k].keypoints[:, 2] > 0 for p in pairs]) for k in range(2)]
    assert 0.4 < known[1].sum() / known[0].sum() < 0.9
    assert not (known[1] & ~known[0]).any()
    assert all(torch.equal(a.gt_keypoints2d, b.gt_keypoints2d) for a, b in pairs)


def test_mirroring_changes_every_label_but_the_shape(split):
    plain = _samples(split, _still())
    mirrored = _samples(split, _still(mirror=1))

    for index in range(6):
        ours, theirs = plain[0, index], mirrored[0, index]
        assert torch.equal(ours.betas, theirs.betas)
        assert not torch.equal(ours.part_map, theirs.part_map)
        assert not torch.equal(ours.full_pose, theirs.full_pose)
        assert not torch.equal(ours.gt_keypoints2d, theirs.gt_keypoints2d)


def test_cutouts_are_many_and_the_same_for_everybody(split):
    ours, theirs = Cutouts(split, seed=0), Cutouts(split, seed=0)
    last = ours[200][0].copy()

    assert (theirs[200][0] == last).all()
    assert len({ours[number][0].tobytes() for number in range(20)}) == 20
    assert len({ours[number][1].tobytes() for number in range(20)}) == 20
    assert (Cutouts(split, seed=1)[200][0] != last).any()


def test_occluders_of_a_folder_cover_where_they_are_not_transparent(split, tmp_path):
    thing = np.zeros((40, 40, 4), np.uint8)
    thing[:, :20] = (0, 0, 255, 255)
    cv2.imwrite(str(tmp_path / "thing.png"), thing)

    patch, mask = Cutouts(split, seed=0, folder=tmp_path)[3]

    assert patch.shape == (SIDE, SIDE, 3)
    assert (patch[:, :40] == (255, 0, 0)).all()
    assert (mask[:, :40] == 255).all()
    assert (mask[:, 60:] == 0).all()


def test_a_folder_without_pictures_is_an_error(split, tmp_path):
    with pytest.raises(MissingFileError, match="no pictures of occluders"):
        _samples(split, AugmentationConfig(occluders=1, occluder_dir=tmp_path))


def test_joined_splits_give_the_samples_of_each(split):
    first, second = few_people(2), FewPeople(split.samples[2:])
    joined = JoinedSplits([first, second])

    assert len(joined) == 6
    assert joined.counts == (2, 4)
    assert [joined[index].imgname for index in range(6)] == [s.imgname for s in split.samples]
    assert joined.field("pose").shape == (6, 72)
    with pytest.raises(IndexError):
        joined[6]


def test_samples_of_joined_splits_are_those_of_the_whole(split):
    joined = JoinedSplits([few_people(2), FewPeople(split.samples[2:])])
    ours, theirs = _samples(joined, AugmentationConfig()), _samples(split, AugmentationConfig())

    for index in range(6):
        assert all(map(torch.equal, ours[1, index], theirs[1, index]))


def test_splits_whose_crops_differ_in_size_can_be_joined(split):
    large = FewPeople(
        [s._replace(image=s.image.repeat(2, axis=0).repeat(2, axis=1),
                    crop_to_image=np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]]))
         for s in split.samples[:1]]
    )  # fmt: skip
    large.crop_size = 512
    samples = _samples(JoinedSplits([few_people(1), large]), None)

    small, twice = samples[0, 0], samples[0, 1]

    assert (small.image.float() - twice.image.float()).abs().mean() < 3
    assert torch.equal(small.part_map, twice.part_map)
