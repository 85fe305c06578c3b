"""Dropout that is switched on: as an operator, or taken apart into random numbers and a product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from scotoma.errors import WeightsUnavailableError
from scotoma.evidence.scopes import Scope, scopes

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

DEFAULT_RATIO = 0.5
SOURCES = frozenset({"Bernoulli", "RandomUniform", "RandomUniformLike"})
MOST_STEPS = 256
"""Operators behind one source of random numbers that are looked at."""
_MOVES = frozenset(
    {"Cast", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Tile", "Transpose",
     "Unsqueeze"}
)  # fmt: skip
_BELOW, _ABOVE = frozenset({"Less", "LessOrEqual"}), frozenset({"Greater", "GreaterOrEqual"})


@dataclass(frozen=True, slots=True)
class Dropout:
    """Something that sets activations to zero at random."""

    operator: Operator
    """The Dropout, or the source of the random numbers."""
    ratio: float | None
    """Part that is dropped, between 0 and 1; None: known at run time only."""
    gate: Operator | None = None
    """What multiplies the mask into the activation, where it is not an operator of its own."""
    caller: str = ""
    """What decides at run time whether it is on, in words; ``""``: it is on."""
    unit: str = "activations"
    """What is dropped as one: ``activations``, ``channels`` or ``samples`` of a batch."""
    stays: str = ""
    """Why onnxruntime keeps it at its default level, in words; ``""``: it removes it there."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A Dropout of which it cannot be told whether it is on."""

    operator: Operator
    reason: str


def active_dropouts(facts: Facts) -> Iterator[Dropout | Unknown]:
    """Yield every dropout on the way to an output that is on, or that the caller can turn on."""
    if not any(op.op_type == "Dropout" or op.op_type in SOURCES for _, op in facts.walk()):
        return
    for scope in scopes(facts):
        for operator in scope.operators:
            if operator.domain or operator not in scope.live:
                continue
            found: Dropout | Unknown | None = None
            if operator.op_type == "Dropout":
                found = _operator(scope, operator)
            elif operator.op_type in SOURCES:
                found = _taken_apart(scope, operator)
            if found is not None:
                yield found


def _operator(scope: Scope, operator: Operator) -> Dropout | Unknown | None:
    """Judge a Dropout by the semantics of its opset."""
    version = operator.version if operator.version is not None else 13
    if version < 7:
        declared = operator.attributes.get("ratio", DEFAULT_RATIO)
        if operator.attributes.get("is_test", 0) or declared == 0:
            return None
        return Dropout(operator, _part(declared), stays=_stays(scope, operator))
    if version < 12 or not _input(operator, 2):
        return None
    training = _input(operator, 2)
    try:
        switch = scope.value(training)
    except WeightsUnavailableError as error:
        return Unknown(operator, f"whether it is on depends on '{training}': {error}")
    ratio = scope.number(_input(operator, 1)) if _input(operator, 1) else DEFAULT_RATIO
    if ratio == 0 or (switch is not None and not switch.any()):
        return None
    caller = ""
    if switch is None:
        given = training in scope.inputs and scope.outer is None
        caller = f"graph input '{training}'" if given else f"'{training}', made at run time,"
    return Dropout(operator, _part(ratio), caller=caller, stays=_stays(scope, operator))


def _part(number: object) -> float | None:
    """Return a number between 0 and 1 with the digits that a float32 has; None for any other."""
    if isinstance(number, int | float) and 0 <= number <= 1:
        return float(f"{number:.6g}")
    return None


def _input(operator: Operator, index: int) -> str:
    return operator.inputs[index] if index < len(operator.inputs) else ""


def _stays(scope: Scope, operator: Operator) -> str:
    """Return why onnxruntime does not remove a Dropout at its default optimisation level.

    Found with onnxruntime 1.31.1, which asks of a node that it removes: no output of it is an
    output of the graph or body that it is in, only its first output is read, and exactly one input
    comes from another node there. Local functions and branches of constant conditions are inlined
    first, and so are operators that do nothing removed.
    """
    for index, name in enumerate(operator.outputs[:2]):
        what = "mask" if index else "output"
        if name and name in scope.outputs:
            return f"its {what} is an output of the {scope.title}"
        if index and name and scope.consumers.get(name):
            return f"its mask is read by '{scope.consumers[name][0].name}'"
    data = _input(operator, 0)
    maker = scope.producers.get(data)
    while maker is not None and maker.op_type == "Identity" and not maker.domain:
        data = _input(maker, 0)
        maker = scope.producers.get(data)
    if maker is None:
        if data in scope.inputs:
            return f"it reads '{data}', an input of the {scope.title}, directly"
        place = "the weights" if scope.outer is None else f"outside of the {scope.title}"
        return f"it reads '{data}' from {place} directly"
    for index in (1, 2):
        name = _input(operator, index)
        if name in scope.producers and scope.varies(name):
            return f"its input '{name}' is made at run time"
    return ""


@dataclass(frozen=True, slots=True)
class Trail:
    """A tensor made of random numbers alone."""

    tensor: str
    low: float | None
    high: float | None
    """Bounds of uniform numbers; None where unknown."""
    mask: bool = False
    """The numbers have been compared with a threshold: there are two values."""
    keep: float | None = None
    """Probability that a mask is true, or not zero."""


def _taken_apart(scope: Scope, source: Operator) -> Dropout | None:
    """Follow random numbers through a comparison to a product with an activation."""
    trails = [start(scope, source)]
    seen = {trails[0].tensor}
    steps = 0
    while trails and steps < MOST_STEPS:
        trail = trails.pop(0)
        for consumer in scope.consumers.get(trail.tensor, ())[:MOST_STEPS]:
            steps += 1
            if consumer.domain or consumer.bodies or not consumer.outputs:
                continue
            if _gates(scope, consumer, trail) and consumer in scope.live:
                keep = _kept(scope, consumer, trail)
                if keep in {0.0, 1.0}:
                    continue
                ratio = None if keep is None else _part(1 - keep)
                unit = _unit(scope, consumer, trail.tensor)
                return Dropout(source, ratio, consumer, unit=unit, stays="nothing removes it")
            after = follow(scope, consumer, trail)
            if after is not None and after.tensor not in seen:
                seen.add(after.tensor)
                trails.append(after)
    return None


def start(scope: Scope, source: Operator) -> Trail:
    """Return the numbers of a source in `SOURCES`, with an empty name where the input decides."""
    if source.op_type == "Bernoulli":
        probability = _input(source, 0)
        if scope.varies(probability):  # a sample that the input decides on, no dropout
            return Trail("", None, None)
        return Trail(
            source.outputs[0], None, None, mask=True, keep=_part(scope.number(probability))
        )
    low, high = source.attributes.get("low", 0.0), source.attributes.get("high", 1.0)
    if isinstance(low, int | float) and isinstance(high, int | float) and low < high < inf:
        return Trail(source.outputs[0], float(low), float(high))
    return Trail(source.outputs[0], None, None)


def _gates(scope: Scope, operator: Operator, trail: Trail) -> bool:
    """Tell whether an operator switches an activation on and off by a mask."""
    if not trail.mask:
        return False
    others = [name for name in operator.inputs if name != trail.tensor]
    varies = any(scope.varies(name) for name in others)
    if operator.op_type == "Mul":
        return varies
    return operator.op_type == "Where" and _input(operator, 0) == trail.tensor and varies


def _kept(scope: Scope, gate: Operator, trail: Trail) -> float | None:
    if gate.op_type == "Mul" or trail.keep is None:
        return trail.keep
    taken, other = (scope.varies(_input(gate, index)) for index in (1, 2))
    if taken and other:
        return None
    return trail.keep if taken else 1 - trail.keep


def follow(scope: Scope, operator: Operator, trail: Trail) -> Trail | None:
    """Return what an operator makes of random numbers, None if it is of no interest."""
    kind, position = operator.op_type, operator.inputs.index(trail.tensor)
    out = operator.outputs[0]
    if kind in _MOVES:
        return replace(trail, tensor=out) if position == 0 else None
    others = [name for name in operator.inputs if name and name != trail.tensor]
    if any(scope.varies(name) for name in others):
        return None
    number = scope.number(others[0]) if len(others) == 1 else None
    if trail.mask:
        return _follow_mask(operator, trail, position, number)
    if kind in _BELOW | _ABOVE:
        below = _share(trail, number)
        is_below = (kind in _BELOW) == (position == 0)
        keep = below if below is None or is_below else 1 - below
        return Trail(out, None, None, mask=True, keep=keep)
    if kind == "Floor":
        below = _share(trail, 1.0)
        keep = None if below is None or trail.low is None or trail.low < 0 else 1 - below
        return Trail(out, None, None, mask=True, keep=keep)
    if kind in {"Add", "Sub", "Mul", "Div"}:
        return Trail(out, *_scaled(trail, kind, position, number))
    return None


def _scaled(
    trail: Trail, kind: str, position: int, number: float | None
) -> tuple[float | None, float | None]:
    """Return the bounds of uniform numbers after arithmetic with a constant."""
    low, high = trail.low, trail.high
    if number is None or low is None or high is None:
        return None, None
    if kind == "Add" or (kind == "Sub" and position == 0):
        shift = number if kind == "Add" else -number
        return low + shift, high + shift
    if number > 0 and (kind == "Mul" or position == 0):
        factor = number if kind == "Mul" else 1 / number
        return low * factor, high * factor
    return None, None


def _follow_mask(
    operator: Operator, trail: Trail, position: int, number: float | None
) -> Trail | None:
    kind, keep = operator.op_type, trail.keep
    flipped = None if keep is None else 1 - keep
    moved = replace(trail, tensor=operator.outputs[0])
    if kind == "Not":
        return replace(moved, keep=flipped)
    if kind == "Mul" or (kind == "Div" and position == 0):
        return moved
    if kind == "Sub" and position == 1 and number == 1:
        return replace(moved, keep=flipped)
    if kind in {"Add", "Sub", "And", "Or", "Where"}:
        return replace(moved, keep=None)
    return None


def _share(trail: Trail, threshold: float | None) -> float | None:
    """Return the part of uniform numbers that lies below a threshold."""
    if threshold is None or trail.low is None or trail.high is None:
        return None
    width = trail.high - trail.low
    return _part(min(1.0, max(0.0, (threshold - trail.low) / width))) if width > 0 else None


def _unit(scope: Scope, gate: Operator, mask: str) -> str:
    """Return what a mask switches as one: it is spread over the axes on which it has size 1."""
    if scope.outer is not None:
        return "activations"
    shape, whole = scope.facts.shape(mask), scope.facts.shape(gate.outputs[0])
    if shape is None or whole is None:
        return "activations"
    shape = (1,) * (len(whole) - len(shape)) + shape
    spread = [size > 1 and own == 1 for own, size in zip(shape, whole, strict=True)]
    if not any(spread):
        return "activations"
    return "samples" if all(own == 1 for own in shape[1:]) else "channels"
