"""What the alignment and size rules say in numbers, against theory, known truth and onnxruntime."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from networks import SHARED

from scotoma import testing
from scotoma.engine import Options, lint_model
from scotoma.evidence.aliasing import folded_response
from scotoma.evidence.baked import baked_size
from scotoma.evidence.drift import causal_axes, strided_paddings
from scotoma.evidence.joins import gaps, grid_offsets, joins
from scotoma.evidence.misfits import misfits, sizes_around, total_stride
from scotoma.evidence.resizes import resized_axes
from scotoma.facts import Facts
from scotoma.findings import Finding, Severity
from scotoma.loader import load_model
from scotoma.registry import load_rules
from scotoma.testing import Fixture, find_fixtures, read_text_model

FOLDER = Path(__file__).parent
RULES = {rule.meta.name: rule for rule in load_rules().rules}
HEAD = '<ir_version: 8, opset_import: ["" : 17]>'
ort.set_default_logger_severity(4)


def facts_of(text: str, folder: Path, size: tuple[int, ...] | None = None) -> Facts:
    path = folder / "model.onnx"
    path.write_bytes(read_text_model(text).SerializeToString())
    return Facts.of(load_model(str(path)), size=size)


def fixture(rule: str, case: str) -> Fixture:
    return testing.read_fixture(FOLDER / rule / f"{case}.onnxtxt")


def found(rule: str, case: str) -> list[Finding]:
    report = fixture(rule, case).lint([RULES[rule]])
    return list(report.findings)


def numbers(finding: Finding) -> dict[str, object]:
    return {m.name: m.value for m in finding.measurements}


def chain(layers: int, attributes: str, kernel: int, size: int, out: int) -> str:
    names = ["x", *(f"t{i}" for i in range(1, layers)), "y"]
    lines = "\n".join(
        f"{b} = Conv <kernel_shape = [{kernel}, {kernel}], {attributes}> ({a}, w)"
        for a, b in pairwise(names)
    )
    return f"""{HEAD}
    model (float[1, 1, {size}, {size}] x) => (float[1, 1, {out}, {out}] y)
    <float[1, 1, {kernel}, {kernel}] w> {{ {lines} }}"""


CHAINS = [
    (5, "strides = [2, 2], pads = [1, 1, 1, 1]", 3, 16, Fraction(-31, 2)),
    (5, "strides = [2, 2], pads = [0, 0, 1, 1]", 3, 16, Fraction(31, 2)),
    (5, 'strides = [2, 2], auto_pad = "SAME_UPPER"', 3, 16, Fraction(31, 2)),
    (5, "strides = [2, 2]", 2, 16, Fraction(0)),
    (3, "strides = [2, 2], pads = [1, 1, 1, 1]", 4, 64, Fraction(0)),
    (4, 'auto_pad = "SAME_UPPER"', 4, 512, Fraction(2)),
    (4, 'auto_pad = "SAME_LOWER"', 4, 512, Fraction(-2)),
]  # start - (jump - 1) / 2 at 512 px, by gradient centroid


@pytest.mark.parametrize(("layers", "how", "kernel", "out", "offset"), CHAINS)
def test_first_cell_offset(
    layers: int, how: str, kernel: int, out: int, offset: Fraction, tmp_path: Path
) -> None:
    facts = facts_of(chain(layers, how, kernel, 512, out), tmp_path)
    assert [o.first for o in grid_offsets(facts)] == [offset, offset]


def test_offset_grows_until_the_grid_is_centred(tmp_path: Path) -> None:
    how = "strides = [2, 2], pads = [1, 1, 1, 1]"
    even = grid_offsets(facts_of(chain(2, how, 3, 32, 8), tmp_path))
    odd = grid_offsets(facts_of(chain(2, how, 3, 33, 9), tmp_path))
    assert [(o.grid, o.first, o.ideal) for o in even] == 2 * [
        (Fraction(-3, 2), Fraction(-3, 2), Fraction(3, 2))
    ]
    assert [(o.grid, o.first) for o in odd] == 2 * [(Fraction(0), Fraction(-3, 2))]


def test_one_sided_padding_in_numbers() -> None:
    (finding,) = found("one-sided-padding", "before_only")
    assert finding.severity is Severity.WARNING
    assert numbers(finding) == {"drift": Fraction(2), "layers": 2}
    says = "2 before the first cell and 0 after the last, moves the map by -1 px of the input"
    assert [(p.node, p.note) for p in finding.locations] == [
        (name, f"both axes: {says}") for name in ("conv0", "conv1")
    ]
    (finding,) = found("one-sided-padding", "pad_in_front")
    assert numbers(finding) == {"drift": Fraction(2), "layers": 1}


def test_causal_axes(tmp_path: Path) -> None:
    text = fixture("one-sided-padding", "causal_time").text
    assert causal_axes(facts_of(text, tmp_path)) == {0}
    assert causal_axes(facts_of(fixture("one-sided-padding", "causal_signal").text, tmp_path)) == {
        0
    }
    both = fixture("one-sided-padding", "before_only").text
    assert causal_axes(facts_of(both, tmp_path)) == frozenset()


def test_merges_in_numbers() -> None:
    (warning,) = found("misaligned-merge", "shifted_branch")
    assert warning.severity is Severity.WARNING
    assert numbers(warning) == {
        "offset_cells": 1, "offset": 1, "unexplained_cells": 1, "joins": 1,
    }  # fmt: skip
    (note,) = found("misaligned-merge", "pyramid")
    assert note.severity is Severity.NOTE
    assert numbers(note) == {
        "offset_cells": Fraction(1, 2), "offset": 1, "unexplained_cells": 0, "joins": 1,
    }  # fmt: skip
    (note,) = found("misaligned-merge", "mean_pool_shortcut")
    assert note.severity is Severity.NOTE
    assert numbers(note)["unexplained_cells"] == Fraction(1, 4)


def pyramid(levels: int, kernel: int, pads: str) -> str:
    """Return levels of stride 2 on 64 px, the last one upsampled to the size of the first."""
    factor = 2 ** (levels - 1)
    names = ["x", *(f"a{i}" for i in range(levels))]
    lines = "\n".join(
        f"{b} = Conv <kernel_shape = [{kernel}, {kernel}], strides = [2, 2]{pads}> ({a}, w)"
        for a, b in pairwise(names)
    )
    return f"""{HEAD}
    model (float[1, 1, 64, 64] x) => (float[1, 1, 32, 32] y)
    <float[1, 1, {kernel}, {kernel}] w, float[0] roi, float[4] s = {{1, 1, {factor}, {factor}}}> {{
        {lines}
        up = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric",
            nearest_mode = "floor"> ({names[-1]}, roi, s)
        y = Add (a0, up)
    }}"""


@pytest.mark.parametrize("levels", [2, 3, 4])
def test_strides_explain_what_an_upsampled_branch_carries(levels: int, tmp_path: Path) -> None:
    (gap, *rest) = gaps(facts_of(pyramid(levels, 3, ", pads = [1, 1, 1, 1]"), tmp_path))
    factor = 2 ** (levels - 1)
    assert rest == []
    assert (gap.cells, gap.stride) == (Fraction(factor - 1, 2), Fraction(2))
    assert gap.unexplained == 0
    assert gaps(facts_of(pyramid(levels, 2, ""), tmp_path)) == []


def test_joins_leave_out_gates_and_parameters(tmp_path: Path) -> None:
    text = f"""{HEAD}
    model (float[1, 2, 8, 8] x) => (float[1, 4, 8, 8] y)
    <float[2, 1, 1] scale> {{
        a = Mul (x, scale)
        g = GlobalAveragePool (a)
        b = Add (a, g)
        y = Concat <axis = 1> (a, b)
    }}"""
    assert [(j.output, j.operands) for j in joins(facts_of(text, tmp_path))] == [("y", ("a", "b"))]


def test_conventions(tmp_path: Path) -> None:
    facts = facts_of(fixture("mixed-padding-convention", "one_layer_converted").text, tmp_path)
    assert [
        (p.operator.name, p.begin, p.end, p.pixels, p.mixed)
        for p in strided_paddings(facts)
        if p.label == 0
    ] == [
        ("c1", 1, 1, Fraction(-1, 2), True),
        ("c2", 0, 1, Fraction(1), True),
        ("c3", 1, 1, Fraction(-2), True),
    ]
    (finding,) = found("mixed-padding-convention", "one_layer_converted")
    assert numbers(finding) == {"towards_end": 1, "towards_begin": 2}


def test_conventions_on_parallel_branches_are_not_on_one_path(tmp_path: Path) -> None:
    text = f"""{HEAD}
    model (float[1, 1, 16, 16] x) => (float[1, 2, 8, 8] y)
    <float[1, 1, 3, 3] w> {{
        a = Conv <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (x, w)
        b = Conv <kernel_shape = [3, 3], strides = [2, 2], pads = [0, 0, 1, 1]> (x, w)
        y = Concat <axis = 1> (a, b)
    }}"""
    assert [p.mixed for p in strided_paddings(facts_of(text, tmp_path))] == [False] * 4


def test_resize_in_numbers(tmp_path: Path) -> None:
    (finding,) = found("shifted-resize", "asymmetric_linear")
    assert finding.severity is Severity.WARNING
    assert numbers(finding) == {"shift": Fraction(1, 4), "shift_px": Fraction(1, 2)}
    (finding,) = found("shifted-resize", "nothing_shows_it")
    assert finding.severity is Severity.NOTE
    assert numbers(finding) == {"shift": Fraction(-1, 2), "shift_px": Fraction(-1, 2)}
    text = fixture("shifted-resize", "last_cell_repeated_less").text
    assert [r.shift for r in resized_axes(facts_of(text, tmp_path))] == [0, 0]


def test_resize_before_two_branches_that_both_move_is_a_note(tmp_path: Path) -> None:
    text = f"""{HEAD}
    model (float[1, 1, 8, 8] x) => (float[1, 1, 1, 1] y)
    <float[0] roi, float[4] s = {{1, 1, 2, 2}}, float[1, 1, 3, 3] w> {{
        a = Resize <mode = "linear", coordinate_transformation_mode = "asymmetric"> (x, roi, s)
        b = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (a, w)
        c = Add (a, b)
        y = GlobalAveragePool (c)
    }}"""
    report = testing.lint_text(text, [RULES["shifted-resize"]])
    assert [f.severity for f in report.findings] == [Severity.NOTE]


def test_misfits(tmp_path: Path) -> None:
    facts = facts_of(fixture("indivisible-input-size", "stretched_at_odd_sizes").text, tmp_path)
    assert [(m.operator.name, m.label, m.before, m.after) for m in misfits(facts)] == [
        ("up", 0, 7, 15),
        ("up", 1, 7, 15),
    ]
    assert total_stride(facts) == (2, 2)
    fits = facts.at((16, 16))
    assert fits is not None
    assert misfits(fits) == []


def test_indivisible_size_names_sizes_that_fit() -> None:
    (finding,) = found("indivisible-input-size", "stretched_at_odd_sizes")
    assert finding.remedy == "run it at 14x14 or 16x16, where every branch fits"
    assert numbers(finding) == {"total_stride": 2, "remainder": 1, "operators": 1}
    (finding,) = found("indivisible-input-size", "padded_to_fit")
    assert finding.remedy == "export it for 14x14 or 16x16: multiples of the total stride"


def test_only_the_axis_that_does_not_divide(tmp_path: Path) -> None:
    text = fixture("indivisible-input-size", "stretched_at_odd_sizes").text
    (finding,) = testing.lint_text(
        text.replace("15, 15] x", "16, 15] x"), [RULES["indivisible-input-size"]]
    ).findings
    assert {p.note for p in finding.locations} == {"width: resizes 7 to 15 cells for 'Add:y'"}
    assert sizes_around((16, 15), (2, 2)) == [(16, 14), (16, 16)]


def test_a_misfit_at_divisible_sizes_too_is_by_design() -> None:
    text = f"""{HEAD}
    model (float[1, 1, H, W] x) => (float[1, 1, h, w] y)
    <float[0] roi, float[4] s = {{1, 1, 2, 2}}, int64[8] pads = {{0, 0, 0, 0, 0, 0, 1, 1}},
     int64[8] one = {{0, 0, 0, 0, 0, 0, 1, 1}}> {{
        a = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
        b = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric",
            nearest_mode = "floor"> (a, roi, s)
        c = Pad (b, pads)
        d = Pad (x, one)
        y = Add (c, d)
    }}"""
    assert testing.lint_text(text, [RULES["indivisible-input-size"]]).findings == ()


BAKED = [f for f in find_fixtures(FOLDER / "baked-spatial-size") if f.expected]


@pytest.mark.parametrize("case", BAKED, ids=lambda f: f.path.stem)
def test_onnxruntime_refuses_the_sizes_that_are_said_to_be_refused(
    case: Fixture, tmp_path: Path
) -> None:
    facts = facts_of(case.text, tmp_path)
    baked = baked_size(facts)
    assert baked is not None
    session = ort.InferenceSession(str(tmp_path / "model.onnx"))
    channels = session.get_inputs()[0].shape[1]

    def runs(size: tuple[int, ...]) -> bool:
        try:
            session.run(None, {"x": np.zeros((1, channels, *size), np.float32)})
        except Exception:  # noqa: BLE001  whatever it calls its refusal
            return False
        return True

    assert runs(baked.size)
    assert len(baked.tried) >= 2
    assert [size for size in baked.tried if runs(size)] == []


def test_a_size_that_is_accepted_clears_the_graph(tmp_path: Path) -> None:
    for case in ("global_pooling", "only_multiples", "declared_size"):
        text = fixture("baked-spatial-size", case).text
        assert baked_size(facts_of(text, tmp_path)) is None


def test_folded_response() -> None:
    box = np.ones((1, 1, 2, 2))
    assert folded_response(box, (2, 2), (1, 1)) == 0
    assert folded_response(np.ones((1, 1, 3, 3)), (2, 2), (1, 1)) == pytest.approx(1 / 3)
    assert folded_response(np.ones((1, 1, 3, 3)), (3, 3), (1, 1)) == pytest.approx(0, abs=1e-12)
    assert folded_response(np.array([[[1.0, -1.0]]]), (2,), (1,)) is None
    # With a dilation equal to the stride, all taps fall on one phase.
    assert folded_response(np.ones((1, 1, 2)), (2,), (2,)) == 1
    assert folded_response(np.array([[[3.0, 1.0]]]), (2,), (1,)) == 0.5


def test_folded_response_is_what_a_stripe_pattern_gives(tmp_path: Path) -> None:
    kernel = np.array([[[0.5, 2.0, 1.0]]])
    stripes = np.array([1.0, -1.0] * 8)
    outputs = [np.convolve(signal, kernel[0, 0][::-1], "valid")[::2] for signal in
               (stripes, np.ones(16))]  # fmt: skip
    expected = abs(outputs[0][0]) / abs(outputs[1][0])
    assert folded_response(kernel, (2,), (1,)) == pytest.approx(expected)


def test_unreadable_weights_are_undecided(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    text = f"""{HEAD}
    model (float[1, 64, 16, 16] x) => (float[1, 64, 4, 4] y)
    <float[64, 64, 3, 3] w> {{
        [pool] a = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
        [projection] y = Conv <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (a, w)
    }}"""
    path.write_bytes(read_text_model(text).SerializeToString())
    report = lint_model(
        str(path), [RULES["aliased-downsampling"]], Options(weights=False, debug=True)
    )
    assert [u.node for u in report.undecided] == ["projection"]
    assert [[p.node for p in f.locations] for f in report.findings] == [["pool"]]


ALIGNMENT = [
    RULES[name]
    for name in (
        "one-sided-padding", "misaligned-merge", "shifted-resize", "mixed-padding-convention",
        "indivisible-input-size", "baked-spatial-size",
    )
]  # fmt: skip
LABELLED = {
    ("broken", "asym_pad_one_side_only_drift"): "one-sided-padding",
    ("quirks", "E_upsample9_linear"): "shifted-resize",
    ("quirks", "TF_resize_v1_bilinear"): "shifted-resize",
}
needs_models = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/models is not here")


@needs_models
@pytest.mark.parametrize(("model", "rule"), LABELLED.items(), ids=lambda v: str(v[-1]))
def test_labelled_defects(model: tuple[str, str], rule: str) -> None:
    report = lint_model(str(SHARED / model[0] / f"{model[1]}.onnx"), ALIGNMENT, Options(debug=True))
    assert {f.name for f in report.findings if f.severity is Severity.WARNING} == {rule}


def healthy() -> Iterator[tuple[str, str]]:
    for folder in ("quirks", "broken"):
        path = SHARED / folder / "labels.json"
        labels = json.loads(path.read_text("utf-8")) if path.exists() else {}
        for name, label in labels.items():
            if label["class"] == "ok":
                yield folder, name


@needs_models
@pytest.mark.parametrize(("folder", "name"), list(healthy()))
def test_nothing_above_a_note_on_healthy_models(folder: str, name: str) -> None:
    report = lint_model(str(SHARED / folder / f"{name}.onnx"), ALIGNMENT, Options(debug=True))
    assert [f.message for f in report.findings if f.severity > Severity.NOTE] == []
