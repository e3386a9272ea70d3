"""What pip installs is whole: the built wheel works without the source tree."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LOAD_ALL = """
import sys
from pathlib import Path

import smplcli
from smplcli.body.files import load_body
from smplcli.detection.movenet import PersonDetector
from smplcli.files import asset
from smplcli.models.weights import load_network

assert Path(smplcli.__file__).is_relative_to(sys.argv[1]), smplcli.__file__
print(*load_body().v_template.shape)
PersonDetector()
load_network(asset("network.safetensors"))
print(len(list(asset("photos").iterdir())))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    # Hatchling itself and no front end: an isolated build would need a network.
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", folder], cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_loads_body_detector_and_network_from_an_empty_folder(wheel, tmp_path):
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", target, wheel], check=True)

    # The editable install of the source tree comes after PYTHONPATH, so the target wins.
    done = subprocess.run(
        [sys.executable, "-c", LOAD_ALL, target],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert done.stdout.split() == ["6890", "3", str(len(list((ROOT / "assets/photos").iterdir())))]


def test_wheel_carries_licences_and_types_but_no_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()

    licences = {name.partition("/licenses/")[2] for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE", "LICENSES/Apache-2.0.txt", "LICENSES/CC0-1.0.txt"}
    assert "smplcli/py.typed" in names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"smplcli"}
