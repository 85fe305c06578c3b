"""Even kernels whose padding moves the feature map off its place.

What it finds
-------------
A kernel of even size has no central cell. Where such a layer keeps the size of its map, it pads
one cell more on one side, and its output lies half a cell off its input. The drift of all such
layers on a path adds up, in pixels of the input, with its sign: layers that pad in turns cancel.
Even kernels that move nothing are not reported: pools with kernel 2 and stride 2, kernel 4 with
stride 2 and padding 1, patch embeddings.

Why it matters
--------------
Every position that the model answers with (boxes, masks, key points) is off by the drift, and a
branch that goes round the layer no longer fits the one that goes through it.

What to do
----------
Use an odd kernel, pad in turns (left, then right), or correct the coordinates by the drift.

Limits
------
A warning where the drift passes 1 px of the input, a note below. Signals (one spatial axis) that
are padded at the begin only are causal by design and left out.

References
----------
https://arxiv.org/abs/1903.08385 (Convolution with even-sized kernels and symmetric padding)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.load.model import Operator

LIMIT = Fraction(1)
"""Drift in pixels of the input from which on it is a warning."""


@dataclass(frozen=True, slots=True)
class Drift:
    """An even kernel that moves its map along one axis of the image."""

    operator: Operator
    label: int
    kernel: int
    pixels: Fraction
    """Towards the end of the axis where positive, in pixels of the input."""


class EvenKernel(Rule):
    """An even kernel without a centre shifts the feature map."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC201", name="even-kernel", severity=Severity.WARNING, since="0.1.0",
        references=("https://arxiv.org/abs/1903.08385",),
    )  # fmt: skip

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding with every even kernel that moves the map."""
        drifts, blind = own_drifts(facts)
        for operator in blind:
            yield self.undecided("the effective stride of its input is not known", operator)
        if not drifts:
            return
        total = accumulated(facts, drifts)
        if total == 0:
            return
        names = list(dict.fromkeys(d.operator.name for d in drifts))
        severity = Severity.WARNING if total > LIMIT else Severity.NOTE
        kernels = "x".join(str(k) for k in facts_kernel(facts, drifts[0].operator))
        layers = (
            f"the {kernels} kernel of '{names[0]}' moves"
            if len(names) == 1
            else f"{len(names)} layers with even kernels, first '{names[0]}' ({kernels}), move"
        )
        where = [
            Location(
                d.operator.name, d.operator.op_type, d.operator.inputs[0],
                f"axis {d.label}: moves the map by {pixels(d.pixels)} of the input",
            )
            for d in drifts
        ]  # fmt: skip
        yield self.finding(
            where,
            f"{layers} the feature map off its place, by {pixels(total)} of the input in all",
            Measurement("drift", total, "px", limit=LIMIT),
            Measurement("layers", len(names), "layers", limit=0),
            remedy="use odd kernels, or pad such layers in turns on opposite sides",
            severity=severity,
        )


def own_drifts(facts: Facts) -> tuple[list[Drift], list[Operator]]:
    """Return the drift of every even kernel, and the layers whose drift is not known.

    An output that keeps its place needs as much padding after the last cell as before the first;
    half the difference is the drift, in cells of the layer's input.
    """
    drifts: list[Drift] = []
    blind: list[Operator] = []
    for operator in facts.operators:
        windows = facts.windows(operator)
        if not windows or not facts.is_local(operator) or facts.geometry is None:
            continue
        moved = []
        for label, window in enumerate(windows):
            if window.extent % 2 or window.transposed or window.stride > 1:
                continue
            before, after = facts.padding_in_front(operator.inputs[0], label)
            begin, end = window.pad_begin + before, window.pad_end + after
            causal = len(windows) == 1 and end == 0
            if begin != end and not causal:
                moved.append((label, window.kernel, Fraction(end - begin, 2)))
        strides = facts.strides(operator.inputs[0]) if moved else None
        if moved and (strides is None or len(strides) != len(windows)):
            blind.append(operator)
            continue
        drifts += [Drift(operator, a, k, cells * (strides or ())[a]) for a, k, cells in moved]
    return drifts, blind


def accumulated(facts: Facts, drifts: list[Drift]) -> Fraction:
    """Return the largest drift, along any axis, that a last feature map has gathered on its way.

    Where branches meet, the one that moved furthest counts.
    """
    own: dict[str, dict[int, Fraction]] = {}
    for d in drifts:
        own.setdefault(d.operator.name, {})[d.label] = d.pixels
    gathered: dict[str, dict[int, Fraction]] = {}
    for name, flow in (facts.geometry.flows if facts.geometry is not None else {}).items():
        total: dict[int, Fraction] = {}
        for reading in flow.readings:
            for label, value in gathered.get(reading.tensor, {}).items():
                if abs(value) > abs(total.get(label, Fraction(0))):
                    total[label] = value
        moved = own.get(flow.operator.name, {}) if flow.operator is not None else {}
        for label, value in moved.items():
            total[label] = total.get(label, Fraction(0)) + value
        gathered[name] = total
    ends = [value for head in facts.heads for value in gathered[head].values()]
    return max(map(abs, ends), default=Fraction(0))


def facts_kernel(facts: Facts, operator: Operator) -> tuple[int, ...]:
    """Return the kernel of an operator along every axis."""
    return tuple(w.kernel for w in facts.windows(operator) or ())


def pixels(value: Fraction) -> str:
    """Write a length in pixels.

    Examples
    --------
    >>> pixels(Fraction(3, 2)), pixels(Fraction(-1, 3))
    ('1.5 px', '-0.333 px')
    """
    return f"{float(value):.3g} px"
