"""Mean answers: with and without keypoints, to mirror images, and of several networks."""

from collections.abc import Sequence

import torch
from torch import Tensor

from smplcli.conventions import COCO17_MIRROR, SMPL_MIRROR
from smplcli.models.network import Network, NetworkOutput
from smplcli.models.turning import quarter_turns, turn, turn_back
from smplcli.rotations import mirror_rotmat, nearest_rotation


def mean_answer(
    networks: Sequence[Network],
    image: Tensor,
    keypoints: Tensor | None,
    *,
    flip_test: bool = False,
) -> NetworkOutput:
    """Mean of what networks answer.

    Who lies or hangs upside down, by the keypoints, is turned upright for them. A network that
    finds keypoints itself answers with those that it is given and without, as it is wrong about
    different people then; the surer they are, the more the answer with them counts.

    Args:
        networks: At least one.
        image: (B, 3, S, S) RGB in 0..1.
        keypoints: (B, 17, 3) x, y in -1..1, and confidence; ``None`` if unknown.
        flip_test: Whether each also answers to the mirror images, which is turned back.

    Returns:
        Mean betas and cameras, and the rotations nearest to the means of the matrices; the part
        attention and the found keypoints of the first network.
    """
    if keypoints is None:
        return _mean_answer(networks, image, None, flip_test=flip_test)
    turns = quarter_turns(keypoints)
    upright = turn(image, keypoints, turns)
    return turn_back(_mean_answer(networks, *upright, flip_test=flip_test), turns)


def _mean_answer(
    networks: Sequence[Network], image: Tensor, keypoints: Tensor | None, *, flip_test: bool
) -> NetworkOutput:
    answers = [_answer(network, image, keypoints) for network in networks]
    if flip_test:
        answers += [_answer_to_mirrored(network, image, keypoints) for network in networks]
    return _mean(answers)


def _answer(network: Network, image: Tensor, keypoints: Tensor | None) -> NetworkOutput:
    seen = network.look(image)
    told = network.answer(seen, keypoints)
    if keypoints is None or seen.keypoints is None:
        return told
    # The root: keypoints are right more often than their scores say.
    share = keypoints[..., 2].float().clamp(0, 1).mean(1).sqrt()
    return _weighted([told, network.answer(seen)], torch.stack([share, 1 - share]))


def _mean(answers: Sequence[NetworkOutput]) -> NetworkOutput:
    if len(answers) == 1:
        return answers[0]
    count, people = len(answers), len(answers[0].betas)
    return _weighted(answers, answers[0].betas.new_full((count, people), 1 / count))


def _weighted(answers: Sequence[NetworkOutput], weights: Tensor) -> NetworkOutput:
    """Mean of N answers by the weights (N, B) of each person's."""
    rotmat, betas, pred_cam = (
        torch.einsum("nb,nb...->b...", weights, torch.stack(values))
        for values in zip(*((x.rotmat, x.betas, x.pred_cam) for x in answers), strict=True)
    )
    return answers[0]._replace(rotmat=nearest_rotation(rotmat), betas=betas, pred_cam=pred_cam)


def _answer_to_mirrored(
    network: Network, image: Tensor, keypoints: Tensor | None
) -> NetworkOutput:
    if keypoints is not None:
        keypoints = keypoints[:, list(COCO17_MIRROR)]
        keypoints = keypoints * keypoints.new_tensor([-1.0, 1.0, 1.0])
    answer = _answer(network, image.flip(-1), keypoints)
    return answer._replace(
        rotmat=mirror_rotmat(answer.rotmat[:, list(SMPL_MIRROR)]),
        pred_cam=answer.pred_cam * answer.pred_cam.new_tensor([1.0, -1.0, 1.0]),
    )
