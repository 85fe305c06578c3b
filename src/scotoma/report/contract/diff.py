"""The document of ``scotoma diff``."""

from __future__ import annotations

from typing import Literal, TypedDict

from scotoma.report.contract.common import Level, SchemaVersion, Status, ToolDocument
from scotoma.report.contract.lint import ErrorDocument, MeasurementDocument, UndecidedDocument
from scotoma.report.contract.trace import CoverageDocument

WorseKind = Literal[
    "unreadable", "refused", "finding", "severity", "undecided", "dead-pixels", "centre-offset",
    "measured-dead-pixels", "influence-change",
]  # fmt: skip
Match = Literal["input", "name", "place", "output"]


class DiffFindingDocument(TypedDict):
    """A finding that counts, as far as it is compared."""

    code: str
    name: str
    severity: Level
    message: str
    node: str | None
    tensor: str | None
    measurements: list[MeasurementDocument]
    fingerprint: str


class ChangedFindingDocument(TypedDict):
    """A finding of both models with another severity or other numbers."""

    old: DiffFindingDocument
    new: DiffFindingDocument


class FindingsDifferenceDocument(TypedDict):
    """What of the findings changed, by fingerprint, or else by rule and name of the node."""

    gained: list[DiffFindingDocument]
    lost: list[DiffFindingDocument]
    changed: list[ChangedFindingDocument]
    same: int
    """Findings of both with the same severity and the same numbers."""
    gained_undecided: list[UndecidedDocument]
    lost_undecided: list[UndecidedDocument]


class SideDocument(TypedDict):
    """One of the two models."""

    path: str
    graph_sha256: str | None
    producer: str | None
    opset: int | None
    input: str | None
    """Name of the one whose pixels are followed."""
    shape: list[int] | None
    """Of this input."""
    task: str | None
    status: Status
    error: ErrorDocument | None
    refusal: str | None
    rule_errors: int
    """Rules that crashed."""


class PlacedTensorDocument(TypedDict):
    """What a tensor sees of the input; lists have one entry for each spatial axis."""

    name: str
    node: str | None
    op_type: str
    grid: list[int] | None
    """Its cells along each axis."""
    receptive_field: list[int] | None
    receptive_field_local: list[int] | None
    effective_stride: list[str] | None
    centre: list[str] | None


class ChangedTensorDocument(TypedDict):
    """A tensor of both models with another geometry."""

    match: Match
    """What says that it is the same: its name, or the place of its operator in the network."""
    changed: list[str]
    """The keys that differ."""
    old: PlacedTensorDocument
    new: PlacedTensorDocument


class CoverageDifferenceDocument(TypedDict):
    """How the input is covered from the outputs, or from one of the last feature maps."""

    of: str | None
    """The tensor's name in the new model; null: all outputs together."""
    old: CoverageDocument
    new: CoverageDocument
    old_dead_pixels: int
    new_dead_pixels: int


class OffsetDocument(TypedDict):
    """How far the grid of a last feature map lies off the centre of the image."""

    tensor: str
    """Its name in the new model."""
    old: list[str]
    """Pixels along each axis; fractions are texts such as ``31/2``."""
    new: list[str]


class GeometryDifferenceDocument(TypedDict):
    """What of the geometry changed."""

    matched: int
    """Tensors of both models."""
    only_old: int
    only_new: int
    tensors: list[ChangedTensorDocument]
    """In the order of the new graph."""
    coverage: list[CoverageDifferenceDocument]
    """Where it changed."""
    offsets: list[OffsetDocument]
    """Where they changed."""


class MeasuredSideDocument(TypedDict):
    """What was measured of one model."""

    target: list[str]
    """Tensors whose change was measured."""
    passes: int
    complete: bool
    delta: float
    """Step, in the unit of the input."""
    figures: dict[str, float | None]


class InfluenceDifferenceDocument(TypedDict):
    """How the measured maps of both models differ."""

    old: MeasuredSideDocument
    new: MeasuredSideDocument
    compared_pixels: int
    """Pixels that were perturbed in both."""
    correlation: float | None
    """Of the logarithms, -1 to 1; null: a map is constant."""
    rank_correlation: float | None
    relative_error: float | None
    """Euclidean norm of the difference over that of the old map, both scaled to a mean of 1."""
    max_relative_error: float | None
    newly_dead: int
    """Pixels that moved the old model's target, and nothing in the new one's."""
    revived: int
    """The other way round."""


class WorseDocument(TypedDict):
    """Something that got worse."""

    kind: WorseKind
    message: str


class ComparisonDocument(TypedDict):
    """One model, before and after."""

    old: SideDocument | None
    """Null: only the new report has it."""
    new: SideDocument | None
    findings: FindingsDifferenceDocument
    geometry: GeometryDifferenceDocument | None
    """Null: not compared, see `notes`."""
    influence: InfluenceDifferenceDocument | None
    worse: list[WorseDocument]
    notes: list[str]
    """What was not compared, and why."""


class DiffDocument(TypedDict):
    """What ``scotoma diff --format json`` writes."""

    schema_version: SchemaVersion
    """Raised when a meaning changes; keys may be added without."""
    tool: ToolDocument
    fail_on: Level | None
    """New findings of this severity and above are worse; null: none are."""
    comparisons: list[ComparisonDocument]
    worse: int
    """How many things got worse, in all models."""
