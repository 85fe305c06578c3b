"""``scotoma sizes`` from the command line: its table, its document and its exit statuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from example_rules import NASTY
from golden_files import check_golden
from networks import Network

from scotoma import __version__, engine
from scotoma.cli import main
from scotoma.cli.sizes import read_ranges
from scotoma.report.sizes import render_sizes
from scotoma.report.sizes_document import sizes_document
from scotoma.sizes.survey import survey


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
    assert document["combined"] is False
    keys = ("around", "strided_layers", "compared", "examined", "refused", "status", "unanalysed")
    assert [document[key] for key in keys] == [[16, 16], 2, 3, 3, 0, "complete", []]
    assert [document[key] for key in ("deployed", "deployed_by", "left_out")] == [[], None, []]
    assert [item["size"] for item in document["sizes"]] == [[15, 15], [17, 17], [16, 16]]
    facts = {
        "too_small": None,
        "uneven_layers": 0,
        "leftover_layers": 1,
        "phantom_windows": 0,
        "dead_tap_layers": 0,
        "centre_offset": "-1/2",
    }
    assert document["sizes"][2] == {
        "size": [16, 16],
        "current": True,
        "examined": True,
        "accepted": True,
        "refused_by": None,
        "dead_pixels": 31,
        "dead_pixels_local": 31,
        "dead_pixel_fraction": 31 / 256,
        "dead_weight_share": 0.0,
        **facts,
        "axes": [{"size": 16, **facts}] * 2,
    }
    assert [(a["axis"], a["name"]) for a in document["axes"]] == [(0, "height"), (1, "width")]
    assert [a["sizes"][1] for a in document["axes"]] == [{"size": 16, **facts}] * 2
    assert [[item["size"] for item in a["sizes"]] for a in document["axes"]] == [[15, 16, 17]] * 2


def test_top_keeps_the_current_size(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = read(capsys, model, "--top", "2")["sizes"]
    assert [(item["size"], item["current"]) for item in sizes] == [
        ([15, 15], False),
        ([19, 19], False),
        ([16, 16], True),
    ]
    sizes = read(capsys, model, "--top", "1", "--size", "19x19")["sizes"]
    assert [(item["size"], item["current"]) for item in sizes] == [([19, 19], True)]
    assert len(read(capsys, model)["sizes"]) == 77


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
    assert json.loads((tmp_path / "j.json").read_text())["compared"] == 77


@pytest.mark.parametrize(
    "text",
    ["160", "160:", "320:160", "0:5", "1:99999999999", "a:b", "٣:٤", "1:2x", "1:2x3", "1:2,3:4"],
)
def test_ranges_that_are_none(text: str, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    result, out, err = run(capsys, model, "--range", text)
    assert (result, out) == (2, "")
    assert f"'{text}'" in err
    assert read_ranges("160:320") == ((160, 320),)
    assert read_ranges("16:32x20:40") == ((16, 32), (20, 40))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--around", "1x2x3"], ["--around", "x"], ["--around", "0"], ["--range", "1:5000"],
        ["--range", "1:2x1:2x1:2"], ["--deploy", "3x"], ["--deploy", "16x16,0"], ["--deploy", ""],
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
    result, out, err = run(capsys, str(path), "--range", "7:8", "--deploy", "7x7")
    assert result == 2
    assert out.count("'evil") == err.count("'evil") + 1 == 2
    (line,) = (line for line in out.splitlines() if line.startswith("refused: 7x7 by 'evil"))
    assert "(MatMul)" in line
    assert "\x1b" not in out + err
    assert "\u202e" not in out + err
    sizes = read(capsys, str(path), "--range", "7:8")["sizes"]
    assert sizes[1]["refused_by"]["node"] == name


def test_what_was_not_examined_says_so(model: str) -> None:
    facts = engine.examine(model, engine.Options())
    found = survey(facts, limits=[(15, 17)], budget=3)
    lines = click.unstyle(render_sizes(sizes_document(facts, found))).splitlines()
    assert lines[5].split() == ["15x15", "0", "0", "0", "0", "0", "0", "px"]
    assert lines[7].split() == ["17x17", "-", "0", "1", "0", "0", "-1", "px", "not", "examined"]
    assert lines[8] == (
        "not examined: 1 size, of which only window arithmetic tells, not whether the graph "
        "accepts them; a narrower --range examines more"
    )


def test_pixels_that_only_gates_read_have_a_column(model: str) -> None:
    facts = engine.examine(model, engine.Options())
    document = sizes_document(facts, survey(facts, limits=[(16, 16)]))
    assert "without gates" not in render_sizes(document)
    document["sizes"][0]["dead_pixels"] = 0
    lines = click.unstyle(render_sizes(document)).splitlines()
    assert lines[4].split()[:5] == ["size", "unread", "px", "without", "gates"]
    assert lines[5].split()[:3] == ["16x16", "0", "31"]


# -- sizes to be deployed --------------------------------------------------------------------------


def test_the_table_of_the_sizes_to_be_deployed(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration = "deploy = [[16, 16], [19, 19], [20, 25]]\n"
    (tmp_path / "scotoma.toml").write_text(configuration)
    result, out, err = run(capsys, model, "--range", "15:17")
    assert (result, err) == (0, "")
    check_golden("sizes_deployed.txt", out)
    assert max(map(len, out.splitlines())) <= 120


def deployed(document: dict[str, Any]) -> list[tuple[list[int], list[int] | None]]:
    return [
        (item["size"], item["better"] and item["better"]["size"]) for item in document["deployed"]
    ]


def test_where_the_sizes_to_be_deployed_can_stand(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[tool.scotoma]\ndeploy = [[16, 16]]\n")
    document = read(capsys, model)
    assert (deployed(document), document["deployed_by"]) == (
        [([16, 16], [15, 15])],
        "pyproject.toml",
    )
    table = '[[tool.scotoma.per-file]]\nfiles = ["{}"]\ndeploy = [[20], [19, 19]]\n'
    path.write_text(path.read_text() + table.format("other*"))
    assert deployed(read(capsys, model)) == [([16, 16], [15, 15])]
    path.write_text("[tool.scotoma]\ndeploy = [[16, 16]]\n" + table.format("stem*"))
    document = read(capsys, model)
    assert deployed(document) == [([20, 20], [19, 19]), ([19, 19], None)]
    assert document["deployed_by"] == "pyproject.toml, per-file[0]"
    monkeypatch.setenv("SCOTOMA_DEPLOY", "18x18,16x16")
    assert deployed(read(capsys, model)) == [([18, 18], [19, 19]), ([16, 16], [15, 15])]
    document = read(capsys, model, "--deploy", "23x23", "--deploy", "24x24, 24")
    assert deployed(document) == [([23, 23], None), ([24, 24], [23, 23])]
    assert document["deployed_by"] == "the command line"
    monkeypatch.delenv("SCOTOMA_DEPLOY")
    assert deployed(read(capsys, model, "--isolated")) == []
    assert deployed(read(capsys, model, "--config", "deploy=[[23]]")) == [([23, 23], None)]


def test_the_closest_configuration_counts(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "near").mkdir()
    (tmp_path / model).rename(tmp_path / "near" / model)
    (tmp_path / "scotoma.toml").write_text("deploy = [[16, 16]]\n")
    (tmp_path / "near" / "scotoma.toml").write_text("size = [19, 19]\n")
    document = read(capsys, f"near/{model}")
    assert (deployed(document), document["around"]) == ([], [19, 19])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("deploy = [224]", "scotoma.toml: deploy[0]: expected a list, got a whole number"),
        ("deploy = [[16, 0]]", "scotoma.toml: deploy[0][1]: expected a whole number >= 1"),
        ("deploy = [[]]", "scotoma.toml: deploy[0]: expected a list of one entry or more"),
        (
            "deploy = [[1, 2, 3]]",
            "scotoma.toml: deploy: 1x2x3 gives 3 numbers, the image has 2 axes",
        ),
        ("deployed = [[16]]", "scotoma.toml: deployed: unknown key; did you mean 'deploy'?"),
    ],
)
def test_configurations_that_are_wrong(
    text: str, said: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scotoma.toml").write_text(text)
    result, out, err = run(capsys, model)
    assert (result, out) == (2, "")
    assert err.startswith(f"scotoma: {said}")


@pytest.fixture
def fixed(model: str, tmp_path: Path) -> str:
    """A fully connected layer, which takes 8x8 only."""
    net = Network(1, 1, 8, 8)
    net.add("MatMul", net.add("Flatten", "x"), net.constant(np.ones((64, 2))))
    (tmp_path / "fixed.onnx").write_bytes(net.model().SerializeToString())
    return "fixed.onnx"


def test_a_refused_size_is_a_wrong_call(fixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    result, out, err = run(capsys, fixed, "--deploy", "8x8,9x9", "--range", "7:9")
    assert result == 2
    why = "'matmul_1' (MatMul) cannot run at this size: "
    assert err.startswith(f"scotoma: fixed.onnx: 9x9: {why}")
    assert err.count("\n") == 1
    assert f"  9x9\n    {why}" in out
    assert "    better: 8x8, -1 px\n" in out
    assert "  8x8: nothing is wrong with it\n" in out
    assert "refused: 2 sizes by 'matmul_1' (MatMul), such as 7x7: " in out
    assert run(capsys, fixed, "--deploy", "8x8")[0] == 0


def test_a_size_that_cannot_be_examined_is_a_failure(
    model: str, fixed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    huge = "100000x100000"
    result, out, err = run(capsys, model, "--deploy", huge)
    assert result == 3
    assert err.startswith(f"scotoma: {model}: {huge}: not examined: its 10,000,000,000 pixels")
    assert "not examined" in out
    net = Network(1, 8)
    net.add("Relu", "x")
    (tmp_path / "flat.onnx").write_bytes(net.model().SerializeToString())
    result, _, err = run(capsys, "flat.onnx", "--deploy", "8x8")
    assert result == 3
    assert "the sizes to be deployed were not examined" in err


def test_refused_sizes_are_no_rows(fixed: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys, fixed, "--range", "6:10")[1].splitlines()
    assert [line.split()[0] for line in lines[5:]] == ["8x8", "accepted:", "refused:"]
    assert lines[6] == "accepted: only 8x8 of the 5 sizes that were compared"
    lines = run(capsys, fixed, "--range", "6:7", "--size", "7x7")[1].splitlines()
    assert "accepted: none of the 2 sizes that were compared" in lines


def test_what_is_left_out_says_why(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, model, "--range", "1:9", "--top", "1")[1]
    assert out.splitlines()[-3:] == [
        "5 more sizes (see --top)",
        "left out: 1 px, a single pixel",
        "left out: 2 to 3 px, smaller than the total stride of 4 px",
    ]


def test_sides_of_their_own_in_the_table(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = run(capsys, model, "--range", "1:16x16:18", "--top", "1")[1]
    made = "made of the best along each side, the best first; 2 strided layers"
    assert out.splitlines()[2] == f"  33 sizes around 16x16, {made}"
    assert out.splitlines()[-2:] == [
        "left out: 1 px along height, a single pixel",
        "left out: 2 to 3 px along height, smaller than the total stride of 4 px",
    ]


def test_the_configuration_of_the_readme_names_sizes_to_be_deployed(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (tmp_path / "scotoma.toml").write_text(text.split("```toml\n")[1].split("```")[0])
    document = read(capsys, model)
    assert [item["size"] for item in document["deployed"]] == [[224, 224], [320, 320]]
    assert document["around"] == [224, 224]
