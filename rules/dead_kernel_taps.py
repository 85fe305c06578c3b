"""Kernel taps that only ever meet padding at this input size.

What it finds
-------------
Convolutions whose dilated kernel is so wide for their feature map that some of its taps fall on
padding for every output. It is counted exactly, tap by tap, with the share of all convolution
weights of the model that are idle at this size. Up to one twentieth (option ``limit``) it is
a note.

Why it matters
--------------
Those weights are stored, multiplied and never count: a 3x3 convolution with a dilation beyond the
map is a 1x1 convolution, and the context that it was put there for is missing. Weights trained at
a larger size do another thing here than they did there.

What to do
----------
Run the model at the size that it was designed for, scale the dilations with the map, or cut the
kernels to the taps that are left: at this size the output does not change by a bit.

Limits
------
Shared kernels count once, and a tap of theirs is idle if it is in all layers that share it.

References
----------
https://arxiv.org/abs/1706.05587 (Rethinking atrous convolution, where a 3x3 filter degenerates to
1x1)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.hidden import hidden, slide
from scotoma.evidence.taps import CONVOLUTIONS, Kernel, dead_share, kernels
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: Fraction = option(
        Fraction(1, 20), "share of the convolution weights that may be idle without a warning", 0, 1
    )


class DeadKernelTaps(Rule):
    """Some weights are never multiplied with data."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC104", name="dead-kernel-taps", severity=Severity.WARNING, since="0.1.0",
        references=("https://arxiv.org/abs/1706.05587",),
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding with every such layer, the one with the most idle weights first."""
        if (unseen := hidden(facts, is_concerned)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        every = kernels(facts)
        idle = sorted((k for k in every if k.dead_taps), key=lambda k: -k.dead_weights)
        if not idle:
            return
        share, limit = dead_share(every), facts.options(Options).limit
        first, layers = idle[0], sum(len(kernel.operators) for kernel in idle)
        more = "" if layers == 1 else f", and taps of {layers - 1} more layer{'s' * (layers > 2)}"
        yield self.finding(
            [
                Location(op.name, op.op_type, op.inputs[0], described(kernel))
                for kernel in idle
                for op in kernel.operators
            ],
            f"{described_share(share)} of the convolution weights only ever meet padding at "
            f"{'x'.join(map(str, facts.image_size))}: {first.dead_taps} of {first.alive.size} taps "
            f"of '{first.operators[0].name}'{more}",
            Measurement("dead_weight_share", share, "1", limit=limit),
            Measurement("dead_weights", sum(kernel.dead_weights for kernel in idle), "1", limit=0),
            remedy="run at a larger input, or cut these kernels to the taps that are left",
            severity=Severity.WARNING if share > limit else Severity.NOTE,
        )


def described(kernel: Kernel) -> str:
    """Say what is left of a kernel."""
    size = "x".join(str(window.kernel) for window in kernel.windows)
    cells = "x".join(str(window.size_in) for window in kernel.windows)
    widest = max(window.dilation for window in kernel.windows)
    dilated = f" with dilation {widest}" if widest > 1 else ""
    left = "x".join(map(str, kernel.left))
    return f"{size}{dilated} on {cells} cells: only {left} of it meets any"


def described_share(share: Fraction) -> str:
    """Return a share in percent.

    Examples
    --------
    >>> described_share(Fraction(53, 500)), described_share(Fraction(1, 10**6))
    ('10.6%', 'less than 0.1%')
    """
    return f"{float(share):.1%}" if share >= Fraction(1, 1000) else "less than 0.1%"


def is_concerned(facts: Facts, operator: Operator) -> bool:
    """Tell whether the taps of a layer may meet padding alone, where its windows are not known."""
    if operator.op_type not in CONVOLUTIONS or facts.windows(operator) is not None:
        return False
    found = slide(facts, operator)
    return operator.op_type == "ConvTranspose" or (
        found is not None and found.is_wide and found.is_padded
    )
