"""What a run of the rules over model files yields."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from scotoma.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scotoma.findings import Finding, Undecided
    from scotoma.resolve.resolution import InputShape
    from scotoma.rule import Rule
    from scotoma.task import TaskTaken
    from scotoma.unanalysed import Unanalysed


@dataclass(frozen=True, slots=True)
class RuleFailure:
    """A rule crashed on a model."""

    code: str
    error: str
    """Type and text of the exception."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why nothing could be said of a model."""

    kind: str
    """As `scotoma.errors.ModelError` has it; ``usage`` where the call does not fit the model, and
    ``internal`` where Scotoma itself failed."""
    message: str


@dataclass(frozen=True, slots=True)
class Gate:
    """What fails a run."""

    fail_on: Severity | None = Severity.ERROR
    """Findings of this severity and above do; None: none do."""
    undecided: bool = False
    """So do rules that could not tell."""

    def stops(self, finding: Finding) -> bool:
        """Tell whether a finding fails the run."""
        if self.fail_on is None or finding.suppressed is not None:
            return False
        return finding.severity >= self.fail_on


KEPT = "kept"
EXCEEDED = "exceeded"
NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class ThresholdResult:
    """A measured figure beside the limit that was set for it."""

    name: str
    """As in a configuration: ``max-dead-pixels``."""
    limit: float
    value: float | None
    """None: not measured."""
    error: float | None
    """Standard error of the value; None: not known."""
    verdict: str
    """`KEPT`, `EXCEEDED` or `NOT_JUDGED`."""
    judged_on: str
    """What the value was taken of, or why there is no verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What running a model said of it as a whole."""

    status: str
    """``complete`` (every pixel was perturbed), ``partial`` or ``unavailable``."""
    reason: str | None = None
    """Why the map is unavailable."""
    refused: bool = False
    """Because onnxruntime refuses the model or fails on it, and no finding says so."""
    seconds: float = 0.0
    """That the model took, its static exam included."""
    passes: int = 0
    """Inputs that were run through the model."""
    influence: Mapping[str, Any] | None = None
    """How the map was measured and its figures, as JSON types; None: there is no map."""
    outputs: tuple[Mapping[str, Any], ...] = ()
    """Coverage and figures of each output, as JSON types, where there are several."""
    thresholds: tuple[ThresholdResult, ...] = ()
    skipped: tuple[str, ...] = ()
    """What the time budget did not suffice for; of a single output its reason says it."""
    sheet: object = field(default=None, repr=False, compare=False)
    """What a picture of the map shows, a `scotoma.measure.picture.Sheet`; None: not asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReport:
    """What the rules say of one model file."""

    path: str
    """As given by the caller."""
    status: str
    """``complete``, ``partial``, ``unavailable`` (there is no image to follow) or ``error``."""
    failure: Failure | None = None
    """Set exactly where the status is ``error``."""
    graph_sha256: str | None = None
    sha256: str | None = None
    """Of the whole file; None unless asked for."""
    producer: str | None = None
    opsets: Mapping[str, int] = field(default_factory=dict)
    examined: InputShape | None = None
    inputs: tuple[InputShape, ...] = ()
    unanalysed: tuple[Unanalysed, ...] = ()
    refusal: str | None = None
    """The operator that cannot run at the size that was asked for, and why."""
    task: TaskTaken | None = None
    """None: nobody said it, and the graph does not tell."""
    findings: tuple[Finding, ...] = ()
    """In the order of the graph, then by code."""
    hidden: tuple[Finding, ...] = ()
    """Those that count but are not to be shown."""
    undecided: tuple[Undecided, ...] = ()
    rule_failures: tuple[RuleFailure, ...] = ()
    own_suppressions: str | None = None
    """What the model's metadata say that should not be reported of it; untrusted text."""
    rules: tuple[str, ...] | None = None
    """Codes of the rules that ran; None: all of the report's."""
    gate: Gate = Gate()
    measured: Measured | None = None
    """None: the model was not run."""
    kept: object = field(default=None, repr=False, compare=False)
    """What a format wanted of the facts, from `scotoma.engine.Options.keep`; a `Failure` where
    that could not be worked out, None where no format did."""

    @property
    def failed(self) -> bool:
        """Whether what was found fails the run."""
        if self.gate.undecided and self.undecided:
            return True
        return any(self.gate.stops(finding) for finding in self.counted)

    @property
    def counted(self) -> tuple[Finding, ...]:
        """The findings that are not suppressed, whether shown or hidden."""
        return (*(f for f in self.findings if f.suppressed is None), *self.hidden)

    def shown_from(self, least: Severity) -> ModelReport:
        """Return the report with what counts and is less severe than this hidden."""
        shown: list[Finding] = []
        low: list[Finding] = []
        for finding in self.findings:
            hide = finding.suppressed is None and finding.severity < least
            (low if hide else shown).append(finding)
        return replace(self, findings=tuple(shown), hidden=(*self.hidden, *low))


@dataclass(frozen=True, slots=True)
class UnusedSuppression:
    """A suppression that fits no finding of the models that it is for."""

    rule: str
    node: str
    """Glob over node names."""
    reason: str
    source: str
    """The file that it stands in."""


@dataclass(frozen=True, slots=True)
class KnownFinding:
    """A finding as a baseline keeps it."""

    path: str
    """Of the model, from the baseline's folder."""
    fingerprint: str
    code: str
    severity: str
    node: str | None
    message: str


@dataclass(frozen=True, slots=True)
class BaselineUse:
    """How the findings of a run compare with a baseline."""

    path: str
    known: int
    new: int
    vanished: tuple[KnownFinding, ...]
    """Those of the models of this run that are not found any more."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a run yields: the rules that ran and what they say of each model."""

    rules: tuple[Rule, ...]
    models: tuple[ModelReport, ...]
    unused_suppressions: tuple[UnusedSuppression, ...] = ()
    baselines: tuple[BaselineUse, ...] = ()
    statistics: bool = False
    """The findings are to be counted by rule as well."""
    folder: str | None = None
    """What formats for other programs name models from, absolute; None: as the caller did."""

    def count(self, severity: Severity) -> int:
        """Return how many findings of all models have this severity and count."""
        return sum(f.severity is severity for f in self.counted)

    @property
    def worst(self) -> Severity | None:
        """The highest severity among all findings that count; None without any."""
        return max((f.severity for f in self.counted), default=None)

    @property
    def counted(self) -> list[Finding]:
        """The findings of all models that are not suppressed, whether shown or hidden."""
        return [f for model in self.models for f in model.counted]

    @property
    def hidden(self) -> int:
        """How many findings count but are not to be shown."""
        return sum(len(model.hidden) for model in self.models)

    def shown_from(self, least: Severity) -> Report:
        """Return the report with what counts and is less severe than this hidden."""
        return replace(self, models=tuple(model.shown_from(least) for model in self.models))

    @property
    def suppressed(self) -> int:
        """How many findings are suppressed or known."""
        return sum(f.suppressed is not None for m in self.models for f in m.findings)

    @property
    def undecided(self) -> int:
        """How many answers of rules were that they could not tell."""
        return sum(len(model.undecided) for model in self.models)
