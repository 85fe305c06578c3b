"""The number that a change of the target tensors is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from text_models import facts_of

from scotoma.errors import MeasurementError, UsageError
from scotoma.measure.functional import Functional, choose
from scotoma.measure.options import MeasureOptions
from scotoma.measure.target import Target

if TYPE_CHECKING:
    import numpy.typing as npt

BEFORE: list[npt.NDArray[Any]] = [
    np.array([[1.0, -2.0], [3.0, 0.0]], np.float32),
    np.array([5, 250], np.uint8),
]
AFTER: list[npt.NDArray[Any]] = [
    np.array([[1.0, 1.0], [-1.0, 0.0]], np.float32),
    np.array([5, 238], np.uint8),
]


def of(kind: str) -> Functional:
    return Functional(kind, kind)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("l2", 13.0),  # 3, -4 and -12: no wrap-around in uint8
        ("sum", 13.0),  # 3 - 4 - 12
        ("max", 12.0),  # 250, then 238
    ],
)
def test_a_change_over_all_target_tensors(kind: str, change: float) -> None:
    assert of(kind).change(BEFORE, AFTER) == change
    assert of(kind).change(AFTER, BEFORE) == change
    assert of(kind).change(BEFORE, BEFORE) == 0


def test_differences_are_taken_in_float64() -> None:
    before = [np.array([2.0**24, 1], np.float32)]
    after = [np.array([2.0**24 + 2, 1 + 2.0**-20], np.float32)]
    assert of("sum").change(before, after) == 2 + 2.0**-20
    large = [np.full(2, 3e38, np.float32)], [np.full(2, -3e38, np.float32)]
    assert of("l2").change(*large) == pytest.approx(6e38 * 2**0.5 * 3e38 / 3e38)
    assert of("max").change(*large) == pytest.approx(6e38)
    flags = [np.array([True, False])], [np.array([False, False])]
    assert [of(kind).change(*flags) for kind in ("l2", "sum", "max")] == [1, 1, 1]


def test_one_tensor_that_is_no_number_is_not_hidden_by_another() -> None:
    bad = [np.array([1.0]), np.array([np.nan])]
    assert np.isnan(of("max").change(bad, [np.array([1.0]), np.array([2.0])]))


@pytest.mark.parametrize("kind", ["l2", "sum", "max", "logit"])
def test_what_is_not_finite_stays_so_without_a_warning(kind: str) -> None:
    before = [np.array([1.0, np.inf], np.float32)]
    after = [np.array([1.0, np.nan], np.float32)]
    assert np.isnan(of(kind).change(before, after))
    assert not np.isfinite(of(kind).change(before, [np.array([1.0, np.inf], np.float32)]))


def test_additive_ones_are_sums_over_boxes() -> None:
    for kind in ("l2", "sum"):
        functional = of(kind)
        assert functional.additive
        terms = [functional.summand(b, a) for b, a in zip(BEFORE, AFTER, strict=True)]
        assert [term.dtype for term in terms] == [np.float64, np.float64]
        assert [term.shape for term in terms] == [(2, 2), (2,)]
        whole = functional.finish(np.asarray(sum(term.sum() for term in terms)))
        assert float(whole) == functional.change(BEFORE, AFTER)
    assert of("l2").summand(BEFORE[0], AFTER[0]).tolist() == [[0, 9], [16, 0]]
    assert of("sum").summand(BEFORE[0], AFTER[0]).tolist() == [[0, 3], [-4, 0]]
    assert of("sum").finish(np.array([-2.0, 3.0])).tolist() == [2, 3]
    assert (of("max").additive, of("logit").additive) == (False, False)


def test_a_logit_is_that_of_the_baselines_top_class() -> None:
    baseline = [np.array([[1.0, 4.0, 2.0]])]
    bound = of("logit").for_baseline(baseline)
    # another class is on top in both answers
    assert bound.change([np.array([[9.0, 4.0, 2.0]])], [np.array([[0.0, 1.5, 20.0]])]) == 2.5
    named = Functional("logit:2", "logit", 2)
    assert named.for_baseline(baseline) is named
    assert named.change([np.array([[9.0, 4.0, 2.0]])], [np.array([[0.0, 1.5, 20.0]])]) == 18
    assert of("l2").for_baseline(baseline) == of("l2")


CLASSIFIER = facts_of(
    """model (float[1, 1, 4, 4] x) => (float[1, 10] y) <float[16, 10] w>
    { f = Flatten (x)  y = MatMul (f, w) }"""
)
TARGET = Target(("y",), frozenset(), "")


@pytest.mark.parametrize(
    ("text", "kind", "index"),
    [("l2", "l2", None), ("max", "max", None), ("logit", "logit", None), ("logit:9", "logit", 9)],
)
def test_what_can_be_asked_for(text: str, kind: str, index: int | None) -> None:
    functional = choose(MeasureOptions(functional=text), TARGET, CLASSIFIER)
    assert functional == Functional(text, kind, index)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mean", "unknown functional 'mean': use l2, sum, max, logit, logit:K"),
        ("logit:", "unknown functional 'logit:': use l2, sum, max, logit, logit:K"),
        ("logit:-1", "unknown functional 'logit:-1': use l2, sum, max, logit, logit:K"),
        ("logit:²", "unknown functional 'logit:²': use l2, sum, max, logit, logit:K"),
        ("l2:1", "unknown functional 'l2:1': use l2, sum, max, logit, logit:K"),
        ("logit:10", "--functional logit:10: 'y' has 10 classes, the last is 9"),
    ],
)
def test_what_cannot(text: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        choose(MeasureOptions(functional=text), TARGET, CLASSIFIER)
    assert str(refusal.value) == message


def test_an_empty_target_has_nothing_to_take() -> None:
    facts = facts_of(
        """model (float[1, 1, 4, 4] x) => (float[1, 1, 0, 4] y) <int64[1] z = {0}, int64[1] a = {2}>
        { y = Slice (x, z, z, a) }"""
    )
    with pytest.raises(MeasurementError, match=r"^'y' is empty at this input size$"):
        choose(MeasureOptions(), TARGET, facts)
