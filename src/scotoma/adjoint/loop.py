"""Recurrences in the backward graph: one Scan, whatever the number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.adjoint import protos

if TYPE_CHECKING:
    import numpy as np

    from scotoma.adjoint.builder import GraphBuilder


@dataclass(frozen=True, slots=True)
class Step:
    """What is worked out in every step, in names of its own.

    Other names are those of tensors outside, the same in all steps.
    """

    states: Sequence[str]
    """What a step gets from the one before."""
    inputs: Sequence[str]
    """What it gets of the sequences, a slice each."""
    operators: Sequence[tuple[str, Sequence[str], str]]
    """Type, inputs and output; joined along the last axis by a Concat."""
    following: Sequence[str]
    """The states for the step after."""
    outputs: Sequence[str]
    """What is stacked up."""


def scan(
    builder: GraphBuilder,
    step: Step,
    sources: Sequence[str],
    dtype: np.dtype,
    *,
    backwards: bool,
) -> tuple[str, ...]:
    """Repeat a step along the first axis of sequences.

    Parameters
    ----------
    sources
        The first states, then the sequences.
    backwards
        Begin with the last slices. The order of what is stacked up stays that of the sequences.

    Returns
    -------
    tuple of str
        The last states, then what was stacked up.
    """
    own = (*step.states, *step.inputs, *(made for _, _, made in step.operators))
    names = {name: builder.name(f"step/{name}") for name in own}
    nodes = [
        protos.node(
            op_type,
            [names.get(name, name) for name in read],
            [names[made]],
            [protos.attribute("axis", -1)] if op_type == "Concat" else (),
        )
        for op_type, read, made in step.operators
    ]
    inputs, outputs = (
        [protos.value_info(names[name], dtype, None) for name in listed]
        for listed in ((*step.states, *step.inputs), (*step.following, *step.outputs))
    )
    attributes = {
        "body": protos.graph("step", nodes, inputs, outputs, []),
        "num_scan_inputs": len(step.inputs),
        "scan_input_directions": [int(backwards)] * len(step.inputs),
        "scan_output_directions": [int(backwards)] * len(step.outputs),
    }
    return builder.emit("Scan", sources, attributes, len(step.following) + len(step.outputs))
