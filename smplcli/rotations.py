"""Conversions between axis-angle, rotation matrices and 6D form, for any leading dimensions."""

import torch
from torch import Tensor

SMALL_ANGLE_SQUARED = 1e-8
"""Below this squared angle (rad^2) series replace quotients, so that gradients stay finite."""

DEGENERATE = 1e-6
"""A 6D column shorter than this carries no direction."""


def aa_to_rotmat(aa: Tensor) -> Tensor:
    """Rotation matrices of axis-angle vectors.

    Args:
        aa: (..., 3), radians.

    Returns:
        (..., 3, 3); the gradient is finite everywhere, the zero vector included.

    Source:
        Rodrigues' formula, R = I + sin(t)/t K + (1 - cos(t))/t^2 K^2.
    """
    squared = (aa * aa).sum(-1)
    tiny = squared < SMALL_ANGLE_SQUARED
    angle = torch.where(tiny, torch.ones_like(squared), squared).sqrt()
    first = torch.where(tiny, 1 - squared / 6, angle.sin() / angle)
    second = torch.where(tiny, 0.5 - squared / 24, (1 - angle.cos()) / angle**2)
    cross = _cross_matrix(aa)
    eye = torch.eye(3, dtype=aa.dtype, device=aa.device)
    series = first[..., None, None] * cross + second[..., None, None] * (cross @ cross)
    return eye + series


def aa_jacobian(aa: Tensor) -> Tensor:
    """How rotations turn when their axis-angle vectors change.

    Args:
        aa: (..., 3), radians.

    Returns:
        (..., 3, 3): to first order ``exp(aa + d)`` is ``exp(aa) exp(jacobian @ d)``.

    Source:
        Chirikjian, "Stochastic Models, Information Theory, and Lie Groups", volume 2, 2012: the
        right Jacobian of SO(3), I - (1 - cos(t))/t^2 K + (t - sin(t))/t^3 K^2.
    """
    squared = (aa * aa).sum(-1)
    small = squared < 1e-4  # the quotients below lose digits sooner than those of aa_to_rotmat
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    first = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / angle**2)
    second = torch.where(small, 1 / 6 - squared / 120, (angle - angle.sin()) / angle**3)
    cross = _cross_matrix(aa)
    eye = torch.eye(3, dtype=aa.dtype, device=aa.device)
    return eye - first[..., None, None] * cross + second[..., None, None] * (cross @ cross)


def _cross_matrix(vector: Tensor) -> Tensor:
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    entries = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1)
    return entries.reshape(*x.shape, 3, 3)


def rotmat_to_aa(rotmat: Tensor) -> Tensor:
    """Axis-angle vectors of rotation matrices, exact up to and including half turns.

    Args:
        rotmat: (..., 3, 3) proper rotations.

    Returns:
        (..., 3), radians, angle in 0..pi.

    Source:
        Shepperd, "Quaternion from rotation matrix", J. Guidance and Control 1978.
    """
    quaternion = rotmat_to_quaternion(rotmat)
    sine = quaternion[..., 1:].norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, quaternion[..., :1])
    ratio = torch.where(sine < DEGENERATE, torch.full_like(sine, 2.0), angle / sine)
    return quaternion[..., 1:] * ratio


def rotmat_to_quaternion(rotmat: Tensor) -> Tensor:
    """Unit quaternions (..., 4) of proper rotations (..., 3, 3), scalar first and not negative."""
    m = rotmat
    trace = m.diagonal(dim1=-2, dim2=-1)
    total = trace.sum(-1, keepdim=True)
    squares = torch.cat([1 + total, 1 + 2 * trace - total], dim=-1)
    antisymmetric = torch.stack(
        [
            m[..., 2, 1] - m[..., 1, 2],
            m[..., 0, 2] - m[..., 2, 0],
            m[..., 1, 0] - m[..., 0, 1],
        ],
        dim=-1,
    )
    symmetric = m + m.mT
    candidates = torch.stack(
        [
            torch.cat([squares[..., :1], antisymmetric], dim=-1),
            *(
                torch.cat(
                    [
                        antisymmetric[..., k : k + 1],
                        *(
                            squares[..., k + 1 : k + 2] if j == k else symmetric[..., k, j : j + 1]
                            for j in range(3)
                        ),
                    ],
                    dim=-1,
                )
                for k in range(3)
            ),
        ],
        dim=-2,
    )
    best = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    chosen = candidates.gather(-2, best).squeeze(-2)
    chosen = chosen / chosen.norm(dim=-1, keepdim=True)
    return torch.where(chosen[..., :1] < 0, -chosen, chosen)


def rot6d_to_rotmat(rot6d: Tensor) -> Tensor:
    """Rotation matrices of the 6D form: first column, then second column.

    Args:
        rot6d: (..., 6); any values, degenerate ones too.

    Returns:
        (..., 3, 3) proper rotations; where the input carries no direction, a fixed axis is used,
        so that values and gradients stay finite.

    Source:
        Zhou et al., "On the Continuity of Rotation Representations in Neural Networks", CVPR 2019,
        equation 15.
    """
    x_axis, y_axis, z_axis = torch.eye(3, dtype=rot6d.dtype, device=rot6d.device)
    first = _normalise(rot6d[..., :3], fallback=x_axis)
    helper = torch.where(first[..., :1].abs() < 0.9, x_axis, y_axis)  # never along ``first``
    fallback = _normalise(_reject(helper, first), fallback=z_axis)
    second = _reject(_normalise(rot6d[..., 3:], fallback=fallback), first)
    # Rejected twice: what is left of nearly parallel columns is mostly rounding.
    second = _normalise(_reject(_normalise(second, fallback=fallback), first), fallback=fallback)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def _reject(vector: Tensor, axis: Tensor) -> Tensor:
    return vector - (vector * axis).sum(-1, keepdim=True) * axis


def _normalise(vector: Tensor, *, fallback: Tensor) -> Tensor:
    # Divided by the largest entry first: squares of tiny and huge numbers leave float32.
    largest = vector.detach().abs().amax(-1, keepdim=True)
    usable = (largest > DEGENERATE) & largest.isfinite()
    scaled = torch.where(usable, vector / torch.where(usable, largest, 1.0), fallback)
    length: Tensor = scaled.norm(dim=-1, keepdim=True)
    return scaled / length


def rotmat_to_rot6d(rotmat: Tensor) -> Tensor:
    """First and second column of rotation matrices (..., 3, 3), as (..., 6)."""
    return torch.cat([rotmat[..., 0], rotmat[..., 1]], dim=-1)


def mirror_rotmat(rotmat: Tensor) -> Tensor:
    """Rotations (..., 3, 3) seen in a mirror that flips x; swapping sides is the caller's."""
    sign = torch.tensor([-1.0, 1.0, 1.0], dtype=rotmat.dtype, device=rotmat.device)
    return rotmat * sign[:, None] * sign


def nearest_rotation(matrices: Tensor) -> Tensor:
    """Rotations (..., 3, 3) nearest to matrices, never a reflection.

    Of a sum of rotations this is their mean: the least sum of squared distances between matrices.

    Source:
        Moakher, "Means and Averaging in the Group of Rotations", SIAM J. Matrix Anal. Appl. 2002.
    """
    left, _, right = torch.linalg.svd(matrices)
    sign = torch.ones_like(left[..., 0])
    sign[..., 2] = torch.linalg.det(left @ right).sign()
    rotation: Tensor = left * sign[..., None, :] @ right
    return rotation
