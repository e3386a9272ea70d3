from pathlib import Path

import pytest
from typer.testing import CliRunner

from smplcli.cli import app
from smplcli.config import Settings
from smplcli.workflows.project import find_project

runner = CliRunner()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_writes_settings_that_change_nothing(here):
    result = runner.invoke(app, ["init"])

    assert result.exit_code == 0
    assert result.stdout == f"{here / 'smplcli.toml'}\n"
    assert find_project().settings == Settings()


def test_init_leaves_a_settings_file_alone():
    Path("smplcli.toml").write_text("# mine")

    result = runner.invoke(app, ["init"])

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: settings file exists: ")
    assert Path("smplcli.toml").read_text() == "# mine"


def test_init_takes_no_arguments():
    result = runner.invoke(app, ["init", "folder"])

    assert (result.exit_code, result.stdout) == (2, "")
    assert not Path("smplcli.toml").exists()
