"""A border that hardly counts, because windows overlap and are not padded.

What it finds
-------------
Without padding a pixel at the border is read by fewer kernel positions than a central one, and
each unpadded layer multiplies the loss: after five 3x3 layers a corner pixel of a 28x28 image has
one path to the output where a central one has 59,049. The rule counts the kernel-tap paths of
every pixel and compares with the same graph in which every overlapping window is padded to half
its extent: what is missing is lost for want of padding, not for being near the border.

Why it matters
--------------
A detail near the border can decide the answer, and the model hardly sees it.

What to do
----------
Pad the named layers to (kernel - 1) / 2, or pad the image before it goes in so that what matters
stays clear of the starved band.

Limits
------
Paths are counted with all weights equal; what a trained model makes of them is for a measurement to
say. Windows that do not overlap (pools with kernel 2 and stride 2, patch embeddings) lose nothing.
The limit (option ``limit``) is a loss of nine tenths in the corners: one unpadded 3x3 layer loses
three quarters of the paths there, two lose 96 %. Corners and sides are blocks of 1/32 of the image,
the centre is at least one effective stride wide, so that strides, which read neighbouring pixels
unequally often, do not decide. Where padding would keep branches from joining (a U-Net that crops),
the shares are those of the maps before the joins. Undecided where an operator that is not known, or
one that samples where the data say, reads the image itself.

References
----------
https://arxiv.org/abs/2010.02178 (Mind the Pad: CNNs can develop blind spots)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import ceil
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scotoma.evidence.hidden import hidden, slide
from scotoma.evidence.padded import bypass, padded_counts, unpadded
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

    Map = NDArray[np.float64]

BAND = 0.5
"""Share of the paths lost at a side from which on its pixels belong to the starved band."""


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: float = option(0.9, "share of the paths in the corners that may be lost", 0, 1)


class ValidPaddingBlindSpot(Rule):
    """Unpadded overlapping windows starve the border."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC102", name="valid-padding-blind-spot", severity=Severity.WARNING, since="0.1.0",
        references=("https://arxiv.org/abs/2010.02178",),
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding for the whole graph."""
        layers = unpadded(facts) if facts.geometry is not None else []
        other = bypass(facts) if layers else None
        if other is None and (unseen := hidden(facts, lacks_padding)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        if not layers:
            return
        if other is not None:
            reason = f"'{other.name}' ({other.op_type}) reads the image itself; where is not known"
            yield self.undecided(reason, layers[0])
            return
        paths = padded_counts(facts, layers)
        if paths is None or not paths.here.values.any() or not paths.padded.values.any():
            reason = "the same graph with padding, to compare with, has no feature map in common"
            yield self.undecided(reason, layers[0])
            return
        limit = facts.options(Options).limit
        counts, padded = paths.here.values, paths.padded.values
        step = period(facts, counts.shape)
        kept = relative(counts, step), relative(padded, step)
        corner, side = lost(kept, sides=counts.ndim), lost(kept, sides=1)
        if corner is None or side is None or corner <= limit:
            return
        band = max(starved_band(kept, axis) for axis in range(counts.ndim))
        whole = paths.here if paths.heads == facts.heads else facts.counts(facts.heads)
        ratio = corner_ratio(whole.values) if whole is not None else None
        yield self.finding(
            [
                Location(op.name, op.op_type, op.inputs[0], "overlapping windows without padding")
                for op in layers
            ],
            f"the corners of the image lose {corner:.2%} of their paths to the output for want of "
            f"padding, the middles of its sides {side:.1%}, in {named(layers)}; the starved band "
            f"is {band} px wide, and a corner pixel has {described(ratio)} paths of a central one",
            Measurement("lost_path_share", corner, "1", limit=limit),
            Measurement("lost_path_share_at_side", side, "1"),
            Measurement("band_width", band, "px"),
            Measurement("corner_over_centre_paths", ratio, "1"),
            remedy="pad these layers to (kernel - 1) / 2, or pad the image before the model",
        )


def period(facts: Facts, shape: tuple[int, ...]) -> list[int]:
    """Return the effective stride of the last feature maps in pixels, per axis of the image."""
    best = [1] * len(shape)
    for name in facts.heads:
        for axis, stride in enumerate(facts.strides(name) or ()):
            best[axis] = max(best[axis], ceil(stride))
    return [max(1, min(s, n // 4)) for s, n in zip(best, shape, strict=True)]


def relative(counts: Map, step: Sequence[int]) -> Map:
    """Return path counts in units of the centre's, a block of at least one effective stride."""
    block = tuple(
        slice(max(0, n // 2 - s // 2 - 1), n // 2 + s // 2 + 1)
        for n, s in zip(counts.shape, step, strict=True)
    )
    centre = _mean(counts[block])
    return counts / centre if centre > 0 else counts


def lost(kept: tuple[Map, Map], *, sides: int) -> float | None:
    """Return the share of paths lost in the blocks that touch `sides` sides of the image.

    Parameters
    ----------
    kept
        Relative path counts of the graph and of the padded graph.
    sides
        As many as the image has axes: its corners; 1: the middles of its sides.

    Examples
    --------
    >>> lost((np.array([1.0, 2, 3, 2, 1]) / 3, np.array([2.0, 3, 3, 3, 2]) / 3), sides=1)
    0.5
    """
    where = list(blocks(kept[0].shape, sides))
    real, full = (sum(_mean(m[block]) for block in where) / len(where) for m in kept)
    return max(0.0, 1.0 - real / full) if full > 0 else None


def _mean(values: Map) -> float:
    """Return the mean of all values."""
    return float(np.add.reduce(values, axis=None)) / values.size


def blocks(shape: tuple[int, ...], sides: int) -> Iterator[tuple[slice, ...]]:
    """Yield the blocks of 1/32 of the image that touch `sides` sides and are else central."""
    depth = max(1, round(min(shape) / 32))
    for chosen in combinations(range(len(shape)), min(sides, len(shape))):
        places = [
            (slice(0, depth), slice(n - depth, n))
            if axis in chosen
            else (slice(max(0, n // 2 - depth), n // 2 + depth),)
            for axis, n in enumerate(shape)
        ]
        yield from product(*places)


def starved_band(kept: tuple[Map, Map], axis: int) -> int:
    """Return how many pixels from a side lose more than half of their paths, at its middle.

    Examples
    --------
    >>> valid = np.array([1.0, 6, 21, 51, 96, 147, 192, 222, 237, 242, 243, 243])
    >>> same = np.array([96.0, 171, 216, 236, 242, 243, 243, 243, 243, 243, 243, 243])
    >>> starved_band((np.r_[valid, valid[::-1]] / 243, np.r_[same, same[::-1]] / 243), 0)
    5
    """
    depth = max(1, round(min(kept[0].shape) / 32))
    real, full = (_profile(m, axis, depth) for m in kept)
    starved = real < (1 - BAND) * full
    widths = []
    for line in (starved, starved[::-1]):
        fed = np.flatnonzero(~line)
        widths.append(int(fed[0]) if len(fed) else len(line))
    return max(widths)


def _profile(values: Map, axis: int, depth: int) -> Map:
    """Return the means over the middle of all other axes, smoothed over `depth` pixels."""
    for other in reversed(range(values.ndim)):
        if other != axis:
            n = values.shape[other]
            middle = slice(max(0, n // 2 - depth), n // 2 + depth)
            values = values[(slice(None),) * other + (middle,)].mean(axis=other)
    if depth == 1:
        return values
    before, after = depth // 2, depth - 1 - depth // 2
    ends = np.repeat(values[:1], before), np.repeat(values[-1:], after)
    padded = np.concatenate((ends[0], values, ends[1]))
    return np.convolve(padded, np.ones(depth) / depth, mode="valid")


def corner_ratio(counts: Map) -> float | None:
    """Return the fewest paths of a corner's live pixel over the centre's, None if none lives."""
    depth = max(1, round(min(counts.shape) / 32))
    ends = ([*range(depth), *range(n - depth, n)] for n in counts.shape)
    corners = counts[np.ix_(*ends)]
    centre = float(counts[tuple(n // 2 for n in counts.shape)])
    live = corners[corners > 0]
    return float(live.min()) / centre if centre > 0 and live.size else None


def named(layers: Sequence[Operator]) -> str:
    """Say how many layers there are and name the first."""
    if len(layers) == 1:
        return f"the unpadded '{layers[0].name}'"
    return f"{len(layers)} unpadded layers, first '{layers[0].name}'"


def described(ratio: float | None) -> str:
    """Write a ratio as a share.

    Examples
    --------
    >>> described(1 / 59049), described(0.0), described(None)
    ('1/59,049 of the', 'none of the', 'an unknown share of the')
    """
    if ratio is None:
        return "an unknown share of the"
    return f"1/{round(1 / ratio):,} of the" if ratio > 0 else "none of the"


def lacks_padding(facts: Facts, operator: Operator) -> bool:
    """Tell whether a layer declares overlapping windows without padding."""
    found = slide(facts, operator)
    return found is not None and found.lacks_padding
