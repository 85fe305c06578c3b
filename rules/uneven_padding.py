"""Strided layers whose padding is read on one side more than on the other at this input size.

What it finds
-------------
A strided window consumes its padding from the begin on; what the stride leaves over at the end is
never read. With 3x3 kernels, stride 2 and padding 1 an even size reads padding on the left and top
only. One note lists all such layers and the nearest input sizes at which none is uneven, if there
are more layers than the option ``limit`` allows (0).

Why it matters
--------------
The last grid lies off the centre of the image, filters learn to be lopsided, and features near
two of the borders are treated unlike those near the others. Four of five strided layers of common
networks are affected at 224, so this is a fact worth knowing rather than a defect.

What to do
----------
Train and run at a size that fits every stride (225 instead of 224 for ResNet), or pad by hand.

References
----------
https://arxiv.org/abs/2010.02178 (Mind the Pad: CNNs can develop blind spots)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from scotoma.evidence.axes import by_axis
from scotoma.evidence.hidden import hidden, slide
from scotoma.evidence.strided import Strided, even_at, is_even, strided_layers
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator


Size = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: int = option(0, "layers that may read unevenly without a note", 0)


class UnevenPadding(Rule):
    """Padding that the stride consumes on one side only."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC202", name="uneven-padding", severity=Severity.NOTE, since="0.1.0",
        references=("https://arxiv.org/abs/2010.02178",),
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one note with every layer."""
        if (unseen := hidden(facts, is_concerned)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        layers = strided_layers(facts)
        uneven = [s for s in layers if s.reads_unevenly]
        names = list(dict.fromkeys(s.operator.name for s in uneven))
        limit = facts.options(Options).limit
        if len(names) <= limit:
            return
        examined = facts.resolution.examined
        assert examined is not None and examined.shape is not None  # noqa: PT018
        size = [examined.shape[a] for a in examined.spatial_axes]
        where = [
            Location(
                op.name, op.op_type, op.inputs[0],
                sides([s for s in uneven if s.operator is op], len(size)),
            )
            for op in dict.fromkeys(s.operator for s in uneven)
        ]  # fmt: skip
        total = len({s.operator.name for s in layers})
        many = f"{len(names)} of {total} strided layers read"
        yield self.finding(
            where,
            f"{many if len(names) > 1 else f'1 of {total} strided layers reads'} "
            f"more padding on one side than on the other at {'x'.join(map(str, size))}, "
            f"first '{names[0]}'",
            Measurement("uneven_layers", len(names), "layers", limit=limit),
            remedy=remedy(facts, layers, size),
        )


def remedy(facts: Facts, layers: list[Strided], size: list[int]) -> str:
    """Name the nearest input sizes at which no strided layer is uneven, if there are any."""
    by_hand = "pad by hand, as much before as after"
    wanted = even_sizes(facts, layers, size)
    if wanted is not None and not wanted:
        return f"no input size nearby makes all of them even; {by_hand}"
    found = {s: is_even(facts, layers, s) for s in wanted or guessed(layers, size)}
    even = [s for s, answer in found.items() if answer]
    if even:
        return f"an input of {listing(even)} would be even in all strided layers"
    computed = any(s.size != s.window.size_in for s in layers)
    refused = [s for s, answer in found.items() if answer is None]
    if refused and wanted is not None and not computed:
        return (
            f"exported for an input of {listing(refused)} it would be even in all strided layers; "
            f"this graph refuses that size, so else {by_hand}"
        )
    return by_hand


def listing(sizes: list[Size]) -> str:
    """Write some sizes.

    Examples
    --------
    >>> listing([(193, 193), (225, 225)])
    '193x193 or 225x225'
    """
    return " or ".join("x".join(map(str, s)) for s in sizes)


def sides(axes: list[Strided], rank: int) -> str:
    """Say how much padding a layer reads on either side, once where its axes agree."""
    said = {
        s.label: f"reads {s.begin} before the first cell and {max(s.read_at_end, 0)} after the last"
        for s in axes
    }
    return by_axis(said, rank)


def even_sizes(facts: Facts, layers: list[Strided], size: list[int]) -> list[Size] | None:
    """Return the nearest input sizes, below and above, at which no window is uneven.

    By the arithmetic of windows alone. None where the sizes of some map do not follow from it.
    """
    below, above = [], []
    for label, n in enumerate(size):
        own = [s for s in layers if s.label == label]
        total = int(np.prod([s.window.stride for s in _deepest(own)], dtype=object))
        reach = min(4 * total, 512)
        candidates = np.arange(max(1, n - reach), n + reach + 1)
        sizes = facts.sizes_at(label, candidates, {s.operator.inputs[0] for s in own})
        even = even_at(own, sizes, len(candidates))
        if even is None:
            return None
        found = [int(v) for v in candidates[even]]
        # A map of less than a cell is no remedy.
        below.append(max((v for v in found if min(total, n) <= v < n), default=None))
        above.append(min((v for v in found if v >= n), default=None))
    made = (tuple(v for v in s if v is not None) for s in (below, above))
    return [s for s in made if len(s) == len(size)]


def guessed(layers: list[Strided], size: list[int]) -> list[Size]:
    """Return the sizes around one that windows padded by half their kernel fit: one too many."""
    below, above = [], []
    for label, n in enumerate(size):
        own = [s for s in layers if s.label == label]
        total = int(np.prod([s.window.stride for s in _deepest(own)], dtype=object))
        below.append(n - 1 - (n - 2) % total)
        above.append(n + (1 - n) % total)
    return [s for s in (tuple(below), tuple(above)) if min(s) > 1]


def _deepest(layers: list[Strided]) -> list[Strided]:
    """Return the layers without parallel ones: as many as there are distinct input sizes."""
    return list({s.size: s for s in layers}.values())


def is_concerned(facts: Facts, operator: Operator) -> bool:
    """Tell whether a layer declares a stride and padding."""
    found = slide(facts, operator)
    return found is not None and found.is_strided and found.is_padded
