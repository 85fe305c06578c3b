"""The maps of windows, paddings and cuts over other numbers of cells than in the graph as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scotoma.resolve.shapes_move import slices
from scotoma.resolve.windows import Slide, conv_window
from scotoma.trace.index_map import Taps, WindowMap

if TYPE_CHECKING:
    from scotoma.loader.model import Operator
    from scotoma.resolve.step import Step
    from scotoma.resolve.window import Window

    Sizes = tuple[int, ...]

CONVOLUTIONS = frozenset({"Conv", "FusedConv", "QLinearConv"})
SLIDING = CONVOLUTIONS | {"AveragePool", "LpPool", "MaxPool"}


class OtherError(Exception):
    """What an operator does at the other size does not follow from what it does now."""


def taps_of(operator: Operator, places: Sizes, axes: int) -> Taps:
    """Return the taps of an operator that a walk may choose, if it slides over the image's axes.

    Parameters
    ----------
    places
        The axes of its output that are the image's.
    axes
        How many axes its output has.

    Raises
    ------
    OtherError
        If it does not, or over others.
    """
    rank = len(places)
    if operator.op_type not in SLIDING:
        raise OtherError
    if places != tuple(range(2, 2 + rank)) or axes != 2 + rank:
        raise OtherError
    if operator.attributes.get("channels_last") == 1:
        raise OtherError
    if operator.op_type in CONVOLUTIONS:
        return Taps.ALL
    return Taps.PADDED if operator.attributes.get("count_include_pad") == 1 else Taps.REAL


def window_maps(windows: Sequence[Window], cells: Sizes, taps: Taps) -> list[WindowMap]:
    """Return the maps of windows over so many cells, by axis.

    Parameters
    ----------
    windows
        As of a `scotoma.evidence.size_plans.Plan`.

    Raises
    ------
    OtherError
        If a window does not fit.
    """
    found: list[WindowMap] = []
    for i, (window, count) in enumerate(zip(windows, cells, strict=True)):
        if i and count == cells[0] and window == windows[0]:
            found.append(found[0])
        else:
            found.append(_window_map(window, count, taps))
    return found


def _window_map(window: Window, cells: int, taps: Taps) -> WindowMap:
    """Return the map of a window over so many cells."""
    if window.size_in == cells:
        return WindowMap.of(window, taps)
    if window.auto_pad.startswith("SAME"):
        return WindowMap.of(automatic(window, cells), taps)
    begin, end, out = window.pad_begin, window.pad_end, _behind(window, cells)
    return WindowMap(
        window.kernel, window.stride, window.dilation, begin, cells, out, False, taps, end
    )


def padded_maps(
    step: Step, pads: Sequence[tuple[int, int]], places: Sizes, cells: Sizes
) -> list[WindowMap]:
    """Return the maps of a Pad over so many cells, by axis of the image.

    Parameters
    ----------
    pads
        What is added before and after, for every axis of the tensor.
    places
        The axes of the tensor that are the image's.

    Raises
    ------
    OtherError
        If it adds copies of cells.
    """
    found = []
    for place, count in zip(places, cells, strict=True):
        begin, end = pads[place]
        if max(begin, end) > 0 and step.text("mode", "constant") != "constant":
            raise OtherError
        found.append(WindowMap.slice(-begin, 1, count, count + begin + end))
    return found


def sliced_maps(step: Step, places: Sizes, cells: Sizes) -> list[WindowMap]:
    """Return the maps of a Slice over so many cells, by axis of the image.

    Raises
    ------
    OtherError
        If it turns an axis round or leaves nothing of it.
    """
    cuts = {axis: range(*limits) for axis, *limits in slices(step, step.shape())}
    found = []
    for place, count in zip(places, cells, strict=True):
        kept = cuts.get(place, range(count))
        if kept.step < 0 or not kept:
            raise OtherError
        found.append(WindowMap.slice(kept.start, kept.step, count, len(kept)))
    return found


def sizes_behind(windows: Sequence[Window], cells: Sizes) -> Sizes:
    """Return how many cells windows leave of so many, by axis.

    Parameters
    ----------
    windows
        As of a `scotoma.evidence.size_plans.Plan`.

    Raises
    ------
    OtherError
        If a window does not fit.
    """
    return tuple(
        window.size_out if window.size_in == count else _behind(window, count)
        for window, count in zip(windows, cells, strict=True)
    )


def _behind(window: Window, cells: int) -> int:
    """Return how many cells a window leaves of so many."""
    if window.transposed:
        raise OtherError
    if window.auto_pad.startswith("SAME"):
        return automatic(window, cells).size_out
    begin, stride = window.pad_begin, window.stride
    room = cells + begin + window.pad_end - window.extent
    if room < 0:
        raise OtherError
    out = room // stride + 1
    partial = window.ceil_mode and room % stride > 0
    return out + (partial and out * stride < cells + begin)


def automatic(window: Window, cells: int) -> Window:
    """Return the window of a convolution that pads automatically over so many cells."""
    kernel, stride, dilation = window.kernel, window.stride, window.dilation
    return conv_window(cells, Slide(kernel, stride, dilation, auto_pad=window.auto_pad))
