"""The adjoint rule of Einsum, with equations of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from adjoint.jacobians import Single, assert_equal, split
from hypothesis import assume, given
from hypothesis import strategies as st
from networks import RefusedError, examples

from scotoma.adjoint.rules.contraction import terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

ROLL = np.random.default_rng(5)


def whole(*shape: int) -> Array:
    """Return whole numbers, so that sums of products are exact in float32; none is zero."""
    return np.asarray(ROLL.integers(1, 5, shape) * ROLL.choice([-1.0, 1.0], shape))


def check(equation: str, shapes: Sequence[Sequence[int]]) -> None:
    values = [whole(*shape) for shape in shapes]
    model = Single("Einsum", values, tuple(range(len(shapes))), equation=equation)
    assert_equal(model.by_adjoint(), model.by_linearity())


CASES = [
    ("ij,jk->ik", [(2, 3), (3, 4)]),
    ("ij,jk", [(2, 3), (3, 4)]),
    ("bhid,bhjd->bhij", [(2, 2, 3, 2), (2, 2, 4, 2)]),
    ("bhij,bhjd->bihd", [(1, 2, 3, 4), (1, 2, 4, 2)]),
    ("nchw,oc->nohw", [(1, 3, 2, 2), (4, 3)]),
    ("ij->ji", [(2, 3)]),
    ("ij->i", [(2, 3)]),
    ("ij->", [(2, 3)]),
    ("ij,ij->", [(2, 3), (2, 3)]),
    ("i,j->ij", [(2,), (3,)]),
    ("ij,k->i", [(2, 3), (4,)]),
    ("...ij,...jk->...ik", [(2, 2, 3), (2, 3, 2)]),
    ("...ij,jk->...ik", [(2, 2, 3), (3, 2)]),
    ("...ij,...jk->...ik", [(2, 1, 2, 3), (1, 3, 3, 2)]),
    ("i...,i->...", [(2, 3), (2,)]),
    ("bij,bjk,bk->bi", [(2, 2, 3), (2, 3, 2), (2, 2)]),
    ("ij,jk->ik", [(1, 3), (3, 1)]),
    ("ij,jk->ik", [(2, 1), (1, 3)]),
    ("ij,ij->ij", [(1, 3), (2, 3)]),
    ("ij->", [(1, 1)]),
    (" i j , j k -> i k ", [(2, 3), (3, 2)]),
]


@pytest.mark.parametrize(("equation", "shapes"), CASES)
def test_einsum(equation: str, shapes: list[tuple[int, ...]]) -> None:
    check(equation, shapes)


@given(st.data())
@examples(60)
def test_any_equation(data: st.DataObject) -> None:
    sizes = {label: data.draw(st.integers(1, 3)) for label in "abcd"}
    labels = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True)
    operands = data.draw(st.lists(labels, min_size=1, max_size=3))
    used = sorted({label for operand in operands for label in operand})
    output = data.draw(st.lists(st.sampled_from(used), unique=True))
    equation = ",".join(map("".join, operands)) + "->" + "".join(output)
    try:
        check(equation, [[sizes[label] for label in operand] for operand in operands])
    except RefusedError:
        assume(False)


def test_a_diagonal_is_refused() -> None:
    (missing,) = split(
        Single("Einsum", [whole(3, 3)], equation="ii->i").model(), ["o0"], ["i0"]
    ).missing
    assert missing.reason == "it takes a diagonal"


def test_what_an_equation_means_without_an_output() -> None:
    operands, output = terms("ba,b", [(2, 3), (2,)], (3,))
    assert ([term.labels for term in operands], output.labels) == (["ba", "b"], "a")
