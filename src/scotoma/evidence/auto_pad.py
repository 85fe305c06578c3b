"""Automatic padding that runtimes and the specification read in different ways.

Along an axis with input ``n``, extent ``k`` and stride ``s``, ``SAME_*`` makes ``ceil(n / s)``
outputs from ``max(0, (ceil(n / s) - 1) * s + k - n)`` cells of padding. onnxruntime takes the
negative number as it is where the stride is wider than the kernel, refuses dilated convolutions
and leaves the dilation of pools out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

_CONVOLUTIONS = {
    "": frozenset({"Conv", "ConvInteger", "ConvTranspose", "QLinearConv"}),
    "com.microsoft": frozenset({"FusedConv", "NhwcFusedConv", "QLinearConv"}),
    "com.microsoft.nchwc": frozenset({"Conv"}),
}
_POOLS = {
    "": frozenset({"AveragePool", "LpPool", "MaxPool"}),
    "com.microsoft": frozenset({"NhwcMaxPool", "QLinearAveragePool"}),
}
_DILATED_SINCE = {"AveragePool": 19, "LpPool": 18, "MaxPool": 10}


def is_convolution(operator: Operator) -> bool:
    """Tell whether an operator is a convolution that knows ``auto_pad``."""
    return operator.op_type in _CONVOLUTIONS.get(operator.domain, ())


def is_pool(operator: Operator) -> bool:
    """Tell whether an operator is a pool that knows ``auto_pad``."""
    return operator.op_type in _POOLS.get(operator.domain, ())


def automatic(operator: Operator) -> str:
    """Return ``VALID``, ``SAME_UPPER`` or ``SAME_LOWER``; ``""`` where the pads are explicit."""
    found = operator.attributes.get("auto_pad")
    if not isinstance(found, str) or found not in {"VALID", "SAME_UPPER", "SAME_LOWER"}:
        return ""
    return found if is_convolution(operator) or is_pool(operator) else ""


def numbers(operator: Operator, name: str) -> tuple[int, ...]:
    """Return an attribute of several whole numbers, none where it is not there."""
    found = operator.attributes.get(name)
    if not isinstance(found, tuple):
        return ()
    return tuple(int(v) for v in found if isinstance(v, int))


def declared_pads(operator: Operator) -> tuple[int, ...]:
    """Return the ``pads`` that stand beside ``auto_pad``, none where there are none."""
    return numbers(operator, "pads") if automatic(operator) else ()


def is_dilated(operator: Operator) -> bool:
    """Tell whether a window's taps lie apart along some axis, by an opset that knows it."""
    since = _DILATED_SINCE.get(operator.op_type, 1) if not operator.domain else 1
    known = operator.version is None or operator.version >= since
    return known and any(d > 1 for d in numbers(operator, "dilations"))


def same_total(size: int, extent: int, stride: int) -> int:
    """Return the cells that ``SAME_*`` needs; below zero where the stride skips the end.

    Examples
    --------
    >>> same_total(8, 3, 2), same_total(8, 1, 4)
    (1, -3)
    """
    return (-(-size // stride) - 1) * stride + extent - size


def same_pads(size: int, extent: int, stride: int, *, lower: bool) -> tuple[int, int]:
    """Return the begin and end padding of ``SAME_*`` by the specification.

    Examples
    --------
    >>> same_pads(8, 3, 2, lower=False), same_pads(8, 3, 2, lower=True)
    ((0, 1), (1, 0))
    """
    total = max(0, same_total(size, extent, stride))
    small = total // 2
    return (total - small, small) if lower else (small, total - small)


def shift(total: int, *, lower: bool, pool: bool) -> int:
    """Return by how many cells onnxruntime moves the windows where `same_total` is negative.

    It halves the negative number as C++ does, towards zero, and for a convolution adds one before.

    Examples
    --------
    >>> shift(-3, lower=False, pool=False), shift(-3, lower=True, pool=False)
    (1, 0)
    >>> shift(-3, lower=False, pool=True), shift(-1, lower=False, pool=True)
    (1, 0)
    """
    padding = total if pool else total + 1
    return max(0, -padding - lower) // 2


def explicit_pads(facts: Facts, operator: Operator) -> tuple[int, ...] | None:
    """Return the pads to write instead of ``auto_pad``, begins first; None if the size is unknown.

    By the specification, with the dilation in the extent, for the examined input size.
    """
    windows = facts.windows(operator)
    if windows is None or any(window.transposed for window in windows):
        return None
    mode = automatic(operator)
    if not mode.startswith("SAME"):
        return (0,) * (2 * len(windows))
    pairs = [same_pads(w.size_in, w.extent, w.stride, lower=mode == "SAME_LOWER") for w in windows]
    return (*(begin for begin, _ in pairs), *(end for _, end in pairs))


def remedy(facts: Facts, operator: Operator) -> str:
    """Say which pads to write instead, at the examined size."""
    pads = explicit_pads(facts, operator)
    examined = facts.resolution.examined
    if pads is None or examined is None or examined.shape is None:
        return "take auto_pad out and write the pads that are meant"
    size = "x".join(str(examined.shape[axis]) for axis in examined.spatial_axes)
    everywhere = all(window.stride == 1 for window in facts.windows(operator) or ())
    where = "" if everywhere or not size else f", right for an input of {size}"
    return f"take auto_pad out and write pads={list(pads)}{where}"


def is_pool_beyond_specification(facts: Facts, operator: Operator) -> bool | None:
    """Tell whether onnxruntime makes another map of a dilated pool than the specification.

    Returns
    -------
    bool or None
        None where the size of its input is not known.
    """
    windows = facts.windows(operator)
    if all(kernel == 1 for kernel in numbers(operator, "kernel_shape")):
        return False
    if windows is None:
        return None
    pads = explicit_pads(facts, operator) or ()
    actual = (*(w.pad_begin for w in windows), *(w.pad_end for w in windows))
    return pads != actual


def narrow(facts: Facts, operator: Operator) -> tuple[int, ...] | None:
    """Return, where ``SAME_*`` meets a stride wider than the window, by how much windows move.

    Returns
    -------
    tuple of int or None
        Cells per axis, with none at all where onnxruntime refuses to run it; None where all is
        well, the window is dilated, or the size of the input is not known.
    """
    mode, windows = automatic(operator), facts.windows(operator)
    if not mode.startswith("SAME") or windows is None or is_dilated(operator):
        return None
    totals = [same_total(w.size_in, w.kernel, w.stride) for w in windows]
    if any(w.transposed for w in windows) or min(totals) >= 0:
        return None
    if _refuses_negative_padding(facts, operator):
        return ()
    moved = tuple(
        shift(total, lower=mode == "SAME_LOWER", pool=is_pool(operator)) for total in totals
    )
    return moved if any(moved) else None


def _refuses_negative_padding(facts: Facts, operator: Operator) -> bool:
    """Tell whether a pool runs on the kernels of onnxruntime that check their padding."""
    if operator.domain:
        return False
    if operator.op_type == "AveragePool":
        return operator.version is not None and operator.version < _DILATED_SINCE["AveragePool"]
    kind = facts.resolution.dtypes.get(operator.inputs[0])
    single = len([name for name in operator.outputs if name]) == 1
    checked = kind is None or kind.name in {"float16", "float32"}
    return operator.op_type == "MaxPool" and single and checked
