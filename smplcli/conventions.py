"""Facts that many modules must agree on, each stated once.

Axes are OpenCV's: x right, y down, z forward. Lengths are metres, angles radians, image positions
pixels with pixel centres at integers. Millimetres and degrees occur in metrics and reports only.

A 6D rotation is the first column of the matrix followed by the second (Zhou et al., CVPR 2019);
SPIN and PARE files interleave the two columns instead.
"""

METRES_TO_MM = 1000.0

SMPL_JOINTS = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
)
"""Kinematic joints of SMPL (Loper et al., SIGGRAPH Asia 2015), in file order."""

SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
"""Parent of each SMPL joint; -1 for the root."""

PELVIS = 0
NUM_JOINTS = len(SMPL_JOINTS)
NUM_BETAS = 10
NUM_PARTS = NUM_JOINTS + 1
"""Part labels: 0 is background, joint j owns label j + 1 (PARE, ICCV 2021, section 3)."""

COCO17_JOINTS = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
"""Keypoints of COCO (Lin et al., ECCV 2014), in annotation order."""

COCO17_EDGES = (
    (0, 1),
    (0, 2),
    (1, 3),
    (2, 4),
    (5, 6),
    (5, 7),
    (7, 9),
    (6, 8),
    (8, 10),
    (5, 11),
    (6, 12),
    (11, 12),
    (11, 13),
    (13, 15),
    (12, 14),
    (14, 16),
)

SPIN24_JOINTS = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "neck",
    "head_top",
    "pelvis",
    "thorax",
    "spine",
    "jaw",
    "head",
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
)
"""Joints of ``part`` and ``S`` in files of the SPIN family (SPIN, ICCV 2019): hips, neck
and head top as in LSP, pelvis and thorax as in MPII, spine, jaw and head as in Human3.6M."""

LSP14_JOINTS = SPIN24_JOINTS[:14]
"""Joints of the published 3DPW protocol (Johnson and Everingham, BMVC 2010)."""

H36M_TO_LSP14 = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10)
"""Rows of the 17-joint Human3.6M regressor, in the order of LSP14_JOINTS (SPIN, constants.py)."""

MPII16_JOINTS = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "pelvis",
    "thorax",
    "neck",
    "head_top",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
)
"""Joints of MPII (Andriluka et al., CVPR 2014) by id; its "upper neck" is SPIN's neck."""

OPENPOSE25_JOINTS = (
    "nose",
    "neck",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "mid_hip",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
    "left_big_toe",
    "left_small_toe",
    "left_heel",
    "right_big_toe",
    "right_small_toe",
    "right_heel",
)
"""Keypoints of OpenPose's BODY_25 (Cao et al., TPAMI 2019)."""

SPIN49_JOINTS = tuple(f"openpose_{name}" for name in OPENPOSE25_JOINTS) + SPIN24_JOINTS
"""All joints of SPIN's body layer."""


def mirror_order(names: tuple[str, ...]) -> tuple[int, ...]:
    """Index of each joint's mirror image, found by swapping ``left_`` and ``right_``."""
    swap = {"left": "right", "right": "left"}
    return tuple(
        names.index("_".join(swap.get(word, word) for word in name.split("_"))) for name in names
    )


SMPL_MIRROR = mirror_order(SMPL_JOINTS)
COCO17_MIRROR = mirror_order(COCO17_JOINTS)

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
"""ImageNet statistics of RGB values in 0..1, which every backbone was trained with."""

BOX_PADDING = 1.2
"""Side of the square crop over the longer side of the person's box (SPIN, ICCV 2019)."""

SCALE_PIXELS = 200.0
"""``scale`` in files of the SPIN family is the side of the crop over this many pixels."""

HMR_FOCAL_LENGTH = 5000.0
"""Focal length in pixels that HMR and its heirs assume (Kanazawa et al., CVPR 2018)."""
