"""The directions of the target that gradients are taken along: cotangents of backward passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.measure.functional import Functional
    from scotoma.measure.setup import Setup

    Array = npt.NDArray[Any]
    Cotangents = Mapping[str, Array]

MOST_EXACT = 64
"""The norm over so many elements of the target is taken exactly, with a cotangent for each."""
COTANGENTS = 16
"""Random cotangents by input where there are several inputs: a norm from m of them has a relative
error of 1 / sqrt(2 m), here 18 %, and the mean over four inputs half of that."""
COTANGENTS_ALONE = 32
"""Likewise of one input."""


def is_random(setup: Setup) -> bool:
    """Tell whether the map is an estimate from random cotangents."""
    return setup.functional.kind == "l2" and elements(setup) > MOST_EXACT


def elements(setup: Setup) -> int:
    """Return the elements of the target tensors."""
    return sum(array.size for array in setup.subject.answer(0))


def count(setup: Setup) -> tuple[int, bool]:
    """Return the cotangents that count for each input given time, and whether they are random."""
    random = is_random(setup)
    if setup.functional.kind != "l2":
        return 1, random
    if random:
        return COTANGENTS_ALONE if len(setup.subject.baselines) == 1 else COTANGENTS, random
    return elements(setup), random


def cotangents(
    setup: Setup, number: int, total: int, seed: int
) -> Iterator[tuple[bool, Cotangents]]:
    """Yield the cotangents of one input, and whether each counts for the map."""
    tensors, answers = setup.target.tensors, setup.subject.answer(number)
    functional = setup.subject.functionals[number]
    generator = np.random.default_rng([seed, number])
    if is_random(setup):
        for _ in range(total):
            yield True, _signs(tensors, answers, generator)
    elif functional.kind == "l2":
        for tensor, answer in zip(tensors, answers, strict=True):
            for element in range(answer.size):
                yield True, _one_hot(tensors, answers, tensor, element)
    else:
        yield True, _slope(functional, tensors, answers)
        # A gradient can cancel; along a random direction it does not.
        yield (
            False,
            {
                name: generator.standard_normal(answer.shape, np.float32)
                for name, answer in zip(tensors, answers, strict=True)
            },
        )


def _slope(functional: Functional, tensors: Sequence[str], answers: Sequence[Array]) -> Cotangents:
    """Return the derivative of the functional's number by the target."""
    if functional.kind == "sum":
        return {
            name: np.ones(a.shape, np.float32) for name, a in zip(tensors, answers, strict=True)
        }
    if functional.kind == "logit":
        index = functional.index
        element = int(np.argmax(answers[0])) if index is None else index
        return _one_hot(tensors, answers, tensors[0], element)
    largest = int(np.argmax([float(answer.max()) for answer in answers]))
    return _one_hot(tensors, answers, tensors[largest], int(np.argmax(answers[largest])))


def _signs(
    tensors: Sequence[str], answers: Sequence[Array], generator: np.random.Generator
) -> Cotangents:
    return {
        name: (generator.integers(0, 2, answer.shape, np.int8) * 2 - 1).astype(np.float32)
        for name, answer in zip(tensors, answers, strict=True)
    }


def _one_hot(
    tensors: Sequence[str], answers: Sequence[Array], tensor: str, element: int
) -> Cotangents:
    array = np.zeros(answers[tensors.index(tensor)].shape, np.float32)
    array.reshape(-1)[element] = 1
    return {tensor: array}
