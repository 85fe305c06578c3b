"""What the rules on borders say in numbers and words, and whether onnxruntime bears them out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from packaging.version import Version

from scotoma.engine import Options, lint_model
from scotoma.evidence.borders import padding_only, taps_within
from scotoma.findings import Finding, Severity
from scotoma.registry import load_rules
from scotoma.resolve.window import Window
from scotoma.resolve.windows import Slide, conv_window
from scotoma.testing import Expectation, lint_text, read_fixture, read_text_model, said

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER = Path(__file__).parent
RULES = load_rules()
OFF = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
DEFAULT = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
FOLDS_PADS = Version(ort.__version__) < Version("1.32")
"""Later versions of onnxruntime no longer fold a zero Pad into a max pool."""
ort.set_default_logger_severity(4)


def text_of(rule: str, name: str) -> str:
    return read_fixture(FOLDER / rule / f"{name}.onnxtxt").text


def only_finding(rule: str, name: str) -> Finding:
    report = lint_text(text_of(rule, name), [RULES.get(rule)])
    assert len(report.findings) == 1
    return report.findings[0]


def measured(finding: Finding) -> dict[str, object]:
    return {m.name: m.value for m in finding.measurements}


def run(model: str | Any, feeds: dict[str, Any], level: Any = OFF) -> NDArray[Any]:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    proto = read_text_model(model) if isinstance(model, str) else model
    session = ort.InferenceSession(proto.SerializeToString(), options)
    return cast("NDArray[Any]", session.run(None, feeds)[0])


def failure(model: str, feeds: dict[str, Any]) -> str:
    """Load and run in onnxruntime: ``load: reason``, ``run: reason``, or nothing if all is well."""
    try:
        session = ort.InferenceSession(read_text_model(model).SerializeToString())
    except Exception as error:  # noqa: BLE001  onnxruntime raises types of its own
        return f"load: {error}"
    try:
        session.run(None, feeds)
    except Exception as error:  # noqa: BLE001  onnxruntime raises types of its own
        return f"run: {error}"
    return ""


def ones(*shape: int) -> dict[str, Any]:
    return {"x": np.ones(shape, np.float32)}


@pytest.mark.parametrize(
    ("name", "shape", "gain"),
    [
        ("counted", (1, 1, 8, 8), 4 / 9),
        ("two_pools", (1, 1, 8, 8), 4 / 9),
        ("pad_in_front", (1, 1, 8, 8), 4 / 9),
        ("pad_in_front_channels_last", (1, 8, 8, 2), 4 / 9),
        ("automatic", (1, 1, 8, 8), 4 / 9),
        ("signal", (1, 2, 24), 1 / 3),
    ],
)
def test_a_constant_image_comes_out_darker_by_the_gain(
    name: str, shape: tuple[int, ...], gain: float
) -> None:
    finding = only_finding("border-dimming-pool", name)
    assert measured(finding)["border_gain"] == pytest.approx(gain, abs=1e-6)
    text = text_of("border-dimming-pool", name)
    if name == "two_pools":  # the first of them
        text = "\n".join(line for line in text.splitlines() if "[second]" not in line)
        text = text.replace("[first] a", "[first] y")
    out = run(text, ones(*shape))
    assert out.min() == pytest.approx(gain, abs=1e-6)
    assert out.max() == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("not_counted", (1, 1, 8, 8)),
        ("no_padding", (1, 1, 8, 8)),
        ("padding_never_read", (1, 1, 8, 8)),
        ("pad_with_ones", (1, 1, 8, 8)),
        ("reflecting_pad", (1, 1, 8, 8)),
    ],
)
def test_traps_keep_a_constant_image(name: str, shape: tuple[int, ...]) -> None:
    text = text_of("border-dimming-pool", name)
    assert np.allclose(run(text, ones(*shape)), 1)


@pytest.mark.parametrize("name", ["counted", "two_pools", "pad_in_front"])
def test_lost_paths_are_those_of_a_perturbation(name: str) -> None:
    """The pools are linear, so that the answer to a pixel is its share of the walk."""
    text = text_of("border-dimming-pool", name)
    clear = text.replace(", count_include_pad = 1", "")
    if name == "pad_in_front":
        clear = clear.replace("a = Pad (x, pads)", "a = Identity (x)").replace(
            "kernel_shape = [3, 3]", "kernel_shape = [3, 3], pads = [1, 1, 1, 1]"
        )
    pixel = {"x": np.zeros((1, 1, 8, 8), np.float32)}
    pixel["x"][0, 0, 0, 0] = 1
    counted, left_out = run(text, pixel).sum(), run(clear, pixel).sum()
    finding = only_finding("border-dimming-pool", name)
    assert finding.severity is Severity.WARNING
    assert measured(finding)["lost_path_share"] == pytest.approx(1 - counted / left_out, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("one_of_four_branches", Severity.NOTE),
        ("fine_map", Severity.NOTE),
        ("quantised", Severity.WARNING),
        ("pad_in_front_read_twice", Severity.WARNING),
    ],
)
def test_dimming_is_a_warning_where_the_image_loses_much(name: str, severity: Severity) -> None:
    finding = only_finding("border-dimming-pool", name)
    assert finding.severity is severity
    assert (measured(finding)["lost_path_share"] is None) == (name == "pad_in_front_read_twice")


def test_dimming_message() -> None:
    finding = only_finding("border-dimming-pool", "counted")
    assert finding.message == (
        "1 average pool counts zeros beyond the border as cells, which leaves 0.444 of a constant "
        "image in the corners of 'pool'; the image's corners lose 36.0% of their paths by it"
    )
    assert finding.primary.note == (
        "28 cells of its 8x8 map dimmed, to 0.667 at the sides and 0.444 in the corners"
    )


def test_zeros_are_counted_on_their_own_side() -> None:
    out = run(text_of("border-dimming-pool", "pad_wider_at_the_end"), ones(1, 1, 9))
    assert np.allclose(out[0, 0] * 3, [2, 3, 3, 3, 3, 3, 3, 3, 2, 1])
    assert only_finding("border-dimming-pool", "pad_wider_at_the_end").primary.note == (
        "3 cells of its 10 map behind 'Pad:a' dimmed, to 0.333 at the sides and 0.333 in the "
        "corners"
    )


@pytest.mark.skipif(
    Version(ort.__version__) < Version("1.29"), reason="older versions divide otherwise"
)
def test_random_average_pools_dim_as_stated() -> None:
    random = np.random.default_rng(7)
    fired = 0
    for _ in range(60):
        size, kernel, stride = (int(v) for v in random.integers([2, 1, 1], [12, 5, 4]))
        begin, end = (int(v) for v in random.integers(0, kernel, 2))
        opset = int(random.choice([11, 17, 19, 22]))
        ceil = int(random.integers(0, 2))
        if size + begin + end < kernel:
            continue
        text = f"""<ir_version: 8, opset_import: ["" : {opset}]>
        model (float[1, 1, {size}, 9] x) => (float[1, 1, h, w] y) {{
            [pool] y = AveragePool <kernel_shape = [{kernel}, 3], strides = [{stride}, 1],
                pads = [{begin}, 1, {end}, 0], count_include_pad = 1, ceil_mode = {ceil}> (x)
        }}"""
        out = run(text, ones(1, 1, size, 9))
        report = lint_text(text, [RULES.get("border-dimming-pool")])
        assert len(report.findings) == int((out < 1 - 1e-6).any() and out.size > 1), text
        for finding in report.findings:
            assert measured(finding)["border_gain"] == pytest.approx(out.min(), abs=1e-5)
            assert finding.primary.note.startswith(f"{int((out < 1 - 1e-6).sum())} cells")
            fired += 1
    assert fired > 20


@pytest.mark.parametrize(
    "name",
    ["signed_input", "after_leaky_relu", "after_wide_clip", "pads_as_attribute"],
)
def test_zeros_win_and_only_without_optimisation(name: str) -> None:
    text = text_of("zero-pad-before-max-pool", name)
    negative = {"x": -np.ones((1, 1, 8, 8), np.float32)}
    raised = run(text, negative)
    finding = only_finding("zero-pad-before-max-pool", name)
    assert measured(finding)["windows_with_zeros"] == int((raised == 0).sum()) == 28
    assert "leaves the zeros out unless its optimisation is off" in finding.message
    assert (run(text, negative, DEFAULT).max() < 0) == FOLDS_PADS


@pytest.mark.parametrize(
    ("name", "shape"), [("channels_last", (1, 8, 8, 2)), ("padded_axes", (1, 1, 8, 8))]
)
def test_zeros_win_at_every_level_where_the_pad_is_not_folded(
    name: str, shape: tuple[int, ...]
) -> None:
    finding = only_finding("zero-pad-before-max-pool", name)
    assert "optimisation" not in finding.message
    for level in (OFF, DEFAULT):
        feeds = {"x": -np.ones(shape, np.float32)}
        raised = run(text_of("zero-pad-before-max-pool", name), feeds, level)
        assert measured(finding)["windows_with_zeros"] == int((raised[0, 0] == 0).sum()) == 28


def test_zeros_win_behind_quantisation() -> None:
    text = text_of("zero-pad-before-max-pool", "quantised_signed")
    raised = run(text, {"x": -np.ones((1, 1, 8, 8), np.float32)})
    finding = only_finding("zero-pad-before-max-pool", "quantised_signed")
    assert measured(finding)["windows_with_zeros"] == int((raised == 0).sum()) == 28


def test_no_word_of_optimisation_where_something_lies_between() -> None:
    finding = only_finding("zero-pad-before-max-pool", "channels_last")
    assert finding.message == (
        "28 of its 64 windows hold zeros from 'Pad:a', which win over the negative numbers that "
        "'x' may hold"
    )


def test_zeros_change_a_stem_without_activation() -> None:
    text = text_of("zero-pad-before-max-pool", "after_convolution")
    feeds = {"x": np.random.default_rng(3).standard_normal((1, 3, 9, 9)).astype(np.float32)}
    text = text.replace("(x, w)", "(x, w, low)")
    text = text.replace("float zero", "float[4] low = {-4.0, -4.0, -4.0, -4.0}, float zero")
    plain, optimised = run(text, feeds), run(text, feeds, DEFAULT)
    assert (plain > optimised + 1e-3).any() == FOLDS_PADS
    assert np.allclose(plain[:, :, 1:-1, 1:-1], optimised[:, :, 1:-1, 1:-1], atol=1e-5)


TRAPS = [
    fixture
    for fixture in sorted((FOLDER / "zero-pad-before-max-pool").glob("*.onnxtxt"))
    if "# expect: SC302" not in fixture.read_text() and fixture.stem.startswith("after_")
]


@pytest.mark.parametrize("path", TRAPS, ids=lambda path: path.stem)
def test_what_is_proven_not_negative_is_not(path: Path) -> None:
    feeds = {"x": 3 * np.random.default_rng(5).standard_normal((1, 1, 8, 8)).astype(np.float32)}
    text = read_fixture(path).text
    unpadded = text.replace("pads = {0, 0, 1, 1, 0, 0, 1, 1}", "pads = {0, 0, 0, 0, 0, 0, 0, 0}")
    unpadded = unpadded.replace("y = MaxPool <kernel_shape = [3, 3]> (p)", "y = Identity (p)")
    assert unpadded.count("Identity") == 1
    assert run(unpadded, feeds).min() >= 0
    assert np.allclose(run(text, feeds), run(text, feeds, DEFAULT), atol=1e-5)


def test_padding_only_outputs_do_not_depend_on_the_image() -> None:
    random = np.random.default_rng(2)
    for name, shape in (("pointwise", (1, 2, 8, 8)), ("dilated_convolution", (1, 1, 3, 8))):
        text = text_of("padding-only-window", name)
        first, second = (
            run(text, {"x": random.standard_normal(shape).astype(np.float32)}) for _ in range(2)
        )
        finding = only_finding("padding-only-window", name)
        same = int((first == second).all(axis=(0, 1)).sum())
        assert measured(finding)["padding_only_windows"] == same
        assert finding.severity is Severity.WARNING
        assert finding.message.endswith("they come out as the bias for every image")


@pytest.mark.parametrize(
    ("name", "kind", "out", "severity"),
    [
        ("dilated_max", np.float32, np.finfo(np.float32).min, Severity.ERROR),
        ("dilated_max_of_integers", np.int8, -128, Severity.WARNING),
        ("dilated_average", np.float32, 0, Severity.WARNING),
    ],
)
def test_a_pool_of_nothing(name: str, kind: Any, out: float, severity: Severity) -> None:
    made = run(text_of("padding-only-window", name), {"x": np.ones((1, 1, 2, 2), kind)})
    assert made.ravel().tolist() == [out]
    assert only_finding("padding-only-window", name).severity is severity


def test_padding_only_message() -> None:
    assert only_finding("padding-only-window", "dilated_max").message == (
        "1 of its 1 windows hold padding only; onnxruntime makes -3.4e38 of nothing and PyTorch "
        "-inf"
    )


def test_windows_are_counted_tap_by_tap() -> None:
    """Every window of every small layer, against its definition."""
    seen = 0
    for size in range(1, 6):
        for kernel in range(1, 4):
            for stride in range(1, 3):
                for dilation in range(1, 5):
                    for pad in range(5):
                        slide = Slide(kernel, stride, dilation, (pad, pad + 1))
                        if size + 2 * pad + 1 < slide.extent:
                            continue
                        window = conv_window(size, slide)
                        taps = [
                            sum(0 <= o * stride - pad + t * dilation < size for t in range(kernel))
                            for o in range(window.size_out)
                        ]
                        counted = taps_within(window, 0, size)
                        assert counted is not None
                        assert counted.tolist() == taps
                        assert padding_only((window,)) == (taps.count(0), len(taps))
                        seen += 0 in taps
    assert seen > 50


def test_endless_windows_are_left_alone() -> None:
    endless = Window(1, 1, 1, 0, 0, 2**40, 2**40)
    assert taps_within(endless, 0, 2**40) is None
    assert padding_only((endless,)) is None


@pytest.mark.parametrize(
    ("name", "pad", "kernel"),
    [
        ("max", 2, 2),
        ("average", 2, 2),
        ("lp", 2, 2),
        ("one_side", 3, 3),
        ("dilated", 2, 2),
        ("in_branch", 2, 2),
        ("pad_in_front", 3, 3),
        ("pad_in_front_of_padding", 3, 3),
    ],
)
def test_pools_padded_by_their_kernel_do_not_load(name: str, pad: int, kernel: int) -> None:
    reason = failure(text_of("pads-exceed-kernel", name), ones(1, 1, 8, 8))
    folded = name.startswith("pad_in_front")
    if FOLDS_PADS or not folded:
        assert reason.startswith("load:")
        assert "Pad should be smaller than kernel" in reason
    else:
        assert reason == ""
    finding = only_finding("pads-exceed-kernel", name)
    assert finding.severity is (Severity.WARNING if folded else Severity.ERROR)
    assert [(m.value, m.limit) for m in finding.measurements] == [(pad, kernel - 1)]


@pytest.mark.parametrize("name", ["pad_in_front", "pad_in_front_of_padding"])
def test_a_pad_in_front_loads_without_optimisation(name: str) -> None:
    text = text_of("pads-exceed-kernel", name)
    assert run(text, ones(1, 1, 8, 8)).shape == (1, 1, 12, 12)
    finding = only_finding("pads-exceed-kernel", name)
    assert finding.message.endswith(
        "it is padded by 3 cells beside a kernel of 3; onnxruntime 1.20 to 1.31 folds that Pad "
        "into it and then does not load more than 2, unless its optimisation is off"
    )


@pytest.mark.parametrize(
    "name",
    [
        "clear_widest", "clear_convolution", "clear_pad_read_twice", "clear_pad_by_axes",
        "clear_uncounted_padding",
    ],
)  # fmt: skip
def test_less_than_the_kernel_loads(name: str) -> None:
    assert failure(text_of("pads-exceed-kernel", name), ones(1, 1, 8, 8)) == ""


@pytest.mark.skipif(
    Version(ort.__version__) < Version("1.27"), reason="older versions read beyond the border"
)
@pytest.mark.parametrize(
    ("name", "shape", "asked", "most"),
    [
        ("as_many_as_there_are", (1, 1, 8, 4), 4, 3),
        ("cropped_first", (1, 1, 8, 4), 3, 1),
        ("pads_as_attribute", (1, 1, 8, 4), 4, 3),
        ("behind_a_pool", (1, 1, 8, 8), 3, 1),
    ],
)
def test_reflecting_too_much_is_refused(
    name: str, shape: tuple[int, ...], asked: int, most: int
) -> None:
    reason = failure(text_of("reflect-pad-too-large", name), ones(*shape))
    assert reason.startswith("run:")
    assert f"({asked}) exceeds maximum allowed ({most})" in reason
    finding = only_finding("reflect-pad-too-large", name)
    assert finding.severity is Severity.ERROR
    assert [(m.value, m.limit) for m in finding.measurements] == [(asked, most)]


@pytest.mark.parametrize("name", ["clear_most", "clear_edge", "clear_wrap"])
def test_what_can_be_reflected_runs(name: str) -> None:
    assert failure(text_of("reflect-pad-too-large", name), ones(1, 1, 8, 4)) == ""


def test_reflecting_message() -> None:
    assert only_finding("reflect-pad-too-large", "as_many_as_there_are").message == (
        "it reflects 4 cells on axis 3, which has 3 to reflect at this size (it is 4 long); "
        "onnxruntime since 1.27 refuses that when it runs, up to 1.22 it read zeros"
    )


def test_hostile_pads_are_not_believed(tmp_path: Path) -> None:
    """Pads as long as the file likes, and too few of them: no rule counts them out."""
    nodes = [
        helper.make_node("Pad", ["x"], ["a"], "wide", pads=[0, 0, 2**40, 0, 0, 0, 2**40, 0]),
        helper.make_node("AveragePool", ["a"], ["b"], "mean", kernel_shape=[2, 2]),
        helper.make_node("MaxPool", ["a"], ["y"], "max", kernel_shape=[2, 2]),
        helper.make_node("MaxPool", ["x"], ["z"], "few", kernel_shape=[2, 2], pads=[2**62] * 3),
        helper.make_node("MaxPool", ["x"], ["u"], "huge", kernel_shape=[2, 2], pads=[2**62] * 4),
        helper.make_node("Pad", ["x"], ["c"], "short", mode="reflect", pads=[1]),
        helper.make_node("Pad", ["x"], ["d"], "mirror", mode="reflect", pads=[2**61] * 8),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [value(name, TensorProto.FLOAT, None) for name in ("b", "y", "z", "u", "c", "d")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)])
    path = tmp_path / "hostile.onnx"
    path.write_bytes(model.SerializeToString())
    names = (
        "border-dimming-pool", "zero-pad-before-max-pool", "padding-only-window",
        "pads-exceed-kernel", "reflect-pad-too-large", "shape-disagreement",
    )  # fmt: skip
    report = lint_model(str(path), [RULES.get(name) for name in names], Options(debug=True))
    assert said(report) == (
        Expectation("finding", "SC304", "huge"),
        Expectation("finding", "SC305", "mirror"),
        Expectation("undecided", "SC303", "max"),
        Expectation("undecided", "SC303", "mean"),
        Expectation("undecided", "SC305", "short"),
    )
