"""What a patch hides, what networks make of it, and how it is summed up."""

import numpy as np
import pytest
import torch

from smplcli.body.files import load_body
from smplcli.body.layer import Skeleton
from smplcli.conventions import IMAGE_MEAN
from smplcli.errors import ConfigError
from smplcli.evaluation.occlusion import (
    OcclusionErrors,
    Patches,
    answered,
    increase_maps,
    joint_effects,
    occlude,
    occluded_share,
    occlusion_errors,
    patch_effect,
    person_area,
    share_curve,
    spread_rows,
)
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from tests.evaluation.prepared import sample

TINY = ModelConfig(
    backbone="resnet18", head="baseline", input_size=64, channels=8, hidden=8, keypoints=8
)


def someone(**changes):
    return sample("walk/0.jpg", 0, seed=0, **changes)


@pytest.mark.parametrize(("size", "stride"), [(40, 20), (40, 40), (224, 10), (1, 224)])
def test_patches_stay_in_the_crop_and_leave_equal_margins(size, stride):
    starts = Patches(size=size, stride=stride).starts()

    assert starts[0] >= 0
    assert starts[-1] + size <= 224
    assert abs(starts[0] - (224 - size - starts[-1])) <= 1


@pytest.mark.parametrize(("size", "stride"), [(0, 20), (225, 20), (40, 0)])
def test_a_patch_that_fits_nowhere_is_refused(size, stride):
    with pytest.raises(ConfigError, match="occlusion"):
        Patches(size=size, stride=stride)


def test_a_patch_covers_the_same_share_of_crops_of_any_size():
    patches = Patches(size=56, stride=56)

    for side in (64, 128, 224):
        masks = patches.masks(side)
        assert masks.shape == (16, side, side)
        assert masks.sum(0).eq(1).all()  # these sixteen tile the crop


def test_places_are_counted_row_by_row():
    masks = Patches(size=112, stride=112).masks(64)

    assert masks[1, :32, 32:].all()
    assert not masks[1, 32:].any()


def test_what_is_hidden_is_grey_and_the_rest_as_it_was():
    image, masks = torch.rand(3, 64, 64), Patches(size=112, stride=112).masks(64)

    hidden = occlude(image, masks[:1])[0]

    assert hidden[:, 0, 0].tolist() == pytest.approx(IMAGE_MEAN)
    assert hidden[:, 32:].equal(image[:, 32:])


def test_without_a_patch_the_error_is_the_networks_own_whatever_the_batch():
    torch.manual_seed(0)
    network, skeleton = build_network(TINY).eval(), Skeleton(load_body())
    crop = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    with torch.inference_mode():
        answer = network(torch.from_numpy(crop).permute(2, 0, 1)[None] / 255)
        joints = skeleton(answer.rotmat, answer.betas).joints[0].numpy()
    masks = torch.cat([torch.zeros(1, 64, 64, dtype=torch.bool), Patches().masks(64)])

    errors = occlusion_errors(network, skeleton, crop, joints, masks, batch_size=7)

    assert errors.shape == (101, 24)
    assert errors[0] == pytest.approx(np.zeros(24), abs=0.1)
    assert errors[1:].max() > 0.01
    again = occlusion_errors(network, skeleton, crop, joints, masks, batch_size=64)
    assert again == pytest.approx(errors, abs=0.1)


def test_the_share_is_of_the_person_and_not_of_the_crop():
    masks = Patches(size=112, stride=112).masks(64)
    area = np.zeros((64, 64))
    area[:32, 16:48] = 1  # half in the first place, half in the second

    assert occluded_share(area, masks).tolist() == [0.5, 0.5, 0, 0]


def test_the_share_of_nobody_is_unknown():
    assert np.isnan(occluded_share(np.zeros((64, 64)), Patches().masks(64))).all()


def test_the_area_is_that_of_the_part_map_which_may_end_before_the_stored_crop_does():
    part_map = np.zeros((56, 56), np.uint8)
    part_map[:, 28:] = 3  # the right half, up to the map's end
    whole = person_area(someone(part_map=part_map), 224, part_share=1.0)
    half = person_area(someone(part_map=part_map), 224, part_share=0.25)

    assert whole[:, :100].max() == 0
    assert whole[:, 125:].min() == 1
    assert 0 < half.sum() < 0.3 * whole.sum()


def test_without_a_part_map_the_area_is_the_box_of_the_keypoints():
    keypoints = np.zeros((17, 3))
    keypoints[:3] = [[240, 140, 1], [360, 140, 1], [300, 260, 1]]
    unknown = np.full((56, 56), 255, np.uint8)

    area = person_area(someone(part_map=unknown, keypoints=keypoints), 240, part_share=1.0)
    nobody = person_area(someone(part_map=unknown), 240, part_share=1.0)

    rows, columns = np.nonzero(area)
    assert (rows.min(), rows.max()) == pytest.approx((59, 180), abs=1)
    assert (columns.min(), columns.max()) == pytest.approx((59, 180), abs=1)
    assert nobody.sum() == 0


def errors_of(unoccluded, occluded):
    return OcclusionErrors(np.full((1, 24), unoccluded), np.array(occluded, dtype=float))


def test_effects_and_maps_say_how_much_worse_it_is_where():
    occluded = np.full((1, 2, 2, 24), 50.0)
    occluded[0, 0, 1, 5] = 98.0
    errors = errors_of(50.0, occluded)

    assert patch_effect(errors).worst == pytest.approx(52)
    assert patch_effect(errors).occluded == pytest.approx(50.5)
    assert joint_effects(errors)["right_knee"].worst == pytest.approx(98)
    assert joint_effects(errors)["left_knee"].worst == pytest.approx(50)
    assert increase_maps(errors)[0, 1, 5] == pytest.approx(48)


def test_the_curve_goes_by_the_hidden_share_and_skips_what_is_unknown():
    occluded = np.stack([np.full((2, 24), 50.0), np.full((2, 24), 80.0)])[None]
    shares = np.array([[[0.0, np.nan], [0.06, 0.1]]])

    beside, hidden = share_curve(errors_of(50.0, occluded), shares)

    assert (beside.low, beside.high, beside.num_crops, beside.increase) == (0, 0, 1, 0)
    assert (hidden.low, hidden.high, hidden.num_crops) == (0.05, 0.1, 2)
    assert hidden.increase == pytest.approx(30)


def test_people_without_a_finite_answer_are_known():
    occluded = np.zeros((2, 2, 2, 24))
    occluded[1, 0, 0, 7] = np.nan

    assert answered(OcclusionErrors(np.zeros((2, 24)), occluded)).tolist() == [True, False]


def test_people_are_taken_from_all_over_the_split():
    assert spread_rows(np.arange(100), 3).tolist() == [0, 50, 99]
    assert spread_rows(np.arange(2), 3).tolist() == [0, 1]
