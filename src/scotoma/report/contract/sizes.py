"""The document of ``scotoma sizes``."""

from __future__ import annotations

from typing import Literal, TypedDict

from scotoma.report.contract.common import ExaminedFoot, ExaminedHead

ProblemKind = Literal[
    "refused", "not-examined", "too-small", "dead-pixels", "phantom-windows", "dead-taps",
    "leftover-layers", "uneven-layers", "centre-offset",
]  # fmt: skip


class Counts(TypedDict):
    """What is wrong at a size; null: not known."""

    uneven_layers: int | None
    """Strided layers whose padding is read on one side more than on the other."""
    leftover_layers: int | None
    """Strided layers with cells left over at the end."""
    phantom_windows: int | None
    """Pools with windows that only some runtimes have."""
    dead_tap_layers: int | None
    """Layers with kernel taps that only ever meet padding."""
    centre_offset: str | None
    """Pixels from the image's centre to the last grid's, a fraction as text."""


class AxisSizeDocument(Counts):
    """One length of one axis, the others as they are."""

    size: int
    too_small: str | None
    """Why nobody should choose it; null: nothing says so."""


class RefusalDocument(TypedDict):
    """The operator that cannot run at a size."""

    node: str
    op_type: str
    reason: str


class SizeDocument(Counts):
    """What a model loses at one input size."""

    size: list[int]
    """One number for each spatial axis."""
    current: bool
    """The model's own size, or the one that was given."""
    examined: bool
    """The whole graph was examined at this size, not only its layers."""
    accepted: bool | None
    """The graph runs at this size; null: not examined."""
    refused_by: RefusalDocument | None
    too_small: str | None
    """Why nobody should choose it; null: nothing says so."""
    dead_pixels: int | None
    """Pixels that no path reaches; null: not examined."""
    dead_pixels_local: int | None
    """Without paths through whole-map operators."""
    dead_pixel_fraction: float | None
    dead_weight_share: float | None
    """Share of the convolution weights that only ever meet padding, 0 to 1."""
    axes: list[AxisSizeDocument]


class ProblemDocument(TypedDict):
    """What is wrong at a size that the model is to run at."""

    kind: ProblemKind
    message: str
    nodes: list[str]
    """The layers that it is about, in the order of the graph."""


class DeployedDocument(SizeDocument):
    """A size that the model is to run at."""

    problems: list[ProblemDocument]
    better: SizeDocument | None
    """A better size nearby; null: there is none."""


class LeftOutDocument(TypedDict):
    """Lengths that were not compared."""

    axes: list[int]
    names: list[str]
    low: int
    high: int
    reason: str


class AxisDocument(TypedDict):
    """The lengths of one axis."""

    axis: int
    """Among the spatial axes, from 0."""
    name: str
    sizes: list[AxisSizeDocument]


class SizesHead(ExaminedHead):
    """What was compared, and what came out."""

    around: list[int]
    """The size that the compared ones lie around."""
    strided_layers: int
    deployed_by: str | None
    """Where the sizes to run at were set; null: nowhere."""
    deployed: list[DeployedDocument]
    combined: bool
    """The sizes are made of the best lengths along each axis."""
    compared: int
    examined: int
    refused: int
    left_out: list[LeftOutDocument]
    sizes: list[SizeDocument]
    """The best first."""
    axes: list[AxisDocument]


class SizesDocument(SizesHead, ExaminedFoot):
    """What ``scotoma sizes --format json`` writes."""
