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
from scotoma.evidence.strided import Strided, even_at, strided_layers
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts


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
            remedy=self._remedy(facts, layers, size),
        )

    @staticmethod
    def _remedy(facts: Facts, layers: list[Strided], size: list[int]) -> str:
        below, above = [], []
        for label, n in enumerate(size):
            sizes = even_sizes(facts, [s for s in layers if s.label == label], label, n)
            below.append(max((v for v in sizes if v < n), default=None))
            above.append(min((v for v in sizes if v >= n), default=None))
        found = ["x".join(map(str, s)) for s in (below, above) if None not in s]
        if not found:
            return (
                "no input size nearby makes all of them even; pad by hand, as much before as after"
            )
        return f"an input of {' or '.join(found)} would be even in all strided layers"


def sides(axes: list[Strided], rank: int) -> str:
    """Say how much padding a layer reads on either side, once where its axes agree."""
    said = {
        s.label: f"reads {s.begin} before the first cell and {max(s.read_at_end, 0)} after the last"
        for s in axes
    }
    return by_axis(said, rank)


def even_sizes(facts: Facts, layers: list[Strided], label: int, size: int) -> list[int]:
    """Return the input sizes nearby at which no strided layer along an axis is uneven."""
    reach = 4 * int(np.prod([s.window.stride for s in _deepest(layers)], dtype=object))
    low = max(1, size - min(reach, 512))
    candidates = np.arange(low, size + min(reach, 512) + 1)
    sizes = facts.sizes_at(label, candidates, {s.operator.inputs[0] for s in layers})
    even = even_at(layers, sizes, len(candidates))
    return [] if even is None else [int(v) for v in candidates[even]]


def _deepest(layers: list[Strided]) -> list[Strided]:
    """Return the layers without parallel ones: as many as there are distinct input sizes."""
    return list({s.size: s for s in layers}.values())
