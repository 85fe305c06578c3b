"""What a page shows of a model besides its findings: its maps and its receptive fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.report.html.grid import Grid, grids_of
from scotoma.report.trace import told_apart
from scotoma.report.trace_document import trace_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scotoma.facts import Facts
    from scotoma.findings import Location
    from scotoma.report.contract.trace import CoverageDocument, TensorDocument

MOST_LAYERS = 500
"""Layers that a page lists; who has more reads the JSON of ``scotoma trace``."""


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """What is drawn and tabled of one model. It travels between processes, so it holds no facts."""

    grids: tuple[Grid, ...]
    """The random walk over the pixels, 1 for an even share; empty where it is not known."""
    coverage: CoverageDocument | None
    coverage_local: CoverageDocument | None
    layers: tuple[TensorDocument, ...]
    """The tensors that differ from the one before them or are of some kind."""
    left_out: int
    """Layers beyond `MOST_LAYERS`."""
    nodes: Mapping[str, int]
    """Index of the layer that stands for an operator, by the operator's name."""
    tensors: Mapping[str, int]
    """The same by the names of tensors."""
    image: tuple[int, ...]
    """Spatial size of the input, in pixels."""

    def layer_of(self, location: Location) -> int | None:
        """Return the index of the layer that stands for a place, None if there is none."""
        if location.node is not None:
            return self.nodes.get(location.node)
        return None if location.tensor is None else self.tensors.get(location.tensor)


def portrait_of(facts: Facts) -> Portrait:
    """Return the portrait of an examined model."""
    document = trace_document(facts)
    local = facts.coverage(local=True) if document["coverage_local"] is not None else None
    every: list[TensorDocument] = document["tensors"]
    layers = told_apart(every)
    nodes, tensors = _rows(every, layers[:MOST_LAYERS])
    return Portrait(
        grids=() if local is None else grids_of(local.walk * local.walk.size, local.dead.mask),
        coverage=document["coverage"],
        coverage_local=document["coverage_local"],
        layers=tuple(layers[:MOST_LAYERS]),
        left_out=max(0, len(layers) - MOST_LAYERS),
        nodes=nodes,
        tensors=tensors,
        image=facts.image_size,
    )


def _rows(
    every: list[TensorDocument], layers: list[TensorDocument]
) -> tuple[dict[str, int], dict[str, int]]:
    """Return the row of every operator and of every tensor: its own, or the last one before it."""
    own = {tensor["name"]: index for index, tensor in enumerate(layers)}
    nodes: dict[str, int] = {}
    tensors: dict[str, int] = {}
    last = 0
    for tensor in every:
        last = tensors[tensor["name"]] = own.get(tensor["name"], last)
        if tensor["node"] is not None:
            nodes.setdefault(tensor["node"], last)
    return nodes, tensors
