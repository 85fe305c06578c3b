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
    findings: tuple[Finding, ...] = ()
    """In the order of the graph, then by code."""
    undecided: tuple[Undecided, ...] = ()
    rule_failures: tuple[RuleFailure, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What a run yields: the rules that ran and what they say of each model."""

    rules: tuple[Rule, ...]
    models: tuple[ModelReport, ...]

    def count(self, severity: Severity) -> int:
        """Return how many findings of all models have this severity."""
        return sum(f.severity is severity for model in self.models for f in model.findings)

    @property
    def worst(self) -> Severity | None:
        """The highest severity among all findings; None without findings."""
        return max((f.severity for m in self.models for f in m.findings), default=None)

    @property
    def undecided(self) -> int:
        """How many answers of rules were that they could not tell."""
        return sum(len(model.undecided) for model in self.models)
