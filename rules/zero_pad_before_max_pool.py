"""Zeros from a Pad that compete with negative activations in a max pool.

What it finds
-------------
A Pad with the constant 0 whose cells a max pool reads, directly or behind casts, transposition and
quantisation, where what is padded may be negative: neither a Relu, Sigmoid, Clip from 0 up or the
like proves otherwise, nor an unsigned type, through everything that keeps signs. The
option ``limit`` allows a share of the pool's windows to read them (0).

Why it matters
--------------
The padding that belongs to a max pool, its ``pads``, never wins; a zero does wherever all the cells
beside it are negative. So the border of the map is raised to 0 and more, which no shift-invariant
network does. And runtimes disagree: onnxruntime 1.20 to 1.31 folds a Pad into the pool right behind
it at its default optimisation level and leaves the zeros out, and gives them only with optimisation
off. The finding says where it does.

What to do
----------
Use the ``pads`` of the pool, or pad with -inf. Behind a Relu, as in Keras' ResNet, nothing needs
doing, and nothing is said.

References
----------
onnxruntime pull requests 18136 and 23190; onnx/optimizer pull request 318.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.borders import (
    is_folded,
    may_read_zeros,
    pool_kind,
    taps_within,
    zeros_in_front,
)
from scotoma.evidence.signs import non_negative
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.evidence.borders import Front
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: Fraction = option(Fraction(0), "share of the windows that may hold zeros", 0, 1)


class ZeroPadBeforeMaxPool(Rule):
    """A maximum over zeros that are not there."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC302", name="zero-pad-before-max-pool", severity=Severity.WARNING, since="0.1.0",
        references=(
            "https://github.com/microsoft/onnxruntime/pull/18136",
            "https://github.com/onnx/optimizer/pull/318",
        ),
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield every max pool that reads the zeros of a Pad."""
        found: list[tuple[Operator, Front, int, int]] = []
        unknown: list[tuple[Operator, Operator]] = []
        for operator in facts.operators:
            if pool_kind(operator) != "max":
                continue
            windows = facts.windows(operator)
            if windows is None:
                if (pad := may_read_zeros(facts, operator)) is not None:
                    unknown.append((operator, pad))
                continue
            front = zeros_in_front(facts, operator, len(windows))
            clear = without_zeros(windows, front) if front is not None else None
            total = prod(window.size_out for window in windows)
            if front is not None and clear is not None and clear < total:
                found.append((operator, front, total - clear, total))
        positive = non_negative(facts) if found or unknown else frozenset()
        limit = facts.options(Options).limit
        for operator, front, touched, total in found:
            if touched <= limit * total:
                continue
            if front.padding.operator.inputs[0] not in positive:
                folded = is_folded(facts, operator, front)
                yield self._finding(
                    operator, front, (touched, total, int(limit * total)), folded=folded
                )
        for operator, pad in unknown:
            if pad.inputs[0] not in positive:
                yield self.undecided("the size of its input is not known", operator)

    def _finding(
        self, operator: Operator, front: Front, windows: tuple[int, int, int], *, folded: bool
    ) -> Finding:
        pad, (touched, total, most) = front.padding.operator, windows
        fused = (
            "; onnxruntime 1.20 to 1.31 leaves the zeros out unless its optimisation is off"
            if folded
            else ""
        )
        return self.finding(
            [operator, Location(pad.name, pad.op_type, pad.outputs[0], "pads with zeros")],
            f"{touched:,} of its {total:,} windows hold zeros from '{pad.name}', which win over "
            f"the negative numbers that '{pad.inputs[0]}' may hold{fused}",
            Measurement("windows_with_zeros", touched, "windows", limit=most),
            remedy="write the padding as pads of the pool, or pad with -inf instead of 0",
        )


def without_zeros(windows: tuple[Window, ...], front: Front) -> int | None:
    """Return how many windows read no zero of a Pad in front; None if there are too many."""
    clear = 1
    for axis, window in enumerate(windows):
        inside = taps_within(window, front.begins[axis], window.size_in - front.ends[axis])
        real = taps_within(window, 0, window.size_in)
        if inside is None or real is None:
            return None
        clear *= int((inside == real).sum())
    return clear
