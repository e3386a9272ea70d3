"""Submissions to AGORA and EMDB, made from predictions alone."""

import pickle
import pickletools
import zipfile

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from smplcli.errors import ConfigError, OutputExistsError, RefusedError, UnreadableFileError
from smplcli.workflows.check_submission import check_submission
from smplcli.workflows.submit import submit
from tests.submission.pictures import write_predictions

WALK = "emdb/P3/31_outdoor_workout/images"


@pytest.fixture
def crowd(tmp_path):
    names = ["agora/one_1280x720.png"] * 3 + ["agora/two_1280x720.png"] * 3
    return write_predictions(tmp_path / "preds.npz", names, person_id=[0, 1, 5, 2, 1, 0])


@pytest.fixture
def walk(tmp_path):
    """Frames 0, 1, 3 and 4 of a walk of five frames, and a bystander."""
    names = [f"{WALK}/{frame:05d}.jpg" for frame in (4, 3, 1, 0, 0)]
    return write_predictions(
        tmp_path / "preds.npz",
        names,
        person_id=[0, 0, 0, 0, 1],
        status_imgname=np.array([f"{WALK}/{frame:05d}.jpg" for frame in range(5)]),
    )


def read(path):
    with zipfile.ZipFile(path) as archive:
        return {name: pickle.loads(archive.read(name)) for name in archive.namelist()}


def test_agora_gets_a_pickle_per_person_numbered_in_each_picture(crowd, tmp_path):
    report = submit(crowd, None, tmp_path / "agora.zip", format="agora")

    assert sorted(read(report.path)) == [
        f"predictions/{stem}_personId_{k}.pkl" for stem in ("one", "two") for k in range(3)
    ]
    assert report.counts == {"pictures": 2, "people": 6}
    assert (report.n_submitted, report.n_expected) == (6, 6)


def test_agora_gets_parameters_and_pixels_of_the_large_picture(crowd, tmp_path):
    given = np.load(crowd)
    people = read(submit(crowd, None, tmp_path / "agora.zip", format="agora").path)

    person = people["predictions/two_personId_0.pkl"]  # person 0 of it is the last row
    assert {name: array.shape for name, array in person["params"].items()} == {
        "transl": (1, 3),
        "betas": (1, 10),
        "global_orient": (1, 1, 3),
        "body_pose": (1, 23, 3),
    }
    assert person["params"]["body_pose"].ravel().tolist() == given["pose"][5, 3:].tolist()
    assert person["params"]["transl"][0].tolist() == given["cam_t"][5].tolist()
    assert person["joints"] == pytest.approx(3 * given["joints2d"][5])


def test_agora_leaves_out_a_person_whose_prediction_is_not_finite(crowd, tmp_path):
    betas = np.load(crowd)["betas"].copy()
    betas[1, 3] = np.nan
    names = np.load(crowd)["imgname"].tolist()
    preds = write_predictions(
        tmp_path / "other.npz", names, person_id=[0, 1, 5, 2, 1, 0], betas=betas
    )

    report = submit(preds, None, tmp_path / "agora.zip", format="agora")

    assert not report.is_complete
    assert report.gaps == ("agora/one_1280x720.png: prediction of person 1 is not finite",)
    assert check_submission(report.path).problems == ()


def test_agora_takes_no_fill(crowd, tmp_path):
    with pytest.raises(ConfigError, match="takes no --fill"):
        submit(crowd, None, tmp_path / "agora.zip", format="agora", fill="previous")


@pytest.mark.parametrize(
    ("names", "size", "words"),
    [
        (["a.png", "b.png"], (640, 480), "picture is 640 x 480"),
        (["a/one.png", "b/one.png"], (1280, 720), "two pictures of one name"),
    ],
)
def test_pictures_that_cannot_be_agoras_are_refused(tmp_path, names, size, words):
    preds = write_predictions(tmp_path / "preds.npz", names, size=size)

    with pytest.raises(UnreadableFileError, match=words):
        submit(preds, None, tmp_path / "out" / "agora.zip", format="agora")
    assert list((tmp_path / "out").iterdir()) == []


def test_emdb_gets_what_its_loader_reads(walk, tmp_path):
    report = submit(walk, None, tmp_path / "emdb", format="emdb", fill="interpolate")

    folder = report.path / "P3" / "31_outdoor_workout"
    files = sorted((folder / "hybrIK-out").glob("*.pkl"))
    frames = [pickle.loads(file.read_bytes()) for file in files]
    assert [file.stem for file in files] == [f"{frame:06d}" for frame in range(5)]
    poses = np.concatenate([frame["pred_theta_mats"].reshape(1, -1, 3, 3) for frame in frames])
    assert np.concatenate([frame["pred_shape"] for frame in frames]).shape == (5, 10)
    assert np.concatenate([frame["transl"] for frame in frames]).shape == (5, 3)
    given = np.load(walk)
    expected = Rotation.from_rotvec(given["pose"][3].reshape(24, 3)).as_matrix()
    assert poses[0] == pytest.approx(expected, abs=1e-5)
    arrays = np.load(folder / "smpl.npz")
    assert {name: arrays[name].shape for name in arrays} == {
        "poses": (5, 72),
        "betas": (5, 10),
        "trans": (5, 3),
    }
    assert arrays["betas"][4].tolist() == given["betas"][0].tolist()


def test_emdbs_pickles_are_for_readers_of_python_2_and_any_numpy(walk, tmp_path):
    report = submit(walk, None, tmp_path / "emdb", format="emdb", fill="previous")

    content = next(report.path.rglob("000000.pkl")).read_bytes()
    opcodes = list(pickletools.genops(content))
    assert max(opcode.proto for opcode, _, _ in opcodes) == 2
    assert "numpy.core.multiarray _reconstruct" in {
        argument for opcode, argument, _ in opcodes if opcode.name == "GLOBAL"
    }


def test_what_is_filled_for_emdb_is_listed(walk, tmp_path):
    report = submit(walk, None, tmp_path / "emdb", format="emdb", fill="previous")

    assert report.gaps == ("P3/31_outdoor_workout: no result in frames 2",)
    assert (report.n_expected, report.n_submitted, report.n_filled) == (5, 4, 1)
    assert "people other than person 0 left out: 1" in report.notes[0]
    arrays = np.load(report.path / "P3" / "31_outdoor_workout" / "smpl.npz")
    assert arrays["poses"][2].tolist() == arrays["poses"][1].tolist()


def test_emdb_takes_no_gaps(walk, tmp_path):
    with pytest.raises(RefusedError, match="no result in frames 2") as error:
        submit(walk, None, tmp_path / "emdb", format="emdb")

    assert "--fill" in str(error.value.hint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["preds.npz"]


@pytest.mark.parametrize(
    "name", ["P3/walk/00000.jpg", "photo.jpg", "P3/../images/00000.jpg", "../P3/./images/x.jpg"]
)
def test_names_that_are_not_emdbs_are_refused(tmp_path, name):
    preds = write_predictions(tmp_path / "preds.npz", [name])

    with pytest.raises(UnreadableFileError, match="none of EMDB's"):
        submit(preds, None, tmp_path / "emdb", format="emdb")


@pytest.mark.parametrize("format_name", ["agora", "emdb"])
def test_the_same_predictions_give_the_same_bytes(crowd, walk, tmp_path, format_name):
    preds = write_predictions(tmp_path / "p.npz", [f"{WALK}/{frame:05d}.jpg" for frame in (0, 1)])

    reports = [submit(preds, None, tmp_path / name, format=format_name) for name in ("a", "b")]

    assert reports[0].sha256 == reports[1].sha256


@pytest.mark.parametrize("format_name", ["agora", "emdb"])
def test_a_demo_says_so_in_name_and_content(tmp_path, format_name):
    preds = write_predictions(tmp_path / "p.npz", [f"{WALK}/00000.jpg"], demo=True)

    report = submit(preds, None, tmp_path / "out", format=format_name)

    assert report.path.name == "DEMO-out"
    assert check_submission(report.path).is_demo


def test_a_folder_that_is_there_is_kept_unless_told_otherwise(tmp_path):
    preds = write_predictions(tmp_path / "p.npz", [f"{WALK}/00000.jpg"])
    (tmp_path / "emdb").mkdir()
    (tmp_path / "emdb" / "mine.txt").write_text("mine")

    with pytest.raises(OutputExistsError):
        submit(preds, None, tmp_path / "emdb", format="emdb")
    assert (tmp_path / "emdb" / "mine.txt").read_text() == "mine"

    submit(preds, None, tmp_path / "emdb", format="emdb", overwrite=True)
    assert sorted(path.name for path in (tmp_path / "emdb").iterdir()) == ["P3"]


def test_a_checkpoint_is_no_prediction_of_pictures(tmp_path):
    with pytest.raises(ConfigError, match="takes predictions, not a checkpoint"):
        submit(tmp_path / "best.safetensors", None, tmp_path / "emdb", format="emdb")
