"""What a model is for, by where its answers come from: a summary, a map, or maps of several scales.

Only what the graph shows counts, no names and no sizes of well-known tasks. A model that answers
with neither places nor one vector (a text, the queries of a transformer) is left open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import prod
from typing import TYPE_CHECKING

from scotoma.evidence.position import blind_heads
from scotoma.task import Task, TaskTaken
from scotoma.trace.layout import tracked_sizes

if TYPE_CHECKING:
    from fractions import Fraction

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

_OF_DETECTORS = frozenset({"NonMaxSuppression", "RoiAlign", "MaxRoiPool"})


def task_of(facts: Facts) -> TaskTaken | None:
    """Return what a model is for, None where the graph does not tell."""
    outputs = facts.geometry.outputs() if facts.geometry is not None else ()
    if not outputs:
        return None
    return _by_boxes(facts) or _by_maps(facts, outputs) or _by_vectors(facts, outputs)


def _by_boxes(facts: Facts) -> TaskTaken | None:
    """Tell a detector by an operator that only detectors have, in bodies as well."""
    for _, operator in facts.walk():
        if operator.op_type in _OF_DETECTORS or "NMS" in operator.op_type:
            return _taken(Task.DETECT, f"{_said(operator)} works on boxes")
    return None


def _by_maps(facts: Facts, outputs: Iterable[str]) -> TaskTaken | None:
    """Tell by outputs with a cell for every place: a map, or a list of the cells of some maps."""
    shown = [name for name in outputs if _cells(facts, name) > 1]
    if not shown:
        return None
    # In a list of the cells of several maps their strides are not told apart any more.
    listed = any(facts.strides(name) is None for name in shown)
    ends = _ends(facts, shown) or (_ends(facts, facts.heads) if listed else None)
    if ends is not None:
        return _taken(Task.DETECT, ends)
    strides = facts.strides(shown[0])
    what = "keeps the places of the image" if strides is None else f"has {_every(strides)}"
    return _taken(Task.DENSE, f"output '{shown[0]}' of {_maker(facts, shown[0])} {what}")


def _by_vectors(facts: Facts, outputs: Collection[str]) -> TaskTaken | None:
    """Tell a classifier by outputs that are vectors without a place."""
    if not all(_is_vector(facts, name) for name in outputs):
        return None
    heads = facts.once(blind_heads)
    if heads:
        summary = _said(heads[0].summaries[0])
        return _taken(Task.CLASSIFY, f"{summary} sums the last map up, blind to places")
    reader = _reader_of_all(facts, facts.heads[0]) if len(facts.heads) == 1 else None
    unknown = {item.node for item in facts.unanalysed}
    if reader is not None and reader.name not in unknown:
        return _taken(Task.CLASSIFY, f"{_said(reader)} reads the last map as a whole")
    name = next(iter(outputs))
    return _taken(
        Task.CLASSIFY, f"output '{name}' of {_maker(facts, name)} is one vector for the image"
    )


def _taken(value: Task, because: str) -> TaskTaken:
    return TaskTaken(value, assumed=True, because=because)


def _ends(facts: Facts, tensors: Iterable[str]) -> str | None:
    """Name the finest and the coarsest of some maps; None where all have one stride."""
    scales = {name: strides for name in tensors if (strides := facts.strides(name)) is not None}
    if len(set(scales.values())) < 2:
        return None
    fine, coarse = (pick(scales, key=lambda name: prod(scales[name])) for pick in (min, max))
    return (
        f"the last map of {_maker(facts, fine)} has {_every(scales[fine])}, "
        f"that of {_maker(facts, coarse)} {_every(scales[coarse])}"
    )


def _every(strides: tuple[Fraction, ...]) -> str:
    """Say how far apart the cells of a map lie."""
    numbers = strides if len(set(strides)) > 1 else strides[:1]
    return f"a cell every {'x'.join(map(str, numbers))} px"


def _reader_of_all(facts: Facts, tensor: str) -> Operator | None:
    """Return the first operator behind a map whose output has no cells any more."""
    waiting, seen = [tensor], {tensor}
    while waiting:
        for consumer in facts.consumers.get(waiting.pop(), ()):
            for name in consumer.outputs:
                if name in seen or facts.flow(name) is None:
                    continue
                if _cells(facts, name) <= 1:
                    return consumer
                seen.add(name)
                waiting.append(name)
    return None


def _cells(facts: Facts, tensor: str) -> int:
    """Return how many places of the image a tensor tells apart."""
    flow = facts.flow(tensor)
    return prod(tracked_sizes(flow.layout)) if flow is not None else 1


def _is_vector(facts: Facts, tensor: str) -> bool:
    """Tell whether a tensor has one axis besides that of the batch; False where unknown."""
    shape, examined = facts.shape(tensor), facts.resolution.examined
    if shape is None or examined is None or not examined.shape:
        return False
    if len(shape) > 1 and shape[0] == examined.shape[0]:
        shape = shape[1:]
    return sum(size != 1 for size in shape) <= 1


def _maker(facts: Facts, tensor: str) -> str:
    """Name the operator that makes a tensor."""
    operator = facts.producers.get(tensor)
    return f"'{tensor}'" if operator is None else _said(operator)


def _said(operator: Operator) -> str:
    return f"'{operator.name}' ({operator.op_type})"
