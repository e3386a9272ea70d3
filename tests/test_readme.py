"""The README keeps its word: what it shows can be typed.

Blocks of ``console`` hold commands after ``$`` and what they print: they are run, in order, in one
folder whose settings make everything small. Commands in blocks of ``sh`` need what no test has
(an installation, licensed files), so they are only checked against the options that exist. Blocks
of ``python`` run in the same folder, after the commands.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smplcli.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
MAX_LINES = 200

SETTINGS = """
[prepare]
count = 12
[train]
recipe = "tiny.toml"
"""
SHORT = {"steps": 2, "validate_every": 2, "batch_size": 4, "lifting_batch": 8, "warmup": 1}
"""What of the demo's recipe is cut down further."""

runner = CliRunner()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def smplcli_commands(text):
    for line in text.splitlines():
        for command in line.removeprefix("$ ").split("&&"):
            words = shlex.split(command, comments=True)
            if words and words[0] == "smplcli":
                yield words[1:]


SHOWN = [command for block in blocks("console") for command in smplcli_commands(block)]
NOT_RUN = [command for block in blocks("sh") for command in smplcli_commands(block)]


@pytest.fixture
def small_project(tmp_path, monkeypatch):
    recipe = (ROOT / "smplcli" / "recipes" / "demo.toml").read_text("utf-8")
    for key, value in SHORT.items():
        recipe = re.sub(rf"^{key} = .*$", f"{key} = {value}", recipe, flags=re.MULTILINE)
    (tmp_path / "tiny.toml").write_text(recipe)
    (tmp_path / "smplcli.toml").write_text(SETTINGS)
    for folder in ("assets/photos", "imgs"):
        shutil.copytree(ROOT / "assets" / "photos", tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_shown_commands_and_python_run(small_project):
    for command in SHOWN:
        result = runner.invoke(app, command)
        assert result.exit_code == 0, f"smplcli {shlex.join(command)}\n{result.output}"
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})


@pytest.mark.parametrize("command", NOT_RUN, ids=shlex.join)
def test_other_commands_have_the_options_they_use(command):
    result = runner.invoke(app, [*command, "--help"])

    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", ["prepare", "train", "evaluate", "predict", "submit"])
def test_promised_command_is_shown(name):
    assert name in [command[0] for command in SHOWN]


def test_installation_names_the_repository_and_never_the_foreign_package():
    installations = re.findall(r"pip install (?!nox)(.*?)(?: &&|$)", README, re.MULTILINE)

    assert installations
    assert all(target.startswith((".", '".', "'.")) for target in installations)


def test_files_that_the_readme_points_to_exist():
    targets = re.findall(r"\]\((?!http)([^)#]+)", README)

    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_readme_is_short():
    assert len(README.splitlines()) <= MAX_LINES
