"""How each operator reads its inputs: one handler per operator, in a table by name."""

from __future__ import annotations

from collections.abc import Callable

from scotoma.loader.model import Operator
from scotoma.trace.operators import (
    contraction,
    elementwise,
    gather,
    patches,
    reduction,
    regroup,
    resize,
    selection,
    windows,
)
from scotoma.trace.reading import Flow
from scotoma.trace.tracer import Tracer

Handler = Callable[[Tracer, Operator], dict[str, Flow]]

HANDLERS: dict[str, Handler] = {
    **elementwise.HANDLERS,
    **windows.HANDLERS,
    **reduction.HANDLERS,
    **regroup.HANDLERS,
    **selection.HANDLERS,
    **gather.HANDLERS,
    **patches.HANDLERS,
    **resize.HANDLERS,
    **contraction.HANDLERS,
}
"""By ``OpType`` for the standard domain, ``domain:OpType`` for the others."""

COULD_NOT_TELL: dict[str, str] = {
    "DeformConv": "it reads where the data say",
    "GridSample": "it reads where the data say",
    "com.microsoft:GridSample": "it reads where the data say",
    "RoiAlign": "it reads where the data say",
    "MaxRoiPool": "it reads where the data say",
    "NonMaxSuppression": "what it selects depends on the data",
    "NonZero": "what it selects depends on the data",
    "Compress": "what it selects depends on the data",
    "Unique": "what it selects depends on the data",
    "MaxUnpool": "it writes where the data say",
}
"""Operators that are known and cannot be followed, with the reason."""

WHOLE_MAP: frozenset[str] = frozenset(
    {
        "Attention", "com.microsoft:Attention", "com.microsoft:MultiHeadAttention",
        "com.microsoft:PackedAttention", "com.microsoft:PackedMultiHeadAttention",
        "com.microsoft:GroupQueryAttention", "com.microsoft:QAttention",
        "com.microsoft:DynamicQuantizeLSTM",
        "LSTM", "GRU", "RNN", "DFT", "STFT", "AffineGrid",
    }
)  # fmt: skip
"""Operators that are known to read whole maps."""


def key(operator: Operator) -> str:
    """Return the name of an operator in the tables."""
    return f"{operator.domain}:{operator.op_type}" if operator.domain else operator.op_type
