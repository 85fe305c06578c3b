"""Adjoint rules of LSTM, GRU and RNN, against their equations in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from adjoint.jacobians import Single, assert_equal, by_adjoint, split

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Cell = Callable[..., tuple[Array, Array]]

STEPS, SAMPLES, FEATURES, HIDDEN = 4, 2, 3, 2
DIRECTIONS = {"forward": [1], "reverse": [-1], "bidirectional": [1, -1]}
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def normal(seed: int, *shape: int) -> Array:
    """Return small numbers, lest gates saturate and float32 loses what is left of their slope."""
    return np.random.default_rng(seed).standard_normal(shape) / 2


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def lstm(x: Array, h: Array, c: Array, w: Array, r: Array, b: Array) -> tuple[Array, Array]:
    i, o, f, g = np.split(x @ w.T + h @ r.T + b[: len(w)] + b[len(w) :], 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(after: bool) -> Cell:
    def cell(x: Array, h: Array, c: Array, w: Array, r: Array, b: Array) -> tuple[Array, Array]:
        wz, wr, wn = np.split(x @ w.T + b[: len(w)], 3, -1)
        rz, rr, rn = np.split(r, 3)
        bz, br, bn = np.split(b[len(w) :], 3)
        z, reset = sigmoid(wz + h @ rz.T + bz), sigmoid(wr + h @ rr.T + br)
        inner = reset * (h @ rn.T + bn) if after else (reset * h) @ rn.T + bn
        return (1 - z) * np.tanh(wn + inner) + z * h, c

    return cell


def rnn(activation: Callable[[Array], Array]) -> Cell:
    def cell(x: Array, h: Array, c: Array, w: Array, r: Array, b: Array) -> tuple[Array, Array]:
        return activation(x @ w.T + h @ r.T + b[: len(w)] + b[len(w) :]), c

    return cell


def run(cell: Cell, order: list[int], parameters: list[Array], *values: Array) -> list[Array]:
    """Return Y, Y_h and Y_c."""
    x, first, cells = values
    outputs, hidden, states = [], [], []
    for at, (step, w, r, b) in enumerate(zip(order, *parameters, strict=True)):
        h, c = first[at], cells[at]
        made = []
        for slice_ in x[::step]:
            h, c = cell(slice_, h, c, w, r, b)
            made.append(h)
        outputs.append(np.stack(made[::step]))
        hidden.append(h)
        states.append(c)
    return [np.stack(outputs, 1), np.stack(hidden), np.stack(states)]


CASES: dict[str, tuple[str, Cell, dict[str, Any]]] = {
    "LSTM": ("LSTM", lstm, {}),
    "GRU": ("GRU", gru(after=False), {}),
    "GRU, reset after": ("GRU", gru(after=True), {"linear_before_reset": 1}),
    "RNN": ("RNN", rnn(np.tanh), {}),
    "RNN of positive parts": (
        "RNN", rnn(lambda x: np.maximum(x, 0)), {"activations": ["Relu"]}
    ),
}  # fmt: skip


def parameters(op_type: str, directions: int) -> list[Array]:
    rows = GATES[op_type] * HIDDEN
    shapes = [(directions, rows, FEATURES), (directions, rows, HIDDEN), (directions, 2 * rows)]
    return [normal(seed, *shape) for seed, shape in enumerate(shapes)]


@pytest.mark.parametrize("output", [0, 1, 2])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("case", CASES)
def test_gradients_of_data_and_first_states(case: str, direction: str, output: int) -> None:
    op_type, cell, attributes = CASES[case]
    order = DIRECTIONS[direction]
    outputs = 3 if op_type == "LSTM" else 2
    if output >= outputs:
        return
    if attributes.get("activations"):
        attributes = {"activations": ["Relu"] * len(order)}
    weights = parameters(op_type, len(order))
    x = normal(9, STEPS, SAMPLES, FEATURES)
    state = (len(order), SAMPLES, HIDDEN)
    first, cells = normal(7, *state), normal(8, *state)
    values = [x, *weights, None, first, *([cells] if op_type == "LSTM" else [])]
    model = Single(
        op_type, values, (0, 5, 6), outputs=outputs, hidden_size=HIDDEN, direction=direction,
        **attributes,
    )  # fmt: skip
    feed = {name: value.astype(np.float32) for name, value in model.values.items()}
    found = by_adjoint(model.model(), feed, f"o{output}")

    def function(x: Array, first: Array, cells: Array = cells) -> Array:
        return run(cell, order, weights, x, first, cells)[output]

    if "activations" in attributes:  # float32 and float64 agree on what is positive
        for name, jacobian in model.by_differences(function).items():
            np.testing.assert_allclose(found[name], jacobian, rtol=1e-4, atol=1e-5)
        return
    assert_equal(found, model.by_differences(function))


def test_the_last_state_alone() -> None:
    """The outputs of the steps, which the file leaves out, are residuals; there are no biases."""
    weights = parameters("LSTM", 1)[:2]
    x = normal(9, STEPS, SAMPLES, FEATURES)
    model = Single("LSTM", [x, *weights], outputs=2, hidden_size=HIDDEN)
    model.node.output[0] = ""
    rows = 4 * HIDDEN
    zeros = np.zeros((1, SAMPLES, HIDDEN))

    def function(x: Array) -> Array:
        return run(lstm, [1], [*weights, np.zeros((1, 2 * rows))], x, zeros, zeros)[1]

    found = by_adjoint(model.model(), {"i0": x.astype(np.float32)}, "o1")
    assert_equal(found, model.by_differences(function))


REFUSED: dict[str, dict[str, Any]] = {
    "its activations have no rule": {"activations": ["Tanh", "Tanh", "Tanh"]},
    "its layout, its clip or its peepholes have no rule": {"clip": 3.0},
    "its input and forget gates are coupled": {"input_forget": 1},
    "its direction does not fit its weights": {"direction": "bidirectional"},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_has_no_rule_is_named(reason: str) -> None:
    x = normal(9, STEPS, SAMPLES, FEATURES)
    values = [x, *parameters("LSTM", 1)]
    model = Single("LSTM", values, outputs=3, hidden_size=HIDDEN, **REFUSED[reason])
    (missing,) = split(model.model(), ["o1"], ["i0"]).missing
    assert missing.reason == reason


def test_sequences_of_different_lengths_are_named() -> None:
    x = normal(9, STEPS, SAMPLES, FEATURES)
    values = [x, *parameters("GRU", 1), np.array([4, 2], np.int32)]
    model = Single("GRU", values, outputs=2, hidden_size=HIDDEN).model()
    (missing,) = split(model, ["o1"], ["i0"]).missing
    assert missing.reason == "its sequences are of different lengths"
