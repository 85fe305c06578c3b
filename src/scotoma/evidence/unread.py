"""Input sizes at which windows certainly leave rows or columns at a border unread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scotoma.trace.reading import Mapped, Same

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.trace.reading import Flow, Reading

    Cells = NDArray[np.int64]
    Span = tuple[Cells, Cells]
    """First and last cell, by candidate."""

FAR = 1 << 40
"""Beyond the last cell of any map."""


def leave_border_unread(facts: Facts, label: int, candidates: Sequence[int]) -> list[bool]:
    """Tell of some sizes of the image whether pixels at its border certainly have no path.

    The cells that are read are followed back as one span from the first to the last, which can
    only be too wide. Where a size is not told of, following the whole graph there has to tell.

    Parameters
    ----------
    label
        Axis of the image, 0 for H.
    candidates
        Sizes of the image along that axis.
    """
    if facts.geometry is None:
        return [False] * len(candidates)
    sizes = np.array(candidates, np.int64)
    cells = facts.sizes_at(label, sizes)
    whole = np.zeros_like(sizes), np.full_like(sizes, FAR)
    spans: dict[str, Span] = dict.fromkeys(facts.functional(), whole)
    flows = facts.geometry.flows
    for name in reversed(tuple(flows)):
        if name not in spans or name == facts.geometry.input.name:
            continue
        flow, span = flows[name], spans.pop(name)
        out = facts.geometry.axes_of(flow.layout)[label]
        for reading in flow.readings:
            read = None if out is None or reading.whole else _read(facts, reading, label, out)
            back = _back(facts, flow, label, read, span, cells.get(name)) or whole
            old = spans.get(reading.tensor)
            if old is None or back is whole:
                spans[reading.tensor] = back
            elif old is not whole:
                joined = np.minimum(old[0], back[0]), np.maximum(old[1], back[1])
                spans[reading.tensor] = joined
    first, last = spans.get(facts.geometry.input.name, whole)
    return [bool(unread) for unread in (first > 0) | (last < sizes - 1)]


def _read(facts: Facts, reading: Reading, label: int, out: int) -> Same | Mapped | None:
    """Return how an axis of the image is read at the place of an output axis, None if not so."""
    place = facts.geometry.axes_of(reading.layout)[label] if facts.geometry is not None else None
    read = reading.axes[place] if reading.axes is not None and place is not None else None
    return read if isinstance(read, Same | Mapped) and read.out == out else None


def _back(
    facts: Facts, flow: Flow, label: int, read: Same | Mapped | None, span: Span, size: Cells | None
) -> Span | None:
    """Return the span that is read of an input; None: all of it, as far as is known."""
    operator = flow.operator
    windows = facts.windows(operator) if operator is not None else None
    if windows is None or len(windows) != facts.image_rank:
        return span if isinstance(read, Same) else None
    window = windows[label]
    if read is None or size is None or window.transposed or window.auto_pad.startswith("SAME"):
        return None
    first, last = span
    begin = first * window.stride - window.pad_begin
    end = np.minimum(last, size - 1) * window.stride - window.pad_begin + window.extent - 1
    return np.maximum(begin, 0), end
