"""What a prepared data set holds: the fields of its shards, in the vocabulary of SPIN's files."""

import numpy as np

CROP_SIZE = 256
"""Side of a stored crop, pixels."""

CONTEXT = 1.5
"""Side of a stored crop over that of the person's square: room to turn and move samples."""

PART_SIZE = 56
"""Side of a part map, which covers the stored crop (PARE's resolution)."""

UNKNOWN_PART = 255
"""Every pixel of the part map of somebody whose body is not known."""

SHARD_SIZE = 200
"""Samples per shard: the unit of work and of what a killed run keeps."""

MANIFEST_FILE = "manifest.json"

FIELDS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "imgname": (np.str_, ()),
    "person_id": (np.int32, ()),
    "gender": (np.str_, ()),
    "image_size": (np.int32, (2,)),
    "center": (np.float32, (2,)),
    "scale": (np.float32, ()),
    "cam_int": (np.float32, (3, 3)),
    "has_smpl": (np.uint8, ()),
    "pose": (np.float32, (72,)),
    "shape": (np.float32, (10,)),
    "transl": (np.float32, (3,)),
    "part": (np.float32, (24, 3)),
    "S": (np.float32, (24, 4)),
    "openpose": (np.float32, (25, 3)),
    "is_visible": (np.int8, (24,)),
    "head_size": (np.float32, ()),
    "activity": (np.str_, ()),
    "keypoints": (np.float32, (17, 3)),
    "detected": (np.float32, (17, 3)),
    "part_map": (np.uint8, (PART_SIZE, PART_SIZE)),
    "crop_to_image": (np.float32, (2, 3)),
}
"""Type and shape per sample.

``imgname`` is ``<sequence>/<picture>``; ``gender`` is n, m or f. ``center`` is in image pixels and
``scale`` the side of the person's square over 200 pixels. ``pose`` is axis-angle with the root in
camera axes, ``transl`` in metres. ``part`` (x, y, confidence) and ``S`` (metres from the pelvis,
confidence) are SPIN's 24 joints, ``openpose`` (x, y, confidence) OpenPose's 25. ``is_visible``
tells of SPIN's 24 joints what MPII notes: 1 for seen, 0 for hidden behind something, -1 where
nobody says. ``head_size`` is what PCKh is relative to, pixels, 0 where unknown; ``activity`` is
MPII's, empty where unknown.
``keypoints`` are COCO's 17: image pixels and the label's confidence, 0 outside the picture.
``detected`` is what the detector found: image pixels and score, zeros for nothing. ``part_map``
labels the stored crop: 0 for background, joint + 1 for its part, or `UNKNOWN_PART` everywhere.
``crop_to_image`` is the affine map from crop pixels to image pixels.
"""

LATER_FIELDS = {"is_visible": -1}
"""Fields that the first data sets of this format lack, and what they hold in all places there."""

JPEG_BYTES, JPEG_OFFSETS = "crop_jpeg", "crop_offsets"
"""Crops as JPEG one after the other, (bytes,) uint8, and where each starts, (N + 1,) int64."""

RAW_CROPS = "crop_raw"
"""Crops as they are, (N, S, S, 3) uint8 RGB: what shards hold that are stored without JPEG."""
