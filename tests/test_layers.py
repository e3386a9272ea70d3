"""The house rules that imports and calls must keep, read off the source without running it."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "smplcli"

LAYERS = (
    ("errors", "conventions", "config", "__version__"),
    ("types", "rotations", "camera", "crops", "paths"),
    (
        "body",
        "models",
        "rendering",
        "files",
        "images",
        "image_headers",
        "exif",
        "motion",
        "videos",
    ),
    ("datasets", "training", "evaluation", "detection", "submission"),
    ("workflows",),
    ("cli", "__init__", "__main__"),
)
"""Bottom up. A module imports from its own layer and from those below."""

LEVEL = {name: level for level, layer in enumerate(LAYERS) for name in layer}
TOP = LEVEL["__init__"]
TALKATIVE = {"print", "input", "breakpoint", "sys.exit", "os.environ", "os.getenv", "os._exit"}
"""What only the command line may do."""


def module_names(path):
    return path.relative_to(PACKAGE).with_suffix("").parts


def imported_names(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def used_names(source):
    tree = ast.parse(source)
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute))
    return {*map(ast.unparse, nodes), *imported_names(tree)}


def upward_names(own_name, source):
    for name in used_names(source):
        package, *rest = name.split(".")
        if package == "smplcli" and rest and LEVEL.get(rest[0], TOP) > LEVEL[own_name]:
            yield name


MODULES = sorted(PACKAGE.rglob("*.py"))
BELOW_CLI = [path for path in MODULES if LEVEL[module_names(path)[0]] < TOP]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: "/".join(module_names(path)))
def test_module_imports_nothing_from_above(path):
    assert list(upward_names(module_names(path)[0], path.read_text("utf-8"))) == []


@pytest.mark.parametrize("path", BELOW_CLI, ids=lambda path: "/".join(module_names(path)))
def test_module_below_the_command_line_stays_silent(path):
    assert used_names(path.read_text("utf-8")) & TALKATIVE == set()


@pytest.mark.parametrize(
    "source",
    [
        "import smplcli.cli",
        "import smplcli\nsmplcli.predict(['photo.jpg'])",
        "from smplcli.cli import app",
        "from smplcli import workflows",
        "from smplcli import predict",
        "def f():\n    from smplcli.workflows.train import train",
    ],
)
def test_import_from_above_is_caught(source):
    assert list(upward_names("evaluation", source))


@pytest.mark.parametrize(
    "source",
    ["print(1)", "def f():\n    sys.exit(2)", "x = os.environ['HOME']", "from os import environ"],
)
def test_talking_module_is_caught(source):
    assert used_names(source) & TALKATIVE


def test_every_imported_package_is_declared():
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = project.get("optional-dependencies", {}).values()
    declared = {
        requirement.split(">=")[0]
        for group in (project["dependencies"], *extras)
        for requirement in group
    }
    imported = {
        name.split(".")[0]
        for path in MODULES
        for name in imported_names(ast.parse(path.read_text("utf-8")))
    }
    distributions = packages_distributions()

    outside = imported - set(sys.stdlib_module_names) - {"smplcli"}

    assert {name for name in outside if not declared & set(distributions.get(name, ()))} == set()
