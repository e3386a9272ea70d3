import pytest
import torch
from pydantic import ValidationError

from smplcli.errors import ConfigError, UnreadableFileError
from smplcli.models.backbones import Backbone
from smplcli.models.config import ModelConfig
from smplcli.models.heads import attend, mean_places
from smplcli.models.network import build_network
from smplcli.models.preprocess import crop_to_unit

TINY = {"input_size": 64, "channels": 8, "hidden": 8, "upsamplings": 1}
CONFIGS = {
    "resnet, as in the report": ModelConfig(backbone="resnet18", **TINY),
    "resnet, pooled": ModelConfig(backbone="resnet18", head="baseline", **TINY),
    "one perceptron, transposed": ModelConfig(
        backbone="resnet18", joint_perceptrons=False, upsample_mode="transposed", **TINY
    ),
    "published": ModelConfig(backbone="hrnet_w18_small", head="pare", **TINY),
    "lite, with keypoints": ModelConfig(
        backbone="tf_efficientnet_lite0",
        laterals=True,
        context=8,
        keypoints=16,
        fold_norm=True,
        **TINY,
    ),
    "finds keypoints": ModelConfig(
        backbone="movenet", laterals=True, context=8, keypoints=16, finds_keypoints=True, **TINY
    ),
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_network_gives_one_proper_body_per_picture(config):
    network = build_network(config).eval()

    output = network(torch.rand(3, 3, 64, 64), torch.rand(3, 17, 3))

    assert output.rotmat.shape == (3, 24, 3, 3)
    torch.testing.assert_close(torch.linalg.det(output.rotmat), torch.ones(3, 24))
    assert output.betas.shape == (3, 10)
    assert (output.pred_cam[:, 0] > 0).all()


@pytest.mark.parametrize("name", sorted(CONFIGS.keys() - {"published"}))
def test_a_network_starts_near_the_upright_mean_body(name):
    network = build_network(CONFIGS[name]).eval()

    output = network(torch.rand(1, 3, 64, 64))

    facing = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    torch.testing.assert_close(output.rotmat[0, 0], facing, atol=0.2, rtol=0)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_every_trainable_weight_gets_a_gradient(config):
    network = build_network(config).train()

    output = network(torch.rand(2, 3, 64, 64), torch.rand(2, 17, 3))
    heat = 0 if output.part_logits is None else output.part_logits.square().mean()
    (output.rotmat.square() + 0).mul(torch.rand(24, 3, 3)).sum().add(
        output.betas.sum() + output.pred_cam.sum() + heat
    ).backward()

    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("name", sorted(CONFIGS.keys() - {"resnet, pooled"}))
def test_part_maps_are_as_large_as_the_config_says(name):
    output = build_network(CONFIGS[name]).eval()(torch.rand(1, 3, 64, 64))

    side = CONFIGS[name].part_size
    assert side == (16 if name == "published" else 4)
    assert output.part_logits.shape == (1, 25, side, side)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "transposed"])
def test_every_upsampling_doubles_the_resolution(mode):
    changes = {**TINY, "upsamplings": 3, "upsample_mode": mode}
    network = build_network(ModelConfig(backbone="resnet18", **changes)).eval()

    assert network.attention(torch.rand(2, 3, 64, 64)).shape == (2, 24, 16, 16)


def test_attention_of_every_joint_sums_to_one():
    network = build_network(CONFIGS["published"]).eval()

    attention = network.attention(torch.rand(2, 3, 64, 64))

    torch.testing.assert_close(attention.sum((2, 3)), torch.ones(2, 24))


def test_attention_of_a_network_without_any_is_an_error():
    network = build_network(CONFIGS["resnet, pooled"]).eval()

    with pytest.raises(ConfigError, match="no part attention: head baseline"):
        network.attention(torch.rand(1, 3, 64, 64))


def test_one_perceptron_for_all_joints_lets_every_joint_see_every_other():
    head = build_network(CONFIGS["one perceptron, transposed"]).head.pose
    joints = torch.rand(1, 24, 8, requires_grad=True)

    head(joints)[0, 3].sum().backward()

    assert joints.grad[0].any(dim=1).all()


def test_perceptrons_of_their_own_see_their_own_joint_only():
    head = build_network(CONFIGS["resnet, as in the report"]).head.pose
    joints = torch.rand(1, 24, 8, requires_grad=True)

    head(joints)[0, 3].sum().backward()

    assert joints.grad[0].any(dim=1).nonzero().flatten().tolist() == [3]


@pytest.mark.parametrize(
    "changes", [{"laterals": True, "upsample_mode": "transposed"}, {"head": "pare", "context": 8}]
)
def test_parts_that_do_not_go_together_are_refused(changes):
    with pytest.raises(ValueError, match="laterals"):
        ModelConfig(**changes)


def test_keypoints_that_were_not_seen_do_not_matter():
    network = build_network(CONFIGS["lite, with keypoints"]).eval()
    torch.nn.init.normal_(network.encoder.guess.weight)
    image = torch.rand(1, 3, 64, 64)
    keypoints = torch.rand(1, 17, 3).clamp(min=0.3)
    keypoints[:, 9:, 2] = 0
    elsewhere = keypoints.clone()
    elsewhere[:, 9:, :2] = float("nan")

    torch.testing.assert_close(network(image, keypoints), network(image, elsewhere))


def test_guess_from_keypoints_does_not_depend_on_place_and_size():
    network = build_network(CONFIGS["lite, with keypoints"]).eval()
    first = network.encoder.entry.linear
    torch.nn.init.zeros_(first.weight[:, 51:])
    keypoints = torch.rand(1, 17, 3).clamp(min=0.3)
    moved = keypoints.clone()
    moved[..., :2] = 0.4 * moved[..., :2] - 0.3

    torch.testing.assert_close(network.lift(keypoints), network.lift(moved))


def test_attention_on_one_pixel_reads_that_pixel():
    logits = torch.full((1, 24, 4, 4), -100.0)
    logits[:, :, 2, 1] = 100
    values = torch.rand(1, 8, 4, 4)

    joints = attend(logits, values)

    torch.testing.assert_close(joints, values[:, :, 2, 1][:, None].expand(1, 24, 8))


def test_flat_attention_reads_the_mean():
    values = torch.rand(1, 8, 4, 4)

    joints = attend(torch.zeros(1, 24, 4, 4), values)

    torch.testing.assert_close(joints, values.mean((2, 3))[:, None].expand(1, 24, 8))


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0"])
def test_folding_batch_norms_changes_no_feature(name):
    backbone = Backbone(name).eval()
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    image = torch.rand(1, 3, 64, 64)
    before = backbone(image)

    backbone.fold_norm()

    torch.testing.assert_close(backbone(image), before, atol=1e-4, rtol=1e-3)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in backbone.modules())


def test_backbone_takes_weights_whose_keys_have_other_names(tmp_path):
    trained = Backbone("resnet18")
    renamed = {f"x{i}": value for i, value in enumerate(trained.net.state_dict().values())}
    torch.save(renamed, tmp_path / "weights.pth")
    backbone = Backbone("resnet18")

    backbone.load_pretrained(tmp_path / "weights.pth")

    torch.testing.assert_close(backbone.net.state_dict(), trained.net.state_dict())


def test_weights_in_another_order_are_matched_by_name(tmp_path):
    trained = Backbone("hrnet_w18_small")
    shuffled = dict(
        sorted(trained.net.state_dict().items()), **{"classifier.weight": torch.ones(1)}
    )
    torch.save(shuffled, tmp_path / "weights.pth")
    backbone = Backbone("hrnet_w18_small")

    backbone.load_pretrained(tmp_path / "weights.pth")

    torch.testing.assert_close(backbone.net.state_dict(), trained.net.state_dict())


def test_weights_of_another_backbone_are_refused(tmp_path):
    torch.save(Backbone("resnet34").net.state_dict(), tmp_path / "weights.pth")

    with pytest.raises(UnreadableFileError, match="another network"):
        Backbone("resnet18").load_pretrained(tmp_path / "weights.pth")


def test_unknown_backbone_suggests_known_ones():
    with pytest.raises(ConfigError, match="unknown backbone: efficientnet_lite") as caught:
        Backbone("efficientnet_lite")

    assert "efficientnet_lite0" in str(caught.value.hint)


def test_crop_edges_are_minus_one_and_one():
    edges = torch.tensor([[-0.5, 127.5, 0.7]])

    torch.testing.assert_close(crop_to_unit(edges, 128), torch.tensor([[-1.0, 1.0, 0.7]]))


def test_keypoints_of_one_person_do_not_depend_on_the_batch_even_in_training():
    network = build_network(CONFIGS["lite, with keypoints"]).train()
    encoder = network.encoder
    keypoints = torch.rand(4, 17, 3).clamp(min=0.3)

    torch.testing.assert_close(encoder(keypoints)[0][:1], encoder(keypoints[:1])[0])


def test_lifting_in_training_learns_how_to_normalise_keypoints():
    network = build_network(CONFIGS["lite, with keypoints"]).train()
    before = network.encoder.entry.norm.running_mean.clone()

    network.lift(torch.rand(8, 17, 3).clamp(min=0.3))

    assert (network.encoder.entry.norm.running_mean != before).any()


def test_a_keypoint_is_where_its_map_is_bright():
    maps = torch.zeros(1, 17, 4, 8)
    maps[0, range(17), 3, 1] = 50.0

    found = mean_places(maps)

    expected = torch.tensor([-0.625, 0.75]).expand(1, 17, 2)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_keypoint_lies_between_two_bright_cells():
    maps = torch.full((1, 1, 4, 4), -50.0)
    maps[0, 0, 1, 1] = maps[0, 0, 1, 2] = 50.0

    torch.testing.assert_close(mean_places(maps), torch.tensor([[[0.0, -0.25]]]))


def _finds_keypoints():
    network = build_network(CONFIGS["finds keypoints"]).eval()
    return network, network.look(torch.rand(2, 3, 64, 64))


def test_found_keypoints_stand_in_for_those_that_nobody_told():
    network, seen = _finds_keypoints()
    told = torch.rand(2, 17, 3).clamp(min=0.3)
    half = told.clone()
    half[:, ::2, 2] = 0
    mixed = torch.where(half[..., 2:] > 0, told, seen.keypoints)

    told_half = network.answer(seen, half)

    torch.testing.assert_close(told_half.rotmat, network.answer(seen, mixed).rotmat)
    assert not torch.equal(told_half.rotmat, network.answer(seen, told).rotmat)


def test_without_any_told_the_found_ones_serve():
    network, seen = _finds_keypoints()

    alone = network.answer(seen)

    torch.testing.assert_close(alone.rotmat, network.answer(seen, seen.keypoints).rotmat)


def test_who_takes_no_keypoints_cannot_look_for_them():
    with pytest.raises(ValidationError, match="finds_keypoints needs keypoints"):
        ModelConfig(finds_keypoints=True)
