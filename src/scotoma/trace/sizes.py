"""Sizes along one axis of the image at many input sizes at once, without tracing each of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from scotoma.trace.index_map import TapsMap, WindowMap
from scotoma.trace.layout import whole_grid
from scotoma.trace.reading import Mapped, Same

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window
    from scotoma.trace.geometry import Geometry

    Sizes = NDArray[np.int64]
    _Known = dict[tuple[int, Window], Sizes]


def sizes_at(
    geometry: Geometry, label: int, candidates: Sizes, wanted: Iterable[str] | None = None
) -> dict[str, Sizes]:
    """Return the size of every tensor along an axis of the image, for many sizes of the image.

    Parameters
    ----------
    label
        Axis of the image, 0 for H.
    candidates
        Sizes of the image along that axis, shape (n,).
    wanted
        Tensors of which it is asked, so that no more than these need be there; None: all.

    Returns
    -------
    dict
        By tensor name, shape (n,); 0 or less where a window does not fit. Tensors whose size
        does not follow from windows with declared padding alone are missing.
    """
    found: dict[str, Sizes] = {geometry.input.name: candidates}
    # By the object of the sizes before: layers that keep them give the same object back.
    known: _Known = {}
    missing = None if wanted is None else set(wanted)
    for name, flow in geometry.flows.items():
        out = geometry.axes_of(flow.layout)[label]
        if out is None:
            continue
        for reading in flow.readings:
            before = found.get(reading.tensor)
            if before is None or reading.axes is None:
                continue
            for axis, read in zip(reading.layout, reading.axes, strict=True):
                grid = whole_grid(axis)
                if grid is None or grid.label != label:
                    continue
                if isinstance(read, Same) and read.out == out:
                    found[name] = before
                elif isinstance(read, Mapped) and read.out == out:
                    after = _after(geometry, flow.operator, label, read.map, before, known)
                    if after is not None:
                        found[name] = after
            if name in found:
                break
        if missing is not None and name in missing:
            missing.discard(name)
            if not missing:
                break
    return found


def _after(
    geometry: Geometry,
    operator: Operator | None,
    label: int,
    index_map: WindowMap | TapsMap,
    before: Sizes,
    known: _Known,
) -> Sizes | None:
    """Return the sizes behind a map, None where they do not follow from it."""
    windows = geometry.resolution.windows.get(operator.name) if operator is not None else None
    if windows is not None and len(windows) == geometry.rank:
        key = id(before), windows[label]
        if key not in known:
            after = _behind(windows[label], before)
            known[key] = before if np.array_equal(after, before) else after
        return known[key]
    if isinstance(index_map, WindowMap) and not index_map.transposed and index_map.stride == 1:
        return before + (index_map.size_out - index_map.size_in)
    if isinstance(index_map, TapsMap) and index_map.size_out % index_map.size_in == 0:
        return before * (index_map.size_out // index_map.size_in)
    return None


def _behind(window: Window, before: Sizes) -> Sizes:
    """Return the sizes behind a window; 0 or less where it does not fit."""
    if window.auto_pad.startswith("SAME"):
        return -(-before // window.stride)
    if window.transposed:
        return before * window.stride + (window.size_out - window.size_in * window.stride)
    room = before + window.pad_begin + window.pad_end - window.extent
    out = room // window.stride + 1
    if window.ceil_mode:
        ceil = -(-room // window.stride) + 1
        out = np.where((ceil - 1) * window.stride >= before + window.pad_begin, ceil - 1, ceil)
    return np.where(before > 0, out, 0)
