"""The 3DPW challenge writer, read back by plain pickle and scored by arithmetic of its own."""

import io
import pickle
import pickletools
import zipfile

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from smplcli.body.unpickle import load_pickle_bytes
from smplcli.errors import ShapeError
from smplcli.submission.threedpw import SequenceResult, write_threedpw

KNOWN_BEFORE_NUMPY_2 = {
    "numpy.core.multiarray _reconstruct",
    "numpy ndarray",
    "numpy dtype",
    "_codecs encode",
}


def sequence(name="outdoors_walking_00", *, split="test", people=2, frames=3, seed=0):
    rng = np.random.default_rng(seed)
    turns = Rotation.from_rotvec(rng.normal(size=(people * frames * 9, 3))).as_matrix()
    return SequenceResult(
        split=split,
        name=name,
        joints3d=rng.normal(scale=0.5, size=(people, frames, 24, 3)),
        orientations=turns.reshape(people, frames, 9, 3, 3),
    )


def written(*sequences, is_demo=False):
    file = io.BytesIO()
    write_threedpw(file, sequences, is_demo=is_demo)
    return file.getvalue()


def members(archive_bytes):
    with zipfile.ZipFile(io.BytesIO(archive_bytes)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_each_sequence_lies_in_the_folder_of_its_split():
    archive = written(sequence(), sequence("courtyard_00", split="validation"))

    assert list(members(archive)) == [
        "test/outdoors_walking_00.pkl",
        "validation/courtyard_00.pkl",
    ]


def test_plain_pickle_reads_back_what_was_written():
    result = sequence()

    content = pickle.loads(members(written(result))["test/outdoors_walking_00.pkl"])

    assert set(content) == {"jointPositions", "orientations"}
    assert content["jointPositions"].tolist() == result.joints3d.tolist()
    assert content["orientations"].tolist() == result.orientations.tolist()


def test_readers_for_python_2_pickles_and_the_restricted_reader_agree():
    result = sequence()
    content = members(written(result))["test/outdoors_walking_00.pkl"]

    for read in (
        pickle.loads(content, encoding="latin1"),
        pickle.loads(content, encoding="bytes"),
        load_pickle_bytes(content, "test/outdoors_walking_00.pkl"),
    ):
        assert read["jointPositions"].tolist() == result.joints3d.tolist()


def test_pickles_use_only_opcodes_and_names_that_old_readers_know():
    content = members(written(sequence()))["test/outdoors_walking_00.pkl"]
    opcodes = list(pickletools.genops(content))

    assert max(opcode.proto for opcode, _, _ in opcodes) == 2
    assert {argument for opcode, argument, _ in opcodes if opcode.name == "GLOBAL"} == (
        KNOWN_BEFORE_NUMPY_2
    )


def test_the_same_results_give_the_same_bytes():
    assert written(sequence()) == written(sequence())
    assert written(sequence()) != written(sequence(seed=1))


def test_single_precision_and_strided_results_are_written_like_any_other():
    result = sequence()
    strided = SequenceResult(
        split=result.split,
        name=result.name,
        joints3d=np.asfortranarray(result.joints3d),
        orientations=result.orientations[::-1][::-1],
    )

    assert written(strided) == written(result)


def test_a_demo_submission_says_so_inside_and_in_its_comment():
    archive = written(sequence(), is_demo=True)

    assert members(archive)["DEMO.txt"].startswith(b"DEMO")
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.comment.startswith(b"DEMO")


def test_a_real_submission_holds_nothing_but_its_sequences():
    assert list(members(written(sequence()))) == ["test/outdoors_walking_00.pkl"]


def test_arrays_that_disagree_in_their_frames_are_refused():
    long, short = sequence(frames=4), sequence(frames=3)
    mixed = SequenceResult(
        split="test",
        name="mixed",
        joints3d=long.joints3d,
        orientations=short.orientations,
    )

    with pytest.raises(ShapeError, match=r"orientations of mixed must be \(2, 4, 9, 3, 3\)"):
        written(mixed)
