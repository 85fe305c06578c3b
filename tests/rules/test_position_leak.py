"""How much of a map is told of the border, and that answers then depend on place."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import SHARED
from onnx import numpy_helper
from rule_fixtures import FOLDER, RULES, Runner, firing, ground_truth, measured, text_of
from text_models import facts_of_proto

from scotoma.evidence.position import blind_heads, pushed, reached_share
from scotoma.facts import Facts
from scotoma.findings import Finding, Severity
from scotoma.loader import load_model
from scotoma.testing import read_text_model
from scotoma.trace.index_map import WindowMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


SMALL = st.integers(1, 7)
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
    facts = facts_of_proto(proto, tmp_path_factory.mktemp("chain"))
    full = float(np.prod([k * k for k, *_, average in layers if not average], dtype=float))
    last = Runner(proto)(np.ones((1, 1, *image)))[1]
    marked = Fraction(int((last < full * (1 - 1e-5)).sum()), last.size)
    assert reached_share(facts, "last") == marked


@settings(max_examples=300, deadline=None)
@given(SMALL, st.integers(1, 4), SMALL, st.integers(-2, 9), SMALL, st.booleans(), st.data())
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
