"""Says where in a graph something is by the graph's shape alone: no names, no order in the file.

An operator's place is a digest of what it is and of the operators before it, up to `DEPTH` of
them, with a number that tells equal ones apart. Two exports of one network write the same layers
with other names, in another order and with other helpers between them, so only what shapes the
network counts: windows, dense layers, joins and reductions. Operators that work on each element,
or only arrange elements, are passed through wherever they have one source.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.findings import Location
    from scotoma.loader.model import Operator
    from scotoma.resolve.resolution import Resolution

DEPTH = 4
"""Operators before the named one that its place depends on."""

INPUT = "input"

_PASSED = frozenset(
    {
        "Abs", "Acos", "Acosh", "Add", "Affine", "Asin", "Asinh", "Atan", "Atanh",
        "BatchNormalization", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos", "Cosh",
        "DequantizeLinear", "Div", "Dropout", "DynamicQuantizeLinear", "Elu", "Erf", "Exp",
        "Expand", "FastGelu", "Flatten", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity",
        "ImageScaler", "LeakyRelu", "Log", "Max", "Min", "Mish", "Mul", "Neg", "PRelu", "Pad",
        "Pow", "QuantizeLinear", "Reciprocal", "Relu", "Reshape", "Round", "Selu", "Shape",
        "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Squeeze", "Sub", "Sum",
        "Swish", "Tan", "Tanh", "ThresholdedRelu", "Transpose", "Unsqueeze", "Where",
    }
)  # fmt: skip
"""Operators that do not shape a network while they have one source; a Pad is part of the window
behind it, as some exporters write it."""
_COMMUTATIVE = frozenset({"Add", "Max", "Mean", "Min", "Mul", "Sum"})
_ALIASES = {
    "Gemm": "Dense",
    "GlobalAveragePool": "Average",
    "MatMul": "Dense",
    "ReduceMean": "Average",
    "Upsample": "Resize",
}
_MADE_OF = {
    "ConvInteger": "Conv",
    "FusedConv": "Conv",
    "FusedGemm": "Gemm",
    "FusedMatMul": "MatMul",
    "MatMulInteger": "MatMul",
    "NhwcFusedConv": "Conv",
    "NhwcMaxPool": "MaxPool",
    "QGemm": "Gemm",
    "QLinearAdd": "Add",
    "QLinearAveragePool": "AveragePool",
    "QLinearConcat": "Concat",
    "QLinearConv": "Conv",
    "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearLeakyRelu": "LeakyRelu",
    "QLinearMatMul": "MatMul",
    "QLinearMul": "Mul",
    "QLinearReduceMean": "ReduceMean",
    "QLinearSigmoid": "Sigmoid",
    "QLinearWhere": "Where",
}
"""What quantisers and runtimes make other operators of, in the domain of ONNX or their own."""
_WEIGHTS = {"QLinearConv": 3}
"""Input that holds the weights, where it is not the second."""


@dataclass(frozen=True, slots=True)
class Places:
    """The places of all operators of a model."""

    by_node: Mapping[str, str]
    slots: Mapping[tuple[str, str], str]
    """Which input or output of a node a tensor is."""
    ends: Mapping[str, str]
    """Which input or output of the graph a tensor is."""
    makers: Mapping[str, str]

    def of(self, location: Location) -> str:
        """Return the place of a location, ``graph`` for the graph as a whole."""
        node, tensor = location.node, location.tensor or ""
        if node is not None:
            place = self.by_node.get(node, "elsewhere")
            slot = self.slots.get((node, tensor), "")
            return f"{place}/{slot}" if slot else place
        if tensor in self.ends:
            return f"graph/{self.ends[tensor]}"
        maker = self.makers.get(tensor)
        return f"{self.by_node[maker]}/tensor" if maker is not None else "graph"


def places_of(facts: Facts) -> Places:
    """Return the places of a model's operators, those of bodies included."""
    model, resolution = facts.model, facts.resolution
    by_node = _scope(resolution.operators, resolution)
    everything = list(resolution.operators)
    for _, operator in model.walk():
        everything.append(operator)
        for attribute, body in sorted(operator.bodies.items()):
            inside = _scope(body.operators, resolution, body.initializers)
            for name, place in inside.items():
                by_node.setdefault(name, f"{operator.op_type}.{attribute}/{place}")
    slots: dict[tuple[str, str], str] = {}
    makers: dict[str, str] = {}
    for operator in everything:
        for kind, tensors in (("in", operator.inputs), ("out", operator.outputs)):
            for index, tensor in enumerate(tensors):
                if tensor and operator.name in by_node:
                    # The first input and the first output are what a place is about anyway.
                    slot = f"{kind}{index}" if index else ""
                    slots.setdefault((operator.name, tensor), slot)
        if operator.name in by_node:
            makers.update(dict.fromkeys(operator.outputs, operator.name))
    ends = {value.name: f"out{i}" for i, value in enumerate(model.main.outputs)}
    ends |= {value.name: f"in{i}" for i, value in enumerate(model.main.inputs)}
    return Places(by_node, slots, ends, makers)


def numbered(places: Iterable[tuple[str, str]]) -> list[str]:
    """Return the places of findings, with a number where a rule has several at one place.

    Parameters
    ----------
    places
        Code and place of each finding.

    Examples
    --------
    >>> numbered([("A", "x"), ("A", "x"), ("B", "x")])
    ['x', 'x+1', 'x']
    """
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for key in places:
        found.append(f"{key[1]}+{seen[key]}" if seen[key] else key[1])
        seen[key] += 1
    return found


def _scope(
    operators: Sequence[Operator], resolution: Resolution, initializers: Iterable[str] = ()
) -> dict[str, str]:
    """Return the place of each operator of one graph, by its name."""
    labels = [_label(operator, resolution) for operator in operators]
    sources = _sources(operators, resolution.constants, initializers)
    shaping = [_shapes(op, found) for op, found in zip(operators, sources, strict=True)]
    passed = _through(sources, shaping)
    whole: list[str] = []
    depth: list[int] = []
    for i, operator in enumerate(operators):
        before = [j for j in passed[i] if j is not None]
        depth.append(1 + max((depth[j] for j in before), default=0))
        whole.append(_digest(operator, labels[i], passed[i], whole))
    near = [_hash(label) for label in labels]
    for _ in range(DEPTH):
        near = [_digest(op, labels[i], passed[i], near) for i, op in enumerate(operators)]
    after = _after(sources, shaping, labels)
    groups: dict[str, list[int]] = {}
    for i, digest in enumerate(near):
        groups.setdefault(digest, []).append(i)
    found: dict[str, str] = {}
    for digest, members in groups.items():
        members.sort(key=lambda i: (depth[i], whole[i], after[i]))
        for ordinal, i in enumerate(members):
            found.setdefault(operators[i].name, f"{digest}.{ordinal}")
    return found


def _label(operator: Operator, resolution: Resolution) -> str:
    """Say what an operator is, in a way that its name, its pads and the input size leave alone."""
    domain = "" if operator.op_type in _MADE_OF else operator.domain
    kind = f"{domain}:{_ALIASES.get(_plain(operator), _plain(operator))}"
    windows = resolution.windows.get(operator.name)
    if not windows:
        return kind
    steps = [(w.kernel, w.stride, w.dilation) for w in windows]
    slot = _WEIGHTS.get(operator.op_type, 1)
    weight = operator.inputs[slot] if len(operator.inputs) > slot else ""
    return f"{kind}{steps}{resolution.shapes.get(weight)}"


def _plain(operator: Operator) -> str:
    """Return the type of an operator, or of the one that it was made of."""
    return _MADE_OF.get(operator.op_type, operator.op_type)


def _sources(
    operators: Sequence[Operator], constants: frozenset[str], initializers: Iterable[str]
) -> list[tuple[tuple[int | None, int], ...]]:
    """Return which operators, with their output slots, feed each; None for an input of the graph.

    Constants are left out.
    """
    makers: dict[str, tuple[int | None, int]] = {}
    found = []
    inner = set(initializers)
    for i, operator in enumerate(operators):
        tensors = [t for t in operator.inputs if t and t not in constants and t not in inner]
        found.append(tuple(dict.fromkeys(makers.get(t, (None, 0)) for t in tensors)))
        if operator.op_type == "Constant":
            inner.update(operator.outputs)
        makers.update({t: (i, slot) for slot, t in enumerate(operator.outputs) if t})
    return found


def _shapes(operator: Operator, sources: Sequence[object]) -> bool:
    """Tell whether an operator may shape the network, by its type."""
    return _plain(operator) not in _PASSED or len(sources) == 0


def _through(
    sources: Sequence[Sequence[tuple[int | None, int]]], shaping: list[bool]
) -> list[tuple[int | None, ...]]:
    """Return the sources of each operator with those passed through that do not shape.

    `shaping` is completed: an operator whose sources differ joins them.
    """
    origin: list[tuple[int | None, int]] = []
    found: list[tuple[int | None, ...]] = []
    for i, given in enumerate(sources):
        ends = tuple(
            dict.fromkeys((j, slot) if j is None or shaping[j] else origin[j] for j, slot in given)
        )
        shaping[i] = shaping[i] or len(ends) > 1
        origin.append((i, 0) if shaping[i] else ends[0])
        found.append(tuple(j for j, _ in ends))
    return found


def _after(
    sources: Sequence[Sequence[tuple[int | None, int]]],
    shaping: Sequence[bool],
    labels: Sequence[str],
) -> list[str]:
    """Return a digest of all that follows each operator."""
    readers: list[list[int]] = [[] for _ in sources]
    for i, given in enumerate(sources):
        for j, _ in given:
            if j is not None:
                readers[j].append(i)
    found = [""] * len(sources)
    for i in reversed(range(len(sources))):
        ahead = sorted({found[j] for j in readers[i]})
        if shaping[i]:
            found[i] = _hash(labels[i], *ahead)
        else:
            found[i] = ahead[0] if len(ahead) == 1 else _hash(*ahead)
    return found


def _digest(
    operator: Operator, label: str, sources: Iterable[int | None], digests: Sequence[str]
) -> str:
    parts = [INPUT if j is None else digests[j] for j in sources]
    if _plain(operator) in _COMMUTATIVE:
        parts.sort()
    return _hash(label, *parts)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode(errors="surrogatepass")).hexdigest()[:20]
