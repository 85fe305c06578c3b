"""Input sizes at which every pixel is read, and those at which some are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scotoma.evidence.resized import Resized
from scotoma.sweep import Semiring, sweep
from scotoma.sweep.along import Slide
from scotoma.sweep.pull import pull, pull_steps
from scotoma.sweep.sweep import arrows
from scotoma.trace.layout import tracked_sizes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.resolve.window import Window
    from scotoma.sweep.pull import Steps
    from scotoma.trace import Geometry

    Mask = NDArray[np.bool_]
    Masks = tuple[Mask | None, ...]
    """Which cells are read, by followed axis; None: all."""


def every_pixel_read(facts: Facts, size: Sequence[int]) -> bool:
    """Tell whether the graph takes an image of another size and reads all of it.

    Worked out from the windows where they tell; else the graph is analysed at that size.

    Parameters
    ----------
    size
        One number per axis of the image.
    """
    if facts.geometry is not None:
        if loses_cells(facts.once(stem_of), size):
            return False
        there = Resized(facts.geometry, size=size)
        if there.refused and there.told:
            return False
        told = there.complete and not facts.unanalysed
        ends, other = facts.functional(), there.other
        follows = not there.refused and not there.decides_branches
        reads = reads_all(facts.geometry, ends, there) if follows else None
        if reads is False or (reads and told):
            return reads
        if told:
            found = sweep(facts.geometry, ends, Semiring.REACH, local=True, other=other).values
            if found.any():
                return bool(found.all())
    at = facts.at(size)
    dead = at.dead(local=True) if at is not None else None
    return dead is not None and not dead.mask.any()


def loses_cells(stem: Sequence[tuple[Window, ...]], size: Sequence[int]) -> bool:
    """Tell whether windows one behind the other certainly leave cells unread, by plain arithmetic.

    Parameters
    ----------
    stem
        The windows, one per axis of the image; padding is declared.
    size
        Of what the first one slides over.
    """
    for axis, cells in enumerate(size):
        counts = [cells]
        for windows in stem:
            w = windows[axis]
            room = counts[-1] + w.pad_begin + w.pad_end - w.extent
            if room < 0:
                break
            out = room // w.stride + 1
            partial = w.ceil_mode and room % w.stride > 0
            counts.append(out + (partial and out * w.stride < counts[-1] + w.pad_begin))
        last = counts[-1] - 1
        for i in range(len(counts) - 2, -1, -1):
            w = stem[i][axis]
            last = min(last * w.stride - w.pad_begin + w.extent, counts[i]) - 1
        gaps = len(counts) > 1 and counts[1] > 1 and stem[0][axis].stride > stem[0][axis].extent
        if gaps or last < cells - 1:
            return True
    return False


def stem_of(facts: Facts) -> list[tuple[Window, ...]]:
    """Return the windows through which alone anything reads the image, one behind the other."""
    geometry = facts.geometry
    found: list[tuple[Window, ...]] = []
    if geometry is None or any(operator.bodies for operator in facts.operators):
        return found
    known, ends, tensor = arrows(geometry, local=True), facts.functional(), geometry.input.name
    while tensor not in ends and len(readers := facts.consumers.get(tensor, ())) == 1:
        outputs = [name for name in readers[0].outputs if name in geometry.flows]
        if len(outputs) != 1 or len(geometry.flows[outputs[0]].readings) != 1:
            break
        tensor, used = outputs[0], known[outputs[0]][0]
        if not used or used[0][1] is None:
            break
        if used[0][1]:
            windows = facts.windows(readers[0]) or ()
            fixed = not any(w.transposed or w.auto_pad.startswith("SAME") for w in windows)
            if len(windows) != facts.image_rank or not fixed:
                break
            found.append(windows)
    return found


def reads_all(geometry: Geometry, tensors: Sequence[str], there: Resized) -> bool | None:
    """Tell whether some tensors read every pixel along local paths at another size.

    The cells that are read are followed back axis by axis. That is too much where branches read
    different cells along several axes, or where an operator is not followed at that size.

    Returns
    -------
    bool or None
        None where that does not tell.
    """
    flows, other, exact = geometry.flows, there.other, True
    known, end = arrows(geometry, local=True), geometry.input.name
    read: dict[str, Masks] = {name: _whole(geometry, name) for name in tensors}
    for name in reversed(tuple(flows)):
        if name not in read or name == end:
            continue
        masks = read.pop(name)
        for reading, steps in (other.arrows.get(name) or known[name])[0]:
            back, sure = _whole(geometry, reading.tensor), name not in there.lost
            if steps is not None and sure:
                back = _behind(steps, masks)
            elif exact and sure:
                every = np.ones(tracked_sizes(flows[name].layout), bool)
                every = pull(reading, flows[name].layout, every, Semiring.REACH)
                sure = all(mask is None for mask in masks) and bool(every.all())
            old = read.get(reading.tensor, back)
            if old is not back and not _holds(back, old):
                sure = sure and _holds(old, back)
                back = tuple(map(_joined, old, back))
            read[reading.tensor] = back
            exact = exact and sure
    if end not in read:
        return None
    if all(mask is None for mask in read[end]):
        return True if exact else None
    # Where whole maps are read as well, it is they that count if no local path is left.
    return False if exact or not geometry.gated else None


def _whole(geometry: Geometry, tensor: str) -> Masks:
    """Return that all cells of a tensor are read."""
    return (None,) * len(tracked_sizes(geometry.flows[tensor].layout))


def _behind(steps: Steps, masks: Masks) -> Masks:
    """Return the cells that are read through the maps of some axes."""
    found = list(masks)
    for position, step in steps:
        mask = found[position]
        if mask is None:
            if isinstance(step, Slide) and step.reads_all:
                continue
            mask = np.ones(step.size_out, bool)
        mask = pull_steps(((0, step),), mask, Semiring.REACH)
        found[position] = None if mask.all() else mask
    return tuple(found)


def _holds(one: Masks, other: Masks) -> bool:
    """Tell whether all that the other says is read, one says as well."""
    return all(
        a is None or (b is not None and not (b & ~a).any()) for a, b in zip(one, other, strict=True)
    )


def _joined(one: Mask | None, other: Mask | None) -> Mask | None:
    """Return the cells that are read by one or the other along one axis."""
    if one is None or other is None:
        return None
    both = one | other
    return None if both.all() else both
