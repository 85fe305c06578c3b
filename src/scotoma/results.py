"""What a run of the rules over model files yields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scotoma.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scotoma.facts import Unanalysed
    from scotoma.findings import Finding, Undecided
    from scotoma.resolve.resolution import InputShape
    from scotoma.rule import Rule


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
    findings: tuple[Finding, ...] = ()
    """In the order of the graph, then by code."""
    undecided: tuple[Undecided, ...] = ()
    rule_failures: tuple[RuleFailure, ...] = ()
    own_suppressions: str | None = None
    """What the model's metadata say that should not be reported of it; untrusted text."""


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

    def count(self, severity: Severity) -> int:
        """Return how many findings of all models have this severity and count."""
        return sum(f.severity is severity for f in self.counted)

    @property
    def worst(self) -> Severity | None:
        """The highest severity among all findings that count; None without any."""
        return max((f.severity for f in self.counted), default=None)

    @property
    def counted(self) -> list[Finding]:
        """The findings of all models that are not suppressed."""
        return [f for model in self.models for f in model.findings if f.suppressed is None]

    @property
    def suppressed(self) -> int:
        """How many findings are suppressed or known."""
        return sum(f.suppressed is not None for m in self.models for f in m.findings)

    @property
    def undecided(self) -> int:
        """How many answers of rules were that they could not tell."""
        return sum(len(model.undecided) for model in self.models)
