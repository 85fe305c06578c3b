"""A graph that declares open height and width but runs at one size only.

What it finds
-------------
Some spatial axes of the input have no declared size, so any size should do; but a constant inside
pins them: the shape of a Reshape, Expand or Resize, a positional embedding, a dense layer behind a
flattened map. Other sizes are tried, multiples of the total stride, larger and smaller; if every
one is refused, the operators that refuse them are the finding.

Why it matters
--------------
The signature promises what the graph does not keep: the first image of another size fails at run
time, often deep inside and with a message about shapes that nobody recognises. Exporters write the
traced size as a constant whenever the code turns a shape into a number.

What to do
----------
Export again with the size computed from the tensor's shape, end in global pooling, resize the
embedding in the graph; or declare the fixed size that holds.

Limits
------
Sizes in which one axis differs alone are not tried. A graph that accepts one other size is not
reported, and neither is one that refuses every default size.

References
----------
https://github.com/onnx/onnx/issues/5171
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.baked import baked_size, open_axes
from scotoma.evidence.hidden import causes, hidden, reads_a_map
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator


class BakedSpatialSize(Rule):
    """Open sizes are declared, but a constant pins them."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC801", name="baked-spatial-size", severity=Severity.WARNING, since="0.1.0",
        references=("https://github.com/onnx/onnx/issues/5171",),
    )  # fmt: skip

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding with every operator that refuses all other sizes."""
        unseen = hidden(facts, may_pin) if open_axes(facts) else None
        if unseen is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        baked = baked_size(facts)
        if baked is None:
            return
        first = baked.refused[0]
        others = ", ".join(written(size) for size in baked.tried)
        where = [
            Location(u.operator.name, u.operator.op_type, None, f"at {written(baked.tried[0])}: "
                     f"{u.reason}")
            for u in baked.refused
        ]  # fmt: skip
        yield self.finding(
            where,
            f"'{first.operator.name}' refuses every input but {written(baked.size)}, although the "
            f"size is declared open: {first.reason} (at {written(baked.tried[0])})",
            Measurement("refused_sizes", len(baked.tried), "sizes", limit=len(baked.tried) - 1),
            Measurement("operators", len(baked.refused), "operators", limit=0),
            remedy=f"compute the constant from the input's shape, or declare {written(baked.size)} "
            f"as its size (tried: {others})",
        )


def written(size: tuple[int, ...]) -> str:
    """Write a size.

    Examples
    --------
    >>> written((224, 192))
    '224x192'
    """
    return "x".join(map(str, size))


def may_pin(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator may take a map of one size only: it holds a constant for it."""
    held = [name for name in operator.inputs[1:] if name in facts.resolution.constants]
    cause = facts.once(causes).get(operator.outputs[0])
    if operator.op_type == "Gemm" or cause is None or not reads_a_map(facts, cause):
        return operator.op_type == "Gemm" and bool(held)
    if operator.op_type == "Reshape":
        return bool(held)
    embeds = operator.op_type == "Add" and not operator.domain
    return embeds and any(sum(n > 1 for n in facts.shape(name) or ()) > 1 for name in held)
