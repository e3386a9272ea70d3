"""Training samples of rendered people: whatever is done to the picture is done to every label."""

import numpy as np
import pytest
import torch

from smplcli.body.files import load_body
from smplcli.body.layer import JointsLayer
from smplcli.conventions import COCO17_JOINTS, NUM_JOINTS
from smplcli.datasets.augmentation import AugmentationConfig
from smplcli.datasets.keypoint_noise import corrupt_keypoints
from smplcli.datasets.samples import PART_MIRROR, SampleSet
from smplcli.datasets.schema import UNKNOWN_PART
from smplcli.models.preprocess import crop_to_unit
from tests.people import FewPeople, few_people

STRONG = AugmentationConfig(rotation=45, scale=0.3, shift=0.2, mirror=0.5)
SIZE = 96


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def split():
    return few_people()


def _samples(split, **options):
    options = {"size": SIZE, "part_size": 24, "augmentation": STRONG, **options}
    return SampleSet(split, **options)


@pytest.mark.parametrize("epoch", range(4))
def test_labelled_body_projects_onto_the_labelled_keypoints(body, split, epoch):
    joints, samples = JointsLayer(body), _samples(split)
    for index in range(len(split)):
        sample = samples[epoch, index]
        with torch.no_grad():
            coco = joints(sample.full_pose[None], sample.betas[None])[0, NUM_JOINTS:].double()

        # A translation that puts all joints on their keypoints must exist.
        rays = (_pixels(sample) - sample.principal_point) / sample.focal_length
        design = torch.zeros(17, 2, 3, dtype=torch.float64)
        design[:, 0, 0] = design[:, 1, 1] = 1
        design[:, :, 2] = -rays
        right = rays * coco[:, 2:] - coco[:, :2]
        transl = torch.linalg.lstsq(design.view(-1, 3), right.view(-1, 1)).solution[:, 0]
        placed = coco + transl
        seen = sample.focal_length * placed[:, :2] / placed[:, 2:] + sample.principal_point

        # Mirrored samples are off by a millimetre: the body is not quite symmetric.
        torch.testing.assert_close(seen, _pixels(sample), atol=0.1, rtol=0)


def _pixels(sample):
    return ((sample.gt_keypoints2d[:, :2].double() + 1) * SIZE - 1) / 2


def test_a_mirrored_sample_is_the_plain_one_seen_in_a_mirror(split):
    still = {"rotation": 0, "scale": 0, "shift": 0, "colour": 0}
    plain = _samples(split, augmentation=AugmentationConfig(mirror=0, **still))[0, 0]
    mirrored = _samples(split, augmentation=AugmentationConfig(mirror=1, **still))[0, 0]

    left, right = COCO17_JOINTS.index("left_wrist"), COCO17_JOINTS.index("right_wrist")
    flipped = mirrored.image.flip(-1).float()
    assert (flipped - plain.image.float()).abs().mean() < 2
    torch.testing.assert_close(
        mirrored.gt_keypoints2d[left, 0], -plain.gt_keypoints2d[right, 0], atol=1e-4, rtol=0
    )
    agree = torch.from_numpy(PART_MIRROR)[mirrored.part_map.flip(-1)] == plain.part_map
    assert agree.float().mean() > 0.97


def test_part_map_follows_the_picture(split):
    samples = _samples(split)
    for index in range(len(split)):
        sample = samples[1, index]
        inside = (sample.gt_keypoints2d[:, 2] > 0) & (
            sample.gt_keypoints2d[:, :2].abs() < 0.9
        ).all(1)
        cells = ((sample.gt_keypoints2d[inside, :2] + 1) / 2 * 24).long()

        on_person = sample.part_map[cells[:, 1], cells[:, 0]] > 0

        assert on_person.float().mean() > 0.6


def test_parts_that_nobody_knows_are_minus_one_everywhere(split):
    unknown = np.full_like(split[0].part_map, UNKNOWN_PART)
    nobody_knows = FewPeople([split[0]._replace(part_map=unknown), split[1]])
    samples = _samples(nobody_knows)

    assert (samples[0, 0].part_map == -1).all()
    assert (samples[0, 1].part_map >= 0).all()


def test_a_larger_stored_crop_gives_the_same_sample(split):
    stored = split[0]
    doubled = stored._replace(
        image=stored.image.repeat(2, axis=0).repeat(2, axis=1),
        crop_to_image=np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]]),
    )

    twice = FewPeople([doubled])
    twice.crop_size = 512

    small, large = _samples(FewPeople([stored]))[0, 0], _samples(twice)[0, 0]

    assert torch.equal(small.part_map, large.part_map)
    assert (small.image.float() - large.image.float()).abs().mean() < 3


def test_a_sample_is_a_function_of_seed_epoch_and_index(split):
    first, again = _samples(split), _samples(split)

    assert all(torch.equal(a, b) for a, b in zip(first[3, 2], again[3, 2], strict=True))
    assert not torch.equal(first[3, 2].image, first[4, 2].image)
    assert not torch.equal(first[3, 2].image, _samples(split, seed=1)[3, 2].image)


def test_without_augmentation_the_square_of_the_person_is_shown(split):
    sample = _samples(split, augmentation=None)[0, 0]
    stored = split[0]

    unit = crop_to_unit(torch.from_numpy(stored.keypoints), 256)
    torch.testing.assert_close(sample.gt_keypoints2d[:, :2], unit[:, :2] * 1.5, atol=1e-3, rtol=0)


def test_people_that_the_detector_missed_get_made_up_keypoints(split):
    unseen = FewPeople([s._replace(detected=np.zeros_like(s.detected)) for s in split.samples])

    sample = _samples(unseen, augmentation=AugmentationConfig(detected=1))[0, 0]

    assert sample.keypoints[:, 2].any()


def test_made_up_detections_miss_some_keypoints_and_move_all():
    rng = np.random.default_rng(0)
    exact = np.concatenate([rng.normal(size=(500, 17, 2)), np.ones((500, 17, 1))], axis=2)

    found = corrupt_keypoints(exact, rng)

    missed = (found[..., 2] == 0).mean()
    assert 0.05 < missed < 0.3
    assert (np.abs(found[..., :2] - exact[..., :2]) > 0).all()


def test_made_up_detections_do_not_see_what_is_not_there():
    rng = np.random.default_rng(0)
    exact = rng.normal(size=(50, 17, 3))
    exact[..., 2] = 0

    assert not corrupt_keypoints(exact, rng)[..., 2].any()
