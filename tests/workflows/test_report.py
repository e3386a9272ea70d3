"""The page of an evaluation: complete, escaped, and alone."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torch

from smplcli.evaluation.occlusion import Patches
from smplcli.models.config import ModelConfig
from smplcli.models.network import build_network
from smplcli.models.weights import save_network
from smplcli.workflows.evaluate import evaluate
from smplcli.workflows.evaluation_settings import EvaluationOptions
from smplcli.workflows.occlusion import OcclusionSettings
from smplcli.workflows.report import read_log
from tests.evaluation.prepared import write_prepared, write_truth

HOSTILE = "<script>alert(1)</script>"
LOG = [
    {"step": 20, "losses": {"pose": 1.5, "parts": 0.5}, "steps_per_second": 2.0},
    {"step": 40, "losses": {"pose": 1.0, "parts": float("nan")}},
    {"step": 40, "validation": {"mpjpe": 120.0, "pa_mpjpe": 80.0}},
]
OCCLUSION = OcclusionSettings(patches=Patches(size=112, stride=112))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    names = [f"{sequence}/image_{i:05d}.jpg" for sequence in (HOSTILE, "walk") for i in range(4)]
    part_map = np.zeros((56, 56), np.uint8)
    part_map[10:46, 20:36] = 1
    people = {"test": [(name, 0) for name in names]}
    folder = tmp_path_factory.mktemp("data") / "set"
    return write_prepared(folder, people=people, source="3dpw", part_map=part_map)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    config = ModelConfig(
        backbone="resnet18",
        head="part-attention",
        input_size=64,
        channels=8,
        hidden=8,
        upsamplings=1,
        keypoints=8,
    )
    save_network(run_dir / "best.safetensors", build_network(config), {"step": 40})
    lines = [json.dumps(entry) for entry in LOG]
    (run_dir / "log.jsonl").write_text("\n".join([*lines, '{"step": 60, "los']))
    return run_dir


@pytest.fixture(scope="module")
def page(data, run_dir, tmp_path_factory):
    out = tmp_path_factory.mktemp("eval")
    options = EvaluationOptions(
        protocols=("smpl24", "lsp14"), occlusion=OCCLUSION, command="smplcli evaluate 'a & b'"
    )
    evaluate(run_dir / "best.safetensors", data, split="test", options=options, out=out)
    return out / "report.html"


def parsed(path):
    text = path.read_text("utf-8").removeprefix("<!DOCTYPE html>\n")
    return ET.fromstring(text)


def headings(tree):
    return [heading.text for heading in tree.iter("h2")]


def test_everything_that_is_known_has_a_section(page):
    assert headings(parsed(page)) == [
        "Numbers",
        "Spread",
        "Joints",
        "Sequences and groups",
        "People",
        "Attention",
        "Occlusion",
        "Training",
        "Provenance",
    ]


def test_the_page_is_whole_and_its_links_lead_somewhere(page):
    tree = parsed(page)

    ids = [node.get("id") for node in tree.iter() if node.get("id")]
    links = [link.get("href") for link in tree.iter("a")]
    assert len(set(ids)) == len(ids)
    assert links == [f"#{name}" for name in ids]


def test_the_page_refers_to_nothing_outside(page):
    for node in parsed(page).iter():
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert (node.get(name) or "#").startswith(("#", "data:")), node.attrib
    style = re.search(r"<style>(.*)</style>", page.read_text("utf-8"), re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style


def test_names_cannot_act(page):
    class Tags(HTMLParser):
        seen = frozenset()

        def handle_starttag(self, tag, attrs):
            self.seen |= {tag, *(name for name, _ in attrs)}

    reader = Tags()
    reader.feed(page.read_text("utf-8"))

    assert "figure" in reader.seen
    assert not {name for name in reader.seen if name == "script" or name.startswith("on")}
    assert "&lt;script&gt;alert(1)" in page.read_text("utf-8")


def test_numbers_stand_there_with_what_they_mean(page):
    text = " ".join(parsed(page).itertext())

    for words in ("SMPL-24", "pelvis", "similarity fit", "test split", "8 people", "95 %"):
        assert words in text
    assert "lsp14 not evaluated" in re.sub(r"\s+", " ", text)
    assert "smplcli evaluate 'a & b'" in text


def test_pictures_say_what_they_show(page):
    pictures = list(parsed(page).iter("img"))

    assert len(pictures) > 8 * 4
    assert all(picture.get("alt") for picture in pictures)


def test_predictions_from_a_file_are_shown_without_what_only_a_network_has(data, tmp_path):
    preds = write_truth(tmp_path / "preds.npz", data, keep=lambda rows: rows[:3])

    evaluate(preds, data, split="test", out=tmp_path / "eval")

    shown = headings(parsed(tmp_path / "eval/report.html"))
    assert "People" in shown
    assert not {"Attention", "Occlusion", "Training"} & set(shown)


def test_labels_compared_with_themselves_have_a_page(data, tmp_path):
    evaluate(None, data, split="test", out=tmp_path)

    assert "ground truth against itself" in parsed(tmp_path / "report.html").find(".//h1").text


def test_an_evaluation_of_nobody_has_a_page(tmp_path):
    data = write_prepared(tmp_path / "set", has_smpl=0)

    evaluate(write_truth(tmp_path / "p.npz", data), data, split="test", out=tmp_path / "eval")

    assert headings(parsed(tmp_path / "eval/report.html")) == ["Numbers", "Provenance"]


def test_a_comparison_is_shown(data, page, tmp_path):
    preds = write_truth(tmp_path / "preds.npz", data)
    options = EvaluationOptions(compare_with=page.parent / "metrics.json")

    evaluate(preds, data, split="test", options=options, out=tmp_path / "eval")

    assert "Beside the other evaluation" in headings(parsed(tmp_path / "eval/report.html"))


def test_lines_that_are_no_entries_of_a_log_are_skipped(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_bytes(
        b'{"step": 1}\n[2]\nnull\n{"step"\n\xff\n' + b"[" * 10_000 + b'\n{"step": 3}\n'
    )

    assert read_log(log) == [{"step": 1}, {"step": 3}]
    assert read_log(tmp_path / "none.jsonl") == []
