"""GridSample, whose places are values of a tensor, and AffineGrid, which makes such places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from scotoma.adjoint.interpolation import LONGEST
from scotoma.adjoint.registry import NoAdjointError, rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site

MODES = {
    "nearest": "nearest", "bilinear": "linear", "linear": "linear", "bicubic": "cubic",
    "cubic": "cubic",
}  # fmt: skip
PADDINGS = ("zeros", "border", "reflection")
CUBIC = -0.75
"""Parameter of the cubic convolution (Keys 1981)."""


@dataclass(frozen=True, slots=True)
class Tap:
    """One cell along one axis that every place reads; tensors of shape (images, places)."""

    cell: str
    """int64."""
    weight: str
    slope: str | None
    """How the weight grows with the place, per unit of the grid; None: not at all."""


@rule("GridSample")
@rule("GridSample", domain="com.microsoft")
def grid_sample(site: Site) -> Gradients:
    """Add every gradient to the cells around its place; move the place by their differences."""
    mode = MODES.get(site.text("mode", "bilinear"))
    padding = site.text("padding_mode", "zeros")
    shape, out = site.shape(), site.out_shape()
    if mode is None or padding not in PADDINGS:
        raise NoAdjointError(f"its mode is not known: {site.text('mode', '')!r}, {padding!r}")
    if 0 in shape or 0 in out:
        raise NoAdjointError("its input or its output is empty")
    rank = len(shape) - 2
    places, cells = math.prod(out[2:]), math.prod(shape[2:])
    grid = site.reshape(site.input(1), [shape[0], places, rank])
    # The grid gives the last axis first.
    axes = [
        _taps(site, _part(site, grid, rank - 1 - axis), shape[2 + axis], mode, padding)
        for axis in range(rank)
    ]
    grad = site.reshape(site.grad(), [*shape[:2], places])
    data = site.zeros([*shape[:2], cells])
    values = site.reshape(site.input(), [*shape[:2], cells]) if site.wants(1) else ""
    moves: list[list[str]] = [[] for _ in range(rank)]
    for chosen in product(*axes):
        index = _index(site, chosen, shape)
        if site.wants(0):
            each = site.emit("Mul", grad, _row(site, _product(site, chosen), out))
            data = site.emit("ScatterElements", data, index, each, axis=2, reduction="add")
        if not site.wants(1) or mode == "nearest":
            continue
        each = site.emit("Mul", grad, site.emit("GatherElements", values, index, axis=2))
        total = site.emit("ReduceSum", each, site.ints([1]), keepdims=0)
        for axis in range(rank):
            moves[axis].append(site.emit("Mul", total, _product(site, chosen, axis)))
    return [site.reshape(data, shape), _moved(site, moves)]


def _part(site: Site, grid: str, component: int) -> str:
    """Return one coordinate of all places."""
    return site.emit("Gather", grid, site.constant(component, np.int64), axis=2)


def _row(site: Site, tensor: str, out: Sequence[int]) -> str:
    """Put an axis for the channels between images and places."""
    return site.reshape(tensor, [out[0], 1, math.prod(out[2:])])


def _index(site: Site, chosen: Sequence[Tap], shape: Sequence[int]) -> str:
    """Return the place of a cell in the flat image, for every channel."""
    index = chosen[0].cell
    for tap, size in zip(chosen[1:], shape[3:], strict=True):
        row = site.emit("Mul", index, site.constant(size, np.int64))
        index = site.emit("Add", row, tap.cell)
    out = site.out_shape()
    return site.expand(_row(site, index, out), [*out[:2], math.prod(out[2:])])


def _product(site: Site, chosen: Sequence[Tap], moved: int | None = None) -> str:
    """Return the weight of a cell, or how it grows as the place moves along an axis."""
    found = ""
    for axis, tap in enumerate(chosen):
        part = tap.slope if axis == moved else tap.weight
        if part is None:
            raise NoAdjointError("its places do not move its weights")
        found = site.emit("Mul", found, part) if found else part
    return found


def _moved(site: Site, moves: Sequence[Sequence[str]]) -> str | None:
    """Return the gradient of the grid."""
    if not site.wants(1) or not moves[0]:
        return None  # the nearest cell changes by jumps only
    out, rank = site.out_shape(), len(moves)
    parts = [
        site.reshape(site.emit("Sum", *each), [out[0], math.prod(out[2:]), 1])
        for each in reversed(moves)
    ]
    return site.reshape(site.emit("Concat", *parts, axis=2), [out[0], *out[2:], rank])


def _taps(site: Site, places: str, size: int, mode: str, padding: str) -> list[Tap]:
    """Return the cells along one axis that places read, weighed as in onnxruntime."""
    corners = site.integer("align_corners", 0) == 1
    one, two = site.number(1), site.number(2)
    places = site.emit("Add", places, one)
    if corners:
        places = site.emit("Mul", site.emit("Div", places, two), site.number(size - 1))
    else:
        places = site.emit("Sub", site.emit("Mul", places, site.number(size)), one)
        places = site.emit("Div", places, two)
    if mode == "nearest":
        cell = site.emit("Round", places)
        inside = _inside(site, cell, size, padding)
        weight = inside or site.emit("Add", site.emit("Mul", cell, site.number(0)), one)
        return [Tap(_cell(site, cell, size, padding), weight, None)]
    first = site.emit("Floor", places)
    beyond = site.emit("Sub", places, first)
    steps = (0, 1) if mode == "linear" else (-1, 0, 1, 2)
    cells = [site.emit("Add", first, site.number(step)) if step else first for step in steps]
    found = [_cell(site, cell, size, padding) for cell in cells]
    factor = site.number((size - 1 if corners else size) / 2)
    if padding == "border" or (padding == "reflection" and mode == "linear"):
        # All taps on one cell: exactly no slope.
        same = site.emit("Equal", found[0], found[-1])
        factor = site.emit("Mul", site.mask(site.emit("Not", same)), factor)
    taps = []
    for step, cell, place in zip(steps, cells, found, strict=True):
        weight, slope = _weight(site, beyond, step, mode)
        slope = site.emit("Mul", slope, factor)
        inside = _inside(site, cell, size, padding)
        if inside:
            weight, slope = site.emit("Mul", weight, inside), site.emit("Mul", slope, inside)
        taps.append(Tap(place, weight, slope))
    return taps


def _inside(site: Site, cell: str, size: int, padding: str) -> str:
    """Return 1 where a cell is inside of the image and 0 elsewhere; "" where all count."""
    if padding != "zeros":
        return ""
    low = site.emit("GreaterOrEqual", cell, site.number(0))
    high = site.emit("LessOrEqual", cell, site.number(size - 1))
    return site.mask(site.emit("And", low, high))


def _cell(site: Site, cell: str, size: int, padding: str) -> str:
    """Return the cell that stands for one, as an index."""
    last = size - 1
    if padding == "reflection" and size > 1:
        corners = site.integer("align_corners", 0) == 1
        period = 2 * last if corners else 2 * size
        turns = site.emit("Floor", site.emit("Div", cell, site.number(period)))
        cell = site.emit("Sub", cell, site.emit("Mul", turns, site.number(period)))
        mirrored = site.emit("Sub", site.number(period - (0 if corners else 1)), cell)
        cell = site.emit("Min", cell, mirrored)
    cell = site.emit("Clip", cell, site.number(0), site.number(last))
    return site.cast(cell, np.int64)


def _weight(site: Site, beyond: str, step: int, mode: str) -> tuple[str, str]:
    """Return the weight of the cell some steps ahead of the first, and its slope."""
    if mode == "linear":
        if step == 1:
            return beyond, site.number(1)
        return site.emit("Sub", site.number(1), beyond), site.number(-1)
    # The distance from the place to the cell, and which way it changes.
    away = site.number(abs(step))
    ahead = step > 0
    apart = site.emit("Sub", away, beyond) if ahead else site.emit("Add", away, beyond)
    a = CUBIC
    if step in (0, 1):
        weights, slopes = (a + 2, -(a + 3), 0.0, 1.0), (3 * (a + 2), -2 * (a + 3), 0.0)
    else:
        weights, slopes = (a, -5 * a, 8 * a, -4 * a), (3 * a, -10 * a, 8 * a)
    slope = _polynomial(site, apart, slopes)
    return _polynomial(site, apart, weights), site.emit("Neg", slope) if ahead else slope


def _polynomial(site: Site, x: str, factors: Sequence[float]) -> str:
    """Evaluate a polynomial, highest power first."""
    found = site.number(factors[0])
    for factor in factors[1:]:
        found = site.emit("Add", site.emit("Mul", found, x), site.number(factor))
    return found


@rule("AffineGrid")
def affine_grid(site: Site) -> Gradients:
    """Sum the gradients of all places, each times the coordinates that were transformed."""
    site.only(0)
    out = site.out_shape()
    if 0 in out:
        raise NoAdjointError("its output is empty")
    rank, grad = out[-1], site.grad()
    inner = list(range(1, 1 + rank))
    columns = []
    for axis in reversed(inner):
        others = [other for other in inner if other != axis]
        line = site.emit("ReduceSum", grad, site.ints(others), keepdims=0)
        places = site.reshape(site.number(_line(site, out[axis])), [out[axis], 1])
        line = site.emit("Mul", line, places)
        columns.append(site.emit("ReduceSum", line, site.ints([1]), keepdims=0))
    columns.append(site.emit("ReduceSum", grad, site.ints(inner), keepdims=0))
    columns = [site.reshape(column, [out[0], rank, 1]) for column in columns]
    return [site.emit("Concat", *columns, axis=2)]


def _line(site: Site, size: int) -> NDArray[np.float64]:
    """Return the coordinates of the cells of an axis, from -1 to 1."""
    if size > LONGEST:
        raise NoAdjointError("an axis of it is too long to list")
    if not site.integer("align_corners", 0):
        return (2 * np.arange(size) + 1) / size - 1
    # onnxruntime puts a single cell at the end.
    return np.linspace(-1, 1, size) if size > 1 else np.ones(1)
