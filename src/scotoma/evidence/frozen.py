"""Random numbers that an exporter stored as a constant: masks of dropout, noise of noise layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import prod, sqrt
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import WeightsUnavailableError
from scotoma.evidence.scopes import Scope, main_scope
from scotoma.evidence.weights import is_stored, weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

FEWEST = 16
"""A mask of fewer independent cells is not judged."""
FEWEST_PLAIN = 128
"""The same without a factor that makes up for what is dropped."""
FEWEST_NOISE = 256
LARGEST = 1 << 24
"""Constants of more elements are not read."""
LAGS = (1, 2, 3)
"""Distances along an axis at which cells are compared."""
SLANTS = ((1, 1), (1, 2), (2, 1), (1, 3), (3, 1))
"""Distances along two axes at once."""


@dataclass(frozen=True, slots=True)
class Chance:
    """What counts as one draw of random numbers."""

    least: float = 0.05
    most: float = 0.95
    """Part of the cells of a mask that are zero."""
    deviations: float = 4.0
    """Standard deviations within which a statistic of random numbers lies."""


USUAL = Chance()


@dataclass(frozen=True, slots=True)
class Frozen:
    """A constant that looks like one draw of random numbers."""

    operator: Operator
    tensor: str
    shape: tuple[int, ...]
    zeros: int
    """Cells of the constant that are zero; 0 for noise."""
    factor: float
    """What a mask multiplies the kept activations by; the deviation of noise."""
    certain: bool
    """Nothing but dropout looks like this: it varies from place to place inside the network, or
    its factor makes up for what it drops."""

    @property
    def share(self) -> Fraction:
        """Part of the cells that are zero."""
        return Fraction(self.zeros, prod(self.shape))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A constant that may be a mask, but cannot be read."""

    operator: Operator
    reason: str


def frozen_masks(facts: Facts, chance: Chance = USUAL) -> Iterator[Frozen | Unreadable]:
    """Yield the products of an activation and a constant that looks like a mask of dropout."""
    scope = facts.once(main_scope)
    for operator in _concerned(facts, scope, {"Mul", "Where"}):
        for data, mask in _pairs(facts, scope, operator):
            shape = facts.shape(mask)
            if shape is None or not FEWEST <= prod(shape) <= LARGEST:
                continue
            try:
                values = weights_of(facts, mask)
            except WeightsUnavailableError as error:
                if sum(size > 1 for size in shape) > 1 and is_stored(facts, mask):
                    yield Unreadable(operator, str(error))
                continue
            factor = _factor(values, chance)
            if factor is None:
                continue
            cells = _without_copies(values == 0)
            if not looks_random(cells, chance.deviations):
                continue
            makes_up = _makes_up(factor, float(cells.mean()))
            if not makes_up and (factor != 1 or cells.size < FEWEST_PLAIN):
                continue
            raw = _may_be_input(facts, data)
            certain = makes_up or (cells.ndim > 1 and not raw)
            zeros = int((values == 0).sum())
            yield Frozen(operator, mask, values.shape, zeros, factor, certain)


def frozen_noise(facts: Facts, chance: Chance = USUAL) -> Iterator[Frozen | Unreadable]:
    """Yield the sums of a feature map and a constant of its shape that looks like white noise."""
    scope = facts.once(main_scope)
    for operator in _concerned(facts, scope, {"Add"}):
        for data, noise in _pairs(facts, scope, operator):
            shape, own = facts.shape(noise), facts.shape(data)
            if shape is None or len(shape) < 3 or (own is None and min(shape[-2:]) < 2):
                continue
            if own is not None and (len(own) < 3 or shape[-len(own) + 1 :] != own[1:]):
                continue
            is_map = facts.geometry is not None and facts.geometry.spatial_axes(data)
            if not (is_map or own is None) or not FEWEST_NOISE <= prod(shape) <= LARGEST:
                continue
            try:
                values = weights_of(facts, noise)
            except WeightsUnavailableError:
                continue
            if not is_white(values, chance.deviations):
                continue
            if own is None:
                yield Unreadable(operator, f"the shape of '{data}' is not known")
            else:
                yield Frozen(operator, noise, values.shape, 0, float(values.std()), certain=False)


def _may_be_input(facts: Facts, tensor: str) -> bool:
    """Tell whether a tensor is a graph input, or an unknown operator makes it of one."""
    inputs = {value.name for value in facts.model.main.inputs}
    maker = facts.producers.get(tensor)
    if maker is None or maker.name not in {item.node for item in facts.unanalysed}:
        return tensor in inputs
    return not inputs.isdisjoint(maker.inputs)


def _concerned(facts: Facts, scope: Scope, kinds: set[str]) -> Iterator[Operator]:
    for operator in facts.operators:
        if operator.op_type in kinds and not operator.domain and operator in scope.heard:
            yield operator


def _pairs(facts: Facts, scope: Scope, operator: Operator) -> Iterator[tuple[str, str]]:
    """Yield the activation and the constant that an operator joins."""
    names, constants = operator.inputs, facts.resolution.constants
    if operator.op_type != "Where":
        for data, other in (names, names[::-1]):
            if other in constants and scope.varies(data):
                yield data, other
        return
    condition, *cases = names
    for data, other in (cases, cases[::-1]):
        empty = scope.number(other) == 0 if other in constants else False
        if condition in constants and empty and scope.varies(data):
            yield data, condition


def _factor(values: NDArray[np.float64], chance: Chance) -> float | None:
    """Return the only value but 0 that an array holds, None if there is another one."""
    flat = values.reshape(-1)
    if flat.min() != 0:
        return None
    top = flat.max()
    if top <= 0 or not bool(((flat == 0) | (flat == top)).all()):
        return None
    share = float((flat == 0).mean())
    return float(top) if chance.least <= share <= chance.most else None


def _without_copies(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return an array without the axes along which it only repeats itself."""
    for axis in reversed(range(cells.ndim)):
        first = np.take(cells, [0], axis)
        if bool((cells == first).all()):
            cells = np.take(cells, 0, axis)
    return cells


def _makes_up(factor: float, share: float) -> bool:
    """Tell whether a factor is that of inverted dropout: ``1 / (1 - p)``, p in whole per cent.

    Examples
    --------
    >>> _makes_up(1 / 0.7, 0.28), _makes_up(1.0, 0.28), _makes_up(2.0, 0.1)
    (True, False, False)
    """
    if factor <= 1:
        return False
    ratio = 1 - 1 / factor
    return abs(ratio * 100 - round(ratio * 100)) < 0.01 and abs(ratio - share) < 0.25


def looks_random(cells: NDArray[np.bool_], deviations: float = USUAL.deviations) -> bool:
    """Tell whether the cells of a mask are zero independently of their neighbours.

    The share of neighbours that differ is ``2 q (1 - q)`` for independent cells of which a part q
    is zero. Stencils, borders, rectangles, triangles and stripes are far from it, along some axis
    or diagonal at some distance; in an identity matrix every row has the same number.

    Examples
    --------
    >>> looks_random(np.random.default_rng(0).random((16, 16)) < 0.3)
    True
    >>> looks_random(np.tri(16, dtype=bool))
    False
    """
    if cells.size < FEWEST or is_box(cells) or is_box(~cells):
        return False
    share = float(cells.mean())
    differ = 2 * share * (1 - share)
    for one, two in _neighbours(cells):
        spread = sqrt(one.size * differ * (1 - differ))
        if abs(int((one != two).sum()) - one.size * differ) > deviations * spread + 1:
            return False
    for axis, size in enumerate(cells.shape):
        sums = cells.sum(tuple(other for other in range(cells.ndim) if other != axis))
        if cells.ndim > 1 and size > 3 and bool((sums == sums[0]).all()):
            return False
    return True


def _neighbours(
    cells: NDArray[np.bool_],
) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Yield the pairs of cells at small distances along every axis and every diagonal."""
    for axis in range(cells.ndim):
        rows = np.moveaxis(cells, axis, 0)
        for lag in LAGS:
            if len(rows) > lag:
                yield rows[lag:], rows[:-lag]
        for other in range(1, cells.ndim - axis):
            flat = np.moveaxis(np.moveaxis(cells, axis, 0), axis + other, 1)
            for down, along in SLANTS:
                if flat.shape[0] > down and flat.shape[1] > along:
                    yield flat[down:, along:], flat[:-down, :-along]
                    yield flat[down:, :-along], flat[:-down, along:]


def is_box(cells: NDArray[np.bool_]) -> bool:
    """Tell whether the true cells fill a rectangle.

    Examples
    --------
    >>> is_box(np.array([[0, 1, 1], [0, 1, 1]], bool)), is_box(np.array([1, 0, 1], bool))
    (True, False)
    """
    places = np.nonzero(cells)
    if not len(places[0]):
        return True
    return int(cells.sum()) == prod(int(p.max()) - int(p.min()) + 1 for p in places)


def is_white(values: NDArray[np.float64], deviations: float = USUAL.deviations) -> bool:
    """Tell whether numbers look like independent draws of a normal distribution around 0.

    Mean, skewness, excess kurtosis and the correlation of neighbours lie within some standard
    deviations of those of normal numbers.

    Examples
    --------
    >>> is_white(np.random.default_rng(0).normal(0, 0.1, (1, 16, 16, 3)))
    True
    >>> is_white(np.random.default_rng(0).random((1, 16, 16, 3)))
    False
    """
    count, deviation = values.size, float(values.std())
    if count < FEWEST_NOISE or deviation == 0 or not np.isfinite(deviation):
        return False
    mean = float(values.mean())
    z = (values - mean) / deviation
    bounds = (
        (mean / deviation, 1 / count),
        (float((z**3).mean()), 6 / count),
        (float((z**4).mean()) - 3, 24 / count),
    )
    if any(abs(number) > deviations * sqrt(variance) for number, variance in bounds):
        return False
    for axis, size in enumerate(values.shape):
        if size > 1:
            product = np.take(z, range(1, size), axis) * np.take(z, range(size - 1), axis)
            if abs(float(product.mean())) > deviations / sqrt(product.size):
                return False
    return True
