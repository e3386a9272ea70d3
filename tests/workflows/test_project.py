import os
from pathlib import Path

import pytest

from smplcli.config import SETTINGS_FILE, Settings
from smplcli.errors import ConfigError, MissingFileError, UnreadableFileError
from smplcli.workflows.project import (
    DEMO_DIR,
    best_checkpoint,
    data_set,
    evaluation_target,
    find_project,
    newest_run,
    raw_sources,
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(name, *, seconds=0):
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    os.utime(file, (seconds, seconds))
    return file


def test_an_empty_folder_runs_the_demo():
    project = find_project()

    assert project.is_demo
    assert project.settings.paths.runs == DEMO_DIR / "runs"
    assert "not comparable" in project.notice


def test_a_demo_that_has_run_is_still_the_demo():
    touch(DEMO_DIR / "data/synthetic/manifest.json")
    touch(DEMO_DIR / "runs/first/best.safetensors")

    assert find_project().is_demo


def test_the_nearest_settings_file_upwards_counts(here, monkeypatch):
    touch(here / SETTINGS_FILE).write_text('[paths]\nruns = "far"')
    touch(here / "a" / SETTINGS_FILE).write_text('[paths]\nruns = "near"')
    (here / "a/b").mkdir()
    monkeypatch.chdir(here / "a/b")

    project = find_project()

    assert project.settings.paths.runs == Path("near")
    assert project.settings_file == here / "a" / SETTINGS_FILE
    assert not project.is_demo


def test_an_empty_settings_file_is_no_demo(here):
    touch(SETTINGS_FILE)

    assert find_project().settings == Settings()


def test_a_mistake_in_the_settings_file_is_never_passed_over(here):
    Path(SETTINGS_FILE).write_text("[pahts]")

    with pytest.raises(ConfigError, match=f"{here / SETTINGS_FILE}: pahts: unknown key"):
        find_project()


@pytest.mark.parametrize("make", [Path.mkdir, lambda file: file.symlink_to("nowhere")])
def test_a_settings_file_that_cannot_be_read_is_an_error(make):
    make(Path(SETTINGS_FILE))

    with pytest.raises(UnreadableFileError, match="settings not readable"):
        find_project()


def test_a_settings_file_that_is_no_text_is_an_error():
    Path(SETTINGS_FILE).write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigError, match="not UTF-8"):
        find_project()


@pytest.mark.parametrize("folder", ["data/3DPW", "data/mpii"])
def test_raw_data_in_its_customary_place_is_announced(folder):
    Path(folder).mkdir(parents=True)

    project = find_project()

    assert not project.is_demo
    assert project.notice == f"using {folder}"


def test_a_demo_that_writes_elsewhere_does_not_say_that_all_is_in_its_folder():
    project = find_project()

    assert "smplcli-demo" in project.notice
    assert "smplcli-demo" not in project.notice_for(is_out_given=True)


def test_raw_data_that_is_there_is_prepared():
    Path("data/3DPW").mkdir(parents=True)
    Path("data/mpii").mkdir()

    assert raw_sources(find_project(), [], []) == {
        "3dpw": Path("data/3DPW"),
        "mpii": Path("data/mpii"),
    }


def test_roots_of_the_settings_file_are_prepared_and_no_others():
    Path("data/mpii").mkdir(parents=True)
    Path(SETTINGS_FILE).write_text('[roots]\n3dpw = "far/3DPW"')

    assert raw_sources(find_project(), [], []) == {"3dpw": Path("far/3DPW")}


def test_a_root_that_is_given_is_prepared_alone():
    Path("data/3DPW").mkdir(parents=True)

    assert raw_sources(find_project(), [], ["eth=a=b"]) == {"eth": Path("a=b")}


def test_without_any_raw_data_people_are_rendered():
    assert raw_sources(find_project(), [], []) == {"synthetic": None}


def test_sources_that_are_named_are_prepared_whatever_is_there():
    Path("data/3DPW").mkdir(parents=True)

    assert raw_sources(find_project(), ["synthetic"], []) == {"synthetic": None}


def test_a_source_that_lies_nowhere_says_how_to_name_its_folder():
    with pytest.raises(MissingFileError, match="where the raw data is: eth") as caught:
        raw_sources(find_project(), ["eth"], [])

    assert caught.value.hint == "Pass --root eth=DIR."


@pytest.mark.parametrize("root", ["data", "3dpw=", "=data", "synthetic=data", "h36m=data"])
def test_a_root_without_a_known_name_is_refused(root):
    with pytest.raises(ConfigError, match="root is not NAME=DIR"):
        raw_sources(find_project(), [], [root])


def test_a_root_of_what_is_not_prepared_is_refused():
    with pytest.raises(ConfigError, match="what is not prepared: mpii"):
        raw_sources(find_project(), ["3dpw"], ["mpii=data"])


@pytest.mark.parametrize("own", ["data/prepared/x/manifest.json", "runs/x/best.safetensors"])
def test_a_folder_with_outputs_of_its_own_is_no_demo(own):
    touch(own)

    assert not find_project().is_demo


def test_data_that_was_named_is_no_demo_even_where_it_is_missing():
    assert not find_project(Path("nowhere")).is_demo


def test_the_newest_data_set_is_used():
    touch("data/prepared/b/manifest.json", seconds=1)
    touch("data/prepared/a/manifest.json", seconds=2)

    assert data_set(find_project()) == Path("data/prepared/a")


def test_a_data_set_with_bodies_is_used_rather_than_newer_mpii():
    touch("data/prepared/3dpw-1/manifest.json")
    touch("data/prepared/mpii-1/manifest.json").write_text('{"source": "mpii"}')

    assert data_set(find_project()) == Path("data/prepared/3dpw-1")
    assert data_set(find_project(), Path("data/prepared/mpii-1")) == Path("data/prepared/mpii-1")


def test_a_data_set_or_the_folder_around_it_can_be_named():
    touch("some/set/manifest.json")

    assert data_set(find_project(), Path("some")) == Path("some/set")
    assert data_set(find_project(), Path("some/set")) == Path("some/set")


def test_data_that_was_named_and_is_missing_is_an_error():
    with pytest.raises(MissingFileError, match="data set not found: nowhere"):
        data_set(find_project(), Path("nowhere"))


def test_without_data_the_step_to_run_first_is_named():
    with pytest.raises(MissingFileError, match="no prepared data set in: smplcli-demo") as caught:
        data_set(find_project())

    assert caught.value.hint == "Run 'smplcli prepare' first."


def test_the_run_that_improved_last_is_used():
    touch("runs/a/best.safetensors", seconds=2)
    touch("runs/b/best.safetensors", seconds=1)
    touch("runs/c/config.toml", seconds=3)

    assert newest_run(find_project()) == Path("runs/a")


def test_without_a_run_the_step_to_run_first_is_named():
    with pytest.raises(MissingFileError, match="no run found in: smplcli-demo") as caught:
        newest_run(find_project())

    assert caught.value.hint == "Run 'smplcli train' first."


def test_a_run_folder_stands_for_its_best_checkpoint():
    checkpoint = touch("elsewhere/best.safetensors")

    assert evaluation_target(find_project(), Path("elsewhere")) == checkpoint


def test_a_run_folder_without_a_checkpoint_is_an_error(here):
    with pytest.raises(MissingFileError, match=r"no best\.safetensors in run folder: "):
        best_checkpoint(here)


def test_the_target_is_what_was_named_else_the_newest_run():
    named = touch("named.npz")
    newest = touch("runs/a/best.safetensors")

    assert evaluation_target(find_project(), named) == named
    assert evaluation_target(find_project()) == newest


def test_a_target_that_was_named_and_is_missing_is_an_error():
    touch("runs/a/best.safetensors")

    with pytest.raises(MissingFileError, match=r"not found: no\.safetensors"):
        evaluation_target(find_project(), Path("no.safetensors"))


@pytest.mark.parametrize(
    ("target", "words", "advice"),
    [
        ("data", "a data set, and no checkpoint", "--data"),
        ("run/checkpoints", "folder of 2 checkpoints", "step_00000002, or their run"),
        ("run/checkpoints/step_00000001/model.safetensors", "part of a check", "its folder: run"),
    ],
)
def test_what_lies_near_a_target_is_told_from_it(target, words, advice):
    touch("data/manifest.json")
    for step in (1, 2):
        touch(f"run/checkpoints/step_0000000{step}/state.json")
        touch(f"run/checkpoints/step_0000000{step}/model.safetensors")

    with pytest.raises(ConfigError, match=words) as caught:
        evaluation_target(find_project(), Path(target))

    assert advice in caught.value.hint
