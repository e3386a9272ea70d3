import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smplcli.body.files import load_body
from smplcli.errors import ShapeError
from smplcli.rendering import rasteriser
from smplcli.rendering.rasteriser import BACKGROUND, NEAR, REACH, SUBPIXELS, rasterise

TRIANGLE = torch.tensor([[0, 1, 2]])
CORNER = [[0.0, 0.0, 2.0], [0.0, 4.0, 2.0], [4.0, 0.0, 2.0]]
"""A right angle at pixel (0, 0), its hypotenuse on the pixels with x + y = 4."""

QUAD = torch.tensor([[0, 1, 2], [2, 1, 3]])


def covered_pixels(fragments):
    _, row, column = (fragments.face_index != BACKGROUND).nonzero().unbind(1)
    return set(zip(column.tolist(), row.tolist(), strict=True))


def quad(left_depth, right_depth, *, left=-0.5, right=63.5, top=-0.5, bottom=63.5):
    """Corners of an upright wall, as seen."""
    return [
        [left, top, left_depth],
        [left, bottom, left_depth],
        [right, top, right_depth],
        [right, bottom, right_depth],
    ]


def body_points(size, turns=(0.0,)):
    """The demo body upright before the camera, turned about the vertical by some angles."""
    body = load_body()
    upright = body.v_template * [1, -1, -1]
    upright = upright - (upright.min(0) + upright.max(0)) / 2
    points = []
    for turn in turns:
        cosine, sine = np.cos(turn), np.sin(turn)
        x, y, z = (upright @ [[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]]).T
        z = z + 4
        points.append(np.stack([2 * size * x / z + size / 2, 2 * size * y / z + size / 2, z], -1))
    return torch.tensor(np.array(points)).float(), torch.from_numpy(body.faces)


def sphere(rows, columns):
    """Unit sphere, and faces that are counter-clockwise seen from outside."""
    polar, turn = np.meshgrid(
        np.linspace(0, np.pi, rows + 1), np.linspace(0, 2 * np.pi, columns + 1), indexing="ij"
    )
    vertices = np.stack(
        [np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=-1
    )
    index = np.arange(vertices.shape[0] * vertices.shape[1]).reshape(rows + 1, columns + 1)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[:-1, 1:], index[1:, 1:]
    faces = np.stack([np.stack([a, b, c], -1), np.stack([c, b, d], -1)]).reshape(-1, 3)
    return vertices.reshape(-1, 3), torch.from_numpy(faces)


def by_brute_force(points, faces, height, width):
    """Face and depth of each pixel, one face after the other, as the textbook has it."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    nearest = np.full((height, width), np.inf)
    winner = np.full((height, width), BACKGROUND)
    for number, face in enumerate(faces):
        corners = points[face]
        signed = []
        for first, second in ((1, 2), (2, 0), (0, 1)):
            (px, py), (qx, qy) = corners[first, :2], corners[second, :2]
            signed.append((py - y) * (qx - x) - (px - x) * (qy - y))
        total = sum(signed)
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = total / sum(w / z for w, z in zip(signed, corners[:, 2], strict=True))
        inside = (np.min(signed, axis=0) >= 0) & (total > 0) & (depth < nearest)
        nearest[inside], winner[inside] = depth[inside], number
    return winner, nearest


def test_triangle_covers_exactly_the_pixel_centres_inside_and_on_its_edges():
    fragments = rasterise(torch.tensor([CORNER]), TRIANGLE, (8, 8))

    expected = {(x, y) for x in range(8) for y in range(8) if x + y <= 4}
    assert covered_pixels(fragments) == expected


def test_triangle_between_pixel_centres_covers_nothing():
    points = torch.tensor([[[1.1, 1.1, 2.0], [1.1, 1.9, 2.0], [1.9, 1.1, 2.0]]])

    assert covered_pixels(rasterise(points, TRIANGLE, (4, 4))) == set()


def test_barycentrics_of_a_triangle_that_faces_the_camera_are_shares_of_its_area():
    fragments = rasterise(torch.tensor([CORNER]), TRIANGLE, (8, 8))

    assert fragments.barycentrics[0, 1, 1].tolist() == [0.5, 0.25, 0.25]
    assert fragments.barycentrics[0, 0, 3].tolist() == [0.25, 0.0, 0.75]
    assert fragments.depth[0, 1, 1] == 2


def test_background_has_no_face_no_weights_and_infinite_depth():
    fragments = rasterise(torch.tensor([CORNER]), TRIANGLE, (8, 8))

    assert fragments.face_index[0, 7, 7] == BACKGROUND
    assert fragments.barycentrics[0, 7, 7].tolist() == [0, 0, 0]
    assert fragments.depth[0, 7, 7] == torch.inf


def test_slanted_triangle_is_interpolated_where_the_ray_meets_it():
    pixels = np.array([[0.0, 0.0, 1.0], [3.0, 40.0, 2.0], [50.0, 5.0, 6.0]])
    corners = pixels * pixels[:, 2:] ** [1, 1, 0]  # a camera of focal length 1 at pixel (0, 0)
    fragments = rasterise(torch.tensor(pixels)[None].float(), TRIANGLE, (48, 64))

    covered = covered_pixels(fragments)
    assert len(covered) > 900
    for x, y in covered:
        along_ray = np.linalg.solve(corners.T, [x, y, 1])
        weights = along_ray / along_ray.sum()
        assert fragments.barycentrics[0, y, x].numpy() == pytest.approx(weights, abs=1e-6)
        assert float(fragments.depth[0, y, x]) == pytest.approx(1 / along_ray.sum(), rel=1e-6)


def test_sphere_has_the_area_of_its_outline():
    vertices, faces = sphere(96, 192)
    distance, focal_length = 4.0, 400.0
    z = vertices[:, 2] + distance
    points = np.stack([focal_length * vertices[:, i] / z + 127.3 for i in (0, 1)] + [z], axis=-1)

    fragments = rasterise(torch.tensor(points)[None].float(), faces, (256, 256))

    area = np.pi * focal_length**2 / (distance**2 - 1)  # its outline is nearer than its centre
    seen = fragments.face_index != BACKGROUND
    # 2e-3: the mesh is inscribed (5e-4), and an outline of 650 pixels is counted in whole pixels.
    assert int(seen.sum()) == pytest.approx(area, rel=2e-3)
    assert float(fragments.depth.min()) == pytest.approx(distance - 1, abs=1e-3)


def test_crossing_planes_change_places_at_the_line_where_they_meet():
    points = torch.tensor([quad(1.0, 3.0) + quad(3.0, 1.0)])
    faces = torch.cat([QUAD, QUAD + 4])

    wall = rasterise(points, faces, (64, 64)).face_index[0] // len(QUAD)

    assert (wall[:, :32] == 0).all()
    assert (wall[:, 32:] == 1).all()


def test_random_triangles_are_those_of_the_textbook():
    rng = np.random.default_rng(0)
    corners = rng.integers(-8 * SUBPIXELS, 40 * SUBPIXELS, (120, 2)) / SUBPIXELS
    points = np.column_stack([corners, rng.uniform(0.5, 9, 120)]).astype(np.float32)
    faces = rng.integers(0, 120, (150, 3))

    fragments = rasterise(torch.from_numpy(points)[None], torch.from_numpy(faces), (24, 32))

    face, depth = by_brute_force(points.astype(np.float64), faces, 24, 32)
    assert (face >= 0).mean() > 0.9
    assert fragments.face_index[0].numpy().tolist() == face.tolist()
    assert fragments.depth[0].numpy() == pytest.approx(depth, rel=1e-6)


@given(seed=st.integers(0, 2**32 - 1), cells=st.integers(1, 60))
def test_sheet_of_any_triangles_has_no_hole(seed, cells):
    rng = np.random.default_rng(seed)
    side = 40
    x, y = np.meshgrid(np.linspace(-2, side + 1, cells + 1), np.linspace(-2, side + 1, cells + 1))
    jitter = rng.uniform(-0.3, 0.3, (2, cells + 1, cells + 1)) * (side + 3) / cells
    jitter = jitter.clip(-1.5, 1.5)
    points = np.stack([x + jitter[0], y + jitter[1], rng.uniform(1, 5, x.shape)], axis=-1)
    index = np.arange(points[..., 0].size).reshape(x.shape)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[:-1, 1:], index[1:, 1:]
    faces = np.stack([np.stack([a, b, c], -1), np.stack([c, b, d], -1)]).reshape(-1, 3)

    fragments = rasterise(
        torch.tensor(points.reshape(1, -1, 3)).float(), torch.from_numpy(faces), (side, side)
    )

    assert (fragments.face_index >= 0).all()
    assert fragments.barycentrics.sum(-1).numpy() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("turn", [0.0, 0.7, 2.5])
def test_outline_of_the_demo_body_is_that_of_all_its_faces_filled(turn):
    size, finer = 192, 16
    points, faces = body_points(size, [turn])

    seen = (rasterise(points, faces, (size, size)).face_index[0] >= 0).numpy().astype(np.uint8)

    fine = np.zeros((size * finer, size * finer), np.uint8)
    corners = np.round(((points[0, :, :2].numpy() + 0.5) * finer - 0.5) * 256).astype(np.int32)
    for face in faces.numpy():
        cv2.fillConvexPoly(fine, corners[face], 1, shift=8)
    filled = cv2.resize(fine, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    assert seen.sum() == pytest.approx(filled.sum(), rel=0.01)
    assert (seen >= cv2.erode(filled, cross)).all(), "a hole"
    assert (seen <= cv2.dilate(filled, cross)).all(), "a pixel outside"


def test_back_of_a_face_is_not_seen():
    fragments = rasterise(torch.tensor([CORNER]), TRIANGLE.flip(1), (8, 8))

    assert covered_pixels(fragments) == set()


@pytest.mark.parametrize("depth", [NEAR, 0.0, -2.0, float("inf"), float("nan")])
def test_face_with_a_corner_that_has_no_place_in_front_of_the_camera_is_not_drawn(depth):
    hidden = torch.tensor(CORNER)
    hidden[1, 2] = depth
    points = torch.stack([hidden, torch.tensor(CORNER)])

    fragments = rasterise(points, TRIANGLE, (8, 8))

    assert (fragments.face_index[0] == BACKGROUND).all()
    assert (fragments.face_index[1] != BACKGROUND).sum() == 15


def test_face_far_larger_than_the_image_covers_it():
    points = torch.tensor([quad(2.0, 2.0, left=-REACH, right=REACH, top=-REACH, bottom=REACH)])

    assert (rasterise(points, QUAD, (30, 40)).face_index >= 0).all()


@pytest.mark.parametrize("position", [2 * REACH, float("inf"), float("nan")])
def test_face_with_a_corner_out_of_reach_is_not_drawn(position):
    points = torch.tensor([CORNER])
    points[0, 1, 1] = position

    assert covered_pixels(rasterise(points, TRIANGLE, (8, 8))) == set()


def test_batch_gives_what_each_body_gives_alone():
    points, faces = body_points(96, [0.0, 0.5, 3.0])

    together = rasterise(points, faces, (80, 96))

    for number in range(3):
        alone = rasterise(points[number, None], faces, (80, 96))
        for several, one in zip(together, alone, strict=True):
            assert torch.equal(several[number], one[0])


def test_points_stay_as_they_are_whatever_their_layout():
    points, faces = body_points(32)
    planar = points.permute(2, 1, 0).contiguous().permute(2, 1, 0)

    rasterise(planar, faces, (32, 32))

    assert torch.equal(planar, points)


def test_order_of_faces_does_not_change_what_is_seen():
    points, faces = body_points(96)
    shuffled = torch.randperm(len(faces), generator=torch.Generator().manual_seed(0))

    sorted_depth = rasterise(points, faces, (96, 96)).depth
    shuffled_depth = rasterise(points, faces[shuffled], (96, 96)).depth

    assert torch.equal(sorted_depth, shuffled_depth)


def test_work_in_pieces_gives_the_same(monkeypatch):
    points, faces = body_points(96, [0.0, 1.0])
    whole = rasterise(points, faces, (96, 96))

    monkeypatch.setattr(rasteriser, "CHUNK", 100)
    pieces = rasterise(points, faces, (96, 96))

    for one, other in zip(whole, pieces, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("batch", "num_faces"), [(0, 1), (2, 0)])
def test_nothing_to_draw_gives_background(batch, num_faces):
    fragments = rasterise(torch.ones(batch, 3, 3), TRIANGLE[:num_faces], (4, 5))

    assert fragments.face_index.shape == (batch, 4, 5)
    assert fragments.barycentrics.shape == (batch, 4, 5, 3)
    assert (fragments.face_index == BACKGROUND).all()


@pytest.mark.parametrize(
    ("points", "faces"), [((5, 3), (1, 3)), ((1, 5, 2), (1, 3)), ((1, 5, 3), (1, 4))]
)
def test_wrong_shapes_are_named(points, faces):
    with pytest.raises(ShapeError, match="must be"):
        rasterise(torch.ones(points), torch.zeros(faces, dtype=torch.int64), (4, 4))


@pytest.mark.gpu
def test_gpu_sees_what_the_processor_sees():
    points, faces = body_points(256, [0.0, 1.0])

    here = rasterise(points, faces, (256, 256))
    there = rasterise(points.cuda(), faces.cuda(), (256, 256))

    assert torch.equal((here.face_index >= 0), (there.face_index >= 0).cpu())
    # A fused multiply-add may settle a tie of two faces otherwise.
    assert (here.face_index == there.face_index.cpu()).float().mean() > 0.999
    assert there.depth.cpu().numpy() == pytest.approx(here.depth.numpy(), rel=1e-6)
