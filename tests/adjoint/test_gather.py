"""Adjoint rules of operators that read, write and repeat cells at places told by an index.

All are linear in the numbers that they move, so that nothing is rounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from adjoint.jacobians import Single, by_adjoint, split
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import RefusedError, examples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

ROLL = np.random.default_rng(21)


def whole(*shape: int) -> Array:
    """Return whole numbers, which onnxruntime moves and adds exactly."""
    return ROLL.integers(1, 9, shape).astype(np.float64)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def check(model: Single, given: str = "") -> None:
    """Compare exactly; also with the indices as an input of the model, if `given` names them."""
    try:
        expected = model.by_linearity()
    except RefusedError:
        assume(False)
    found = model.by_adjoint()
    assert found.keys() == expected.keys()
    for name, jacobian in expected.items():
        np.testing.assert_array_equal(found[name], jacobian, err_msg=name)
    if given:
        feed = {name: value.astype(np.float32) for name, value in model.values.items()}
        model.values[given] = feed[given] = model.constants.pop(given)
        moving = by_adjoint(model.model(), feed, "o0", list(expected))
        for name, jacobian in expected.items():
            np.testing.assert_array_equal(moving[name], jacobian, err_msg=name)


def indices(size: int, *shape: int) -> st.SearchStrategy[Array]:
    count = int(np.prod(shape))
    numbers = st.lists(st.integers(-size, size - 1), min_size=count, max_size=count)
    return numbers.map(lambda drawn: np.array(drawn, np.int64).reshape(shape))


AXES = st.sampled_from([0, 1, 2, -1])


@given(AXES, st.sampled_from([(), (1,), (3,), (2, 2), (9,), (12,)]), st.data())
@examples(60)
def test_gather(axis: int, shape: tuple[int, ...], data: st.DataObject) -> None:
    sizes = (2, 5, 3)
    check(
        Single("Gather", [whole(*sizes), data.draw(indices(sizes[axis], *shape))], axis=axis), "i1"
    )


WAYS = {
    "a part": ([1, 2, 3], {"Pad"}),
    "every second": ([0, 2, 4], {"Slice", "Pad", "Sum"}),
    "in another order": ([5, 3, 0, 1, 4, 2], {"Gather"}),
    "with gaps": ([4, 0, 2, 5, 1, 9], {"Pad", "Gather"}),
    "some twice": ([5, 3, 0, 1, 4, 2, 5, 3], {"Pad", "Gather", "Sum"}),
    "one of them often": (
        [0, 9, 0, 8, 0, 7, 0, 6, 0, 5],
        {"ConstantOfShape", "ScatterND", "Transpose"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_ways_of_gathering(way: str) -> None:
    """A constant index is undone by what onnxruntime does quickest."""
    import onnx

    index, expected = WAYS[way]
    size = 6 if way == "in another order" else 10
    model = Single("Gather", [whole(2, size), ints(*index)], axis=1)
    check(model)
    backward = split(model.model(), ["o0"], ["i0"]).backward
    assert backward is not None
    used = {node.op_type for node in onnx.ModelProto.FromString(backward).graph.node}
    assert used - {"Identity", "Reshape"} == expected


def test_gather_from_a_constant_by_what_the_image_decides() -> None:
    """The gradient of an index is zero."""
    model = Single("Gather", [whole(4), ints(1, 3)], (1,))
    adjoint = split(model.model(), ["o0"], ["i1"])
    assert (adjoint.missing, dict(adjoint.zero)) == ((), {"i1": (2,)})


@given(AXES, st.data())
@examples(40)
def test_gather_elements(axis: int, data: st.DataObject) -> None:
    sizes = (3, 4, 2)
    shape = [data.draw(st.integers(1, size)) for size in sizes]
    shape[axis] = data.draw(st.integers(1, 5))
    index = data.draw(indices(sizes[axis], *shape))
    check(Single("GatherElements", [whole(*sizes), index], axis=axis), "i1")


@given(st.integers(0, 2), st.integers(1, 3), st.data())
@examples(60)
def test_gather_nd(batched: int, depth: int, data: st.DataObject) -> None:
    sizes = (2, 3, 4, 2)
    assume(batched + depth <= 4)
    lead = sizes[:batched] + tuple(data.draw(st.lists(st.integers(1, 3), max_size=2)))
    columns = [data.draw(indices(size, *lead)) for size in sizes[batched : batched + depth]]
    index = np.stack(columns, -1)
    check(Single("GatherND", [whole(*sizes), index], batch_dims=batched), "i1")


@given(st.sampled_from(["none", "add"]), AXES, st.data())
@examples(40)
def test_scatter_elements(reduction: str, axis: int, data: st.DataObject) -> None:
    sizes = (3, 4, 2)
    shape = [data.draw(st.integers(1, size)) for size in sizes]
    index = data.draw(indices(sizes[axis], *shape))
    if reduction == "none":  # what is written twice is not defined
        index = np.argsort(ROLL.random(shape), axis) - data.draw(st.sampled_from([0, sizes[axis]]))
    values = [whole(*sizes), index, whole(*shape)]
    model = Single("ScatterElements", values, (0, 2), axis=axis, reduction=reduction, opset=18)
    check(model, "i1")


def test_scatter_in_old_operator_sets() -> None:
    check(Single("Scatter", [whole(3, 2), ints(2, 0).reshape(1, 2), whole(1, 2)], (0, 2), opset=9))


@pytest.mark.parametrize("reduction", ["none", "add"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_scatter_nd(reduction: str, depth: int) -> None:
    sizes = (3, 4, 2)
    places = np.stack(np.unravel_index([0, 2, 1], sizes[:depth]), -1).reshape(1, 3, depth)
    if reduction == "add":
        places[0, 2] = places[0, 0]
    places[0, 1] -= sizes[:depth]
    updates = whole(1, 3, *sizes[depth:])
    model = Single("ScatterND", [whole(*sizes), places, updates], (0, 2), reduction=reduction)
    check(model, "i1")
    check(Single("ScatterND", [whole(*sizes), places, updates], (2,), reduction=reduction))


@pytest.mark.parametrize("op_type", ["ScatterElements", "ScatterND"])
@pytest.mark.parametrize("reduction", ["mul", "max"])
def test_other_reductions_are_refused(op_type: str, reduction: str) -> None:
    values = [
        whole(3),
        ints(1) if op_type == "ScatterElements" else ints(1).reshape(1, 1),
        whole(1),
    ]
    model = Single(op_type, values, reduction=reduction)
    (missing,) = split(model.model(), ["o0"], ["i0"]).missing
    assert missing.reason == f"its reduction '{reduction}' is neither 'none' nor 'add'"


@pytest.mark.parametrize(
    ("shape", "target"),
    [((3, 1), (2, 3, 4)), ((1,), (2, 3)), ((2, 3), (1, 1)), ((), (2, 2)), ((3,), (3,))],
)
def test_expand(shape: tuple[int, ...], target: tuple[int, ...]) -> None:
    check(Single("Expand", [whole(*shape), ints(*target)]))


@pytest.mark.parametrize("repeats", [(1, 1, 1), (2, 1, 3), (1, 4, 1), (2, 2, 2)])
def test_tile(repeats: tuple[int, ...]) -> None:
    check(Single("Tile", [whole(2, 1, 3), ints(*repeats)]))


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("diagonal", [None, -1, 2])
@pytest.mark.parametrize("op_type", ["Trilu", "com.microsoft.Trilu"])
def test_trilu(upper: int, diagonal: int | None, op_type: str) -> None:
    values = [whole(2, 3, 4)] + ([] if diagonal is None else [np.array(diagonal)])
    check(Single(op_type, values, upper=upper))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("largest", [0, 1])
def test_top_k(axis: int, largest: int) -> None:
    values = ROLL.permutation(24).reshape(3, 4, 2) / 4
    names = ["o0", ""]  # the file leaves the indices out
    model = Single("TopK", [values, ints(2)], outputs=2, axis=axis, largest=largest)
    expected = model.by_differences()
    model.node.output[:] = names
    np.testing.assert_array_equal(model.by_adjoint()["i0"], np.round(expected["i0"]))


def test_reverse_sequence() -> None:
    check(Single("ReverseSequence", [whole(4, 2, 3), ints(3, 4)], time_axis=0, batch_axis=1), "i1")
    check(Single("ReverseSequence", [whole(2, 4, 3), ints(1, 4)], time_axis=1, batch_axis=0))
