"""What lies behind operators that are not analysed, where rules cannot tell what they look for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.evidence.auto_pad import automatic, is_convolution, is_pool, numbers
from scotoma.trace.heads import COPIES

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

    Concerned = Callable[[Facts, Operator], bool]

_JOINS = frozenset({"Add", "Concat", "Sum"})
_CROPS = frozenset({"Gather", "Slice", "Split"})
RESIZES = frozenset({"Resize", "Upsample"})


@dataclass(frozen=True, slots=True)
class Hidden:
    """Operators that a rule would look at, behind one that is not analysed."""

    cause: Operator
    """The first operator that is not analysed."""
    operators: tuple[Operator, ...]

    @property
    def reason(self) -> str:
        """Why a rule cannot tell, as is said of `cause`."""
        first, others = self.operators[0], len(self.operators) - 1
        more = f" and {others} more operator{'s' * (others > 1)}" if others else ""
        lie = "lie" if others else "lies"
        return f"'{first.name}' ({first.op_type}){more} {lie} behind it, and it is not analysed"


def hidden(facts: Facts, concerned: Concerned) -> Hidden | None:
    """Return the operators of some kind that cannot be followed for one that is not analysed.

    Parameters
    ----------
    concerned
        Tells whether the rule would look at an operator.
    """
    found = {op: cause for op, cause in facts.once(_behind).items() if concerned(facts, op)}
    return Hidden(next(iter(found.values())), tuple(found)) if found else None


def causes(facts: Facts) -> Mapping[str, Operator]:
    """Return the first operator that is not analysed on the way to a tensor, by its name."""
    unknown = {item.node for item in facts.unanalysed}
    found: dict[str, Operator] = {}
    for operator in facts.operators if unknown else ():
        if facts.resolution.constants.issuperset(operator.outputs):
            continue
        cause = next((found[name] for name in operator.inputs if name in found), None)
        if cause is None and operator.name in unknown:
            cause = operator
        if cause is not None:
            found.update(dict.fromkeys(operator.outputs, cause))
    return found


def _behind(facts: Facts) -> dict[Operator, Operator]:
    """Return the operators that cannot be followed, each with the cause."""
    because = facts.once(causes)
    found: dict[Operator, Operator] = {}
    for operator in facts.operators if because else ():
        if _holds_sizes(facts, operator):
            continue
        for name in operator.inputs:
            if name in because and not _is_followed(facts, name):
                found[operator] = because[name]
                break
    return found


def _holds_sizes(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator works on sizes or indices, not on a map."""
    kind = facts.resolution.dtypes.get(operator.outputs[0]) if operator.outputs else None
    return kind is not None and kind.name == "int64"


def _is_followed(facts: Facts, tensor: str) -> bool:
    return facts.geometry is not None and facts.geometry.local_grids(tensor) is not None


def reads_a_map(facts: Facts, cause: Operator) -> bool:
    """Tell whether an operator that is not analysed reads a feature map or the image itself.

    Behind one that reads anything else, such as boxes, there may be no map at all.
    """
    if facts.geometry is None:
        return True
    return any(facts.geometry.spatial_axes(name) is not None for name in cause.inputs)


@dataclass(frozen=True, slots=True)
class Slide:
    """What an operator declares of its window, whatever the size of its input."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    same: bool
    """Its padding keeps the size."""
    in_front: bool
    """A Pad stands in front of it."""

    @property
    def extents(self) -> tuple[int, ...]:
        """Reach of the dilated kernel along every axis, in cells."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def is_strided(self) -> bool:
        """Whether it steps over cells."""
        return max(self.strides) > 1

    @property
    def is_padded(self) -> bool:
        """Whether it may read padding."""
        return self.same or self.in_front or max(*self.begins, *self.ends) > 0

    @property
    def is_wide(self) -> bool:
        """Whether it reads more than one cell."""
        return max(self.kernel) > 1

    @property
    def is_sparse(self) -> bool:
        """Whether its taps, or its places, leave gaps."""
        apart = max(self.dilations) > 1 and self.is_wide
        return apart or any(s > e for s, e in zip(self.strides, self.extents, strict=True))

    @property
    def lacks_padding(self) -> bool:
        """Whether windows overlap, and padding does not make up for it."""
        if self.same or self.in_front:
            return False
        pads = map(sum, zip(self.begins, self.ends, strict=True))
        return any(
            e > s and pad < e - s
            for pad, e, s in zip(pads, self.extents, self.strides, strict=True)
        )

    def leans(self, *, even: bool) -> bool:
        """Tell whether a window of stride 1 and of even, or odd, extent may move its map."""
        return any(
            (e % 2 == 0) is even and s == 1 and (self.in_front or b != a or (self.same and even))
            for e, s, b, a in zip(self.extents, self.strides, self.begins, self.ends, strict=True)
        )


def slide(facts: Facts, operator: Operator) -> Slide | None:
    """Return the window that a convolution or pool declares; None for others, or if it is wrong."""
    if not (is_convolution(operator) or is_pool(operator)) or operator.op_type == "ConvTranspose":
        return None
    kernel = numbers(operator, "kernel_shape")
    if not kernel and is_convolution(operator):
        slot = 3 if operator.op_type == "QLinearConv" else 1
        weight = operator.inputs[slot] if slot < len(operator.inputs) else ""
        kernel = (facts.shape(weight) or ())[2:]
    rank = len(kernel)
    strides = numbers(operator, "strides") or (1,) * rank
    dilations = numbers(operator, "dilations") or (1,) * rank
    pads = () if automatic(operator) else numbers(operator, "pads")
    pads = pads or (0,) * (2 * rank)
    if not rank or not len(strides) == len(dilations) == len(pads) / 2 == rank:
        return None
    same = automatic(operator).startswith("SAME")
    maker = facts.producers.get(operator.inputs[0]) if operator.inputs else None
    while maker is not None and maker.op_type in COPIES and not maker.domain:
        maker = facts.producers.get(maker.inputs[0])
    in_front = maker is not None and maker.op_type == "Pad"
    return Slide(kernel, strides, dilations, pads[:rank], pads[rank:], same, in_front)


def may_crop(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator may keep a part of a map."""
    if operator.domain:
        return False
    if operator.op_type == "Pad":
        given = facts.value(operator.inputs[1]) if len(operator.inputs) > 1 else None
        if given is None:
            return min(numbers(operator, "pads"), default=0) < 0
        return given.dtype.kind == "i" and bool((given.astype("int64") < 0).any())
    cause = facts.once(_behind).get(operator)
    return operator.op_type in _CROPS and cause is not None and reads_a_map(facts, cause)


def is_gate(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator multiplies branches, one of which may gate the other."""
    return operator.op_type == "Mul" and len({*operator.inputs} - facts.resolution.constants) > 1


def may_shrink(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator may resize a map to a smaller one."""
    if operator.op_type not in RESIZES or operator.domain:
        return False
    given = [facts.value(name) for name in operator.inputs[1:3] if name]
    scales = [v for v in given if v is not None and v.dtype.kind == "f" and v.size]
    return not scales or bool((scales[-1].astype("float64") < 1).any())


def is_resize(_: Facts, operator: Operator) -> bool:
    """Tell whether an operator resizes a map."""
    return operator.op_type in RESIZES and not operator.domain


def is_join(facts: Facts, operator: Operator) -> bool:
    """Tell whether branches that may be maps meet in an operator."""
    if operator.op_type not in _JOINS or operator.domain:
        return False
    branches = {name for name in operator.inputs if name} - facts.resolution.constants
    cause = facts.once(_behind).get(operator)
    return len(branches) > 1 and cause is not None and reads_a_map(facts, cause)


def pools_places(facts: Facts, operator: Operator) -> bool:
    """Tell whether an operator pools all places of a map, or those along an axis of it."""
    if operator.op_type.startswith(("Global", "QLinearGlobal")):
        return True
    axes = reduced_axes(facts, operator)
    return axes is not None and (len(axes) != 1 or axes[0] > 1)


def reduced_axes(facts: Facts, operator: Operator) -> tuple[int, ...] | None:
    """Return the axes that a reduction names; None for other operators and where they are unknown.

    Without a list it reduces all axes: then they are given as none.
    """
    if not operator.op_type.startswith("Reduce") or operator.domain:
        return None
    if named := numbers(operator, "axes"):
        return named
    if len(operator.inputs) < 2 or not operator.inputs[1]:
        return ()
    value = facts.value(operator.inputs[1])
    return None if value is None else tuple(int(axis) for axis in value.reshape(-1))
