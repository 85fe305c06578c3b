"""Strided layers that pad in two frameworks' ways on one path.

What it finds
-------------
Where a stride leaves a remainder, TensorFlow's "same" pads less before the first cell than after
the last, and its map moves half a cell towards the end; symmetric padding (PyTorch, Caffe) loses
the remainder at the end, and its map moves half a cell towards the begin. Found are paths on which
layers of both kinds lie at the examined size. One convention alone is no defect, and sizes without
remainder make both equal.

Why it matters
--------------
A network is trained in one convention. A layer that was converted in the other reads one pixel of
its input beside the place it was trained for: half of all features of that stage come from between
the samples that its weights know, and every later stage inherits the shift. It costs accuracy
that no error message explains.

What to do
----------
Compare the pads with the original framework's; write those of the odd layers by its formula, or
run the model at a size at which no stride leaves a remainder.

References
----------
https://github.com/lukemelas/EfficientNet-PyTorch/pull/235
https://github.com/onnx/tensorflow-onnx/issues/1028
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.drift import pixels, places, strided_paddings
from scotoma.evidence.hidden import hidden, slide
from scotoma.findings import Finding, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator


class MixedPaddingConvention(Rule):
    """Two ways of padding at strides meet on one path."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC205", name="mixed-padding-convention", severity=Severity.WARNING, since="0.1.0",
        references=(
            "https://github.com/lukemelas/EfficientNet-PyTorch/pull/235",
            "https://github.com/onnx/tensorflow-onnx/issues/1028",
        ),
    )  # fmt: skip

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding with the layers of both kinds that share a path."""
        if sum(is_concerned(facts, op) for op in facts.operators) > 1:
            unseen = hidden(facts, is_concerned)
            if unseen is not None:
                yield self.undecided(unseen.reason, unseen.cause)
        layers = strided_paddings(facts)
        mixed = [layer for layer in layers if layer.mixed]
        late = [layer for layer in mixed if layer.towards_end]
        early = [layer for layer in mixed if not layer.towards_end]
        if not late or not early:
            return
        few, many = sorted((late, early), key=lambda kind: len({x.operator for x in kind}))
        names = {x.operator.name for x in few}
        examined = facts.resolution.examined
        assert examined is not None and examined.shape is not None  # noqa: PT018
        size = "x".join(str(examined.shape[a]) for a in examined.spatial_axes)
        one, other = few[0], many[0]
        yield self.finding(
            places(facts, (*few, *many), lambda x: (
                f"{x.begin} before the first cell and {x.end} after the last, "
                f"moves the map by {pixels(x.pixels)} of the input"
            )),
            f"{len(names)} strided {'layer pads' if len(names) == 1 else 'layers pad'} like "
            f"'{one.operator.name}' ({one.begin} before, {one.end} after), "
            f"{len({x.operator.name for x in many})} on the same path like "
            f"'{other.operator.name}' ({other.begin} before, {other.end} after): at {size} their "
            f"maps move to opposite sides",
            Measurement("towards_end", len({x.operator for x in late}), "layers", limit=0),
            Measurement("towards_begin", len({x.operator for x in early}), "layers", limit=0),
            remedy="pad all strided layers by the convention that the network was trained with",
        )  # fmt: skip


def is_concerned(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator declares to be a strided and padded convolution."""
    found = slide(facts, operator) if "Conv" in operator.op_type else None
    return found is not None and found.is_strided and found.is_padded
