"""What the dropout rule says, and whether onnxruntime randomises where it says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from scotoma.engine import Options, lint_model
from scotoma.findings import Finding, Severity
from scotoma.registry import load_rules
from scotoma.testing import Fixture, find_fixtures, lint_text, read_fixture, read_text_model

FOLDER = Path(__file__).parent / "dropout-at-inference"
FIXTURES = find_fixtures(FOLDER)
RULE = load_rules().get("SC501")
VERSION = tuple(int(number) for number in ort.__version__.split(".")[:2])
ALWAYS = "at every optimisation level"
BY_DEFAULT_NOT = "removes it at its default optimisation level"
ort.set_default_logger_severity(4)


def findings(fixture: Fixture) -> tuple[Finding, ...]:
    return fixture.lint([RULE]).findings


def only_finding(name: str) -> Finding:
    found = findings(read_fixture(FOLDER / f"{name}.onnxtxt"))
    assert len(found) == 1
    return found[0]


def is_random(text: str, level: ort.GraphOptimizationLevel) -> bool:
    """Run a model several times in one session with every boolean input true."""
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    session = ort.InferenceSession(read_text_model(text).SerializeToString(), options)
    feed = {
        value.name: np.ones(value.shape, bool if value.type == "tensor(bool)" else np.float32)
        for value in session.get_inputs()
    }
    runs = [session.run(None, feed)[0] for _ in range(24)]
    return any(not np.array_equal(runs[0], other) for other in runs[1:])


@pytest.mark.skipif(VERSION < (1, 31), reason="older versions keep a Dropout of opset 22")
@pytest.mark.parametrize(
    "fixture",
    [f for f in FIXTURES if f.path.stem not in {"opset_6", "many", "noise", "sampled"}],
    ids=lambda f: f.path.stem,
)
def test_onnxruntime_randomises_where_the_rule_says_so(fixture: Fixture) -> None:
    messages = [finding.message for finding in findings(fixture)]
    if fixture.path.stem == "branch":  # the condition is fed true: the branch of 'inner'
        messages = [message for message in messages if "20%" in message]
    expected = any(ALWAYS in message for message in messages)
    assert is_random(fixture.text, ort.GraphOptimizationLevel.ORT_ENABLE_ALL) == expected
    if fixture.expected and fixture.expected[0].kind == "finding":
        assert expected != any(BY_DEFAULT_NOT in message for message in messages)
        assert is_random(fixture.text, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)


@pytest.mark.parametrize(
    ("name", "ratio"),
    [
        ("inner", 0.3),
        ("newest", 0.5),
        ("opset_6", 0.4),
        ("function", 0.25),
        ("elements", 0.25),
        ("drop_path", 0.2),
        ("channels", 0.1),
        ("alpha", 0.2),
        ("tensorflow", 0.3),
        ("floor", 0.4),
        ("chosen", 0.3),
        ("many", 0.2),
        ("opset_12", 0.3),
        ("inverted", 0.75),
        ("elements_in_branch", 0.25),
    ],
)
def test_dropped_part(name: str, ratio: float) -> None:
    measured = {m.name: (m.value, m.limit) for m in only_finding(name).measurements}
    assert measured["dropped_fraction"] == (ratio, 0)


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("inner", Severity.ERROR),
        ("output", Severity.ERROR),
        ("opset_6", Severity.ERROR),
        ("elements", Severity.ERROR),
        ("by_caller", Severity.WARNING),
        ("by_computation", Severity.WARNING),
    ],
)
def test_severity(name: str, severity: Severity) -> None:
    assert only_finding(name).severity is severity


MESSAGES = {
    "newest": (
        "drops 50% of the activations at random in every run, because training_mode is true; "
        "onnxruntime removes it at its default optimisation level, but it is random with "
        "optimisations disabled and in other runtimes; its seed repeats a session, not a run"
    ),
    "mask_read": (
        "drops 30% of the activations at random in every run, because training_mode is true; "
        "random in onnxruntime at every optimisation level, because its mask is read by "
        "'cast'"
    ),
    "by_caller": (
        "drops 30% of the activations at random whenever graph input 'training' is true; "
        "onnxruntime removes it at its default optimisation level, but it is random with "
        "optimisations disabled and in other runtimes"
    ),
    "drop_path": (
        "its random numbers drop 20% of the samples at 'drop' in every run; random in every "
        "runtime and at every optimisation level"
    ),
    "opset_6": (
        "drops 40% of the activations at random in every run, because is_test is 0; "
        "onnxruntime has no Dropout of opset 6 and removes it at its default optimisation "
        "level, other runtimes randomise"
    ),
    "many": (
        "21 operators drop 10% to 20% of their activations at random in every run; "
        "onnxruntime removes them at its default optimisation level, but all are random with "
        "optimisations disabled and in other runtimes"
    ),
    "channels": (
        "its random numbers drop 10% of the channels at 'drop' in every run; random in every "
        "runtime and at every optimisation level"
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_message(name: str) -> None:
    assert only_finding(name).message == MESSAGES[name]


def test_many_are_all_listed() -> None:
    places = [location.node for location in only_finding("many").locations]
    assert places == [f"drop{number}" for number in range(1, 22)]


def test_twenty_are_single_findings() -> None:
    text = read_fixture(FOLDER / "many.onnxtxt").text.replace(
        "[drop21] d21 = Dropout (d20, low, training)", "[drop21] d21 = Neg (d20)"
    )
    nodes = [finding.primary.node for finding in lint_text(text, [RULE]).findings]
    assert nodes == [f"drop{number}" for number in range(1, 21)]


def test_gate_is_a_second_location() -> None:
    assert [location.node for location in only_finding("alpha").locations] == ["random", "drop"]


def test_a_switch_in_a_missing_file_is_undecided(tmp_path: Path) -> None:
    proto = read_text_model(read_fixture(FOLDER / "inner.onnxtxt").text)
    switch = next(tensor for tensor in proto.graph.initializer if tensor.name == "training")
    switch.ClearField("int32_data")
    switch.ClearField("raw_data")
    switch.data_location = 1  # external
    switch.external_data.add(key="location", value="gone.bin")
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    report = lint_model(str(path), [RULE], Options(debug=True))
    assert report.findings == ()
    assert [(item.code, item.node) for item in report.undecided] == [("SC501", "drop")]
