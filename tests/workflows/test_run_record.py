import json
import subprocess

import pytest

from smplcli.workflows.run_record import (
    LATEST,
    git_state,
    hardware,
    point_to_latest,
    record_start,
    versions,
)


def git(folder, *words):
    identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def record(run_dir):
    record_start(run_dir, data={"data": "aa"}, body={"name": "b", "sha256": "bb"}, processes=2)
    return json.loads((run_dir / "run.json").read_text())


def test_a_run_keeps_what_it_ran_with(tmp_path):
    content = record(tmp_path)

    (start,) = content["starts"]
    assert content["data"] == {"data": "aa"}
    assert content["body"]["sha256"] == "bb"
    assert start["processes"] == 2
    assert {"smplcli", "python", "torch", "timm"} <= start["versions"].keys()
    assert start["hardware"]["cores"] > 0
    assert start["time"].endswith("+00:00")


def test_going_on_is_added_to_the_record(tmp_path):
    record(tmp_path)

    assert len(record(tmp_path)["starts"]) == 2


@pytest.mark.parametrize("text", ["{", "[]", '{"starts": 3}'])
def test_a_broken_record_is_begun_anew(tmp_path, text):
    (tmp_path / "run.json").write_text(text)

    assert len(record(tmp_path)["starts"]) == 1


def test_the_state_of_the_sources_is_told(tmp_path):
    git(tmp_path, "init", "-b", "work")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "one")
    clean = git_state(tmp_path)

    (tmp_path / "file").write_text("two")

    assert len(clean["commit"]) == 40
    assert clean == {"commit": clean["commit"], "branch": "work", "is_changed": False}
    assert git_state(tmp_path) == {**clean, "is_changed": True}


def test_sources_of_no_repository_have_no_state(tmp_path):
    assert git_state(tmp_path) is None
    assert git_state(tmp_path / "nowhere") is None
    git(tmp_path, "init")
    assert git_state(tmp_path) is None


def test_a_repository_cannot_make_us_run_its_programs(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "one")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    git(tmp_path, "config", "core.fsmonitor", str(program))

    git_state(tmp_path)

    assert not (tmp_path / "ran").exists()
    git(tmp_path, "status")
    assert (tmp_path / "ran").exists()  # git itself would


def test_versions_and_machine_are_plain_values():
    assert json.loads(json.dumps([versions(), hardware()]))


def test_latest_leads_to_the_newest_run(tmp_path):
    for name in ("one-1", "two-1"):
        (tmp_path / name).mkdir()
        point_to_latest(tmp_path / name)

    assert (tmp_path / LATEST).resolve() == tmp_path / "two-1"
    assert sorted(path.name for path in tmp_path.iterdir()) == [LATEST, "one-1", "two-1"]


def test_latest_is_a_file_with_the_name_where_links_fail(tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError("no links here")

    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    (tmp_path / "one-1").mkdir()

    point_to_latest(tmp_path / "one-1")

    assert (tmp_path / LATEST).read_text() == "one-1\n"


def test_a_run_called_latest_stays(tmp_path):
    (tmp_path / LATEST).mkdir()
    (tmp_path / "one-1").mkdir()

    point_to_latest(tmp_path / "one-1")

    assert not (tmp_path / LATEST).is_symlink()
