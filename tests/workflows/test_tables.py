import csv
import json

import numpy as np
import pytest

from smplcli.errors import OutputExistsError
from smplcli.files import write_npz
from smplcli.workflows.people import PERSON_FIELDS, read_people
from smplcli.workflows.tables import csv_columns, write_table
from tests.predicted import people_arrays

NAMES = ["a.png", "=b,\"ü'.png", "c\udcff.png"]


@pytest.fixture
def people(tmp_path):
    arrays = people_arrays(NAMES[:2])
    rng = np.random.default_rng(0)
    for name, (_, kind) in PERSON_FIELDS.items():
        if kind == "f4":
            arrays[name] = rng.normal(size=arrays[name].shape).astype(np.float32)
    write_npz(tmp_path / "preds.npz", arrays)
    return read_people(tmp_path / "preds.npz")


def test_each_line_of_json_is_a_person_with_the_arrays_of_the_file(people, tmp_path):
    write_table([people], tmp_path / "p.jsonl", overwrite=False)

    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text("utf-8").splitlines()]
    assert [line["imgname"] for line in lines] == NAMES[:2]
    for name in set(PERSON_FIELDS) - {"imgname"}:
        values = np.array([line[name] for line in lines])
        assert values == pytest.approx(people.rows[name], abs=1e-6)


def test_each_line_of_csv_is_a_person_with_a_column_for_each_number(people, tmp_path):
    write_table([people], tmp_path / "p.csv", overwrite=False)

    with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, line in enumerate(rows):
        numbers = [float(value) for name, value in line.items() if name != "imgname"]
        fields = [people.rows[name][row] for name in PERSON_FIELDS if name != "imgname"]
        assert numbers == pytest.approx(np.concatenate([np.ravel(x) for x in fields]), abs=1e-6)
    knee = people.rows["joints2d"][1, 4]
    assert float(rows[1]["joints2d_left_knee_y"]) == pytest.approx(knee[1], abs=1e-6)


def test_columns_are_named_once_and_as_many_as_the_numbers_of_a_person():
    columns = csv_columns()

    assert len(set(columns)) == len(columns)
    assert len(columns) == sum(int(np.prod(shape)) for shape, _ in PERSON_FIELDS.values())


def test_no_name_of_a_picture_is_a_formula_in_a_spreadsheet(people, tmp_path):
    write_table([people], tmp_path / "p.csv", overwrite=False)

    with (tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
        assert [row["imgname"] for row in csv.DictReader(file)] == [NAMES[0], f"'{NAMES[1]}"]


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_nobody_is_a_table_without_rows(people, tmp_path, suffix):
    nobody = people._replace(rows={name: array[:0] for name, array in people.rows.items()})

    write_table([nobody], tmp_path / f"p.{suffix}", overwrite=False)

    assert (tmp_path / f"p.{suffix}").read_text().count("\n") == (suffix == "csv")


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_names_that_are_no_text_are_written_all_the_same(people, tmp_path, suffix):
    rows = people.rows | {"imgname": np.array([NAMES[2]] * 2)}

    write_table([people._replace(rows=rows)], tmp_path / f"p.{suffix}", overwrite=False)

    assert "c\\udcff.png" in (tmp_path / f"p.{suffix}").read_text("utf-8")


def test_a_table_that_is_there_is_kept(people, tmp_path):
    (tmp_path / "p.csv").write_text("precious")

    with pytest.raises(OutputExistsError):
        write_table([people], tmp_path / "p.csv", overwrite=False)
    assert (tmp_path / "p.csv").read_text() == "precious"
