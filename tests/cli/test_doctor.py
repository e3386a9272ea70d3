import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smplcli.cli import app

runner = CliRunner()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_doctor_finds_this_installation_sound():
    result = runner.invoke(app, ["doctor"])

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "warn", "->"}
    assert any("torchvision" in line for line in lines)


def test_doctor_reports_every_fault_at_once():
    Path("smplcli.toml").write_text("[bdoy]")

    result = runner.invoke(app, ["doctor", "--json", "--body", "nowhere.pkl"])

    report = json.loads(result.stdout)
    failed = {check["name"]: check for check in report["checks"] if check["status"] == "fail"}
    assert result.exit_code == 3
    assert not report["healthy"]
    assert "did you mean 'body'?" in failed["settings"]["found"]
    assert "nowhere.pkl" in failed["body"]["found"]


def test_doctor_calls_a_mistake_in_the_settings_a_mistake():
    Path("smplcli.toml").write_text("[bdoy]")

    assert runner.invoke(app, ["doctor"]).exit_code == 2


def test_doctor_takes_the_options_it_names_only():
    result = runner.invoke(app, ["doctor", "--fix"])

    assert (result.exit_code, result.stdout) == (2, "")
