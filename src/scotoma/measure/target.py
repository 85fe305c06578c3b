"""Which tensors of the model are looked at: the last feature maps, before what saturates."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from math import prod
from typing import TYPE_CHECKING

from scotoma.errors import MeasurementError, UnfitError
from scotoma.measure.functional import read
from scotoma.measure.saturation import SATURATING, Stripped, kind, leading_out, strip
from scotoma.trace.heads import heads_among
from scotoma.trace.layout import tracked_sizes

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.measure.options import MeasureOptions

LAYERS = frozenset(
    {
        "Conv", "ConvInteger", "ConvTranspose", "DeformConv", "FusedConv", "FusedMatMul", "Gemm",
        "MatMul", "MatMulInteger", "NhwcFusedConv", "QGemm", "QLinearConv", "QLinearMatMul",
    }
)  # fmt: skip
"""Operators that have the weights of a network."""
MOST_NAMED = 3
"""So many operators are named in a line; the others are counted."""


@dataclass(frozen=True, slots=True)
class Target:
    """The tensors that the functional is taken of."""

    tensors: tuple[str, ...]
    """At least one; in the order of the graph."""
    tapped: frozenset[str]
    """Those that are no outputs of the file: they are made such for the measurement."""
    why: str
    """What they are, in a line for the report."""
    stripped: tuple[Operator, ...] = ()
    """The saturating operators that were left out behind the tensors, in the order of the graph."""
    saturated: Operator | None = None
    """A saturating operator that stands before a tensor that was asked for."""
    notes: tuple[str, ...] = ()
    """What a reader of the map must know of the choice, one sentence each."""
    unit: tuple[int, ...] | None = None
    """The only place of the tensor that is looked at, by axis of the image; None: all."""
    index: tuple[slice, ...] | None = None
    """Its elements in the tensor."""


def choose(facts: Facts, options: MeasureOptions) -> Target:
    """Return the tensors to look at.

    Without a name they are the last feature maps: those of `Facts.heads` that no other head is
    made of, not even by a whole-map gate. The largest output is taken instead where there is no
    feature map that sees more than one pixel, and where more layers work on places behind the
    last map than before it, as in a transformer behind its patches. Saturating operators between
    the tensors and the outputs are left out. A logit is looked for in the class vector: an output
    with a single axis of more than one element.

    Parameters
    ----------
    facts
        The model at the shapes that it is measured at.
    options
        ``tensor``: one of the main graph, or the operator that makes it; ``functional``.

    Raises
    ------
    UnfitError
        If there is no tensor of that name, it does not depend on the examined input, or it is no
        class vector though a logit is asked for.
    MeasurementError
        If the model has no output of numbers, or onnxruntime cannot be asked for the tensor.
    """
    logit = read(options.functional)[0] == "logit"
    if options.tensor is not None:
        return _named(facts, options.tensor, logit=logit)
    if logit:
        return _class_vector(facts)
    found = _last_maps(facts)
    return _largest_output(facts, found) if isinstance(found, str) else found


def reachable(facts: Facts) -> frozenset[str]:
    """Return the tensors that onnxruntime certainly knows by their names.

    Those of the file's main graph; what stands in a local function or in the branch of an If has
    no name outside. Tensors inside a function are called by the call, a slash and their own name
    here, so that one without a slash is none; nor is one that an operator outside reads.
    """
    main = facts.model.main
    known = {value.name for value in main.outputs}
    for operator in main.operators:
        if operator.function is None:
            known.update(operator.inputs)
            known.update(operator.outputs)
        else:
            known.update(name for name in operator.outputs if "/" not in name)
    return frozenset(known & facts.producers.keys())


def _named(facts: Facts, name: str, *, logit: bool) -> Target:
    tensor = _find(facts, name)
    if tensor not in reachable(facts):
        raise MeasurementError(
            f"onnxruntime cannot be asked for '{tensor}': it stands in a local function or in the"
            " branch of an If"
        )
    if not _is_number(facts, tensor):
        raise MeasurementError(f"'{tensor}' does not hold numbers that can be measured")
    if logit and not _is_vector(facts, tensor):
        raise UnfitError(f"a logit needs a class vector, but '{tensor}' is {_shape(facts, tensor)}")
    behind = [op for op in strip(facts, tensor, lambda _: True).operators if kind(op) in SATURATING]
    if not behind:
        return _target(facts, Stripped((tensor,)), "as asked")
    warning = (
        f"measured behind {_name(behind[-1:])}, where a confident model looks blind: look at the"
        " tensor before it"
    )
    return _target(facts, Stripped((tensor,)), "as asked", [warning], behind[-1])


def _find(facts: Facts, name: str) -> str:
    """Return the tensor of that name, or the first output of the operator of that name."""
    outputs = [value.name for value in facts.model.main.outputs]
    inputs = [value.name for value in facts.model.main.inputs]
    tensor = name
    if tensor not in facts.producers and tensor not in outputs:
        made = (op.outputs[0] for op in facts.operators if op.name == name and op.outputs)
        tensor = next(made, "")
    if name in inputs:
        raise UnfitError(f"'{name}' is an input of the model: measure what comes of it")
    if not tensor:
        near = get_close_matches(name, facts.producers, n=1)
        known = ", ".join(f"'{output}'" for output in outputs)
        hint = f"did you mean '{near[0]}'?" if near else f"its outputs are {known}"
        raise UnfitError(f"the model has no tensor or node '{name}'; {hint}")
    if facts.geometry is not None and facts.flow(tensor) is None:
        raise UnfitError(f"'{tensor}' does not depend on the examined input")
    return tensor


def _class_vector(facts: Facts) -> Target:
    """Return the largest output that is a vector of numbers, before what saturates."""
    outputs = _outputs(facts)
    found = []
    known = reachable(facts)
    for output in outputs:
        stripped = _strip(facts, output, known)
        usable = len(stripped.tensors) == 1 and _is_vector(facts, stripped.tensors[0])
        candidate = stripped if usable else Stripped((output,))
        if _is_vector(facts, candidate.tensors[0]) and _is_number(facts, candidate.tensors[0]):
            found.append(candidate)
    if not found:
        shapes = ", ".join(f"'{name}' {_shape(facts, name)}" for name in outputs[:8])
        raise UnfitError(
            f"a logit needs a class vector, and no output is one ({shapes}): name a tensor with"
            " --tensor"
        )
    return _target(facts, max(found, key=lambda item: _rank(facts, item)), "the class vector")


def _last_maps(facts: Facts) -> Target | str:
    """Return the last feature maps, or why there is none to look at."""
    if facts.geometry is None:
        return "the input cannot be followed to a feature map"
    known = reachable(facts)
    heads = _independent(facts, facts.heads)
    moved = not known.issuperset(heads)
    if moved:
        heads = _independent(facts, heads_among(facts.geometry, facts.feature_maps & known))
    final = leading_out(facts) & set(heads)
    heads = tuple(name for name in heads if name in final or not _sees_one_pixel(facts, name))
    if not heads:
        return "there is no feature map that sees more than one pixel"
    if not final and _is_mere_embedding(facts, heads):
        return "most layers stand behind the last feature map"
    parts = [_strip(facts, name, known) if name in final else Stripped((name,)) for name in heads]
    tensors = tuple(dict.fromkeys(name for part in parts for name in part.tensors))
    operators = tuple(dict.fromkeys(op for part in parts for op in part.operators))
    if not all(_is_number(facts, name) for name in tensors):
        return "the last feature map does not hold numbers"
    what = "the last feature map" if len(tensors) == 1 else f"the last {len(tensors)} feature maps"
    note = (
        "the last feature map stands in a local function or in the branch of an If, where"
        " onnxruntime cannot be asked for it: the last one outside was taken"
    )
    return _target(facts, Stripped(tensors, operators), what, [note] if moved else [])


def _largest_output(facts: Facts, reason: str) -> Target:
    found = []
    outputs = _outputs(facts)
    known = reachable(facts)
    for output in outputs:
        stripped = _strip(facts, output, known)
        if all(_is_number(facts, name) for name in stripped.tensors):
            found.append(stripped)
    if not found:
        raise MeasurementError("no output of the model holds numbers that can be measured")
    what = "the largest output" if len(outputs) > 1 else "the output"
    largest = max(found, key=lambda item: _rank(facts, item))
    return _target(facts, largest, f"{what}, as {reason}")


def _target(
    facts: Facts,
    stripped: Stripped,
    why: str,
    notes: Iterable[str] = (),
    saturated: Operator | None = None,
) -> Target:
    order = {name: place for place, name in enumerate(facts.producers)}
    tensors = tuple(sorted(stripped.tensors, key=lambda name: order.get(name, -1)))
    if stripped.operators:
        hides = "which hides" if len(stripped.operators) == 1 else "which hide"
        why += f", before {_name(stripped.operators)}, {hides} changes where saturated"
    quanta = [name for name in tensors if not _is_float(facts, name)]
    if quanta:
        dtype = facts.resolution.dtypes[quanta[0]]
        others = f" and {len(quanta) - 1} more hold" if len(quanta) > 1 else " holds"
        notes = [*notes, f"'{quanta[0]}'{others} {dtype}: changes below 1 do not show in it"]
    outputs = {value.name for value in facts.model.main.outputs}
    return Target(
        tensors, frozenset(tensors) - outputs, why, stripped.operators, saturated, tuple(notes)
    )


def _strip(facts: Facts, tensor: str, known: Container[str]) -> Stripped:
    return strip(facts, tensor, lambda name: name in known and _is_number(facts, name))


def _independent(facts: Facts, heads: Sequence[str]) -> tuple[str, ...]:
    """Return the heads that no other one is made of, and those that are outputs.

    A map that is only summed up to gate another one (squeeze-and-excitation, the statistics of a
    normalisation, the tokens of an attention) is not where the network ends.
    """
    flows = facts.geometry.flows if facts.geometry is not None else {}
    wanted, made_from = set(heads), set[str]()
    for name in reversed(tuple(flows)):
        if name in made_from or name in wanted:
            made_from.update(reading.tensor for reading in flows[name].readings)
    outputs = {value.name for value in facts.model.main.outputs}
    return tuple(name for name in heads if name not in made_from or name in outputs)


def _sees_one_pixel(facts: Facts, tensor: str) -> bool:
    field = facts.receptive_field(tensor)
    return field is not None and all(size == 1 for size in field)


def _is_mere_embedding(facts: Facts, heads: Sequence[str]) -> bool:
    """Tell whether more layers work on places behind the maps than before them.

    A layer works on places if some path from the image to it sums no whole map up: the tokens of
    a transformer do by their residual connections, the classes behind a Flatten do not.
    """
    flows = facts.geometry.flows if facts.geometry is not None else {}
    before = set(heads)
    for name in reversed(tuple(flows)):
        if name in before:
            before.update(reading.tensor for reading in flows[name].readings)
    local = [
        op.outputs[0]
        for op in facts.operators
        if op.op_type in LAYERS and op.outputs
        if (flow := facts.flow(op.outputs[0])) is not None and flow.local
    ]
    return 2 * sum(name in before for name in local) < len(local)


def _outputs(facts: Facts) -> tuple[str, ...]:
    """Return the outputs that depend on the examined input; all where that is not known."""
    names = dict.fromkeys(value.name for value in facts.model.main.outputs)
    if facts.geometry is None:
        return tuple(names)
    return tuple(name for name in names if facts.flow(name) is not None)


def _rank(facts: Facts, stripped: Stripped) -> tuple[bool, int]:
    """Order candidates: floating point before whole numbers, then by the number of elements."""
    floats = all(_is_float(facts, name) for name in stripped.tensors)
    return floats, sum(prod(facts.shape(name) or (0,)) for name in stripped.tensors)


def _is_vector(facts: Facts, tensor: str) -> bool:
    """Tell whether a tensor has one axis of several elements at most, and it is no place."""
    shape, flow = facts.shape(tensor), facts.flow(tensor)
    places = 1 if flow is None else prod(tracked_sizes(flow.layout))
    return bool(shape) and places == 1 and sum(size > 1 for size in shape or ()) <= 1


def _is_number(facts: Facts, tensor: str) -> bool:
    dtype = facts.resolution.dtypes.get(tensor)
    return dtype is None or dtype.kind in "fiub"


def _is_float(facts: Facts, tensor: str) -> bool:
    dtype = facts.resolution.dtypes.get(tensor)
    return dtype is None or dtype.kind == "f"


def _shape(facts: Facts, tensor: str) -> str:
    shape = facts.shape(tensor)
    return "of unknown shape" if shape is None else "x".join(map(str, shape)) or "a single number"


def _name(operators: Sequence[Operator]) -> str:
    named = ", ".join(f"{kind(op)} '{op.name}'" for op in operators[:MOST_NAMED])
    more = len(operators) - MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named
