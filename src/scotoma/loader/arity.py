"""How many inputs and outputs the standard operators have, for files that give others."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scotoma.loader.model import Operator

_STANDARD = ""
_LATEST = 1 << 30
KEPT = 512
"""Names whose bounds are kept: more than there are, but a file may make up any number."""


@lru_cache(maxsize=KEPT)
def bounds(op_type: str) -> tuple[int, int, int] | None:
    """Return how few and how many inputs, and how few outputs, a standard operator has.

    Over all its versions, as onnx defines them: a file that mixes versions keeps what it has.

    Returns
    -------
    tuple or None
        Fewest inputs, most inputs, fewest outputs; None for a name that is no operator.

    Examples
    --------
    >>> bounds("Conv"), bounds("Pad"), bounds("Convolve")
    ((2, 3, 1), (1, 4, 1), None)
    """
    from onnx import defs  # noqa: PLC0415  a file that is no model is refused without it

    found: tuple[int, int, int] | None = None
    version = _LATEST
    while version > 0:
        try:
            schema = defs.get_schema(op_type, version, _STANDARD)
        except defs.SchemaError:
            return found
        few, many, made = found or (schema.min_input, schema.max_input, schema.min_output)
        found = (
            min(few, schema.min_input),
            max(many, schema.max_input),
            min(made, schema.min_output),
        )
        version = schema.since_version - 1
    return found


def has_required_inputs(operator: Operator) -> bool:
    """Tell whether a standard operator has all the inputs that it has in every version."""
    limits = bounds(operator.op_type)
    return limits is None or "" not in operator.inputs[: limits[0]]


def fitted(
    op_type: str, inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ends of a standard operator in the number that its definition knows.

    What is missing has the name "", as optional ends that are left out have; inputs too many are
    cut off. No runtime loads such a file, but nobody who looks at an operator need count.

    Examples
    --------
    >>> fitted("Add", ("x",), ("y",)), fitted("Relu", ("x", "z"), ("y",))
    ((('x', ''), ('y',)), (('x',), ('y',)))
    """
    limits = bounds(op_type)
    if limits is None:
        return inputs, outputs
    few, many, made = limits
    if few <= len(inputs) <= many and len(outputs) >= made:
        return inputs, outputs
    missing, unmade = max(few - len(inputs), 0), max(made - len(outputs), 0)
    return (*inputs[:many], *("",) * missing), (*outputs, *("",) * unmade)
