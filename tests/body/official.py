"""Bodies without a licence, in files laid out as the official ones are."""

import io
import pickle
import struct
from types import FunctionType

import numpy as np
from scipy import sparse

from smplcli.body.model import BodyModel
from smplcli.conventions import NUM_JOINTS, SMPL_PARENTS

OLD_MODULES = {
    "numpy._core.multiarray": "numpy.core.multiarray",
    "scipy.sparse._csc": "scipy.sparse.csc",
    "builtins": "__builtin__",
    "copyreg": "copy_reg",
}


class Ch:
    """Stands for ``chumpy.ch.Ch``: its name and its state are what pickles hold."""

    def __init__(self, x):
        self.__dict__ |= {"x": x, "_dirty_vars": {"x"}, "_itr": None, "_depends_on_deps": {}}


class Select:
    """Stands for ``chumpy.reordering.Select``."""

    def __init__(self, a, idxs, preferred_shape):
        self.__dict__ |= {"a": a, "idxs": idxs, "preferred_shape": preferred_shape}


Ch.__module__, Select.__module__ = "chumpy.ch", "chumpy.reordering"


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2, numpy 1 and scipy 0 wrote: byte strings and the names of their day."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_string(self, text):
        data = text.encode("latin1") if isinstance(text, str) else text
        if not self.bin:
            self.write(pickle.STRING + repr(data)[1:].encode("latin1") + b"\n")
        elif len(data) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) + data)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(text)

    def save_set(self, members):
        self.save_reduce(set, (list(members),), obj=members)

    def save_global(self, obj, name=None):
        module = OLD_MODULES.get(obj.__module__, obj.__module__)
        self.write(f"c{module}\n{name or obj.__qualname__}\n".encode())
        self.memoize(obj)

    dispatch[str] = dispatch[bytes] = save_string
    dispatch[set] = save_set
    dispatch[FunctionType] = dispatch[type] = save_global


def python2_dumps(value, protocol=2):
    stream = io.BytesIO()
    Python2Pickler(stream, protocol).dump(value)
    return stream.getvalue()


def random_body(num_vertices, seed=0):
    """A body of random arrays on SMPL's tree, lengths near a metre."""
    rng = np.random.default_rng(seed)

    def normal(*shape, scale):
        return rng.normal(scale=scale, size=shape).astype(np.float32)

    def shares(*shape):
        rows = rng.random(shape) ** 8
        return (rows / rows.sum(axis=-1, keepdims=True)).astype(np.float32)

    return BodyModel(
        v_template=normal(num_vertices, 3, scale=0.4),
        shapedirs=normal(num_vertices, 3, 10, scale=0.01),
        posedirs=normal(num_vertices, 3, 207, scale=0.001),
        joint_regressor=shares(NUM_JOINTS, num_vertices),
        weights=shares(num_vertices, NUM_JOINTS),
        parents=np.array(SMPL_PARENTS),
        faces=rng.integers(num_vertices, size=(2 * num_vertices, 3)),
        gender="neutral",
        name="random body",
        sha256="",
    )


def official_fields(body, *, num_betas=10):
    """What the dictionary of an official pickle holds, with its types."""
    extra = np.zeros((*body.v_template.shape, num_betas - 10))
    return {
        "v_template": body.v_template.astype(float),
        "shapedirs": Ch(np.concatenate([body.shapedirs, extra], axis=-1)),
        "posedirs": Ch(body.posedirs.astype(float)),
        "J_regressor": sparse.csc_matrix(body.joint_regressor.astype(float)),
        "weights": Select(
            Ch(body.weights.astype(float)[::-1]),
            np.arange(body.weights.size).reshape(body.weights.shape)[::-1].ravel(),
            body.weights.shape,
        ),
        "kintree_table": np.array([body.parents, np.arange(NUM_JOINTS)]).astype(np.uint32),
        "f": body.faces.astype(np.uint32),
        "J": body.joint_regressor @ body.v_template,
        "J_regressor_prior": sparse.csc_matrix(body.joint_regressor.astype(float)),
        "vert_sym_idxs": np.arange(len(body.v_template)),
        "pose_training_info": {"expid": "tj10smooth", "J_regressor_prior_wt": 10.0},
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }
