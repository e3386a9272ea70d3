"""`smplcli prepare` on raw data: what it prints, writes and refuses."""

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from smplcli.cli import app
from smplcli.datasets.shards import open_prepared
from smplcli.images import read_image
from tests.workflows.raw import write_raw

runner = CliRunner()


def run(*args, code=0):
    result = runner.invoke(app, ["prepare", *map(str, args)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts")
    for name in ("3dpw", "mpii"):
        run("synthetic", "--layout", name, "--count", "8", "--out", folder / name)
    return folder


@pytest.fixture
def raw():
    return write_raw(Path("raw"))


def rows(text):
    """Cells of the tables in a text, without empty lines of borders."""
    lines = [re.split("[│┃]", line)[1:-1] for line in text.splitlines() if line[:1] in "│┃"]
    return [[cell.strip() for cell in line] for line in lines if line]


def prepare_raw(*args, code=0):
    return run("--root", "spin=raw", "--crop-size", "64", "--jobs", "1", *args, code=code)


def test_raw_data_in_its_customary_place_is_found_announced_and_prepared(layouts):
    shutil.copytree(layouts / "3dpw", "data/3DPW")
    shutil.copytree(layouts / "mpii", "data/mpii")

    result = run("--jobs", "1", "--crop-size", "64", "--contact-sheet", "sheet.png")

    assert "using data/3DPW, data/mpii" in result.stderr
    assert Path("data/prepared/3dpw-1/manifest.json").is_file()
    assert Path("data/prepared/mpii-1/manifest.json").is_file()
    assert read_image(Path("sheet-3dpw.png"), orientation="stored").shape == (768, 1024, 3)


@pytest.mark.parametrize("name", ["there.png", "sheet.txt"])
def test_a_sheet_that_cannot_be_drawn_stops_before_the_work(raw, name):
    Path("there.png").touch()

    prepare_raw("--contact-sheet", name, "--out", "out", code=2)

    assert not Path("out").exists()


def test_a_dry_run_names_no_list_that_it_does_not_write(raw):
    (raw / "3.jpg").unlink()

    few = prepare_raw("--dry-run", "--max-failures", "0.5")
    many = prepare_raw("--dry-run", code=4)

    assert "2 of 12 people failed" in few.stderr
    assert "errors.jsonl" not in few.stderr + many.stderr


def test_data_that_is_not_looked_at_is_not_announced():
    Path("data/3DPW").mkdir(parents=True)

    found = run("--dry-run", code=3)
    given = run("--check", "no", code=3)

    assert "using data/3DPW" in found.stderr
    assert "using" not in given.stderr


def test_the_table_shows_people_kept_beside_the_published_and_dropped_by_reason(layouts):
    result = run("--root", f"3dpw={layouts / '3dpw'}", "--jobs", "1", "--no-parts")

    table = rows(result.stdout)
    assert table[0] == ["split", "people", "published", "frames", "dropped", "why"]
    train = next(row for row in table if row[0] == "train")
    assert train[2] == "22735"
    assert int(train[1]) == len(open_prepared(Path("data/prepared/3dpw-1"), "train"))
    assert any(row[-1] == "camera not aligned" for row in table)
    assert re.search(r"data/prepared/3dpw-1: \d+ kB, \d+ images/s", result.stdout)


def test_people_keep_their_sequences(layouts):
    run("--root", f"3dpw={layouts / '3dpw'}", "--jobs", "1", "--no-parts", "--out", "out")

    manifest = json.loads(Path("out/manifest.json").read_text())
    sizes = manifest["sequences"]["train"]["synthetic_talking_00"]
    assert sizes["num_people"] == 2
    assert sizes["num_frames"] >= 1


def test_json_is_one_object_with_the_counts(raw):
    report = json.loads(prepare_raw("--json").stdout)

    assert report["counts"]["train"]["kept"] == 12
    assert report["num_failed"] == 0


def test_several_data_sets_are_one_json_object_by_name(raw, layouts):
    mpii = f"mpii={layouts / 'mpii'}"
    reports = json.loads(prepare_raw("--root", mpii, "--json").stdout)

    assert list(reports) == ["spin", "mpii"]


def test_options_of_the_settings_file_count_and_flags_win(raw):
    Path("smplcli.toml").write_text(
        '[roots]\nspin = "raw"\n[prepare]\ncrop_size = 48\nstore = "raw"\nparts = false'
    )

    run("--jobs", "1", "--out", "a")
    run("--jobs", "1", "--out", "b", "--store", "jpeg")

    a, b = (json.loads(Path(name, "manifest.json").read_text())["crop"] for name in "ab")
    assert (a["size"], a["store"], b["store"]) == (48, "raw", "jpeg")


def test_a_dry_run_writes_nothing(raw):
    result = prepare_raw("--dry-run")

    assert "nothing is written" in result.stdout
    assert not Path("data").exists()


def test_a_dry_run_never_renders_people():
    result = run("--dry-run", code=2)

    assert "no raw data to look at" in result.stderr
    assert not Path("smplcli-demo").exists()


def test_what_is_done_is_shown_before_the_next_data_set_fails(raw):
    Path("empty").mkdir()

    result = prepare_raw("--root", "mpii=empty", code=3)

    assert "data/prepared/spin-1" in result.stdout
    assert "no MPII annotations: empty" in result.stderr


def test_too_many_failures_exit_4_after_the_table(raw):
    Path("raw/2.jpg").unlink()

    result = prepare_raw(code=4)

    assert ["", "", "", "", "2", "picture not found"] in rows(result.stdout)
    assert "error: 2 of 12 people failed, more than 1.0%: spin" in result.stderr
    assert "errors.jsonl" in result.stderr
    prepare_raw("--max-failures", "0.2")


def test_a_wrong_root_exits_3_and_says_what_was_expected_and_found():
    Path("wrong/photos").mkdir(parents=True)

    result = run("3dpw", "--root", "3dpw=wrong", code=3)

    assert "sequenceFiles" in result.stderr
    assert "photos" in result.stderr
    assert result.stdout == ""


def test_one_folder_cannot_take_two_data_sets(raw, layouts):
    result = prepare_raw("--root", f"mpii={layouts / 'mpii'}", "--out", "out", code=2)

    assert "error: one folder is given for 2 data sets: out" in result.stderr


def test_only_synthetic_people_are_written_in_a_layout(raw):
    result = prepare_raw("--layout", "3dpw", code=2)

    assert "only synthetic people are written in a layout" in result.stderr


def test_a_layout_says_how_to_prepare_it():
    result = run("synthetic", "--layout", "mpii", "--count", "2", "--out", "a b")

    assert result.stdout == "a b\n"
    assert "smplcli prepare mpii --root mpii='a b'" in result.stderr


def test_a_sound_data_set_passes_its_check(raw):
    prepare_raw("--out", "out")

    result = run("--check", "out")

    assert "out: sound" in result.stdout
    assert ["train", "12"] in rows(result.stdout)


def test_a_damaged_data_set_exits_5_and_names_the_shard(raw):
    prepare_raw("--out", "out")
    with Path("out/train-00000.npz").open("r+b") as file:
        file.seek(5000)
        file.write(b"\0\1\2\3")

    result = run("--check", "out", code=5)

    assert "train-00000.npz: " in result.stdout
    assert "error: 1 damaged files: out" in result.stderr


def test_a_data_set_without_one_of_its_shards_exits_5(raw):
    prepare_raw("--out", "out")
    Path("out/train-00000.npz").unlink()

    assert "shard is missing" in run("--check", "out", code=5).stderr


def test_checking_what_is_no_data_set_exits_3(raw):
    assert "no prepared data set: raw" in run("--check", "raw", code=3).stderr


def test_help_puts_options_under_headings():
    text = run("--help").stdout

    headings = re.findall(r"^(\w.*):$", text, re.MULTILINE)
    assert headings == ["Options", "Raw data", "Crops", "Synthetic people", "Work"]


def test_data_that_is_named_and_not_there_is_no_demo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    result = runner.invoke(app, ["prepare", "3dpw"])

    assert result.exit_code == 3
    assert "demo" not in result.stderr
    assert "--root 3dpw=DIR" in result.stderr


@pytest.mark.parametrize(
    ("source", "option", "value", "taker"),
    [
        ("mpii", "stride", 2, "3dpw"),
        ("mpii", "box", "projected", "3dpw"),
        ("3dpw", "val-list", "list.txt", "mpii"),
        ("3dpw", "images", "photos", "spin and mpii"),
        ("mpii", "count", 5, "synthetic"),
        ("synthetic", "stride", 2, "3dpw"),
    ],
)
def test_an_option_that_no_source_looks_at_is_refused(layouts, source, option, value, taker):
    root = [] if source == "synthetic" else ["--root", f"{source}={layouts / source}"]

    refused = run(source, *root, f"--{option}", value, "--out", "out", code=2)

    assert f"error: --{option} is for {taker}, not for {source}" in refused.stderr
    assert not Path("out").exists()


def test_an_option_of_one_of_several_sources_is_taken(layouts):
    roots = [x for name in ("3dpw", "mpii") for x in ("--root", f"{name}={layouts / name}")]

    run(*roots, "--stride", "4", "--dry-run")
