"""The document of ``scotoma lint``."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from scotoma.report.contract.common import (
    Certainty,
    Goal,
    InputDocument,
    Level,
    Number,
    SchemaVersion,
    Status,
    ToolDocument,
    UnanalysedDocument,
)
from scotoma.report.contract.measure import (
    AgreementDocument,
    FigureDocument,
    PairDocument,  # noqa: F401  part of an agreement; the schema is made of what is here
    PositionDocument,
)
from scotoma.report.contract.trace import CoverageDocument

Suppressor = Literal["configuration", "model", "baseline", "runtime"]


class LocationDocument(TypedDict):
    """A place in a model's graph."""

    node: str | None
    """Name of the operator; null: the graph as a whole, or a tensor."""
    op_type: str | None
    tensor: str | None
    note: str
    """What this place has to do with the finding."""


class MeasurementDocument(TypedDict):
    """One number behind a finding."""

    name: str
    value: Number
    """Null: it has no value, as of a ratio over zero, or none that JSON can carry."""
    unit: str
    """``px``, ``cells``, …; ``1``: a plain number, a ratio or a fraction."""
    limit: Number
    """Where the finding would go away; null: there is no such value."""


class SuppressedDocument(TypedDict):
    """Why a finding does not count."""

    reason: str
    by: Suppressor
    """``model``: the model's own metadata."""
    source: str
    """The file, or the setting, that says so."""


EvidenceStatus = Literal["confirmed", "contradicted", "not measured"]


class OutputEvidenceDocument(TypedDict):
    """What running the model says of a finding at one of its outputs."""

    output: str
    status: EvidenceStatus


class EvidenceDocument(TypedDict):
    """What running the model says of a finding."""

    status: EvidenceStatus
    reason: str
    """What was run and what came of it, or why nothing was."""
    measurements: list[MeasurementDocument]
    outputs: list[OutputEvidenceDocument]
    """Where the model has several outputs and the status of each is known."""


class FindingDocument(TypedDict):
    """A defect that a rule found."""

    code: str
    name: str
    severity: Level
    confidence: Certainty
    message: str
    """One sentence with the numbers in it."""
    node: str | None
    """Of the primary location, as are `op_type` and `tensor`."""
    op_type: str | None
    tensor: str | None
    locations: list[LocationDocument]
    """The primary one first."""
    measurements: list[MeasurementDocument]
    remedy: str
    fingerprint: str
    """SHA-256 in hexadecimal over the rule and the operator's place in the network's shape: stays
    the same while the finding does, also in most re-exports."""
    suppressed: SuppressedDocument | None
    """Null: it counts."""
    runtimes: str | None
    """The versions of a runtime that are affected; null: all."""
    evidence: NotRequired[EvidenceDocument]
    """Of ``scotoma audit``."""


class UndecidedDocument(TypedDict):
    """A rule looked and could not tell."""

    code: str
    node: str | None
    reason: str


class RuleErrorDocument(TypedDict):
    """A rule crashed on a model."""

    code: str
    error: str


class ErrorDocument(TypedDict):
    """Why nothing could be said of a model."""

    kind: str
    message: str


class TaskDocument(TypedDict):
    """What a model was taken to be for."""

    value: Goal
    assumed: bool
    """The graph told it, not the user."""
    because: str


class ModelHead(TypedDict):
    """What identifies a model, how it was examined and what could not be analysed."""

    path: str
    """From the folder of the call, with slashes; ``-``: standard input."""
    graph_sha256: str | None
    """Over the file without its weights."""
    sha256: str | None
    """Of the whole file; null unless ``--hash``."""
    producer: str | None
    opset: int | None
    """Of the operators of ONNX itself."""
    opsets: dict[str, int]
    """By domain."""
    input: InputDocument | None
    """The one whose pixels are followed; null: there is none."""
    inputs: list[InputDocument]
    task: TaskDocument | None
    """Null: nobody said it, and the graph does not tell."""
    status: Status
    """``partial``: some operators could not be analysed; ``unavailable``: there is no image to
    follow; ``error``: the model could not be read."""
    error: ErrorDocument | None
    """Set exactly where the status is ``error``."""
    refusal: str | None
    """The operator that cannot run at the size that was asked for, and why."""
    unanalysed: list[UnanalysedDocument]


class ThresholdDocument(TypedDict):
    """A measured figure beside the limit that was set for it."""

    name: str
    """As in a configuration: ``max-dead-pixels``."""
    limit: float
    value: float | None
    """Null: not measured."""
    standard_error: float | None
    """In the unit of the value; null: not known."""
    verdict: Literal["kept", "exceeded", "not judged"]
    judged_on: str
    """What the value was taken of, or why there is no verdict."""


class MeasuredMapDocument(TypedDict):
    """How a map was measured, and its figures; those of ``scotoma measure``."""

    method: str
    functional: str
    outputs: list[str]
    """The tensors that are the target."""
    target: str
    """Why they are."""
    inputs: list[str]
    """What was fed."""
    probed: int
    """Pixels that were perturbed."""
    pixels: int
    region: list[int] | None
    """X, Y, width and height of the part of the input that the figures are about; null: all."""
    figures: dict[str, FigureDocument]
    position: PositionDocument | None
    """Null: nothing was probed."""
    agreement: AgreementDocument | None
    """The graph's map beside the measured one; null: the graph could not be followed."""
    notes: list[str]


class OutputDocument(TypedDict):
    """What is known of one of several outputs."""

    output: str
    coverage: CoverageDocument | None
    """By the graph; null: it could not be followed."""
    figures: dict[str, FigureDocument] | None
    """Measured; null: they were not, for the reason given."""
    reason: str | None


class MeasuredDocument(TypedDict):
    """What running a model said of it as a whole."""

    status: Literal["complete", "partial", "unavailable"]
    """``complete``: every pixel was perturbed."""
    reason: str | None
    """Why the map is unavailable."""
    seconds: float
    passes: int
    """Inputs that were run through the model."""
    influence: MeasuredMapDocument | None
    outputs: list[OutputDocument]
    """Empty where there is one output."""
    thresholds: list[ThresholdDocument]
    skipped: list[str]
    """What the time budget did not suffice for; of a single output its reason says it."""


class ModelDocument(ModelHead):
    """What the rules say of one model."""

    findings: list[FindingDocument]
    """In the order of the graph; those of ``--min-severity`` and above."""
    undecided: list[UndecidedDocument]
    rule_errors: list[RuleErrorDocument]
    measure: NotRequired[MeasuredDocument]
    """Of ``scotoma audit``."""


class SummaryDocument(TypedDict):
    """Counts over all models."""

    error: int
    """Findings that count: neither suppressed nor known."""
    warning: int
    note: int
    undecided: int
    suppressed: int
    hidden: int
    """Findings that count and are not listed, because of ``--min-severity``."""
    models: int


class UnusedSuppressionDocument(TypedDict):
    """A suppression that fits no finding of the models that it is for."""

    rule: str
    node: str
    """Glob over node names."""
    reason: str
    source: str


class KnownDocument(TypedDict):
    """A finding as a baseline keeps it."""

    path: str
    """Of the model, from the baseline's folder."""
    code: str
    severity: Level
    node: str | None
    message: str
    fingerprint: str


class BaselineDocument(TypedDict):
    """How the findings compare with a baseline."""

    path: str
    known: int
    new: int
    vanished: list[KnownDocument]


class StatisticsDocument(TypedDict):
    """How many findings that count a rule has."""

    code: str
    name: str
    findings: int
    models: int


class LintDocument(TypedDict):
    """What ``scotoma lint --format json`` writes."""

    schema_version: SchemaVersion
    """Raised when a meaning changes; keys may be added without."""
    tool: ToolDocument
    models: list[ModelDocument]
    """In the order that they were given in."""
    summary: SummaryDocument
    unused_suppressions: list[UnusedSuppressionDocument]
    baselines: list[BaselineDocument]
    statistics: NotRequired[list[StatisticsDocument]]
    """With ``--statistics``: the most frequent rule first."""
