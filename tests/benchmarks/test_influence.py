"""All ways of the influence benchmark measure the same, and its tables show what was measured."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
SAMPLE = ROOT / "sample_models" / "five_layers_valid.onnx"


@pytest.fixture(scope="module", autouse=True)
def imported() -> Iterator[None]:
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def influence() -> Any:
    return importlib.import_module("influence")


@pytest.fixture(scope="module")
def real() -> Any:
    return importlib.import_module("influence_real")


@pytest.fixture(scope="module")
def bench(influence: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("model") / "small.onnx"
    influence.small_field(path, size=12, layers=2)
    return influence.bench_of(path)


def test_every_way_gives_the_same_influence(influence: Any, bench: Any) -> None:
    places = bench.sample(11, 3)
    assert len(set(places)) == 11
    ways = influence.ways_of(bench)
    assert list(ways) == [
        "one pixel at a time", "batches of 8", "Captum", "Captum, 8 per run",
        "scotoma, one at a time",
    ]  # fmt: skip
    found = {name: way(places) for name, way in ways.items() if not isinstance(way, str)}
    assert {name for name in ways if name not in found} <= {"Captum", "Captum, 8 per run"}
    whole = influence.measured(
        bench.facts, resolution="full", random_inputs=1, difference="forward"
    ).influence
    assert whole.work.passes == 25  # windows of 3 behind 3: five neighbours along each axis
    expected = whole.values[tuple(np.array(places).T)]
    for name, values in found.items():
        np.testing.assert_allclose(values, expected, rtol=2e-3, err_msg=name)
    np.testing.assert_array_equal(found["scotoma, one at a time"], expected)


@pytest.mark.skipif(find_spec("captum") is not None, reason="captum is installed")
def test_captum_is_left_out_with_a_reason(influence: Any, bench: Any) -> None:
    reason = "not installed (pip install 'scotoma[captum]')"
    assert influence.ways_of(bench)["Captum"] == reason


def test_ways_that_differ_end_the_run(influence: Any) -> None:
    one = np.array([1.0, 4.0])
    influence.require_same({influence.NAIVE: one, "other": one * 1.04})
    with pytest.raises(SystemExit, match=r"^'other' and 'one pixel at a time' differ by 0.1 of"):
        influence.require_same({influence.NAIVE: one, "other": one * 1.1})
    with pytest.raises(SystemExit, match="differ by nan"):
        influence.require_same({influence.NAIVE: one, "other": one * np.nan})


def test_what_is_printed(influence: Any, bench: Any) -> None:
    forward, exact = influence.FORWARD, influence.EXACT
    seconds = {forward: [0.01, 0.02, 0.01], exact: [0.01, 0.04, 0.02]}
    ways = {influence.NAIVE: lambda: None, "Captum": "not here"}
    seconds[influence.NAIVE] = [0.03, 0.04, 0.06]
    timing = influence.Timing(seconds, [0.2, 0.05, 0.101])
    assert timing.ratio(exact, forward) == 2
    lines = influence.cost_table(bench, ways, timing)
    assert lines[-2:] == ["", "- Captum: not here"]
    rows = [line.split("|")[1:-1] for line in lines[:-2]]
    assert [[cell.strip() for cell in row] for row in rows if "-" not in row[0]] == [
        ["way", "ms per input", "÷ one forward", "map of 144 pixels: s *"],
        [forward, "10", "1.00", ""],
        [exact, "20", "2.00", ""],
        [influence.NAIVE, "40", "3.00", "5.76"],
        ["Captum", "", "", "not run"],
    ]
    line = "a probe's time beside onnxruntime's own: 10.1%, at most 10%"
    assert influence.aims(timing) == [f"- NOT MET: {line}"]
    assert influence.aims(influence.Timing({}, [0.2, 0.05, 0.1]))[0].startswith("- met: ")


@pytest.mark.parametrize(
    ("value", "text"), [(1254.6, "1,255"), (18.812, "18.8"), (0.03456, "0.0346"), (100.4, "100")]
)
def test_numbers_are_short(influence: Any, value: float, text: str) -> None:
    assert influence.short(value) == text


def test_a_model_that_cannot_be_read_is_one_line(
    influence: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.onnx"
    with pytest.raises(SystemExit) as ended:
        influence.main([str(path)])
    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f": error: {path}: no such file\n")


def test_a_folder_is_measured(
    real: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    models, out = tmp_path / "models", tmp_path / "out"
    models.mkdir()
    (models / "net.onnx").write_bytes(SAMPLE.read_bytes())
    (models / "none.onnx").write_bytes(b"\xff")
    arguments = ["influence_real", str(models), "--budget", "2s", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert real.main() == 0
    shown = capsys.readouterr().out
    document = json.loads((out / "net" / "influence.json").read_text("utf-8"))
    assert (out / "net" / "influence.png").exists()
    assert shown == "\n".join([
        *real.tables([real.Outcome("net", document)]), "",
        *(f"- {line}" for line in real.remarks([real.Outcome("net", document)])),
        shown.splitlines()[-1],
    ]) + "\n"  # fmt: skip
    assert shown.splitlines()[-1].startswith("- none: not measured: ")


def document_of(**changed: Any) -> dict[str, Any]:
    def figure(value: float | None, error: float | None = None, probes: int = 9) -> Any:
        reason = "no probe fell into the centre" if value is None else None
        return {"value": value, "standard_error": error, "probes": probes, "reason": reason}

    return {
        "examined": {"shape": [1, 3, 20, 30], "spatial_axes": [2, 3]},
        "resolution": {"full": False, "probed": 1200, "pixels": 600},
        "passes": 9600,
        "figures": {
            "dead_pixel_fraction": figure(0.0),
            "structural_dead_pixel_fraction": figure(0.125),
            "corner_over_centre": figure(0.5, 0.0312),
            "edge_over_centre": figure(0.75),
            "top_bottom_ratio": figure(None),
            "centroid_offset_rows": figure(-1.5, 0.25),
            "centroid_offset_cols": figure(2.0),
        },
        "ripple": {"rows": {"period": 2, "share": 0.5, "amplitude": 0.333}, "cols": None},
        "position": None,
        "agreement": {
            "rank_correlation": 0.876,
            "contradictions": 0,
            "unmoved": 3,
            "figures": {"corner_over_centre": {"reference": 0.25, "measured": 0.5}},
        },
    } | changed


def test_the_table_of_real_models(real: Any) -> None:
    outcomes = [real.Outcome("a", document_of()), real.Outcome("b", None, "no")]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in real.tables(outcomes)
        if line.startswith("| a")
    ]
    assert rows == [
        ["a", "20×30, 1,200 in 9,600", "0.5 ± 0.031 (0.25)", "0.75", "–", "–"],
        ["a", "0 (0.12)", "-1.5 ± 0.25 / 2", "2: 0.33 / –", "–", "0.88", "0"],
    ]


def test_remarks_name_what_is_odd(real: Any) -> None:
    agreement = document_of()["agreement"]
    outcomes = [
        real.Outcome("a", document_of()),
        real.Outcome("b", document_of(agreement=None, figures={})),
        real.Outcome("c", document_of(agreement=agreement | {"contradictions": 4}, figures={})),
        real.Outcome("d", None, "cannot run"),
        real.Outcome("e", None, "status -11: nothing was said", crashed=True),
    ]
    assert list(real.remarks(outcomes)) == [
        "a: top_bottom_ratio is unknown: no probe fell into the centre",
        "a: 3 pixels with a path moved nothing",
        "b: the graph could not be followed to the target",
        "c: 4 pixels without a path moved the target",
        "d: not measured: cannot run",
        "e: CRASHED: status -11: nothing was said",
    ]


@pytest.mark.parametrize(
    ("code", "reason", "crashed"),
    [
        ("print('why not', file=sys.stderr); sys.exit(3)", "why not", False),
        ("sys.exit('why')", "status 1: why", True),
        ("print(1); print('two', file=sys.stderr); 1/0", "status 1: ZeroDivisionError: ", True),
        ("print('a\\nb', file=sys.stderr); sys.exit(2)", "status 2: b", True),
    ],
)
def test_a_model_that_is_not_measured(
    real: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: str,
    reason: str,
    crashed: bool,
) -> None:
    monkeypatch.setattr(real, "SCOTOMA", f"import sys; {code}")
    found = real.measure(tmp_path / "m.onnx", tmp_path, [])
    assert (found.name, found.document, found.crashed) == ("m", None, crashed)
    assert found.reason.startswith(reason)
    assert list(tmp_path.iterdir()) == []


def test_whole_measurements(influence: Any, bench: Any) -> None:
    whole, alone = influence.together(bench, 1, 5)
    assert alone > 0
    assert 0 < whole.inside < whole.seconds
    plan = influence.measured(bench.facts, passes=80, multiplex=False)
    rows = {"map": (whole, 0.25), "plan": (plan, 0.5)}
    lines = influence.whole_table(rows)
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]
    share = [f"{one.seconds / one.inside - 1:.1%}" for one in (whole, plan)]
    times = [
        f"{influence.short(seconds / one.seconds)}×" for one, seconds in ((whole, 36), (plan, 576))
    ]
    probed = int(plan.influence.probed.sum())
    assert 0 < probed < 10
    assert [[row[0], *row[2:5], *row[6:]] for row in cells] == [
        ["map", "25", "1", "144 of 144", "36", times[0], share[0]],
        ["plan", "80", "4", f"{probed} of 144", "576", times[1], share[1]],
    ]
    assert re.fullmatch(r"\d\.\d\d", cells[0][5])
    assert re.fullmatch(r"\d\.\d\d ± [\d.]+|unknown", cells[1][5])
