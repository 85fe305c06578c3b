"""Ceil-mode pools: which have a window at the end that hangs over, or is there by the letter only.

Per axis with input ``n``, extent ``k``, stride ``s`` and padding ``p`` and ``q`` at begin and end,
ceil mode adds a window to the ``(n + p + q - k) // s + 1`` of floor mode wherever that division
leaves a remainder. The added window is *partial* if it starts before the end padding, and hangs
over by ``(out - 1) * s + k - (n + p + q)`` cells; it is a *phantom* if it starts in the end
padding. Before opset 22 the letter of ONNX keeps a phantom; onnxruntime and PyTorch drop it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window

Shape = tuple[int, ...]

AXES = {1: ("cell",), 2: ("row", "column"), 3: ("slice", "row", "column")}
"""What one cell along each spatial axis is called, by the number of axes."""
FIRST_CLEAR_OPSET = 22
"""From this opset on, no window of a pool starts in the end padding."""
_SINCE = {"MaxPool": 10, "AveragePool": 10, "LpPool": 18}
"""First opset of each standard pool that knows ``ceil_mode``."""
_CONTRIBUTED = frozenset({"QLinearAveragePool", "NhwcMaxPool", "MaxPool", "AveragePool"})
_SAME_SHAPE = frozenset(
    {
        "Add", "BatchNormalization", "Cast", "Clip", "DequantizeLinear", "Div", "Dropout", "Elu",
        "Gelu", "HardSigmoid", "HardSwish", "Identity", "LRN", "LeakyRelu", "Mul", "Neg", "PRelu",
        "QuantizeLinear", "Relu", "Selu", "Sigmoid", "Softplus", "Sub", "Swish", "Tanh",
    }
)  # fmt: skip
"""Operators whose output has the shape of their first input, if the others are constants."""


def overhang(window: Window) -> int:
    """Return how many cells the last window reaches beyond the padded input; 0: none.

    Examples
    --------
    >>> from scotoma.resolve.window import Window
    >>> overhang(Window(3, 2, 1, 0, 0, 6, 3, ceil_mode=True))
    1
    """
    padded = window.size_in + window.pad_begin + window.pad_end
    return max(0, (window.size_out - 1) * window.stride + window.extent - padded)


def has_ceil_mode(operator: Operator) -> bool:
    """Tell whether an operator is a pool in ceil mode, of an opset that knows it."""
    if not operator.attributes.get("ceil_mode", 0):
        return False
    if operator.domain:
        return operator.op_type in _CONTRIBUTED
    since = _SINCE.get(operator.op_type)
    return since is not None and operator.version is not None and operator.version >= since


def ceil_pools(facts: Facts) -> Iterator[tuple[Operator, tuple[Window, ...] | None]]:
    """Yield the pools in ceil mode with their windows, None where these are not known."""
    for operator in facts.operators:
        if has_ceil_mode(operator):
            yield operator, facts.windows(operator)


def disputed_pools(facts: Facts) -> Iterator[tuple[Operator, tuple[Window, ...] | None]]:
    """Yield the pools in ceil mode of an opset that has phantom windows, as `ceil_pools` does."""
    for operator, windows in ceil_pools(facts):
        if not operator.domain and (operator.version or 0) < FIRST_CLEAR_OPSET:
            yield operator, windows


def is_phantom(window: Window) -> bool:
    """Tell whether the last window of a disputed pool starts wholly in the end padding."""
    return window.phantom and not window.auto_pad.startswith("SAME")


def phantom_at(window: Window, sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return `is_phantom` for other sizes of the pool's input.

    Examples
    --------
    >>> from scotoma.resolve.window import Window
    >>> pool = Window(2, 2, 1, 1, 1, 4, 3, ceil_mode=True)
    >>> phantom_at(pool, np.array([4, 5, 6, 7])).tolist()
    [False, True, False, True]
    """
    if window.auto_pad.startswith("SAME") or not window.ceil_mode:
        return np.zeros(len(sizes), bool)
    room = sizes + window.pad_begin + window.pad_end - window.extent
    starts = (room // window.stride + 1) * window.stride
    return (room % window.stride > 0) & (starts >= sizes + window.pad_begin)


def counted(numbers: tuple[int, ...]) -> str:
    """Return numbers of cells along the spatial axes in words.

    Examples
    --------
    >>> counted((1, 2)), counted((0, 1))
    ('1 row and 2 columns', '1 column')
    """
    names = AXES.get(len(numbers), ("cell",) * len(numbers))
    parts = [
        f"{number} {name}{'s' if number > 1 else ''}"
        for number, name in zip(numbers, names, strict=True)
        if number
    ]
    return " and ".join(parts)


def letter_size(window: Window, size_in: int | None = None) -> int:
    """Return the output size by the letter of opsets below 22, of an input of another size too.

    Examples
    --------
    >>> from scotoma.resolve.window import Window
    >>> letter_size(Window(3, 3, 1, 1, 1, 5, 2, ceil_mode=True, phantom=True))
    3
    """
    size = window.size_in if size_in is None else size_in
    room = size + window.pad_begin + window.pad_end - window.extent
    return (-(-room // window.stride) if window.ceil_mode else room // window.stride) + 1


@dataclass(frozen=True, slots=True)
class Conflict:
    """An operator of fixed size behind a phantom window."""

    operator: Operator
    wanted: int
    """Features that its weight, or the shape it reshapes to, takes."""
    letter: int
    """Features that it gets by the letter of the opset."""
    actual: int
    """Features that it gets in fact."""
    loads: bool
    """The letter fits, so that the model loads and fails when it runs."""


def conflicts(facts: Facts) -> Mapping[Operator, Conflict]:
    """Find what a runtime refuses because the letter and the fact disagree on a shape.

    onnxruntime checks shapes by the letter when it loads a model, and by fact when it runs it. The
    shapes by the letter are followed from every phantom window, through activations, convolutions
    and pools, to the first Reshape, Gemm or MatMul of fixed size.

    Returns
    -------
    Mapping
        The first conflict behind each pool, by pool.
    """
    found: dict[Operator, Conflict] = {}
    letters: dict[str, tuple[Shape, Operator]] = {}
    for operator in facts.operators:
        data = operator.inputs[0] if operator.inputs else ""
        windows = facts.windows(operator)
        phantom = not operator.domain and windows is not None and any(w.phantom for w in windows)
        if data not in letters and not phantom:
            continue
        actual = facts.shape(data)
        letter, pool = letters.get(data, (actual, operator))
        if phantom:
            pool = operator
        if letter is None or actual is None:
            continue
        conflict = _conflict(facts, operator, letter, actual)
        if conflict is not None:
            found.setdefault(pool, conflict)
            continue
        after = _letter_after(facts, operator, letter, actual)
        if after is not None and after != facts.shape(operator.outputs[0]):
            letters[operator.outputs[0]] = (after, pool)
    return found


def _conflict(facts: Facts, operator: Operator, letter: Shape, actual: Shape) -> Conflict | None:
    """Return the conflict at an operator that gets one shape by the letter and another in fact."""
    kind, static = operator.op_type, _static(facts)
    if kind in {"Gemm", "MatMul"} and len(operator.inputs) > 1:
        weight = operator.inputs[1]
        shape = facts.shape(weight)
        if weight not in facts.resolution.constants or shape is None or len(shape) < 2:
            return None
        transposed = kind == "Gemm" and operator.attributes.get("transB", 0)
        if kind == "Gemm" and operator.attributes.get("transA", 0):
            return None
        wanted = shape[-1] if transposed else shape[-2]
        by_letter, in_fact = letter[-1], actual[-1]
    elif kind == "Reshape" and (target := _target(facts, operator, actual)):
        by_letter, in_fact = prod(letter), prod(actual)
        wanted = prod(size for size in target if size != -1)
        if -1 in target:
            # The rest must divide evenly.
            if wanted < 1 or (by_letter % wanted == 0) or in_fact % wanted:
                return None
            return Conflict(operator, wanted, by_letter, in_fact, loads=False) if static else None
        if wanted == in_fact:
            return None  # onnx takes the target as it stands
    else:
        return None
    if by_letter == in_fact:
        return None
    if wanted == by_letter:
        return Conflict(operator, wanted, by_letter, in_fact, loads=True)
    if wanted == in_fact and static:
        return Conflict(operator, wanted, by_letter, in_fact, loads=False)
    return None


def _static(facts: Facts) -> bool:
    """Tell whether all inputs declare their sizes, so that a runtime knows them when it loads."""
    return all(
        value.shape is not None and all(isinstance(size, int) for size in value.shape[1:])
        for value in facts.model.main.inputs
    )


def _target(facts: Facts, operator: Operator, actual: Shape) -> Shape | None:
    """Return the constant shape that a Reshape makes, its zeros filled in."""
    value = facts.value(operator.inputs[1]) if len(operator.inputs) > 1 else None
    if value is None or value.ndim != 1:
        return None
    sizes = [int(size) for size in value]
    if operator.attributes.get("allowzero", 0) or (len(sizes) > len(actual) and 0 in sizes):
        return None
    return tuple(actual[axis] if size == 0 else size for axis, size in enumerate(sizes))


def _letter_after(facts: Facts, operator: Operator, letter: Shape, actual: Shape) -> Shape | None:
    """Return an operator's output shape for an input of the shape by the letter."""
    out = facts.shape(operator.outputs[0])
    if operator.domain or out is None:
        return None
    windows = facts.windows(operator)
    if windows is not None and len(windows) + 2 == len(letter):
        if any(w.transposed or w.auto_pad.startswith("SAME") for w in windows):
            return None
        sizes = zip(windows, letter[2:], strict=True)
        return (*out[:2], *(letter_size(window, size) for window, size in sizes))
    if operator.op_type in _SAME_SHAPE and out == actual:
        others = [name for name in operator.inputs[1:] if name]
        fixed = all(name in facts.resolution.constants for name in others)
        return letter if fixed else None
    if operator.op_type == "Flatten":
        axis = operator.attributes.get("axis", 1)
        return (prod(letter[:axis]), prod(letter[axis:])) if isinstance(axis, int) else None
    if operator.op_type == "Reshape":
        target = _target(facts, operator, actual)
        if target is None or target.count(-1) != 1:
            return None
        rest = prod(size for size in target if size != -1)
        return tuple(prod(letter) // max(1, rest) if size == -1 else size for size in target)
    return None
