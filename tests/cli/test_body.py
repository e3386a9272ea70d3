import json

import numpy as np
import pytest
from typer.testing import CliRunner

from smplcli.cli import app
from smplcli.files import asset
from tests.body.official import official_fields, python2_dumps, random_body
from tests.body.test_unpickle import attacks

runner = CliRunner()


@pytest.fixture
def official(tmp_path):
    path = tmp_path / "SMPL_FEMALE.pkl"
    path.write_bytes(python2_dumps(official_fields(random_body(40))))
    return path


def test_info_describes_the_file(official):
    result = runner.invoke(app, ["body", "info", str(official)])

    assert result.exit_code == 0
    for expected in ("SMPL_FEMALE.pkl", "female", "40"):
        assert expected in result.stdout
    assert "demo" not in result.stderr


def test_info_says_that_the_demo_body_is_one():
    result = runner.invoke(app, ["body", "info", str(asset("body.npz"))])

    assert "smpl24, coco17, spin49" in result.stdout
    assert "joint set lsp14 needs J_regressor_h36m.npy" in result.stderr
    assert "demo body" in result.stderr
    assert "licence: " in result.stderr


def test_info_as_json_is_one_object(official):
    result = runner.invoke(app, ["body", "info", str(official), "--json"])

    report = json.loads(result.stdout)
    assert (report["gender"], report["num_vertices"], report["out"]) == ("female", 40, None)
    assert len(report["sha256"]) == 64


def test_import_writes_plain_arrays(official, tmp_path):
    out = tmp_path / "new" / "body.npz"

    result = runner.invoke(app, ["body", "import", str(official), "--out", str(out)])

    assert result.exit_code == 0
    assert f"wrote {out}" in result.stderr
    with np.load(out, allow_pickle=False) as archive:
        assert str(archive["gender"]) == "female"
        assert archive["posedirs"].shape == (40, 3, 207)


def test_import_keeps_what_is_there_unless_told_otherwise(official, tmp_path):
    out = tmp_path / "body.npz"
    out.write_text("precious")
    command = ["body", "import", str(official), "--out", str(out)]

    refused = runner.invoke(app, command)

    assert refused.exit_code == 2
    assert out.read_text() == "precious"
    assert runner.invoke(app, [*command, "--overwrite"]).exit_code == 0


@pytest.mark.parametrize("command", ["info", "import"])
def test_hostile_file_is_refused_and_nothing_of_it_runs(tmp_path, command):
    canary, out = tmp_path / "canary", tmp_path / "body.npz"
    (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(attacks(canary)["os.system"])
    options = ["--out", str(out)] if command == "import" else []

    result = runner.invoke(app, ["body", command, str(tmp_path / "SMPL_NEUTRAL.pkl"), *options])

    assert result.exit_code == 5
    assert result.stdout == ""
    assert result.stderr.startswith("error: pickle refused: ")
    assert not canary.exists()
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["info", "no.pkl"], 3, "error: body model not found: no.pkl"),
        (["info", "."], 3, "error: no neutral SMPL file found: ."),
        (["info", "empty.pkl"], 3, "error: not a readable pickle: empty.pkl"),
        (["info"], 2, "missing argument 'FILE'"),
        (["import", "no.pkl"], 2, "missing option '--out'"),
        (["import", "no.pkl", "--out", "body.pkl"], 2, "hint: Write to body.npz."),
        (["import", "no.pkl", "--out", "body.npz"], 3, "error: body model not found: no.pkl"),
    ],
)
def test_mistake_is_answered_with_its_exit_code(tmp_path, monkeypatch, arguments, code, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.pkl").touch()

    result = runner.invoke(app, ["body", *arguments])

    assert result.exit_code == code
    assert result.stdout == ""
    assert text in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty.pkl"]
