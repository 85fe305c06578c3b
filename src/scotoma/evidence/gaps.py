"""Cells of a transposed convolution's output that no tap of its kernel writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from scotoma.evidence.pointwise import is_pointwise, pointwise
from scotoma.trace.index_map import WindowMap

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window


MOST_CELLS = 1 << 20
MOST_TAPS = 1 << 12
"""Kernels of more taps along an axis are not looked at, nor tiles of more cells."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Cells of a transposed convolution's output that no tap writes, along one axis."""

    axis: int
    unwritten: int
    size: int
    interior: bool
    """They lie between written cells (else they are the last ones)."""
    run: int
    """Longest row of neighbouring unwritten cells."""


def gaps(window: Window, axis: int) -> Gap | None:
    """Return the cells of an axis that no tap writes, None if there are none, or too many to say.

    Examples
    --------
    >>> from scotoma.resolve.window import Window
    >>> gaps(Window(2, 3, 1, 0, 0, 6, 17, transposed=True), 0)
    Gap(axis=0, unwritten=5, size=17, interior=True, run=1)
    """
    if not window.transposed or window.kernel > MOST_TAPS:
        return None
    # The pattern repeats with every cell of the input: a short input shows all of it.
    reach = window.extent + abs(window.pad_begin) + abs(window.pad_end)
    shown = min(window.size_in, -(-reach // window.stride) + 4)
    left_out = window.size_in - shown
    size_out = window.size_out - left_out * window.stride
    if not 0 < size_out <= MOST_CELLS:
        return None
    short = replace(window, size_in=shown, size_out=size_out)
    written = np.flatnonzero(WindowMap.of(short).real_taps())
    # Phases that no tap has are missing once per cell of the input that is left out.
    phases = {t * window.dilation % window.stride for t in range(window.kernel)}
    missing = size_out - len(written) + left_out * (window.stride - len(phases))
    if missing == 0:
        return None
    edges = np.concatenate([[-1], written, [size_out]])
    inner = bool((np.diff(written) > 1).any())
    return Gap(axis, missing, window.size_out, inner, int(np.diff(edges).max()) - 1)


def is_blended(facts: Facts, operator: Operator, run: int) -> bool:
    """Tell whether all that reads an output are windows wide enough to see past a gap."""
    outputs = {value.name for value in facts.model.main.outputs}
    for name in pointwise(facts, operator.outputs[0]):
        if name in outputs:
            return False
        for reader in facts.consumers.get(name, ()):
            if is_pointwise(facts, reader):
                continue
            windows = facts.windows(reader)
            if not windows or any(
                w.transposed or w.kernel - max(w.pad_begin, w.pad_end, 0) <= run for w in windows
            ):
                return False
    return True
