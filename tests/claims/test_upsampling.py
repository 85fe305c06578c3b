"""Phases of learned upsampling and flat features against what onnxruntime makes of flat images."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from text_models import facts_of_proto

from scotoma.engine import Options, lint_model
from scotoma.evidence.flat import flat_features
from scotoma.evidence.gaps import Gap, gaps
from scotoma.evidence.upsampling import LEVELS, phase_response, score_of, upsamplings
from scotoma.registry import load_rules
from scotoma.resolve.window import Window
from scotoma.testing import Fixture, find_fixtures, read_text_model

FOLDER = Path(__file__).parents[1] / "rules"
RULES = load_rules()
CHECKERBOARDS = find_fixtures(FOLDER / "checkerboard-upsampling")
GAPS = find_fixtures(FOLDER / "unwritten-output")
ort.set_default_logger_severity(4)


def run(proto: onnx.ModelProto, tensor: str, image: NDArray[np.float32]) -> NDArray[np.float32]:
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    copy.graph.output.append(onnx.ValueInfoProto(name=tensor))
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(copy.SerializeToString(), options)
    found: NDArray[np.float32] = session.run([tensor], {copy.graph.input[0].name: image})[0]
    return found


def name_of(fixture: Fixture) -> str:
    return fixture.path.stem


def tiles(values: NDArray[np.float32], strides: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a tile away from the borders, shape (channels, places)."""
    starts = [size // 2 // s * s for size, s in zip(values.shape[2:], strides, strict=True)]
    tile = values[0, :, starts[0] : starts[0] + strides[0], starts[1] : starts[1] + strides[1]]
    return tile.reshape(values.shape[1], -1).astype(np.float64)


READABLE = [f for f in CHECKERBOARDS if not f.path.stem.startswith("unreadable")]
MAPS = [f for f in READABLE if f.path.stem not in {"smoothed", "no_map", "no_weights_to_shuffle"}]


@pytest.mark.parametrize("fixture", MAPS, ids=name_of)
def test_a_flat_image_shows_the_checkerboard_that_is_reported(fixture: Fixture) -> None:
    proto = read_text_model(fixture.text)
    report = fixture.lint([RULES.get("checkerboard-upsampling")])
    # A sigmoid at the end saturates: the tensor in front of it counts.
    last = proto.graph.node[-1]
    made = last.input[0] if last.op_type == "Sigmoid" else "y"
    shape = [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    scores = []
    for level in LEVELS:
        found = run(proto, made, np.full(shape, level, np.float32))
        score = score_of(tiles(found, (2, 2)))
        assert score is not None
        scores.append(score[0])
    if fixture.expected:
        assert min(scores) > 0.3
        assert float(report.findings[0].measurements[0].value) == pytest.approx(  # type: ignore[arg-type]
            min(scores), rel=1e-4
        )
    else:
        assert min(scores) <= 0.3


@pytest.mark.parametrize("fixture", GAPS, ids=name_of)
def test_cells_without_taps_do_not_depend_on_the_image(fixture: Fixture) -> None:
    proto = read_text_model(fixture.text)
    node = next(n for n in proto.graph.node if n.op_type == "ConvTranspose")
    shape = [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    generator = np.random.default_rng(0)
    images = [generator.standard_normal(shape).astype(np.float32) for _ in range(2)]
    one, two = (run(proto, node.output[0], image) for image in images)
    found = fixture.lint([RULES.get("unwritten-output")]).findings
    share = float(found[0].measurements[0].value) if found else 0.0  # type: ignore[arg-type]
    assert share == (one == two).mean()


CASES = [
    # channels in and out, groups, kernel, strides, dilations, pads
    (2, 3, 1, (4, 4), (2, 2), (1, 1), (1, 1, 1, 1)),
    (2, 3, 1, (3, 5), (2, 3), (1, 1), (1, 0, 0, 2)),
    (4, 6, 2, (3, 3), (2, 2), (3, 1), (0, 1, 2, 1)),
    (4, 4, 4, (2, 4), (1, 2), (1, 1), (0, 0, 0, 0)),
    (3, 2, 1, (5, 1), (3, 1), (2, 1), (2, 0, 1, 0)),
]


@pytest.mark.parametrize("case", CASES)
def test_phases_of_a_transposed_convolution(
    case: tuple[int, int, int, tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    tmp_path: Path,
) -> None:
    into, out, groups, kernel, strides, dilations, pads = case
    text = f"""
    <ir_version: 8, opset_import: ["" : 17]>
    model (float[1, {into}, 12, 12] x) => (float[1, {out}, h, w] y)
    <float[{into}, {out // groups}, {kernel[0]}, {kernel[1]}] weight, float[{out}] b>
    {{
        y = ConvTranspose <strides = [{strides[0]}, {strides[1]}], group = {groups},
            dilations = [{dilations[0]}, {dilations[1]}], pads = {list(pads)}> (x, weight, b)
    }}
    """
    proto = read_text_model(text)
    facts = facts_of_proto(proto, tmp_path)
    (item,) = upsamplings(facts)
    values = np.arange(1.0, into + 1) / 4
    image = np.tile(values.astype(np.float32).reshape(1, -1, 1, 1), (1, 1, 12, 12))
    # The tile starts at a multiple of the stride: pads are part of the phase already.
    assert phase_response(facts, item, values) == pytest.approx(
        tiles(run(proto, "y", image), strides), rel=1e-4, abs=1e-5
    )


SHUFFLES = {
    "CRD": 'y = DepthToSpace <blocksize = 2, mode = "CRD"> (c)',
    "DCR": "y = DepthToSpace <blocksize = 2> (c)",
    "reshape": """t = Reshape (c, tear)
        s = Transpose <perm = [0, 1, 4, 2, 5, 3]> (t)
        y = Reshape (s, join)""",
    "channels_last": """l = Transpose <perm = [0, 2, 3, 1]> (c)
        t = Reshape (l, last)
        s = Transpose <perm = [0, 5, 1, 3, 2, 4]> (t)
        y = Reshape (s, join)""",
}


@pytest.mark.parametrize("kind", SHUFFLES)
def test_phases_of_a_pixel_shuffle(kind: str, tmp_path: Path) -> None:
    text = f"""
    <ir_version: 8, opset_import: ["" : 17]>
    model (float[1, 2, 8, 8] x) => (float[1, 3, 16, 16] y)
    <float[12, 2, 3, 3] w, float[12] b, int64[6] tear = {{1, 3, 2, 2, 8, 8}},
     int64[6] last = {{1, 8, 8, 2, 2, 3}}, int64[4] join = {{1, 3, 16, 16}}>
    {{
        c = Conv <pads = [1, 1, 1, 1]> (x, w, b)
        {SHUFFLES[kind]}
    }}
    """
    proto = read_text_model(text)
    facts = facts_of_proto(proto, tmp_path)
    (item,) = upsamplings(facts)
    assert item.strides == (2, 2)
    image = np.tile(np.array([0.5, 2.0], np.float32).reshape(1, 2, 1, 1), (1, 1, 8, 8))
    assert phase_response(facts, item, np.array([0.5, 2.0])) == pytest.approx(
        tiles(run(proto, "y", image), (2, 2)), rel=1e-4, abs=1e-5
    )


NETWORK = """
    <ir_version: 8, opset_import: ["" : 17]>
    model (float[1, 3, 24, 24] x) => (float[1, 9, 24, 24] y)
    <float[8, 3, 3, 3] w1, float[8] b1, float[8, 2, 3, 3] w2, float[8] s, float[8] m, float[8] o,
     float[8] v = {1, 2, 3, 4, 1, 2, 3, 4}, float low = {-0.5}, float high = {0.7},
     float[8, 1, 1] slope, float[8, 4] down, float[4, 8] up, float[4] bias,
     int64[4] gate = {1, 8, 1, 1}, float[8, 5, 2, 2] w3, float[4] scales = {1, 1, 0.5, 0.5},
     float[4, 8, 1, 1] w4, float[4] b4, float step = {0.015625}, uint8 zero = {128}>
    {
        c1 = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
        n1 = BatchNormalization (c1, s, o, m, v)
        a1 = LeakyRelu <alpha = 0.2> (n1)
        c2 = Conv <pads = [2, 2, 2, 2], dilations = [2, 2], group = 4> (a1, w2)
        a2 = PRelu (c2, slope)
        k2 = Clip (a2, low, high)
        e2 = Elu <alpha = 0.7> (k2)
        g1 = GlobalAveragePool (e2)
        f1 = Flatten (g1)
        d1 = Gemm (f1, down, bias)
        r1 = Relu (d1)
        d2 = MatMul (r1, up)
        h1 = HardSigmoid (d2)
        g2 = Reshape (h1, gate)
        m1 = Mul (e2, g2)
        p1 = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (m1)
        h2 = HardSwish (p1)
        t1 = Tanh (h2)
        l1 = Transpose <perm = [0, 2, 3, 1]> (t1)
        l2 = Transpose <perm = [0, 3, 1, 2]> (l1)
        q1 = QuantizeLinear (l2, step, zero)
        q2 = DequantizeLinear (q1, step, zero)
        z1 = Resize <mode = "linear"> (q2, , scales)
        u1 = ConvTranspose <strides = [2, 2]> (z1, w3)
        c4 = Conv (t1, w4, b4)
        y = Concat <axis = 1> (c4, u1)
    }
"""


@pytest.mark.parametrize("level", LEVELS)
def test_flat_features_are_those_of_a_flat_image(level: float, tmp_path: Path) -> None:
    proto = read_text_model(NETWORK)
    features = flat_features(facts_of_proto(proto, tmp_path), [level])[0]
    image = np.full((1, 3, 24, 24), level, np.float32)
    made = [node.output[0] for node in proto.graph.node]
    assert sorted(features) == sorted(["x", *made])
    for name in ("c1", "n1", "a1", "c2", "a2", "k2", "e2"):
        found = run(proto, name, image)[:, :, 12:13, 12:13]
        assert features[name] == pytest.approx(found, rel=1e-3, abs=1e-4), name


def test_flat_features_behind_a_gate(tmp_path: Path) -> None:
    """Without padding there are no borders, so that gates see the same everywhere."""
    text = re.sub(r"pads = \[[^]]*\],? ?", "", NETWORK).replace(", >", ">").replace("<>", "")
    text = text.replace("[1, 9, 24, 24] y", "[1, 5, h, w] y")
    text = text.replace("y = Concat <axis = 1> (c4, u1)", "y = Neg (u1)")
    proto = read_text_model(text)
    features = flat_features(facts_of_proto(proto, tmp_path), [0.5])[0]
    image = np.full((1, 3, 24, 24), 0.5, np.float32)
    for node in proto.graph.node:
        name = node.output[0]
        found = run(proto, name, image)
        if name in {"u1", "y"}:  # phases
            continue
        expected = np.broadcast_to(features[name], found.shape)
        assert expected == pytest.approx(found, rel=1e-3, abs=1e-4), name
    mean = run(proto, "y", image).mean((2, 3)).reshape(-1)
    assert features["y"].reshape(-1) == pytest.approx(mean, rel=0.05, abs=0.1)


LARGE = """
    <ir_version: 8, opset_import: ["" : 17]>
    model (float[1, 64, 16, 16] x) => (float[1, 64, 31, 31] y, float[1, 3, 32, 32] z)
    <float[64, 64, 3, 3] odd, float[64, 3, 4, 4] even, bool[1, 64, 16, 16] mask>
    {
        [cast] m = Cast <to = 1> (mask)
        [product] p = Mul (x, m)
        [odd] y = ConvTranspose <strides = [2, 2], pads = [1, 1, 1, 1]> (p, odd)
        [even] z = ConvTranspose <strides = [2, 2], pads = [1, 1, 1, 1]> (p, even)
    }
"""


@pytest.mark.parametrize("weights", [True, False])
def test_weights_that_must_not_be_read(weights: bool, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(read_text_model(LARGE).SerializeToString())
    rules = [RULES.get(name) for name in ("checkerboard-upsampling", "frozen-dropout-mask")]
    report = lint_model(str(path), rules, Options(weights=weights, debug=True))
    found = [(f.code, f.primary.node, str(f.severity)) for f in report.findings]
    unknown = [(u.code, u.node) for u in report.undecided]
    if weights:
        image, high = ("SC504", "product", "warning"), "warning"
        assert (found, unknown) == ([image, ("SC601", "odd", high), ("SC601", "even", high)], [])
    else:
        assert found == [("SC601", "odd", "note")]
        assert unknown == [("SC504", "product"), ("SC601", "even")]


@pytest.mark.parametrize(
    ("shape", "strides", "kernel"),
    [
        ("1, 1, 6, 99999999999", "2, 3", "2, 2"),
        ("1, 99999999999, 6, 6", "2, 2", "3, 3"),
        ("1, 1, 6, 6", "2, 99999999999", "3, 3"),
        ("1, 1, 6, 6", "2, 2", "3, 99999999999"),
    ],
)
def test_sizes_that_a_file_merely_claims(
    shape: str, strides: str, kernel: str, tmp_path: Path
) -> None:
    channels = shape.split(", ")[1]
    text = f"""
    <ir_version: 8, opset_import: ["" : 17]>
    model (float[{shape}] x) => (float[a, b, c, d] y)
    {{
        [up] y = ConvTranspose <strides = [{strides}], kernel_shape = [{kernel}]> (x, w)
    }}
    """
    proto = read_text_model(text)
    proto.graph.initializer.add(name="w", data_type=1, dims=[
        int(number) for number in (channels, "1", *kernel.split(", "))
    ])  # fmt: skip
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    rules = [RULES.get(name) for name in ("checkerboard-upsampling", "unwritten-output")]
    report = lint_model(str(path), rules, Options(debug=True))
    assert report.failure is None
    assert report.rule_failures == ()


def test_gaps_of_a_long_axis_are_counted_from_a_short_one() -> None:
    # Cells 1, 4, 7, … up to 3 * 10**9 - 5.
    window = Window(2, 3, 1, 1, 2, 10**9, 3 * 10**9 - 4, transposed=True)
    assert gaps(window, 0) == Gap(0, 10**9 - 1, 3 * 10**9 - 4, interior=True, run=1)
    assert gaps(replace(window, kernel=3, size_out=3 * 10**9 - 3), 0) is None


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize(("begin", "end", "extra"), [(0, 0, 0), (1, 0, 0), (0, 2, 1), (2, 2, 2)])
def test_gaps_are_the_cells_that_no_tap_reaches(
    kernel: int, stride: int, dilation: int, begin: int, end: int, extra: int
) -> None:
    size = 40
    out = (size - 1) * stride + (kernel - 1) * dilation + 1 + extra - begin - end
    window = Window(kernel, stride, dilation, begin, end, size, out, transposed=True)
    cells = {i * stride - begin + t * dilation for i in range(size) for t in range(kernel)}
    missing = [cell for cell in range(out) if cell not in cells]
    found = gaps(window, 1)
    assert (found.unwritten if found is not None else 0) == len(missing)
