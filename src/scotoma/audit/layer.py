"""What one layer reads and where it puts it, found by moving one line of cells at a time.

The layer runs by itself, with the Pad in front of it, on zeros in which one line of cells across
the axis holds numbers above 0. All its weights are above 0 as well, so that every output that
reads the line changes, and no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from scotoma.audit.errors import NotMeasuredError
from scotoma.evidence.borders import spatial_axes
from scotoma.evidence.hidden import may_crop
from scotoma.measure.alone import Alone

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from scotoma.audit.bench import Array
    from scotoma.audit.exam import Exam
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window

MOST_LAYERS = 8
"""So many layers of a claim are looked at."""
MOST_LINES = 128
"""So many lines of an axis are moved at most, each in a run of its own."""


@dataclass(eq=False)
class Layer:
    """A windowed operator with the Pads right in front of it, ready to run."""

    exam: Exam
    alone: Alone
    windows: tuple[Window, ...]
    axes: tuple[int, ...]
    """Of its tensors, those that the windows slide over."""
    pads: tuple[tuple[int, int], ...]
    """Padding before the first cell and after the last, that of the Pads included, by axis."""

    def size(self, label: int) -> int:
        """Return how many cells it is fed along an axis."""
        return self.alone.shape[self.axes[label]]

    @cached_property
    def _still(self) -> Array:
        """What it makes of zeros."""
        return self.alone.run(np.zeros(self.alone.shape, self.alone.dtype))

    def changed(self, label: int, line: int) -> npt.NDArray[np.int64]:
        """Return the lines of the output, ascending, that change with one line of the input."""
        self.exam.budget.require()
        values = np.zeros(self.alone.shape, self.alone.dtype)
        index = [slice(None)] * values.ndim
        index[self.axes[label]] = slice(line, line + 1)
        part = values[tuple(index)]
        part[...] = np.random.default_rng(line).uniform(0.5, 1.5, part.shape)
        after = self.alone.run(values)
        others = tuple(axis for axis in range(after.ndim) if axis != self.axes[label])
        return np.flatnonzero((self._still != after).any(axis=others))

    def lines_read(self, label: int, outputs: Iterable[int]) -> dict[int, list[int]]:
        """Return which lines of the input some lines of the output read, ascending.

        Raises
        ------
        NotMeasuredError
            If one reads none, or there are too many to try.
        """
        window, (begin, _) = self.windows[label], self.pads[label]
        wanted = {output: output * window.stride - begin for output in outputs}
        reach = window.extent + window.stride
        lines = sorted({
            line
            for start in wanted.values()
            for line in range(start - reach, start + window.extent + reach)
            if 0 <= line < self.size(label)
        })  # fmt: skip
        if len(lines) > MOST_LINES:
            raise NotMeasuredError(f"its window reaches over more than {MOST_LINES} lines")
        found: dict[int, list[int]] = {output: [] for output in wanted}
        for line in lines:
            for output in set(self.changed(label, line).tolist()) & found.keys():
                found[output].append(line)
        if not all(found.values()):
            raise NotMeasuredError("it reads no cell of its map there")
        return found


def layer(exam: Exam, name: str | None) -> Layer:
    """Return a layer of the main graph by its name.

    Raises
    ------
    NotMeasuredError
        If the model does not run, or the layer cannot be run by itself.
    MeasurementError
        If onnxruntime refuses it.
    """
    exam.require_run()
    facts = exam.facts
    operator = next((op for op in facts.operators if op.name == name), None)
    windows = facts.windows(operator) if operator is not None else None
    if operator is None or not windows:
        raise NotMeasuredError("it stands in a body, or its window is not known")
    in_front = _pads_in_front(exam, operator)
    if any(may_crop(facts, pad) for pad in in_front):
        raise NotMeasuredError("a Pad in front of it crops")
    source = (in_front or [operator])[0].inputs[0]
    added = [facts.padding_in_front(operator.inputs[0], label) for label in range(len(windows))]
    axes = spatial_axes(operator, len(windows))
    shape, padded = facts.shape(source), facts.shape(operator.inputs[0])
    if shape is None or padded is None:
        raise NotMeasuredError("the size of its map is not known")
    if [padded[a] - shape[a] for a in axes] != [sum(pair) for pair in added]:
        raise NotMeasuredError("its padding comes from operators that are not right in front of it")
    pads = tuple(
        (w.pad_begin + before, w.pad_end + after)
        for w, (before, after) in zip(windows, added, strict=True)
    )
    return Layer(exam, Alone(facts, [*in_front, operator]), windows, axes, pads)


def _pads_in_front(exam: Exam, operator: Operator) -> list[Operator]:
    """Return the Pads that make the input of an operator, one after the other."""
    found: list[Operator] = []
    while True:
        maker = exam.facts.producers.get((found or [operator])[0].inputs[0])
        if maker is None or maker.op_type != "Pad" or maker.domain:
            return found
        found.insert(0, maker)


def moved(item: Layer, label: int) -> Fraction:
    """Return how far a layer of stride 1 moves its map, in cells, towards the end where positive.

    The line in the middle comes out as the middle of the lines that changed; what is left when the
    middles of both maps are laid on each other is the move.

    Raises
    ------
    NotMeasuredError
        If the map is too small for a window that meets no border.
    """
    size = item.size(label)
    line = size // 2
    lines = item.changed(label, line)
    made = item.windows[label].size_out
    if not len(lines):
        raise NotMeasuredError("the middle of its map changes nothing")
    if (lines[0] == 0 or lines[-1] == made - 1) and len(lines) < item.windows[label].extent:
        raise NotMeasuredError("no window of it lies away from the borders")
    middle = Fraction(int(lines[0]) + int(lines[-1]), 2)
    return line - middle + Fraction(made - size, 2)


def padding_read(item: Layer, label: int) -> tuple[int, int]:
    """Return how many cells of padding the first window reads in front, and the last one behind.

    Below 0: real cells that no window reads.
    """
    window, size = item.windows[label], item.size(label)
    last = window.size_out - 1
    found = item.lines_read(label, (0, last))
    first_end, last_begin = found[0][-1], found[last][0]
    if first_end == size - 1 or last_begin == 0:
        raise NotMeasuredError("its windows reach over the whole map")
    # What a window in ceil mode hangs over by is no padding.
    end = min(last_begin + window.extent - size, item.pads[label][1])
    return window.extent - 1 - first_end, end


def stride_shift(item: Layer, label: int) -> Fraction:
    """Return how far a window in the middle lies off the cells that it stands for, in cells.

    Output ``o`` stands for the cells from ``o * stride`` on. Towards the end where positive.
    """
    window, size = item.windows[label], item.size(label)
    output = window.size_out // 2
    lines = item.lines_read(label, [output])[output]
    if lines[-1] - lines[0] + 1 < window.extent and (lines[0] == 0 or lines[-1] == size - 1):
        raise NotMeasuredError("no window of it lies away from the borders")
    centre = Fraction(lines[0] + lines[-1], 2)
    return centre - output * window.stride - Fraction(window.stride - 1, 2)
