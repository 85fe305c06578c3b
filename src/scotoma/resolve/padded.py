"""The same graph with every window padded: what an unpadded network is compared with."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scotoma.loader.model import Model, Operator
    from scotoma.resolve.resolution import Resolution
    from scotoma.resolve.window import Window


def overlaps_unpadded(window: Window, in_front: int = 0) -> bool:
    """Tell whether a window overlaps its neighbours and has less padding than keeps the size.

    Windows that do not overlap read every cell once with no padding at all.

    Parameters
    ----------
    in_front
        Cells of padding that another operator adds just before.
    """
    if window.transposed or window.extent <= window.stride:
        return False
    return window.pad_begin + window.pad_end + in_front < window.extent - window.stride


def padded_model(resolution: Resolution, unpadded: Container[str]) -> Model:
    """Return the model with some windows padded to ``(extent - 1) / 2`` on both sides.

    Parameters
    ----------
    unpadded
        Names of the operators to pad.
    """
    main = resolution.model.main
    changed = {
        operator.name: _padded(operator, windows)
        for operator in resolution.operators
        if operator.name in unpadded and (windows := resolution.windows.get(operator.name))
    }
    operators = tuple(changed.get(op.name, op) for op in main.operators)
    return replace(resolution.model, main=replace(main, operators=operators))


def _padded(operator: Operator, windows: tuple[Window, ...]) -> Operator:
    """Return a windowed operator with its pads raised to half its extent."""
    begins = [max(w.pad_begin, (w.extent - 1) // 2) for w in windows]
    ends = [max(w.pad_end, (w.extent - 1) // 2) for w in windows]
    attributes = {k: v for k, v in operator.attributes.items() if k != "auto_pad"}
    return replace(operator, attributes={**attributes, "pads": (*begins, *ends)})
