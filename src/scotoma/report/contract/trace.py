"""The document of ``scotoma trace``."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from scotoma.report.contract.common import ExaminedFoot, ExaminedHead


class TensorDocument(TypedDict):
    """What a tensor sees of the input; lists have one entry for each spatial axis."""

    name: str
    node: str | None
    """The operator that makes it; null: an input."""
    op_type: str
    shape: list[int] | None
    spatial_axes: list[int] | None
    """Its axes that are the input's, in their order; null: it has none any more."""
    receptive_field: list[int] | None
    """In pixels, of the middle cell, not clipped to the image; null: the whole image, or not
    known."""
    receptive_field_local: list[int] | None
    """Without paths through whole-map operators; null: nothing local is left."""
    effective_stride: list[str] | None
    """Pixels from one cell to the next; fractions are texts such as ``1/2``."""
    centre: list[str] | None
    """Pixel that the first cell lies on, a fraction as text; null: not known."""
    note: str
    kind: NotRequired[str | None]
    """What the operator is in the field's words; null where it changes nothing that is seen."""
    absorbed_by_padding: NotRequired[float | None]
    """Share of the paths that end in its padding, 0 to 1."""
    multiply_adds: NotRequired[int | None]
    parameters: NotRequired[int | None]


class CoverageDocument(TypedDict):
    """How evenly the paths from the outputs reach the pixels; ratios are null over zero."""

    dead_pixel_fraction: float
    """Share of the pixels that no path reaches, 0 to 1."""
    dead_rows: list[list[int]]
    """Rows that no path reaches at all, as pairs of first and last."""
    dead_cols: list[list[int]]
    corner_over_centre: float | None
    edge_over_centre: float | None
    left_right_ratio: float | None
    top_bottom_ratio: float | None
    absorbed_by_padding: float
    """Share of the paths that end in padding, 0 to 1."""


class TraceHead(ExaminedHead):
    """What is followed, through which tensors."""

    functional: list[str]
    """The tensors whose sum the coverage is about."""
    tensors: list[TensorDocument]
    """In the order of the graph."""
    coverage: CoverageDocument | None
    """Null: there is no image to cover."""
    coverage_local: CoverageDocument | None
    """Without paths through whole-map operators such as squeeze-and-excitation."""


class TraceDocument(TraceHead, ExaminedFoot):
    """What ``scotoma trace --format json`` writes."""
