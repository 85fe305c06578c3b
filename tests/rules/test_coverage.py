"""What the coverage rules say in numbers, against enumeration, known truth and onnxruntime."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import SHARED
from onnx import numpy_helper

from scotoma.evidence.gridding import sparse_layers
from scotoma.evidence.position import blind_heads, pushed, reached_share
from scotoma.evidence.resampling import crops_of
from scotoma.evidence.taps import dead_share, kernels, live_taps
from scotoma.facts import Facts
from scotoma.findings import Finding, Severity
from scotoma.loader import load_model
from scotoma.registry import load_rules
from scotoma.resolve.window import Window
from scotoma.testing import find_fixtures, lint_text, read_fixture, read_text_model
from scotoma.trace.index_map import WindowMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

FOLDER = Path(__file__).parent
RULES = load_rules()
ort.set_default_logger_severity(4)


def firing(rule: str) -> list[str]:
    code = RULES.get(rule).meta.code
    return [
        fixture.path.stem
        for fixture in find_fixtures(FOLDER / rule)
        if any(e.code == code and e.kind == "finding" for e in fixture.expected)
    ]


def text_of(rule: str, name: str) -> str:
    return read_fixture(FOLDER / rule / f"{name}.onnxtxt").text


def only_finding(rule: str, name: str) -> Finding:
    report = lint_text(text_of(rule, name), [RULES.get(rule)])
    assert len(report.findings) == 1
    return report.findings[0]


def measured(finding: Finding) -> dict[str, object]:
    return {m.name: m.value for m in finding.measurements}


def facts_of(proto: Any, tmp_path: Path) -> Facts:
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return Facts.of(load_model(path))


class Runner:
    """A model in onnxruntime without optimisations."""

    def __init__(self, proto: Any) -> None:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(proto.SerializeToString(), options)
        self.shape = self.session.get_inputs()[0].shape

    def __call__(self, image: Array) -> list[Array]:
        return cast("list[Array]", self.session.run(None, {"x": image.astype(np.float32)}))

    def noise(self, seed: int = 0) -> Array:
        noise: Array = np.random.default_rng(seed).uniform(-1, 1, self.shape)
        return noise

    def reacting(self) -> Iterator[tuple[tuple[int, ...], list[Array]]]:
        """Yield every pixel with the cells of each output that change when it does."""
        image = self.noise()
        before = self(image)
        for place in np.ndindex(*self.shape[2:]):
            other = image.copy()
            other[(slice(None), slice(None), *place)] += 3
            yield place, [a != b for a, b in zip(self(other), before, strict=True)]


# -- dilation-gridding -----------------------------------------------------------------------------


def lattice(dilations: Sequence[int]) -> Fraction:
    """Return the share of the field that three taps per layer read along both axes."""
    line = {0}
    for dilation in dilations:
        line = {at + step * dilation for at in line for step in (-1, 0, 1)}
    return Fraction(len(line), max(line) - min(line) + 1) ** 2


@pytest.mark.parametrize(
    ("name", "dilations", "share"),
    [
        ("dilations_2_2_2", (2, 2, 2), Fraction(49, 169)),
        ("dilations_1_2_9", (1, 2, 9), Fraction(21, 25) ** 2),
        ("dilations_2_4_8", (2, 4, 8), Fraction(15, 29) ** 2),
    ],
)
def test_share_of_the_field_is_that_of_the_lattice(
    name: str, dilations: tuple[int, ...], share: Fraction
) -> None:
    assert lattice(dilations) == share
    assert measured(only_finding("dilation-gridding", name)) == {"read_share": share}


def test_published_dilations_read_all_or_what_is_published() -> None:
    full = [(1, 2, 3), (1, 2, 4), (1, 2, 5), (1, 2, 7)]
    assert [lattice(dilations) for dilations in full] == [1, 1, 1, 1]


def test_all_layers_that_leave_gaps_are_named() -> None:
    finding = only_finding("dilation-gridding", "dilations_2_2_2")
    assert [place.node for place in finding.locations] == ["conv1", "conv2", "conv3"]
    assert [place.note for place in finding.locations] == ["dilation 2"] * 3
    wide = only_finding("dilation-gridding", "wide_stride")
    assert [(place.node, place.note) for place in wide.locations] == [
        ("projection", "stride 2 over a window of 1")
    ]


@pytest.mark.parametrize(
    "name", ["dilations_2_2_2", "dilations_1_2_9", "wide_stride", "dilations_1_2_5"]
)
def test_a_unit_reacts_to_its_support_and_nothing_else(name: str, tmp_path: Path) -> None:
    proto = read_text_model(text_of("dilation-gridding", name))
    facts = facts_of(proto, tmp_path)
    support = facts.support("y")
    assert support is not None
    assert support.cell == tuple(n // 2 for n in (facts.shape("y") or ())[2:])
    reacts = np.zeros(support.mask.shape, bool)
    for place, changed in Runner(proto).reacting():
        reacts[place] = changed[0][0, 0][support.cell]
    assert (reacts == support.mask).all()


def test_a_named_unit_has_its_own_support(tmp_path: Path) -> None:
    facts = facts_of(read_text_model(text_of("dilation-gridding", "dilations_2_2_2")), tmp_path)
    corner = facts.support("y", (0, 0))
    assert corner is not None
    assert corner.box == (slice(0, 7), slice(0, 7))
    assert corner.density() == Fraction(16, 49)
    assert corner.density(np.ones((28, 28), bool)) == 1
    assert facts.support("w") is None


@cache
def ground_truth() -> dict[str, Any]:
    path = SHARED / "ground_truth.json"
    if not path.exists():
        pytest.skip(f"needs {path}")
    return cast("dict[str, Any]", json.loads(path.read_text()))


@pytest.mark.parametrize(
    ("key", "file", "rows"),
    [
        ("dilated_stride4_d8", "zoo/dilated_stride4_d8.onnx", (131, 15)),
        ("broken/gridding_d4_d4", "broken/gridding_d4_d4.onnx", (51, 21)),
        ("k1s2_skip_pixels", "zoo/k1s2_skip_pixels.onnx", (9, 3)),
        ("k2s3_gap", "zoo/k2s3_gap.onnx", (8, 6)),
    ],
)
def test_support_along_an_axis_is_the_known_one(key: str, file: str, rows: tuple[int, int]) -> None:
    entry = ground_truth()[key]
    detail = entry["rf_h_detail"]
    assert (detail["rf"], detail["support"]) == rows
    facts = Facts.of(load_model(SHARED / file), size=(detail["input"],) * 2)
    files = entry.get("onnx_files", {}).get(Path(file).name, {})
    tensor = files.get("feature_tensor") or entry["feature_tensor_hint"]
    support = facts.support(tensor, (detail["unit"],) * 2)
    assert support is not None
    assert support.extent == (rows[0], rows[0])
    assert int(support.along(0).sum()) == rows[1]
    assert support.box[0] == slice(detail["box"][0], detail["box"][1] + 1)


@pytest.mark.parametrize(
    "file",
    [
        "zoo/tv_deeplabv3_resnet50.onnx", "zoo/resnet50_output_stride8.onnx", "zoo/hdc_125.onnx",
        "zoo/aspp_dead_taps_128.onnx",
    ],
)  # fmt: skip
def test_healthy_dilated_networks_read_their_whole_field(file: str) -> None:
    ground_truth()
    facts = Facts.of(load_model(SHARED / file))
    assert facts.geometry is not None
    densities = []
    for head in facts.heads:
        support = facts.support(head)
        assert support is not None
        assert sparse_layers(facts.geometry, head)
        densities.append(support.density())
    assert densities == [1] * len(facts.heads)
    assert not list(RULES.get("dilation-gridding").check(facts))


# -- dead-kernel-taps ------------------------------------------------------------------------------

sizes = st.integers(1, 7)


@settings(max_examples=300, deadline=None)
@given(sizes, sizes, sizes, st.integers(-2, 9), sizes, sizes, st.booleans())
def test_live_taps_are_those_that_meet_a_cell(
    kernel: int, stride: int, dilation: int, pad: int, n: int, m: int, transposed: bool
) -> None:
    window = Window(kernel, stride, dilation, pad, 0, n, m, transposed)
    live = []
    for tap in range(kernel):
        at = tap * dilation - pad
        if transposed:
            live.append(any(0 <= i * stride + at < m for i in range(n)))
        else:
            live.append(any(0 <= o * stride + at < n for o in range(m)))
    assert live_taps(window).tolist() == live


@pytest.mark.parametrize("name", firing("dead-kernel-taps"))
def test_dead_weights_can_be_anything(name: str, tmp_path: Path) -> None:
    proto = read_text_model(text_of("dead-kernel-taps", name))
    facts = facts_of(proto, tmp_path)
    before = Runner(proto)
    image = before.noise()
    for kernel in kernels(facts):
        stored = next(
            t
            for t in proto.graph.initializer
            if t.name in {kernel.operators[0].inputs[1], "packed"}
        )
        old = numpy_helper.to_array(stored).copy()
        for tap in np.ndindex(kernel.alive.shape):
            new = old.copy()
            new[(..., *tap)] = 100
            stored.CopyFrom(numpy_helper.from_array(new, stored.name))
            same = all(
                (a == b).all() for a, b in zip(Runner(proto)(image), before(image), strict=True)
            )
            assert same == (not kernel.alive[tap])
        stored.CopyFrom(numpy_helper.from_array(old, stored.name))


@pytest.mark.parametrize(
    ("name", "share", "weights", "severity"),
    [
        ("dilation_beyond_the_map", Fraction(8, 18), 8, Severity.WARNING),
        ("one_cell", Fraction(8, 9), 32, Severity.WARNING),
        ("transposed", Fraction(24, 25), 24, Severity.WARNING),
        ("a_small_share", Fraction(8, 297), 8, Severity.NOTE),
    ],
)
def test_share_of_dead_weights(
    name: str, share: Fraction, weights: int, severity: Severity
) -> None:
    finding = only_finding("dead-kernel-taps", name)
    assert measured(finding) == {"dead_weight_share": share, "dead_weights": weights}
    assert finding.severity is severity


def test_what_is_left_of_a_kernel_is_said() -> None:
    finding = only_finding("dead-kernel-taps", "dilation_beyond_the_map")
    assert finding.primary.note == "3x3 with dilation 8 on 8x8 cells: only 1x1 of it meets any"


@pytest.mark.parametrize(
    ("file", "size", "share", "first", "left"),
    [
        ("tv_deeplabv3_resnet50", 224, 0.106, "/m/classifier/classifier.0/convs.3/convs.3.0/Conv",
         (1, 1)),
        ("imagenet_resnet18_on_cifar32", 32, 0.622, "/layer4/layer4.0/conv2/Conv", (1, 1)),
    ],
)  # fmt: skip
def test_published_shares(
    file: str, size: int, share: float, first: str, left: tuple[int, ...]
) -> None:
    ground_truth()
    facts = Facts.of(load_model(SHARED / "zoo" / f"{file}.onnx"), size=(size, size))
    every = kernels(facts)
    assert float(dead_share(every)) == pytest.approx(share, abs=5e-4)
    dead = next(kernel for kernel in every if kernel.operators[0].name == first)
    assert dead.left == left
    assert dead.dead_taps == 8


def test_atrous_branch_is_a_pointwise_convolution_at_224() -> None:
    """The whole share of DeepLabV3 is its branch with rate 36, of which one tap is left."""
    ground_truth()
    facts = Facts.of(load_model(SHARED / "zoo/tv_deeplabv3_resnet50.onnx"), size=(224, 224))
    dead = [kernel for kernel in kernels(facts) if kernel.dead_taps]
    assert [kernel.windows[0].dilation for kernel in dead] == [36]


# -- short-receptive-field, border-layer -----------------------------------------------------------


def test_field_and_image_are_given_per_axis() -> None:
    finding = only_finding("short-receptive-field", "one_layer_before_the_mean")
    assert [(m.name, m.value, m.limit) for m in finding.measurements] == [
        ("receptive_field_h", 3, 16),
        ("receptive_field_w", 3, 16),
    ]
    assert finding.primary.tensor == "a"


def test_border_layers_and_their_shares() -> None:
    finding = only_finding("border-layer", "third_layer")
    assert [place.node for place in finding.locations] == ["third", "fourth"]
    assert measured(finding) == {
        "border_layers": 2,
        "parameter_share": Fraction(1, 2),
        "multiply_add_share": Fraction(1, 2),
    }


# -- cropped-input, resize-skips-pixels ------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "name"),
    [(rule, name) for rule in ("cropped-input", "resize-skips-pixels") for name in firing(rule)],
)
def test_onnxruntime_reads_neither_cropped_nor_skipped_pixels(
    rule: str, name: str, tmp_path: Path
) -> None:
    proto = read_text_model(text_of(rule, name))
    facts = facts_of(proto, tmp_path)
    crops = crops_of(facts)
    dead = facts.dead(local=True)
    assert dead is not None
    cropped = np.zeros(dead.mask.shape, bool)
    for crop in crops:
        cropped |= crop.pixels
    assert (cropped <= dead.mask).all()
    if rule == "cropped-input":
        assert (cropped == dead.mask).all()
    if name == "gate_beside":
        return  # the gate reads what the map does not
    for place, changed in Runner(proto).reacting():
        assert any(c.any() for c in changed) == (not dead.mask[place])


@pytest.mark.parametrize(
    ("name", "count", "where"),
    [
        ("centre_crop", 112, "2 px at the top, 2 at the bottom, 2 at the left, 2 at the right"),
        ("crop_of_a_feature_map", 64, "2 px at the top, 2 at the bottom"),
        ("first_part_of_a_split", 128, "8 px at the right"),
        ("rows_by_index", 40, "1 px at the top, 2 at the bottom"),
        ("scales_rounded_down", 15, "1 px at the bottom, 1 at the right"),
    ],
)
def test_cropped_pixels_are_counted_and_placed(name: str, count: int, where: str) -> None:
    finding = only_finding("cropped-input", name)
    assert measured(finding)["cropped_pixels"] == count
    assert finding.message.endswith(f": {where}")


@pytest.mark.parametrize(
    ("name", "share", "said"),
    [
        ("linear_by_a_quarter", Fraction(3, 4), "8 of 16 cells along each axis of the image"),
        ("nearest_by_a_half", Fraction(3, 4), "4 of 8 cells along each axis of the image"),
        ("feature_map", Fraction(3, 4), "8 of 16 cells along each axis of the feature map 'a'"),
    ],
)
def test_skipped_cells_are_counted(name: str, share: Fraction, said: str) -> None:
    finding = only_finding("resize-skips-pixels", name)
    assert measured(finding) == {"skipped_cell_fraction": share}
    assert said in finding.message


RESIZE = """
<ir_version: 8, opset_import: ["" : 17]>
model (float[1, 1, {n}] x) => (float[1, 1, {m}] y)
<float[3] scales = {{1.0, 1.0, {scale}}}>
{{ [shrink] y = Resize <{attributes}> (x, , scales) }}
"""


@pytest.mark.parametrize(
    ("n", "scale", "attributes", "share"),
    [
        (40, 0.4, 'mode = "linear"', Fraction(1, 5)),
        (30, 0.3333333333, 'mode = "linear"', Fraction(2, 3)),
        (40, 0.25, 'mode = "linear"', Fraction(1, 2)),
        (40, 0.125, 'mode = "linear"', Fraction(3, 4)),
        (40, 0.125, 'mode = "cubic"', Fraction(1, 2)),
        (40, 0.25, 'mode = "nearest"', Fraction(3, 4)),
        (40, 0.25, 'mode = "linear", coordinate_transformation_mode = "asymmetric"',
         Fraction(3, 4)),
        (40, 0.7, 'mode = "linear"', None),
        (40, 0.5, 'mode = "linear"', None),
    ],
)  # fmt: skip
def test_unread_share_by_scale(
    n: int, scale: float, attributes: str, share: Fraction | None
) -> None:
    text = RESIZE.format(n=n, m=int(n * scale + 1e-6), scale=scale, attributes=attributes)
    findings = lint_text(text, [RULES.get("resize-skips-pixels")]).findings
    said = [measured(finding)["skipped_cell_fraction"] for finding in findings]
    assert said == ([] if share is None else [share])


# -- position-leak ---------------------------------------------------------------------------------

CHAIN = """
<ir_version: 8, opset_import: ["" : 17]>
model (float[1, 1, {h}, {w}] x) => (float[1, 1, 1, 1] y, float[1, 1, h, w] last)
{{
{layers}
  y = GlobalAveragePool (last)
}}
"""


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(9, 17), st.integers(9, 17)),
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2),
                  st.tuples(*[st.integers(0, 2)] * 4), st.booleans()),
        min_size=1, max_size=3,
    ),
)  # fmt: skip
def test_reached_cells_are_those_that_lack_a_tap(
    tmp_path_factory: pytest.TempPathFactory,
    image: tuple[int, int],
    layers: list[tuple[int, int, int, tuple[int, ...], bool]],
) -> None:
    """On an image of ones, kernels of ones give less wherever a path ends in a zero."""
    lines, weights, name = [], [], "x"
    for i, (kernel, stride, dilation, pads, average) in enumerate(layers):
        out = "last" if i == len(layers) - 1 else f"t{i}"
        shape = f"kernel_shape = [{kernel}, {kernel}], strides = [{stride}, {stride}]"
        padded = f"pads = [{', '.join(str(min(p, kernel - 1)) for p in pads)}]"
        if average:
            lines.append(
                f"  {out} = AveragePool <{shape}, {padded}, count_include_pad = 1> ({name})"
            )
        else:
            lines.append(
                f"  {out} = Conv <{shape}, {padded}, dilations = [{dilation}, {dilation}]> "
                f"({name}, w{i})"
            )
            weights.append(f"float[1, 1, {kernel}, {kernel}] w{i}")
        name = out
    text = CHAIN.format(h=image[0], w=image[1], layers="\n".join(lines))
    text = text.replace("{\n", f"<{', '.join(weights)}>\n{{\n" if weights else "{\n", 1)
    room = [*image]
    for kernel, stride, dilation, pads, average in layers:
        reach = (kernel - 1) * (1 if average else dilation)
        for axis in (0, 1):
            around = sum(min(pads[i], kernel - 1) for i in (axis, axis + 2))
            assume(room[axis] + around > reach)
            room[axis] = (room[axis] + around - reach - 1) // stride + 1
    proto = read_text_model(text)
    for stored in proto.graph.initializer:
        ones = np.ones_like(numpy_helper.to_array(stored))
        stored.CopyFrom(numpy_helper.from_array(ones, stored.name))
    facts = facts_of(proto, tmp_path_factory.mktemp("chain"))
    full = float(np.prod([k * k for k, *_, average in layers if not average], dtype=float))
    last = Runner(proto)(np.ones((1, 1, *image)))[1]
    marked = Fraction(int((last < full * (1 - 1e-5)).sum()), last.size)
    assert reached_share(facts, "last") == marked


@settings(max_examples=300, deadline=None)
@given(sizes, st.integers(1, 4), sizes, st.integers(-2, 9), sizes, st.booleans(), st.data())
def test_marks_move_with_the_window(
    kernel: int, stride: int, dilation: int, pad: int, m: int, padded: bool, data: st.DataObject
) -> None:
    mask = data.draw(st.lists(st.booleans(), min_size=1, max_size=9))
    window = WindowMap(kernel, stride, dilation, pad, len(mask), m)
    reads = [[o * stride - pad + t * dilation for t in range(kernel)] for o in range(m)]
    expected = [any(mask[i] if 0 <= i < len(mask) else padded for i in cells) for cells in reads]
    assert pushed(window, np.array(mask), padded=padded).tolist() == expected
    back = WindowMap(kernel, stride, dilation, pad, len(mask), m, transposed=True)
    written = [False] * m
    for i, t in product(range(-60, 60), range(kernel)):
        o = i * stride - pad + t * dilation
        if 0 <= o < m:
            written[o] |= mask[i] if 0 <= i < len(mask) else padded
    assert pushed(back, np.array(mask), padded=padded).tolist() == written


def test_the_position_detector_is_told_where_the_border_is() -> None:
    path = FOLDER.parents[1] / "sample_models/position_detector.onnx"
    facts = Facts.of(load_model(path))
    findings = [f for f in RULES.get("position-leak").check(facts) if isinstance(f, Finding)]
    assert len(findings) == 1
    values = measured(findings[0])
    assert values["reached_cell_fraction"] == Fraction(36, 100)
    assert values["absorbed_by_padding"] == pytest.approx(116 / 900, abs=1e-12)
    assert findings[0].severity is Severity.NOTE


@pytest.mark.parametrize("name", firing("position-leak"))
def test_the_answer_depends_on_place(name: str) -> None:
    run = Runner(read_text_model(text_of("position-leak", name)))
    image = np.zeros(run.shape)
    answers = []
    for place in [(5, 5), (4, 4), (0, 0)]:
        pixel = image.copy()
        pixel[0, 0][place] = 1
        answers.append(float(run(pixel)[0].ravel()[0]))
    assert answers[0] == pytest.approx(answers[1], abs=1e-6)
    assert answers[2] != pytest.approx(answers[0], abs=1e-6)


@pytest.mark.parametrize(
    ("file", "absorbed"),
    [("timm_resnet18", 0.3499), ("tv_mobilenet_v2", 0.4491)],
)
def test_golden_absorption(file: str, absorbed: float) -> None:
    ground_truth()
    facts = Facts.of(load_model(SHARED / "zoo" / f"{file}.onnx"))
    finding = next(iter(RULES.get("position-leak").check(facts)))
    assert isinstance(finding, Finding)
    assert measured(finding)["absorbed_by_padding"] == pytest.approx(absorbed, abs=5e-5)
    assert measured(finding)["reached_cell_fraction"] == 1


def test_a_model_without_an_image_has_no_head() -> None:
    empty = SimpleNamespace(geometry=None, heads=())
    assert blind_heads(cast("Any", empty)) == ()
