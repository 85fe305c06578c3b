"""``scotoma.trace``: what each layer sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from scotoma.api.models import ModelSource, brief, examined
from scotoma.loader.source import STDIN
from scotoma.report.notebook import trace_html
from scotoma.report.text import counted
from scotoma.report.trace import render_trace
from scotoma.report.trace_document import trace_document

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.report.contract.trace import CoverageDocument, TensorDocument, TraceDocument


@dataclass(frozen=True, slots=True, eq=False)
class TraceResult:
    """The receptive-field table of a model and the coverage of its input."""

    facts: Facts = field(repr=False)
    """Everything that is known of the model: graph, geometry, maps of the coverage."""
    document: TraceDocument = field(repr=False)
    """The JSON document of ``scotoma trace``."""

    @property
    def tensors(self) -> list[TensorDocument]:
        """The rows of the table, in the order of the graph."""
        return self.document["tensors"]

    @property
    def coverage(self) -> CoverageDocument | None:
        """How evenly the paths from the outputs reach the pixels; None: there is no image."""
        return self.document["coverage"]

    def tensor(self, name: str) -> TensorDocument:
        """Return the row of a tensor.

        Raises
        ------
        KeyError
            If the table has no such tensor.
        """
        for row in self.tensors:
            if row["name"] == name:
                return row
        raise KeyError(name)

    def render(self) -> str:
        """Return the table as text."""
        return click.unstyle(render_trace(self.document))

    def __repr__(self) -> str:
        coverage = self.coverage
        dead = None if coverage is None else coverage["dead_pixel_fraction"]
        said = "no image" if dead is None else f"{dead:.2%} of the pixels have no path to an output"
        tensors = counted(len(self.tensors), "tensor")
        return brief(self, f"{tensors}, {said}", self.facts.model.path)

    def _repr_html_(self) -> str:
        return trace_html(self.document)


def trace(
    model: ModelSource,
    *,
    tensor: str | None = None,
    name: str = STDIN,
    size: Sequence[int] | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    input_name: str | None = None,
) -> TraceResult:
    """Return receptive field, effective stride and centre of each layer of a model.

    Parameters
    ----------
    model
        A path, bytes or an ``onnx.ModelProto``.
    tensor
        Follow this tensor instead of the outputs.
    name
        Path of a model that is no file.
    size
        One number for each spatial axis of the input.
    input_shapes
        Whole shapes by input name.
    input_name
        The input whose pixels are followed; None: the largest spatial one.

    Raises
    ------
    scotoma.errors.ModelError
        If the model cannot be read.
    scotoma.errors.UsageError
        If an argument does not fit the model.

    Examples
    --------
    >>> import onnx.parser, scotoma
    >>> model = onnx.parser.parse_model('''
    ...     <ir_version: 8, opset_import: ["" : 17]>
    ...     agraph (float[1, 1, 8, 8] x) => (float[1, 1, 3, 3] y) {
    ...         y = MaxPool <kernel_shape = [3, 3], strides = [2, 2]> (x)
    ...     }''')
    >>> result = scotoma.trace(model)
    >>> result.tensor("y")["receptive_field"], result.coverage["dead_rows"]
    ([3, 3], [[7, 7]])
    """
    facts = examined(model, name=name, size=size, input_shapes=input_shapes, input_name=input_name)
    return TraceResult(facts, trace_document(facts, tensor=tensor))
