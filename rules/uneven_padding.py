"""Strided layers whose padding is read on one side more than on the other at this input size.

What it finds
-------------
A strided window consumes its padding from the begin on; what the stride leaves over at the end is
never read. With 3x3 kernels, stride 2 and padding 1 an even size reads padding on the left and
top only. One note lists all such layers and the nearest input sizes at which none is uneven.

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

from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.load.model import Operator
    from scotoma.resolve.window import Window


@dataclass(frozen=True, slots=True)
class Strided:
    """A strided layer on the image's path, its explicit padding included."""

    operator: Operator
    label: int
    window: Window
    size: int
    """Cells of its input, before an explicit Pad."""
    begin: int
    end: int
    """Padding before the first cell and after the last, a Pad in front of it included."""

    @property
    def read_at_end(self) -> int:
        """Padding that is read at the end; negative where real cells are left over."""
        return int(self.read_at(np.array(self.size)))

    def read_at(self, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the padding that is read at the end for other sizes of the input."""
        stride = self.window.stride
        room = sizes + self.begin + self.end - self.window.extent
        left = room % stride
        if self.window.ceil_mode and self.begin + self.end > 0:
            # The extra window of ceil mode reads the rest, unless it starts in the end padding.
            extra = (left > 0) & ((room // stride + 1) * stride < sizes + self.begin)
            left = np.where(extra, 0, left)
        return self.end - left


class UnevenPadding(Rule):
    """Padding that the stride consumes on one side only."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC202", name="uneven-padding", severity=Severity.NOTE, since="0.1.0",
        references=("https://arxiv.org/abs/2010.02178",),
    )  # fmt: skip

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one note with every layer."""
        layers = strided_layers(facts)
        uneven = [s for s in layers if s.begin + s.end > 0 and s.begin != s.read_at_end]
        names = list(dict.fromkeys(s.operator.name for s in uneven))
        if not names:
            return
        examined = facts.resolution.examined
        assert examined is not None and examined.shape is not None  # noqa: PT018
        size = [examined.shape[a] for a in examined.spatial_axes]
        where = [
            Location(
                op.name, op.op_type, op.inputs[0], sides([s for s in uneven if s.operator is op])
            )
            for op in dict.fromkeys(s.operator for s in uneven)
        ]
        total = len({s.operator.name for s in layers})
        many = f"{len(names)} of {total} strided layers read"
        yield self.finding(
            where,
            f"{many if len(names) > 1 else f'1 of {total} strided layers reads'} "
            f"more padding on one side than on the other at {'x'.join(map(str, size))}, "
            f"first '{names[0]}'",
            Measurement("uneven_layers", len(names), "layers", limit=0),
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


def sides(axes: list[Strided]) -> str:
    """Say how much padding a layer reads on either side, once where its axes agree."""
    said = {
        f"{s.begin} before the first cell and {max(s.read_at_end, 0)} after the last": s.label
        for s in reversed(axes)
    }
    if len(said) == 1:
        return f"reads {next(iter(said))}"
    return "reads " + ", ".join(f"{text} on axis {label}" for text, label in said.items())


def strided_layers(facts: Facts) -> list[Strided]:
    """Return the strided windows on the image's local path, per axis of the image."""
    found = []
    for operator in facts.operators:
        windows = facts.windows(operator)
        if not windows or not facts.is_local(operator) or len(windows) != _rank(facts):
            continue
        for label, window in enumerate(windows):
            if window.stride > 1 and not window.transposed:
                begin, end = window.pad_begin, window.pad_end
                before, after = facts.padding_in_front(operator.inputs[0], label)
                size = window.size_in - before - after
                found.append(Strided(operator, label, window, size, begin + before, end + after))
    return found


def even_sizes(facts: Facts, layers: list[Strided], label: int, size: int) -> list[int]:
    """Return the input sizes nearby at which no strided layer along an axis is uneven."""
    reach = 4 * int(np.prod([s.window.stride for s in _deepest(layers)], dtype=object))
    low = max(1, size - min(reach, 512))
    candidates = np.arange(low, size + min(reach, 512) + 1)
    sizes = facts.sizes_at(label, candidates)
    even = np.ones(len(candidates), bool)
    for s in layers:
        before: NDArray[np.int64] | None = sizes.get(s.operator.inputs[0])
        if before is None:
            return []
        if s.window.auto_pad.startswith("SAME"):
            total = (-(-before // s.window.stride) - 1) * s.window.stride + s.window.extent - before
            even &= total % 2 == 0
            continue
        inner = before - (s.window.size_in - s.size)
        fits = inner + s.begin + s.end >= s.window.extent
        even &= fits & (s.read_at(inner) == s.begin)
    return [int(v) for v in candidates[even]]


def _deepest(layers: list[Strided]) -> list[Strided]:
    """Return the layers without parallel ones: as many as there are distinct input sizes."""
    return list({s.size: s for s in layers}.values())


def _rank(facts: Facts) -> int:
    return facts.geometry.rank if facts.geometry is not None else 0
