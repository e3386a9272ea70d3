"""The arrays of one SMPL body."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from smplcli.types import Floats, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyModel:
    """A body in SMPL layout: V vertices, F faces, 24 joints, 10 betas; metres, y up."""

    v_template: Floats
    """(V, 3) mean shape at rest."""

    shapedirs: Floats
    """(V, 3, 10) displacement per beta."""

    posedirs: Floats
    """(V, 3, 207) displacement per entry of the 23 rotation matrices minus identity, row-major."""

    joint_regressor: Floats
    """(24, V) joints at rest from vertices at rest."""

    weights: Floats
    """(V, 24) skinning weights; rows sum to 1."""

    parents: Ints
    """(24,) parent of each joint, -1 for the root."""

    faces: Ints
    """(F, 3) vertex indices, counter-clockwise seen from outside in y-up axes."""

    gender: str
    """``male``, ``female`` or ``neutral``."""

    name: str
    """Where the body came from, for reports."""

    sha256: str
    """Hash of the file."""

    vertex_ids: Mapping[str, int] = field(default_factory=dict)
    """Vertices of face, feet and fingers, by smplx's names; empty for unknown meshes."""

    regressors: Mapping[str, Floats] = field(default_factory=dict)
    """Joint regressors (J, V) that the file brings, by joint set."""

    is_demo: bool = False
    """Whether this is the shipped stand-in, whose numbers do not compare with SMPL's."""

    licence: str = ""
    """Terms under which the file was published, where it says so."""

    @property
    def label(self) -> str:
        """What reports call it."""
        return f"{self.name} (demo)" if self.is_demo else self.name
