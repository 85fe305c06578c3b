"""``scotoma sizes`` from the command line: its table, its document and its exit statuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pytest
from example_rules import NASTY
from golden_files import check_golden
from networks import Network

from scotoma import __version__, engine
from scotoma.cli import main
from scotoma.cli.sizes import read_range
from scotoma.report.sizes import render_sizes
from scotoma.report.sizes_document import sizes_document
from scotoma.sizes.survey import survey

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A stem that leaves a row over at even sizes, and a padded layer behind it."""
    net = Network(1, 1, 16, 16)
    stem = net.conv("x", (3, 3), strides=[2, 2])
    net.conv(stem, (3, 3), strides=[2, 2], pads=[1, 1, 1, 1])
    (tmp_path / "stem.onnx").write_bytes(net.model().SerializeToString())
    monkeypatch.chdir(tmp_path)
    return "stem.onnx"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    result = main(["sizes", *arguments])
    captured = capsys.readouterr()
    return result, captured.out, captured.err


def read(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    result, out, err = run(capsys, *arguments, "--format", "json")
    assert (result, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


def test_the_table(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    result, out, err = run(capsys, model, "--range", "10:30", "--top", "6")
    assert (result, err) == (0, "")
    check_golden("sizes.txt", out)


def test_the_document(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = read(capsys, model, "--range", "15:17")
    assert document["schema_version"] == "1"
    assert document["tool"] == {"name": "scotoma", "version": __version__}
    assert document["model"]["path"] == model
    assert document["input"]["shape"] == [1, 1, 16, 16]
    keys = ("around", "strided_layers", "compared", "examined", "refused", "status", "unanalysed")
    assert [document[key] for key in keys] == [[16, 16], 2, 3, 3, 0, "complete", []]
    assert [item["size"] for item in document["sizes"]] == [[15, 15], [17, 17], [16, 16]]
    facts = {"uneven_layers": 1, "phantom_windows": 0, "centre_offset": "-1/2"}
    assert document["sizes"][2] == {
        "size": [16, 16],
        "current": True,
        "examined": True,
        "accepted": True,
        "refused_by": None,
        "dead_pixels": 31,
        "dead_pixels_local": 31,
        "dead_pixel_fraction": 31 / 256,
        **facts,
        "axes": [{"size": 16, **facts}] * 2,
    }


def test_top_keeps_the_current_size(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = read(capsys, model, "--top", "2")["sizes"]
    assert [(item["size"], item["current"]) for item in sizes] == [
        ([15, 15], False),
        ([19, 19], False),
        ([16, 16], True),
    ]
    sizes = read(capsys, model, "--top", "1", "--size", "19x19")["sizes"]
    assert [(item["size"], item["current"]) for item in sizes] == [([19, 19], True)]
    assert len(read(capsys, model)["sizes"]) == 80


def test_the_wanted_size_comes_first_among_equals(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = read(capsys, model, "--around", "24", "--top", "2")["sizes"]
    assert [item["size"] for item in sizes] == [[23, 23], [27, 27], [16, 16]]
    result, out, _ = run(capsys, model, "--around", "24x24", "--range", "24:24")
    assert result == 0
    assert out.splitlines()[2] == ("  2 sizes around 24x24, the best first; 2 strided layers")


def test_files_hold_both_formats(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, model, "-o", "text=t.txt", "-o", "json=j.json") == (0, "", "")
    assert (tmp_path / "t.txt").read_text().startswith("stem.onnx\n  input 'x' 1x1x16x16\n")
    assert json.loads((tmp_path / "j.json").read_text())["compared"] == 80


@pytest.mark.parametrize("text", ["160", "160:", "320:160", "0:5", "1:99999999999", "a:b", "٣:٤"])
def test_ranges_that_are_none(text: str, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    result, out, err = run(capsys, model, "--range", text)
    assert (result, out) == (2, "")
    assert f"'{text}'" in err
    assert read_range("160:320") == (160, 320)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--around", "1x2x3"], ["--around", "x"], ["--around", "0"], ["--range", "1:5000"],
        ["--top", "0"], ["--size", "3"], ["--input-name", "q"],
    ],
)  # fmt: skip
def test_wrong_calls(arguments: list[str], model: str, capsys: pytest.CaptureFixture[str]) -> None:
    result, out, _ = run(capsys, model, *arguments)
    assert (result, out) == (2, "")


def test_a_file_that_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, out, err = run(capsys, str(tmp_path / "none.onnx"))
    assert (result, out) == (3, "")
    assert err


def test_a_model_without_an_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = Network(1, 8)
    net.add("Relu", "x")
    path = tmp_path / "flat.onnx"
    path.write_bytes(net.model().SerializeToString())
    result, out, err = run(capsys, str(path))
    assert (result, err) == (0, "")
    assert "its sizes could not be compared" in out
    document = read(capsys, str(path))
    assert (document["sizes"], document["status"]) == ([], "unavailable")


def test_no_name_reaches_the_terminal_raw(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = Network(1, 1, 8, 8)
    flat = net.add("Flatten", "x")
    net.add("MatMul", flat, net.constant(np.ones((64, 2))))
    made = net.model()
    name = NASTY.replace("\udc80", "")
    made.graph.node[1].name = name
    path = tmp_path / "evil.onnx"
    path.write_bytes(made.SerializeToString())
    result, out, _ = run(capsys, str(path), "--range", "7:8")
    assert result == 0
    (line,) = (line for line in out.splitlines() if "refused by evil" in line)
    assert line.startswith("7x7 ")
    assert "\x1b" not in out
    assert "\u202e" not in out
    sizes = read(capsys, str(path), "--range", "7:8")["sizes"]
    assert sizes[1]["refused_by"]["node"] == name


def test_what_was_not_examined_says_so(model: str) -> None:
    facts = engine.examine(model, engine.Options())
    found = survey(facts, limits=(15, 17), budget=3)
    lines = click.unstyle(render_sizes(sizes_document(facts, found))).splitlines()
    assert lines[5].split() == ["15x15", "0", "0", "0", "0", "px"]
    assert lines[7].split() == ["17x17", "-", "1", "0", "-1", "px", "not", "examined"]
    assert lines[8] == "1 size judged by window arithmetic only; a narrower --range examines more"


def test_pixels_that_only_gates_read_have_a_column(model: str) -> None:
    facts = engine.examine(model, engine.Options())
    document = sizes_document(facts, survey(facts, limits=(16, 16)))
    assert "without gates" not in render_sizes(document)
    document["sizes"][0]["dead_pixels"] = 0
    lines = click.unstyle(render_sizes(document)).splitlines()
    assert lines[4].split()[:5] == ["size", "unread", "px", "without", "gates"]
    assert lines[5].split()[:3] == ["16x16", "0", "31"]
