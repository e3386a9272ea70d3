"""Every protocol against the arithmetic of its owners, written down again in another way.

Provenance: 3DPW's evaluator as github.com/aymenmir1/3dpw-eval computes it (read on 2026-11-22;
camera frame, root joint 0, errors pooled over frames), EMDB's as github.com/eth-ait/emdb,
evaluation_metrics.py at 415faa8, SPIN's eval.py for 14 joints, the course's scripts/evaluate.py.
Alignments here are by scipy's orthogonal_procrustes and Rotation, one sample at a time.
"""

import numpy as np
import pytest
from scipy import integrate
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.transform import Rotation

from smplcli.conventions import H36M_TO_LSP14
from smplcli.evaluation.measures import Pair
from smplcli.evaluation.metrics import (
    acceleration_errors,
    auc,
    auc_of_all,
    coordinate_errors,
    jitter,
    pck,
)
from smplcli.evaluation.posing import PosedBodies
from smplcli.evaluation.protocols import (
    CHALLENGE,
    EMDB,
    ETH_MP,
    ETH_MP_VAL,
    LSP14,
    MPII_PCKH,
    PROTOCOLS,
    SMPL24,
    default_protocols,
)

COUNT = 40
MAJOR = [1, 2, 4, 5, 7, 8, 16, 17, 18, 19, 20, 21]
PARTS = [0, 1, 2, 4, 5, 16, 17, 18, 19]


def bodies(seed):
    rng = np.random.default_rng(seed)
    sizes = {"smpl24": 24, "h36m17": 17, "spin49": 49, "coco17": 17}
    rotations = Rotation.from_rotvec(rng.normal(size=(COUNT * 24, 3))).as_matrix()
    return PosedBodies(
        joints={name: 0.3 * rng.normal(size=(COUNT, size, 3)) for name, size in sizes.items()},
        rotations=rotations.reshape(COUNT, 24, 3, 3),
        height=1.7 + 0.1 * rng.normal(size=COUNT),
        vertices=(0.3 * rng.normal(size=(COUNT, 60, 3))).astype(np.float32),
    )


def blend(a, b, share):
    """Bodies near ``b``, so that errors are of a real size."""
    mix = lambda x, y: share * x + (1 - share) * y  # noqa: E731
    return b._replace(
        joints={name: mix(a.joints[name], b.joints[name]) for name in b.joints},
        height=mix(a.height, b.height),
        vertices=mix(a.vertices, b.vertices).astype(np.float32),
        rotations=a.rotations,
    )


def pair_of(pred, gt):
    rng = np.random.default_rng(9)
    points = {"spin49": 200 + 50 * rng.normal(size=(COUNT, 49, 3))}
    points["coco17"] = 200 + 50 * rng.normal(size=(COUNT, 17, 3))
    for labels in points.values():
        labels[..., 2] = rng.random(labels.shape[:2]) < 0.7
    projected = {
        name: labels[..., :2] + 20 * rng.normal(size=(*labels.shape[:2], 2))
        for name, labels in points.items()
    }
    return Pair(pred, gt, projected, points, np.full(COUNT, 300.0), rng.uniform(20, 60, COUNT))


TRUTH = bodies(1)
PAIR = pair_of(blend(bodies(0), TRUTH, 0.2), TRUTH)
PRED = PAIR.pred


def measured(protocol, name, pair=PAIR):
    return protocol.metrics[name].measure(pair)


def fit(pred, gt):
    """Rotation, scale and centres that move one body onto another, by scipy."""
    x, y = pred - pred.mean(0), gt - gt.mean(0)
    rotation, _ = orthogonal_procrustes(x, y)
    if np.linalg.det(rotation) < 0:
        rotation = Rotation.align_vectors(y, x)[0].as_matrix().T
    scale = np.trace((x @ rotation).T @ y) / (x**2).sum()
    return rotation, scale, pred.mean(0), gt.mean(0)


def moved(points, found):
    rotation, scale, pred_centre, gt_centre = found
    return scale * (points - pred_centre) @ rotation + gt_centre


def mean_length(a, b):
    return 1000 * np.mean([np.hypot(np.hypot(x, y), z) for x, y, z in a - b])


def challenge_by_hand():
    """MPJPE, PA-MPJPE, PCK, AUC, MPJAE and its fitted form, pooled over frames."""
    pred, gt = PRED.joints["smpl24"], TRUTH.joints["smpl24"]
    pred, gt = pred - pred[:, :1], gt - gt[:, :1]
    fits = [fit(p, g) for p, g in zip(pred, gt, strict=True)]
    major = 1000 * np.sqrt(((pred - gt) ** 2).sum(-1))[:, MAJOR]
    thresholds = np.arange(0.0, 200.0)
    curve = [(major <= threshold).mean() for threshold in thresholds]
    turned = [f[0].T @ r for f, r in zip(fits, PRED.rotations[:, PARTS], strict=True)]
    angle = lambda a, b: np.degrees(  # noqa: E731
        (Rotation.from_matrix(a) * Rotation.from_matrix(b).inv()).magnitude()
    )
    flat = lambda r: np.reshape(r, (-1, 3, 3))  # noqa: E731
    truth = flat(TRUTH.rotations[:, PARTS])
    return {
        "mpjpe": np.mean([mean_length(p, g) for p, g in zip(pred, gt, strict=True)]),
        "pa_mpjpe": np.mean(
            [mean_length(moved(p, f), g) for p, g, f in zip(pred, gt, fits, strict=True)]
        ),
        "pck": 100 * (major <= 50).mean(),
        "auc": 100 * np.trapezoid(curve, thresholds / 199),
        "mpjae": angle(flat(PRED.rotations[:, PARTS]), truth).mean(),
        "pa_mpjae": angle(flat(turned), truth).mean(),
    }


@pytest.mark.parametrize("name", CHALLENGE.metrics)
def test_challenge_is_what_3dpws_evaluator_computes(name):
    expected = challenge_by_hand()[name]

    assert measured(CHALLENGE, name).mean() == pytest.approx(expected, abs=1e-6)


def test_the_auc_of_all_is_integrated_as_3dpws_evaluator_does():
    errors = np.random.default_rng(5).gamma(2, 40, size=(3000, 12))
    thresholds = np.arange(0.0, 200.0)
    curve = [(errors <= threshold).mean() for threshold in thresholds]
    with pytest.warns(integrate.IntegrationWarning):
        expected, _ = integrate.quad(lambda x: np.interp(x, thresholds / 199, curve), 0, 1)

    assert auc_of_all(auc(errors)) == pytest.approx(100 * expected, abs=1e-9)
    assert auc(errors).mean() == pytest.approx(100 * expected, abs=2e-3)


@pytest.mark.parametrize("name", ["mpjpe", "pa_mpjpe", "mpjae", "pa_mpjae"])
def test_smpl24_shares_its_joints_with_the_challenge(name):
    assert np.array_equal(measured(SMPL24, name), measured(CHALLENGE, name))


def test_lsp14_regresses_its_root_and_leaves_it_out_of_the_mean():
    rows = list(H36M_TO_LSP14)
    pred, gt = PRED.joints["h36m17"], TRUTH.joints["h36m17"]
    by_hand = np.sqrt((((pred - pred[:, [0]]) - (gt - gt[:, [0]]))[:, rows] ** 2).sum(-1)).mean(-1)
    fitted = [
        mean_length(moved(p, fit(p, g)), g)
        for p, g in zip(pred[:, rows], gt[:, rows], strict=True)
    ]

    assert measured(LSP14, "mpjpe").mean(axis=1) == pytest.approx(1000 * by_hand, abs=1e-9)
    assert measured(LSP14, "pa_mpjpe").mean(axis=1) == pytest.approx(fitted, abs=1e-6)


def test_vertices_move_with_the_root_of_their_protocol():
    for protocol, joints, root in (
        (SMPL24, "smpl24", [0]),
        (LSP14, "h36m17", [0]),
        (EMDB, "smpl24", [1, 2]),
    ):
        offset = PRED.joints[joints][:, root].mean(1) - TRUTH.joints[joints][:, root].mean(1)
        apart = PRED.vertices.astype(float) - TRUTH.vertices - offset[:, None]

        expected = 1000 * np.sqrt((apart**2).sum(-1)).mean(-1)
        assert measured(protocol, "pve")[:, 0] == pytest.approx(expected, abs=1e-9)


def test_pa_pve_fits_vertices_and_emdb_fits_joints():
    own, by_joints = [], []
    for row in range(COUNT):
        pred, gt = PRED.vertices[row].astype(float), TRUTH.vertices[row].astype(float)
        found = fit(PRED.joints["smpl24"][row], TRUTH.joints["smpl24"][row])
        own.append(mean_length(moved(pred, fit(pred, gt)), gt))
        by_joints.append(mean_length(moved(pred, found), gt))

    assert measured(SMPL24, "pa_pve")[:, 0] == pytest.approx(own, abs=1e-6)
    assert measured(EMDB, "pa_pve")[:, 0] == pytest.approx(by_joints, abs=1e-6)


def test_emdb_sees_bodies_from_the_middle_of_their_hips():
    pred, gt = (
        body.joints["smpl24"] - body.joints["smpl24"][:, 1:3].mean(1, keepdims=True)
        for body in (PRED, TRUTH)
    )

    expected = [mean_length(p, g) for p, g in zip(pred, gt, strict=True)]
    assert measured(EMDB, "mpjpe").mean(axis=1) == pytest.approx(expected, abs=1e-9)


def test_the_course_takes_the_root_of_every_square_and_not_of_their_sum():
    pred, gt = PRED.joints["spin49"][:, 25:], TRUTH.joints["spin49"][:, 25:]

    by_hand = 1000 * np.sqrt((gt - pred) ** 2).mean(axis=-1)

    assert measured(ETH_MP, "coordinate_error") == pytest.approx(by_hand, abs=1e-9)
    assert ETH_MP.truth == "neutral"
    assert "66.32" in ETH_MP.summary


def test_the_courses_number_is_half_of_an_error_alike_in_all_directions():
    rng = np.random.default_rng(3)
    gt = np.zeros((2000, 24, 3))
    pred = 0.1 * rng.normal(size=gt.shape)

    length = 1000 * np.linalg.norm(pred, axis=-1).mean()

    assert length / coordinate_errors(pred, gt).mean() == pytest.approx(2.0, abs=0.01)


def test_the_courses_validation_aligns_49_joints_on_the_nose():
    pred, gt = (body.joints["spin49"] - body.joints["spin49"][:, :1] for body in (PRED, TRUTH))

    expected = [mean_length(p, g) for p, g in zip(pred, gt, strict=True)]
    assert measured(ETH_MP_VAL, "mpjpe").mean(axis=1) == pytest.approx(expected, abs=1e-9)


def test_pckh_counts_labelled_joints_without_pelvis_and_thorax():
    hits = labelled = 0
    for row in range(COUNT):
        for joint in (*range(12), 12, 13):
            x, y, known = PAIR.gt_points["spin49"][row, 25 + joint]
            u, v = PAIR.pred_points["spin49"][row, 25 + joint]
            labelled += known > 0
            hits += known > 0 and np.hypot(x - u, y - v) <= 0.5 * PAIR.head_size[row]

    shares = measured(MPII_PCKH, "pckh")
    assert np.isfinite(shares).sum() == labelled
    assert np.nansum(shares) == pytest.approx(100 * hits)


def test_reprojection_is_in_pixels_of_a_square_of_224():
    labels, points = PAIR.gt_points["coco17"], PAIR.pred_points["coco17"]
    away = np.hypot(*np.moveaxis(points - labels[..., :2], -1, 0)) * 224 / 300

    errors = measured(SMPL24, "reprojection")
    assert np.isnan(errors).tolist() == (labels[..., 2] == 0).tolist()
    assert errors[labels[..., 2] > 0] == pytest.approx(away[labels[..., 2] > 0])


def test_height_is_off_in_either_direction():
    assert measured(SMPL24, "height")[:, 0] == pytest.approx(
        1000 * np.abs(PRED.height - TRUTH.height)
    )


@pytest.mark.parametrize(
    ("error", "share", "area"),
    [(0.0, 100, 100), (50.0, 100, 100 * 149.5 / 199), (50.001, 0, 100 * 148.5 / 199)]
    + [(199.0, 0, 100 * 0.5 / 199), (199.5, 0, 0), (1e9, 0, 0)],
)
def test_pck_and_auc_of_one_joint_by_hand(error, share, area):
    assert pck(np.array([error]), 50.0) == pytest.approx([share])
    assert auc(np.array([error])) == pytest.approx([area])


def test_acceleration_is_the_second_difference_of_neighbouring_frames():
    rng = np.random.default_rng(4)
    pred, gt = rng.normal(size=(2, 6, 14, 3))
    before, after = np.array([-1, 0, 1, -1, 3, 4]), np.array([1, 2, -1, 4, 5, -1])

    errors = acceleration_errors(pred - gt, before, after)

    second = lambda joints: joints[0] - 2 * joints[1] + joints[2]  # noqa: E731
    expected = [mean_length(second(pred[i : i + 3]), second(gt[i : i + 3])) for i in (0, 3)]
    assert errors[[1, 4]] == pytest.approx(expected)
    assert np.isnan(errors[[0, 2, 3, 5]]).all()


def test_jitter_is_the_third_difference_at_30_frames_a_second():
    joints = np.random.default_rng(4).normal(size=(6, 24, 3))
    before, after = np.arange(-1, 5), np.array([1, 2, 3, 4, 5, -1])

    values = jitter(joints, before, after)

    third = np.diff(joints, n=3, axis=0) * 30**3 / 10
    assert values[1:4] == pytest.approx(np.linalg.norm(third, axis=-1).mean(axis=-1))
    assert np.isnan(values[[0, 4, 5]]).all()


def test_steady_acceleration_does_not_jitter():
    joints = np.arange(6.0)[:, None, None] ** 2 * np.ones((6, 24, 3))

    values = jitter(joints, np.arange(-1, 5), np.array([1, 2, 3, 4, 5, -1]))

    assert values[1:4] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_the_truth_is_no_error_of_itself_under_any_protocol(protocol):
    pair = PAIR._replace(
        pred=TRUTH, pred_points={name: p[..., :2] for name, p in PAIR.gt_points.items()}
    )

    for name, metric in protocol.metrics.items():
        if not metric.is_error:
            continue
        errors = (metric.measure or metric.traced)(pair)

        goal = 100 if metric.higher_is_better else 0
        assert np.nanmax(np.abs(errors - goal)) == pytest.approx(0, abs=1e-4), name


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_names_of_joints_are_as_many_as_their_errors(protocol):
    for metric in protocol.metrics.values():
        if metric.measure is not None:
            assert metric.measure(PAIR).shape == (COUNT, max(len(metric.names), 1))


def test_a_source_has_the_protocols_of_its_field():
    assert default_protocols("3dpw") == ("smpl24", "challenge", "lsp14", "emdb")
    assert default_protocols("mpii") == ("mpii-pckh",)
    assert default_protocols("unknown") == ("smpl24",)
