"""Random numbers that reach an output, and what they do to the activations on their way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.evidence.dropout import SOURCES as UNIFORM
from scotoma.evidence.dropout import Trail, active_dropouts, follow, start
from scotoma.evidence.scopes import Scope, scopes, values_read

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

SOURCES = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
     "RandomUniformLike"}
)  # fmt: skip
CONTINUOUS = SOURCES - {"Bernoulli", "Multinomial"}
MOST_STEPS = 256
"""Operators behind one source of random numbers that are looked at."""
_LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_MOVES = frozenset(
    {"Cast", "Expand", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Tile", "Transpose",
     "Unsqueeze"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Noise:
    """A source of random numbers whose values reach an output."""

    operator: Operator
    joins: Operator | None
    """Where the numbers meet values that depend on the inputs; None: nowhere."""
    latent: bool
    """They are meant: what a generator starts from or adds to all its channels alike, or the
    sample of a variational encoder."""


def active_noise(facts: Facts) -> Iterator[Noise]:
    """Yield every source of random numbers that reaches an output and is no dropout."""
    if not any(op.op_type in SOURCES and not op.domain for _, op in facts.walk()):
        return
    dropouts = {item.operator for item in active_dropouts(facts)}
    for scope in scopes(facts):
        for operator in scope.operators:
            if operator.op_type not in SOURCES or operator.domain or operator in dropouts:
                continue
            noise = _judge(scope, operator) if operator in scope.heard else None
            if noise is not None:
                yield noise


def _judge(scope: Scope, source: Operator) -> Noise | None:
    """Follow random numbers to where they meet values that depend on the inputs.

    None where all that comes of them is a comparison with one result only.
    """
    continuous = source.op_type in CONTINUOUS
    name = source.outputs[0]
    first = start(scope, source) if source.op_type in UNIFORM else None
    pending: list[tuple[str, bool, Trail | None]] = [
        (name, False, first if first is not None and first.tensor == name else None)
    ]
    seen, ends = {name}, name in scope.outputs
    while pending and len(seen) < MOST_STEPS:
        tensor, through_layer, trail = pending.pop(0)
        for consumer in scope.consumers.get(tensor, ()):
            if consumer not in scope.heard or tensor not in values_read(consumer):
                continue
            after = None
            if trail is not None and not consumer.bodies and not consumer.domain:
                after = follow(scope, consumer, trail)
            if after is not None and after.mask and after.keep in {0.0, 1.0}:
                continue
            others = [other for other in consumer.inputs if other and other != tensor]
            if any(scope.varies(other) for other in others):
                meant = _samples(scope, consumer, tensor) or _injected(scope, source, consumer)
                return Noise(source, consumer, continuous and (through_layer or meant))
            layer = through_layer or consumer.op_type in _LAYERS
            for made in consumer.outputs:
                ends = ends or made in scope.outputs
                if made and made not in seen:
                    seen.add(made)
                    pending.append((made, layer, after))
    return Noise(source, None, continuous) if ends or pending else None


def _samples(scope: Scope, operator: Operator, tensor: str) -> bool:
    """Tell whether random numbers are scaled and shifted by what an encoder answers.

    ``mean + deviation * noise``: the factor and the summand depend on the inputs, and the factor
    is not the summand, nor made from it, as it is where noise disturbs an activation.
    """
    if operator.op_type != "Mul":
        return False
    factor = next((name for name in operator.inputs if name != tensor), tensor)
    pending = [operator.outputs[0]]
    for _ in range(8):
        if not pending:
            return False
        current = pending.pop(0)
        for consumer in scope.consumers.get(current, ()):
            if consumer.op_type == "Add":
                summand = next((name for name in consumer.inputs if name != current), current)
                if scope.varies(summand):
                    return summand != factor and not _made_from(scope, factor, summand)
            if consumer.op_type in _MOVES or consumer.op_type in {"Add", "Mul"}:
                pending.append(consumer.outputs[0])
    return False


def _injected(scope: Scope, source: Operator, operator: Operator) -> bool:
    """Tell whether one map of noise is added to all channels, as in generators (StyleGAN)."""
    noise, whole = (scope.facts.shape(op.outputs[0]) for op in (source, operator))
    if operator.op_type != "Add" or scope.outer is not None or noise is None:
        return False
    if whole is None:  # behind what is not known: as it is meant
        whole = (noise[0], *(max(2, size) for size in noise[1:]))
    if len(noise) != len(whole) or len(noise) < 3:
        return False
    shared = [own == 1 < size for own, size in zip(noise[1:], whole[1:], strict=True)]
    return sum(shared) == 1 and sum(size > 1 for size in noise[1:]) > 1


def _made_from(scope: Scope, tensor: str, origin: str) -> bool:
    """Tell whether a tensor is made from another one in a few steps."""
    pending, steps = [tensor], 0
    while pending and steps < MOST_STEPS:
        current = pending.pop()
        if current == origin:
            return True
        maker = scope.producers.get(current)
        steps += 1
        if maker is not None:
            pending.extend(name for name in values_read(maker) if name)
    return False
