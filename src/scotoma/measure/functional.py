"""What is taken of the target tensors: one number for each change of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import MeasurementError, UnfitError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from scotoma.facts import Facts
    from scotoma.measure.options import MeasureOptions
    from scotoma.measure.target import Target

    Arrays = Sequence[npt.NDArray[Any]]
    Numbers = npt.NDArray[np.float64]

FUNCTIONALS = ("l2", "sum", "max", "logit", "logit:K")
"""What ``--functional`` takes; K is the number of a class, from 0."""
ADDITIVE = frozenset({"l2", "sum"})


@dataclass(frozen=True, slots=True)
class Functional:
    """How large a change of the target tensors is, in their unit, at least 0."""

    name: str
    """As asked for: ``l2``, ``sum``, ``max``, ``logit`` or ``logit:3``."""
    kind: str
    """``l2``, ``sum``, ``max`` or ``logit``."""
    index: int | None = None
    """The class that a logit is of; None: the top one of the baseline's answer."""

    @property
    def additive(self) -> bool:
        """Whether it may be taken over boxes of cells, of which each saw another change."""
        return self.kind in ADDITIVE

    def for_baseline(self, answers: Arrays) -> Functional:
        """Return the functional for one baseline: of ``logit`` the top class becomes fixed.

        Parameters
        ----------
        answers
            The target tensors for the unperturbed baseline.
        """
        if self.kind != "logit" or self.index is not None:
            return self
        return replace(self, index=int(np.argmax(answers[0])))

    def change(self, before: Arrays, after: Arrays) -> float:
        """Return how much the target tensors changed.

        Parameters
        ----------
        before, after
            The target tensors, or the same boxes of them where the functional is additive.

        Returns
        -------
        float
            ``l2``: the Euclidean norm of the difference; ``sum``: how much the sum of all
            elements changed; ``max``: how much the largest element did; ``logit``: how much one
            element did. Differences and sums are taken in float64. Not finite where the tensors
            are not.

        Examples
        --------
        >>> before, after = [np.array([0, 5])], [np.array([3, 1])]
        >>> [Functional(kind, kind).change(before, after) for kind in ("l2", "sum", "max")]
        [5.0, 1.0, 2.0]
        """
        with np.errstate(all="ignore"):
            if not self.additive:
                return abs(self._of(after) - self._of(before))
            total = 0.0
            for old, new in zip(before, after, strict=True):
                total += float(np.add.reduce(self._summand(old, new), axis=None))
            return math.sqrt(total) if self.kind == "l2" else abs(total)

    def summand(self, before: npt.NDArray[Any], after: npt.NDArray[Any]) -> Numbers:
        """Return what every element of one target tensor adds to the functional.

        `change` is `finish` of the sum of these over all target tensors. Only for additive
        functionals.
        """
        with np.errstate(all="ignore"):
            return self._summand(before, after)

    def _summand(self, before: npt.NDArray[Any], after: npt.NDArray[Any]) -> Numbers:
        """Return the same without a guard against warnings, which takes longer than the rest."""
        difference = np.asarray(np.subtract(after, before, dtype=np.float64))
        return np.square(difference, out=difference) if self.kind == "l2" else difference

    def finish(self, total: Numbers) -> Numbers:
        """Return the functional for sums of what `summand` gives."""
        with np.errstate(all="ignore"):
            return np.sqrt(total) if self.kind == "l2" else np.abs(total)

    def _of(self, answers: Arrays) -> float:
        if self.kind == "max":
            return max((float(array.max()) for array in answers), key=_nan_first)
        vector = answers[0].reshape(-1)
        return float(vector[np.argmax(vector) if self.index is None else self.index])


def choose(options: MeasureOptions, target: Target, facts: Facts) -> Functional:
    """Return the functional that was asked for.

    Parameters
    ----------
    options
        ``functional``: one of `FUNCTIONALS`.
    target
        The tensors that it is taken of; for a logit one tensor, the class vector.
    facts
        Give the number of classes.

    Raises
    ------
    UsageError
        If there is no such functional or class.
    MeasurementError
        If a tensor is empty, so that it has no largest element.
    """
    kind, index = read(options.functional)
    sizes = {name: _elements(facts.shape(name)) for name in target.tensors}
    empty = next((name for name, size in sizes.items() if size == 0), None)
    if empty is not None:
        raise MeasurementError(f"'{empty}' is empty at this input size")
    classes = sizes.get(target.tensors[0])
    if index is not None and classes is not None and index >= classes:
        raise UnfitError(
            f"--functional {options.functional}: '{target.tensors[0]}' has {classes} classes, the"
            f" last is {classes - 1}"
        )
    return Functional(options.functional, kind, index)


def read(text: str) -> tuple[str, int | None]:
    """Return kind and class of a functional.

    Raises
    ------
    UsageError
        If there is no such functional.

    Examples
    --------
    >>> read("l2"), read("logit"), read("logit:3")
    (('l2', None), ('logit', None), ('logit', 3))
    """
    kind, colon, index = text.partition(":")
    if f"{kind}{colon}" in {"l2", "sum", "max", "logit"}:
        return kind, None
    # No file has more classes than nine digits can say.
    if f"{kind}{colon}" == "logit:" and index.isascii() and index.isdigit() and len(index) < 10:
        return kind, int(index)
    raise UsageError(f"unknown functional '{text}': use {', '.join(FUNCTIONALS)}")


def _elements(shape: tuple[int, ...] | None) -> int | None:
    return None if shape is None else math.prod(shape)


def _nan_first(value: float) -> tuple[bool, float]:
    return math.isnan(value), value
