"""Sizes along one axis of the image at many input sizes at once, without tracing each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.trace.index_map import TapsMap, WindowMap
from scotoma.trace.layout import axis_of, whole_grid
from scotoma.trace.reading import Mapped, Same

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.loader.model import Operator
    from scotoma.trace.geometry import Geometry

    Sizes = NDArray[np.int64]


def sizes_at(geometry: Geometry, label: int, candidates: Sizes) -> dict[str, Sizes]:
    """Return the size of every tensor along an axis of the image, for many sizes of the image.

    Parameters
    ----------
    label
        Axis of the image, 0 for H.
    candidates
        Sizes of the image along that axis, shape (n,).

    Returns
    -------
    dict
        By tensor name, shape (n,); 0 or less where a window does not fit. Tensors whose size
        does not follow from windows with declared padding alone are missing.
    """
    found: dict[str, Sizes] = {geometry.input.name: candidates}
    for name, flow in geometry.flows.items():
        out = axis_of(flow.layout, label)
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
                    after = _after(geometry, flow.operator, label, read.map, before)
                    if after is not None:
                        found[name] = after
            if name in found:
                break
    return found


def _after(
    geometry: Geometry,
    operator: Operator | None,
    label: int,
    index_map: WindowMap | TapsMap,
    before: Sizes,
) -> Sizes | None:
    """Return the sizes behind a map, None where they do not follow from it."""
    windows = geometry.resolution.windows.get(operator.name) if operator is not None else None
    if windows is not None and len(windows) == geometry.rank:
        window = windows[label]
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
    if isinstance(index_map, WindowMap) and not index_map.transposed and index_map.stride == 1:
        return before + (index_map.size_out - index_map.size_in)
    if isinstance(index_map, TapsMap) and index_map.size_out % index_map.size_in == 0:
        return before * (index_map.size_out // index_map.size_in)
    return None
