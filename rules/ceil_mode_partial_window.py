"""Ceil-mode pools with a last window that hangs over the end of their input.

What it finds
-------------
Pools with ``ceil_mode=1`` whose last window along some axis reaches beyond the padded input and
still reads cells of it. All of a model's are in one note, each with its overhang. Pools for whose
size ceil mode makes no difference, nine of ten in practice, are left out; so are average pools
with ``count_include_pad=1``, about which ceil-mode-divisor speaks.

Why it matters
--------------
It is harmless in itself: a maximum, or a mean over the cells that exist, needs no full window. But
the last row and column stand on fewer cells than the others, and the window is easily lost: some
converters and runtimes know no ceil mode, round down instead, and then the end of the map is never
read and every size behind it is smaller by one.

What to do
----------
Nothing, as long as the runtime knows ceil mode. For one that does not, choose an input size at
which the windows fit, or write the overhang as explicit end padding of the max pool. The option
``limit`` allows an overhang, in cells (0).

References
----------
onnx/models issues 11 and 263: an Inception v1 whose ceil mode was lost in conversion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.ceil_mode import ceil_pools, counted, overhang
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: int = option(0, "cells that a window may hang over without a note", 0)


class CeilModePartialWindow(Rule):
    """The last windows of some pools read less than the others."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC403",
        name="ceil-mode-partial-window",
        severity=Severity.NOTE,
        since="0.1.0",
        references=("https://github.com/onnx/models/issues/11",),
    )

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one note about all such pools."""
        limit = facts.options(Options).limit
        found: list[Location] = []
        largest = 0
        for operator, windows in ceil_pools(facts):
            if operator.attributes.get("count_include_pad", 0) and "Average" in operator.op_type:
                continue
            if windows is None:
                yield self.undecided("the size of its input is not known", operator)
            elif max(map(overhang, windows)) > limit:
                found.append(_location(operator, windows))
                largest = max(largest, *map(overhang, windows))
        if not found:
            return
        pools = "1 ceil-mode pool has" if len(found) == 1 else f"{len(found)} ceil-mode pools have"
        yield self.finding(
            found,
            f"{pools} a last window that hangs over the end of its input, by up to {largest} "
            f"{'cell' if largest == 1 else 'cells'}; it is lost where ceil mode is not known",
            Measurement("ceil_mode_overhang", largest, "cells", limit=limit),
            remedy="nothing where the runtime knows ceil mode; else an input size that fits",
        )


def _location(operator: Operator, windows: tuple[Window, ...]) -> Location:
    over = tuple(map(overhang, windows))
    kernel = "x".join(str(window.kernel) for window in windows)
    sizes = "x".join(str(window.size_in) for window in windows)
    note = f"{kernel} windows hang over the {sizes} input by {counted(over)}"
    return Location(operator.name, operator.op_type, None, note)
