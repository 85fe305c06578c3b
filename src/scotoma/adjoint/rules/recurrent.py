"""LSTM, GRU and RNN.

The outputs of all steps are there, so that the gates of all steps are worked out at once; only
cell states, and the gradients of the states, pass from step to step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.adjoint.loop import Step
from scotoma.adjoint.registry import NoAdjointError, rule
from scotoma.adjoint.rules.activation import positive
from scotoma.adjoint.rules.movement import cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site

DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lengths of the axes of an operator's tensors."""

    steps: int
    samples: int
    features: int
    hidden: int
    directions: int


@dataclass(frozen=True, slots=True)
class Direction:
    """What one direction of a recurrent operator has of its own, in the backward graph."""

    at: int
    sizes: Sizes
    backwards: bool
    """It begins with the last step."""
    weights: str
    """Of shape (gates * hidden, features)."""
    recurrence: str
    """Of shape (gates * hidden, hidden)."""
    biases: tuple[str, str]
    """Those of weights and of recurrence, each of length gates * hidden."""
    made: str
    """The outputs of all steps, of shape (steps, samples, hidden)."""
    before: str
    """The output before each step."""
    grad: str
    """The gradient of the outputs, of the same shape."""


@dataclass(frozen=True, slots=True)
class Found:
    """The gradients that one direction yields."""

    gates: str
    """Of what the weights make, of shape (steps, samples, gates * hidden)."""
    hidden: str
    """Of the state before the first step, of shape (samples, hidden)."""
    cell: str = ""


def by_direction(site: Site, kind: Callable[[Site, Direction], Found]) -> Gradients:
    """Go back over every direction, and sum up what they make of the data."""
    site.only(0, 5, 6)
    sizes, order = _sizes(site), DIRECTIONS.get(site.text("direction", "forward"))
    if order is None or len(order) != sizes.directions:
        raise NoAdjointError("its direction does not fit its weights")
    data: list[str] = []
    states: tuple[list[str], list[str]] = ([], [])
    for at, backwards in enumerate(order):
        direction = _direction(site, sizes, at, backwards=backwards)
        found = kind(site, direction)
        data.append(site.emit("MatMul", found.gates, direction.weights))
        for kept, state in zip(states, (found.hidden, found.cell), strict=True):
            if state:
                kept.append(site.reshape(state, [1, sizes.samples, sizes.hidden]))
    grads: list[str | None] = [data[0] if len(data) == 1 else site.emit("Add", *data)]
    grads += [None] * 4
    return grads + [site.emit("Concat", *kept, axis=0) if kept else None for kept in states]


def _sizes(site: Site) -> Sizes:
    """Return the sizes, and refuse what has no rule."""
    if site.integer("layout", 0) or "clip" in site.op.attributes or site.has(7):
        raise NoAdjointError("its layout, its clip or its peepholes have no rule")
    steps, samples, features = site.shape()
    directions, _, hidden = site.shape(2)
    if site.has(4) and (site.known(4) != steps).any():
        raise NoAdjointError("its sequences are of different lengths")
    return Sizes(steps, samples, features, hidden, directions)


def activations(site: Site, *allowed: Sequence[str]) -> str:
    """Return the first activation if all are as in one of the lists, of every direction alike."""
    found = site.op.attributes.get("activations")
    if found is None:
        return allowed[0][0]
    if isinstance(found, tuple):
        names = list(found)
        for each in allowed:
            if len(names) % len(each) == 0 and names == [*each] * (len(names) // len(each)):
                return each[0]
    raise NoAdjointError("its activations have no rule")


def _direction(site: Site, sizes: Sizes, at: int, *, backwards: bool) -> Direction:
    dtype = site.dtype()
    full = (sizes.steps, sizes.directions, sizes.samples, sizes.hidden)
    made = site.extra(0, dtype, full)
    made = pick(site, made if dtype == site.work else site.cast(made, site.work), at, 1)
    above = site.grad_or_none(0)
    grad = pick(site, above, at, 1) if above else site.zeros([full[0], *full[2:]])
    first = first_state(site, sizes, 5, at)
    first = site.reshape(first, [1, sizes.samples, sizes.hidden])
    last = sizes.steps - 1
    rest = cut(site, made, 0, 1, sizes.steps) if backwards else cut(site, made, 0, 0, last)
    before = site.emit("Concat", *((rest, first) if backwards else (first, rest)), axis=0)
    width = site.shape(1)[1]
    both = ("", "")
    if site.has(3):
        weight, recurrence = site.emit_many(
            2, "Split", pick(site, site.input(3), at, 0), site.ints([width, width]), axis=0
        )
        both = weight, recurrence
    weights, recurrence = (pick(site, site.input(slot), at, 0) for slot in (1, 2))
    return Direction(at, sizes, backwards, weights, recurrence, both, made, before, grad)


def pick(site: Site, tensor: str, at: int, axis: int) -> str:
    """Return a slice without its axis."""
    return site.emit("Gather", tensor, site.constant(at, "int64"), axis=axis)


def first_state(site: Site, sizes: Sizes, slot: int, at: int) -> str:
    """Return the state before the first step."""
    if site.has(slot):
        return pick(site, site.input(slot), at, 0)
    return site.zeros([sizes.samples, sizes.hidden])


def last_gradient(site: Site, direction: Direction, slot: int) -> str:
    """Return the gradient of the state behind the last step, as far as it is an output."""
    grad, sizes = site.grad_or_none(slot), direction.sizes
    if grad is not None:
        return pick(site, grad, direction.at, 0)
    return site.zeros([sizes.samples, sizes.hidden])


def product(site: Site, tensor: str, matrix: str, bias: str = "") -> str:
    """Multiply by a transposed matrix and add a bias."""
    turned = site.emit("Transpose", matrix, perm=[1, 0])
    found = site.emit("MatMul", tensor, turned)
    return site.emit("Add", found, bias) if bias else found


def gates(site: Site, direction: Direction) -> str:
    """Return what all gates get, in front of their activations."""
    data = product(site, site.input(), direction.weights, direction.biases[0])
    state = product(site, direction.before, direction.recurrence, direction.biases[1])
    return site.emit("Add", data, state)


def less(site: Site, tensor: str) -> str:
    """Return 1 less a tensor."""
    return site.emit("Sub", site.number(1), tensor)


def rise(site: Site, sigmoid: str) -> str:
    """Return the slope of a sigmoid, of its value."""
    return site.emit("Mul", sigmoid, less(site, sigmoid))


def bend(site: Site, tanh: str) -> str:
    """Return the slope of a tanh, of its value."""
    return less(site, site.emit("Mul", tanh, tanh))


def times(site: Site, first: str, *others: str) -> str:
    """Multiply tensors."""
    for other in others:
        first = site.emit("Mul", first, other)
    return first


@rule("RNN")
def rnn(site: Site) -> Gradients:
    """H = f(W x + R h + b), f being tanh or the positive part."""
    kind = activations(site, ["Tanh"], ["Relu"])

    def back(site: Site, direction: Direction) -> Found:
        made = direction.made
        slope = bend(site, made) if kind == "Tanh" else positive(site, made)
        step = Step(
            ["dh"],
            ["dy", "slope"],
            [
                ("Add", ["dh", "dy"], "sum"),
                ("Mul", ["sum", "slope"], "gate"),
                ("MatMul", ["gate", direction.recurrence], "back"),
            ],
            ["back"],
            ["gate"],
        )
        sources = last_gradient(site, direction, 1), direction.grad, slope
        hidden, gate = site.scan(step, *sources, backwards=not direction.backwards)
        return Found(gate, hidden)

    return by_direction(site, back)


CELLS = Step(
    ["cell"],
    ["forget", "new"],
    [
        ("Mul", ["cell", "forget"], "kept"),
        ("Add", ["kept", "new"], "next"),
        ("Identity", ["cell"], "before"),
        ("Identity", ["next"], "made"),
    ],
    ["next"],
    ["before", "made"],
)
"""The cell states of an LSTM: c = f c' + i g."""


@rule("LSTM")
def lstm(site: Site) -> Gradients:
    """C = f c' + i g and h = o tanh(c), with the gates in the order i, o, f, g."""
    activations(site, ["Sigmoid", "Tanh", "Tanh"])
    if site.integer("input_forget", 0):
        raise NoAdjointError("its input and forget gates are coupled")
    return by_direction(site, _lstm)


def _lstm(site: Site, direction: Direction) -> Found:
    sizes = direction.sizes
    parts = site.emit_many(
        4, "Split", gates(site, direction), site.ints([sizes.hidden] * 4), axis=2
    )
    put, out, forget = (site.emit("Sigmoid", part) for part in parts[:3])
    new = site.emit("Tanh", parts[3])
    first = first_state(site, sizes, 6, direction.at)
    cells = first, forget, times(site, put, new)
    _, before, cell = site.scan(CELLS, *cells, backwards=direction.backwards)
    bent = site.emit("Tanh", cell)
    slopes = [
        times(site, new, rise(site, put)),
        times(site, bent, rise(site, out)),
        times(site, before, rise(site, forget)),
        times(site, put, bend(site, new)),
    ]
    step = Step(
        ["dh", "dc"],
        ["dy", "bend", "slopes", "forget"],
        [
            ("Add", ["dh", "dy"], "h"),
            ("Mul", ["h", "bend"], "more"),
            ("Add", ["dc", "more"], "c"),
            ("Concat", ["c", "h", "c", "c"], "four"),
            ("Mul", ["four", "slopes"], "gates"),
            ("MatMul", ["gates", direction.recurrence], "before"),
            ("Mul", ["c", "forget"], "kept"),
        ],
        ["before", "kept"],
        ["gates"],
    )
    sources = [
        *(last_gradient(site, direction, slot) for slot in (1, 2)), direction.grad,
        times(site, out, bend(site, bent)), site.emit("Concat", *slopes, axis=2), forget,
    ]  # fmt: skip
    hidden, kept, made = site.scan(step, *sources, backwards=not direction.backwards)
    return Found(made, hidden, kept)


@rule("GRU")
def gru(site: Site) -> Gradients:
    """H = (1 - z) n + z h', with the gates in the order z, r, n."""
    activations(site, ["Sigmoid", "Tanh"])
    return by_direction(site, _gru_after if site.integer("linear_before_reset", 0) else _gru_before)


def _gates_of_gru(site: Site, direction: Direction, part: str) -> list[str]:
    """Return three parts along the last axis."""
    sizes = site.ints([direction.sizes.hidden] * 3)
    return site.emit_many(3, "Split", part, sizes, axis=2)


def _gru_after(site: Site, direction: Direction) -> Found:
    """Go back over n = tanh(W x + b + r (R h' + c)): the reset gate comes after the product."""
    data = product(site, site.input(), direction.weights, direction.biases[0])
    state = product(site, direction.before, direction.recurrence, direction.biases[1])
    of_data = _gates_of_gru(site, direction, data)
    of_state = _gates_of_gru(site, direction, state)
    update, reset = (
        site.emit("Sigmoid", site.emit("Add", of_data[at], of_state[at])) for at in (0, 1)
    )
    new = site.emit("Tanh", site.emit("Add", of_data[2], times(site, reset, of_state[2])))
    to_update = times(site, site.emit("Sub", direction.before, new), rise(site, update))
    to_new = times(site, less(site, update), bend(site, new))
    to_reset = times(site, to_new, of_state[2], rise(site, reset))
    slopes = [to_update, to_reset, to_new]
    step = Step(
        ["dh"],
        ["dy", "update", "data", "state"],
        [
            ("Add", ["dh", "dy"], "h"),
            ("Concat", ["h", "h", "h"], "three"),
            ("Mul", ["three", "data"], "gates"),
            ("Mul", ["three", "state"], "inner"),
            ("MatMul", ["inner", direction.recurrence], "back"),
            ("Mul", ["h", "update"], "kept"),
            ("Add", ["back", "kept"], "before"),
        ],
        ["before"],
        ["gates"],
    )
    sources = (
        last_gradient(site, direction, 1), direction.grad, update,
        site.emit("Concat", *slopes, axis=2),
        site.emit("Concat", to_update, to_reset, times(site, to_new, reset), axis=2),
    )  # fmt: skip
    hidden, made = site.scan(step, *sources, backwards=not direction.backwards)
    return Found(made, hidden)


def _gru_before(site: Site, direction: Direction) -> Found:
    """Go back over n = tanh(W x + R (r h') + b): the reset gate comes before the product."""
    hidden = direction.sizes.hidden
    first, last = (
        cut(site, direction.recurrence, 0, *ends)
        for ends in ((0, 2 * hidden), (2 * hidden, 3 * hidden))
    )
    data = product(site, site.input(), direction.weights, direction.biases[0])
    of_data = _gates_of_gru(site, direction, data)
    biases = ["", ""]
    if direction.biases[1]:
        biases = site.emit_many(
            2, "Split", direction.biases[1], site.ints([2 * hidden, hidden]), axis=0
        )
    of_state = site.emit_many(
        2, "Split", product(site, direction.before, first, biases[0]),
        site.ints([hidden, hidden]), axis=2,
    )  # fmt: skip
    update, reset = (
        site.emit("Sigmoid", site.emit("Add", of_data[at], of_state[at])) for at in (0, 1)
    )
    inner = product(site, times(site, reset, direction.before), last, biases[1])
    new = site.emit("Tanh", site.emit("Add", of_data[2], inner))
    step = Step(
        ["dh"],
        ["dy", "update", "toupdate", "tonew", "reset", "toreset"],
        [
            ("Add", ["dh", "dy"], "h"),
            ("Mul", ["h", "toupdate"], "z"),
            ("Mul", ["h", "tonew"], "n"),
            ("MatMul", ["n", last], "product"),
            ("Mul", ["product", "toreset"], "r"),
            ("Concat", ["z", "r"], "two"),
            ("MatMul", ["two", first], "back"),
            ("Mul", ["product", "reset"], "through"),
            ("Mul", ["h", "update"], "kept"),
            ("Sum", ["back", "through", "kept"], "before"),
            ("Concat", ["z", "r", "n"], "gates"),
        ],
        ["before"],
        ["gates"],
    )
    sources = (
        last_gradient(site, direction, 1), direction.grad, update,
        times(site, site.emit("Sub", direction.before, new), rise(site, update)),
        times(site, less(site, update), bend(site, new)),
        reset, times(site, direction.before, rise(site, reset)),
    )  # fmt: skip
    before, made = site.scan(step, *sources, backwards=not direction.backwards)
    return Found(made, before)
