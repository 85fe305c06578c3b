"""What the ceil-mode rules say in numbers and words, and whether onnxruntime does what they say."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from packaging.version import Version

from scotoma.evidence.ceil_mode import counted, is_phantom, letter_size, overhang, phantom_at
from scotoma.findings import Finding, Severity
from scotoma.registry import load_rules
from scotoma.resolve.windows import Pooling, Slide, pool_window
from scotoma.testing import read_fixture, read_text_model

FOLDER = Path(__file__).parent
RULES = load_rules()
ort.set_default_logger_severity(4)


def only_finding(code: str, fixture: str) -> Finding:
    report = read_fixture(FOLDER / f"{fixture}.onnxtxt").lint([RULES.get(code)])
    assert len(report.findings) == 1
    return report.findings[0]


def measured(finding: Finding) -> dict[str, tuple[object, object]]:
    return {m.name: (m.value, m.limit) for m in finding.measurements}


@pytest.mark.parametrize(
    ("name", "severity", "by_letter", "actual"),
    [
        ("map", Severity.WARNING, "4x4", "3x3"),
        ("linear", Severity.ERROR, "4x4", "3x3"),
        ("linear_of_the_letter", Severity.ERROR, "4x4", "3x3"),
        ("linear_behind_convolution", Severity.ERROR, "4x4", "3x3"),
        ("fixed_reshape", Severity.WARNING, "4x4", "3x3"),
        ("reshape_of_the_rest", Severity.ERROR, "4x4", "3x3"),
        ("reshape_of_the_letter", Severity.ERROR, "4x4", "3x3"),
        ("valid", Severity.WARNING, "3x3", "2x2"),
        ("global_pool", Severity.WARNING, "4x4", "3x3"),
        ("dynamic_size", Severity.WARNING, "26x26", "25x25"),
        ("one_axis", Severity.WARNING, "4x3", "3x3"),
        ("lp_pool", Severity.WARNING, "3x3", "2x2"),
    ],
)
def test_phantom_sizes(name: str, severity: Severity, by_letter: str, actual: str) -> None:
    finding = only_finding("SC401", f"ceil-mode-phantom-window/{name}")
    assert finding.severity is severity
    assert measured(finding)["output_size_by_specification"] == (by_letter, actual)


def test_phantom_in_front_of_a_linear_layer() -> None:
    finding = only_finding("SC401", "ceil-mode-phantom-window/linear")
    assert finding.message == (
        "its last ceil-mode window starts in the end padding, so opset 17 makes the output 4x4 "
        "and onnxruntime since 1.21 and PyTorch make it 3x3; onnxruntime up to 1.20 adds 1 row "
        "and 1 column of -3.4e38; 'fc' (Gemm) gets 9 features where opset 17 promises 16, so "
        "onnxruntime since 1.28 refuses to load the model"
    )
    assert [location.node for location in finding.locations] == ["pool", "fc"]
    assert measured(finding)["features_by_specification"] == (16, 9)


def test_features_are_followed_through_a_convolution_and_a_reshape() -> None:
    finding = only_finding("SC401", "ceil-mode-phantom-window/linear_behind_convolution")
    assert measured(finding)["features_by_specification"] == (8, 2)


def test_phantom_with_a_weight_of_the_letter() -> None:
    finding = only_finding("SC401", "ceil-mode-phantom-window/linear_of_the_letter")
    assert finding.message.endswith(
        "'fc' (MatMul) takes the 16 features that opset 17 promises and gets 9, so onnxruntime "
        "since 1.21 cannot run the model"
    )


@pytest.mark.parametrize("auto_pad", ["NOTSET", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("ceil", [False, True])
def test_phantoms_at_other_sizes_are_those_of_the_pool_there(ceil: bool, auto_pad: str) -> None:
    pads = (1, 1) if auto_pad == "NOTSET" else (0, 0)
    slide, pooling = Slide(2, 2, pads=pads, auto_pad=auto_pad), Pooling(ceil_mode=ceil)
    here, *others = [pool_window(size, slide, pooling) for size in range(4, 12)]
    there = [is_phantom(window) for window in others]
    assert phantom_at(here, np.arange(5, 12)).tolist() == there
    assert any(there) is (ceil and auto_pad == "NOTSET")


@pytest.mark.parametrize(
    ("name", "filling"),
    [("map", "-3.4e38"), ("lp_pool", "0"), ("fixed_reshape", "0")],
)
def test_what_old_runtimes_fill_in(name: str, filling: str) -> None:
    finding = only_finding("SC401", f"ceil-mode-phantom-window/{name}")
    assert f"adds 1 row and 1 column of {filling}" in finding.message


def test_remedy_keeps_a_window_of_another_axis() -> None:
    both = only_finding("SC401", "ceil-mode-phantom-window/one_axis").remedy
    assert both.startswith("convert to opset 22")
    assert only_finding("SC401", "ceil-mode-phantom-window/map").remedy.startswith(
        "set ceil_mode=0"
    )


def run(name: str) -> str:
    """Load and run a fixture in onnxruntime: the outcome, or at which of the two it fails."""
    text = read_fixture(FOLDER / "ceil-mode-phantom-window" / f"{name}.onnxtxt").text
    try:
        session = ort.InferenceSession(read_text_model(text).SerializeToString())
    except Exception:  # noqa: BLE001  onnxruntime raises types of its own
        return "does not load"
    try:
        outputs = session.run(None, {"x": np.ones((1, 1, 5, 5), np.float32)})
    except Exception:  # noqa: BLE001  onnxruntime raises types of its own
        return "does not run"
    return "x".join(map(str, outputs[0].shape))


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("linear", "does not load"),
        ("linear_of_the_letter", "does not run"),
        ("linear_behind_convolution", "does not load"),
        ("fixed_reshape", "1x2"),
        ("reshape_of_the_rest", "does not load"),
        ("reshape_of_the_letter", "does not run"),
        ("global_pool", "1x2"),
        ("clear_opset", "1x2"),
    ],
)
def test_onnxruntime_refuses_what_is_an_error(name: str, outcome: str) -> None:
    gemm = name in {"linear", "linear_behind_convolution"}
    if gemm and Version(ort.__version__) < Version("1.28"):
        pytest.skip("older versions check no Gemm when they load")
    assert run(name) == outcome


@pytest.mark.parametrize(
    ("name", "edge", "corner"),
    [
        ("two_axes", Fraction(2, 3), Fraction(4, 9)),
        ("padded", Fraction(2, 3), Fraction(4, 9)),
        ("quantised", Fraction(2, 3), Fraction(4, 9)),
        ("no_pads", Fraction(1, 2), Fraction(1, 2)),
    ],
)
def test_divisor_gains(name: str, edge: Fraction, corner: Fraction) -> None:
    finding = only_finding("SC402", f"ceil-mode-divisor/{name}")
    assert finding.severity is Severity.WARNING
    assert measured(finding) == {"border_gain": (edge, 1), "corner_gain": (corner, 1)}


def test_divisor_messages() -> None:
    assert only_finding("SC402", "ceil-mode-divisor/no_pads").message == (
        "its last window hangs over by 1 row; onnxruntime up to 1.28 at opset 11 divides its sum "
        "by the full 2x2 kernel, which gives 1/2 of the mean at the border, where PyTorch divides "
        "by the cells that exist"
    )
    assert (
        "onnxruntime up to 1.32 divides"
        in only_finding("SC402", "ceil-mode-divisor/quantised").message
    )


def test_divisor_of_later_opsets_concerns_old_versions_only() -> None:
    finding = only_finding("SC402", "ceil-mode-divisor/opset_19")
    assert (finding.severity, finding.runtimes) == (Severity.NOTE, "onnxruntime<1.21")
    assert "onnxruntime up to 1.20 at opset 19 divides its sum by the full 3x3" in finding.message
    earlier = only_finding("SC402", "ceil-mode-divisor/two_axes")
    assert (earlier.severity, earlier.runtimes) == (Severity.WARNING, "onnxruntime<1.29")


def test_partial_note_lists_every_layer() -> None:
    finding = only_finding("SC403", "ceil-mode-partial-window/two_pools")
    assert finding.severity is Severity.NOTE
    assert [(location.node, location.note) for location in finding.locations] == [
        ("first", "3x3 windows hang over the 12x12 input by 1 row and 1 column"),
        ("second", "3x3 windows hang over the 6x6 input by 1 row and 1 column"),
    ]
    assert measured(finding) == {"ceil_mode_overhang": (1, 0)}


def test_windows_agree_with_their_definition() -> None:
    """Every axis is one of three: ceil mode without effect, a partial window, or a phantom."""
    seen = set()
    for size in range(1, 10):
        for kernel in range(1, 5):
            for stride in range(1, 5):
                for pad in range(kernel):
                    if size + 2 * pad < kernel:
                        continue
                    slide = Slide(kernel, stride, pads=(pad, pad))
                    window = pool_window(size, slide, Pooling(ceil_mode=True))
                    starts = range(0, size + 2 * pad + stride, stride)
                    by_letter = [s for s in starts if s < size + 2 * pad - kernel + stride]
                    real = [s for s in by_letter if s < size + pad]
                    assert letter_size(window) == len(by_letter)
                    assert window.size_out == len(real)
                    assert window.phantom == (len(real) < len(by_letter))
                    assert overhang(window) == max(0, real[-1] + kernel - size - 2 * pad)
                    seen.add((window.phantom, overhang(window) > 0))
    assert seen == {(False, False), (False, True), (True, False)}


def test_counted_names_the_axes() -> None:
    assert counted((2,)) == "2 cells"
    assert counted((1, 0)) == "1 row"
    assert counted((1, 2, 1)) == "1 slice and 2 rows and 1 column"
