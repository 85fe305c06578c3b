"""Adjoint rules of operators that move cells: all are linear, so that nothing is rounded."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from adjoint.jacobians import Single, by_adjoint
from adjoint.jacobians import split as split_of
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import RefusedError, examples
from onnx import parser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

ROLL = np.random.default_rng(11)


def whole(*shape: int) -> Array:
    """Return whole numbers, which onnxruntime moves and adds exactly."""
    return ROLL.integers(1, 9, shape).astype(np.float64)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def check(model: Single) -> None:
    try:
        expected = model.by_linearity()
    except RefusedError:
        assume(False)
    found = model.by_adjoint()
    assert found.keys() == expected.keys()
    for name, jacobian in expected.items():
        np.testing.assert_array_equal(found[name], jacobian)


def windows(*shape: int) -> st.SearchStrategy[list[tuple[int, int, int]]]:
    """Draw start, stop and step for every axis, from the front, the end, and beyond both."""
    each = [
        st.tuples(
            st.integers(-size - 2, size + 2),
            st.integers(-size - 2, size + 2),
            st.sampled_from([1, 1, 2, 3, -1, -2]),
        )
        for size in shape
    ]
    return st.tuples(*each).map(list)


@given(windows(4, 5))
@examples(60)
def test_slice(drawn: list[tuple[int, int, int]]) -> None:
    starts, stops, steps = (ints(*column) for column in zip(*drawn, strict=True))
    check(Single("Slice", [whole(4, 5), starts, stops, ints(0, 1), steps]))


@pytest.mark.parametrize("axis", [1, -1])
def test_slice_along_one_axis_in_old_operator_sets(axis: int) -> None:
    old = Single("Slice", [whole(3, 5)], opset=9, starts=[-4], ends=[4], axes=[axis])
    check(old)
    check(Single("Slice", [whole(3, 5)], opset=9, starts=[1], ends=[9]))


@given(
    st.sampled_from(["constant", "reflect", "edge", "wrap"]),
    st.lists(st.integers(-1, 4), min_size=4, max_size=4),
)
@examples(80)
def test_pad(mode: str, pads: list[int]) -> None:
    if mode == "reflect":
        # A reflection has no more cells to give than there are.
        left = [size + sum(min(p, 0) for p in pads[i::2]) for i, size in enumerate((3, 4))]
        assume(all(pad < left[index % 2] for index, pad in enumerate(pads)))
    check(Single("Pad", [whole(2, 3, 4), ints(*pads), None, ints(1, -1)], mode=mode))


def test_pad_before_opset_11() -> None:
    check(Single("Pad", [whole(2, 3)], opset=10, mode="edge", pads=[0, 2, 1, 0]))


@pytest.mark.parametrize("variable", [(0, 1, 2), (1,), (0, 2)])
def test_concat(variable: tuple[int, ...]) -> None:
    check(Single("Concat", [whole(2, 1), whole(2, 3), whole(2, 2)], variable, axis=-1))


RESHAPES: list[tuple[str, Sequence[Array]]] = [
    ("Reshape", [whole(2, 3, 2), ints(3, -1)]),
    ("Reshape", [whole(2, 3, 2), ints(0, 6)]),
    ("Squeeze", [whole(2, 1, 3), ints(1)]),
    ("Squeeze", [whole(1, 2, 1)]),
    ("Unsqueeze", [whole(2, 3), ints(0, -1)]),
    ("Flatten", [whole(2, 3, 2)]),
    ("Transpose", [whole(2, 3, 2)]),
    ("Identity", [whole(3)]),
    ("Dropout", [whole(3)]),
]


@pytest.mark.parametrize(("op_type", "values"), RESHAPES)
def test_same_cells_in_another_shape(op_type: str, values: Sequence[Array]) -> None:
    check(Single(op_type, values))


def model(text: str) -> Any:
    return parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> {text}')


def test_split_of_which_one_piece_is_used() -> None:
    text = """g (float[2, 6] x) => (float[2, 3] y) {
        sizes = Constant <value_ints = [1, 3, 2]> ()
        a, y, b = Split <axis = 1> (x, sizes)
    }"""
    found = by_adjoint(model(text), {"x": whole(2, 6).astype(np.float32)}, "y")
    expected = np.eye(12).reshape(2, 6, 12)[:, 1:4].reshape(6, 12)
    np.testing.assert_array_equal(found["x"], expected)


def test_split_whose_pieces_are_joined_again() -> None:
    text = """g (float[2, 6] x) => (float[2, 6] y) {
        a, b, c = Split <axis = -1, num_outputs = 3> (x)
        y = Concat <axis = 1> (c, a, b)
    }"""
    found = by_adjoint(model(text), {"x": whole(2, 6).astype(np.float32)}, "y")
    order = [row * 6 + column for row in range(2) for column in (4, 5, 0, 1, 2, 3)]
    np.testing.assert_array_equal(found["x"], np.eye(12)[order])


@pytest.mark.parametrize(("kind", "live"), [("to = 11", True), ("to = 7", False)])
def test_cast_passes_gradients_between_floats_only(kind: str, live: bool) -> None:
    text = f"""g (float[3] x) => (float[3] y) {{
        a = Cast <{kind}> (x)
        y = Cast <to = 1> (a)
    }}"""
    found = by_adjoint(model(text), {"x": np.ones(3, np.float32)}, "y")
    np.testing.assert_array_equal(found["x"], np.eye(3) if live else np.zeros((3, 3)))


def test_image_of_whole_numbers() -> None:
    """A gradient passes from floats to the bytes that they were cast from."""
    text = """g (uint8[3] x) => (float[3] y) {
        a = Cast <to = 1> (x)
        y = Mul (a, a)
    }"""
    found = by_adjoint(model(text), {"x": np.array([1, 2, 200], np.uint8)}, "y")
    np.testing.assert_array_equal(found["x"], np.diag([2.0, 4.0, 400.0]))


def test_runs_of_copies_are_told_apart() -> None:
    """The pieces of a padded axis: reversed, forwards, standing still."""
    from scotoma.adjoint.rules.movement import copies, runs

    assert runs(copies(4, 2, 1, "reflect")) == [(0, 3), (3, 6), (6, 7)]
    assert runs(copies(3, 2, 2, "edge")) == [(0, 3), (3, 5), (5, 7)]
    for mode in ("reflect", "edge", "wrap"):
        sources = copies(5, 3, 2, mode)
        found = runs(sources)
        assert [stop for _, stop in found[:-1]] == [start for start, _ in found[1:]]
        for start, stop in found:
            steps = {b - a for a, b in pairwise(sources[start:stop].tolist())}
            assert len(steps) <= 1
            assert steps <= {-1, 0, 1}


def test_a_pad_names_no_axes() -> None:
    """Beside a Transpose, onnxruntime's optimiser permutes pads as if there were no such input."""
    import onnx

    text = """g (float[1, 2, 3, 7] x) => (float[1, 3, 5, 2] y) <int64[1] s = {1}, int64[1] e = {6},
        int64[1] a = {3}> {
        t = Slice (x, s, e, a)
        y = Transpose <perm = [0, 2, 3, 1]> (t)
    }"""
    backward = split_of(model(text), ["y"], ["x"]).backward
    assert backward is not None
    (found,) = (
        node for node in onnx.ModelProto.FromString(backward).graph.node if node.op_type == "Pad"
    )
    assert len(found.input) == 3
    expected = np.eye(42)[ints(*(cell for cell in range(42) if 0 < cell % 7 < 6))]
    order = np.arange(30).reshape(2, 3, 5).transpose(1, 2, 0).ravel()
    jacobian = by_adjoint(model(text), {"x": np.ones((1, 2, 3, 7), np.float32)}, "y")["x"]
    np.testing.assert_array_equal(jacobian, expected[order])


def test_a_dropout_whose_mask_is_read_passes_everything() -> None:
    text = """g (float[3] x) => (float[3] y) {
        d, mask = Dropout (x)
        m = Cast <to = 1> (mask)
        y = Mul (d, m)
    }"""
    found = by_adjoint(model(text), {"x": np.ones(3, np.float32)}, "y")["x"]
    np.testing.assert_array_equal(found, np.eye(3))
