"""What a rule can say of a model: a finding with its numbers, or that it could not tell."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction

Quantity = int | float | Fraction | str


class Severity(IntEnum):
    """How bad a finding is, in rising order."""

    NOTE = 1
    WARNING = 2
    ERROR = 3

    def __str__(self) -> str:
        return self.name.lower()


class Confidence(IntEnum):
    """How sure a rule is of a finding, in rising order."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number behind a finding."""

    name: str
    """Field's term in snake_case, such as ``dead_pixel_fraction``."""
    value: Quantity | None
    """Exact where it can be; None where it has no value (a ratio over zero)."""
    unit: str
    """``px``, ``cells``, …; ``1`` for a plain number, a ratio or a fraction."""
    limit: Quantity | None = None
    """The value at which the finding would go away; None where there is no such value."""

    def __post_init__(self) -> None:
        for number in (self.value, self.limit):
            if number is not None and not isinstance(number, Quantity):
                raise TypeError(
                    f"measurement '{self.name}' is a {type(number).__name__}, not a number"
                )


@dataclass(frozen=True, slots=True)
class Location:
    """One place in a model's graph."""

    node: str | None
    """Name of the operator; None for the graph as a whole."""
    op_type: str | None = None
    tensor: str | None = None
    note: str = ""
    """What this place has to do with the finding, in a few words."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Why a finding does not count."""

    by: str
    """``configuration``, ``model`` (its own metadata), ``baseline`` or ``runtime``."""
    reason: str
    source: str
    """The file, or the setting, that says so."""


CONFIRMED = "confirmed"
CONTRADICTED = "contradicted"
NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class OutputEvidence:
    """What running the model says of a finding at one of its outputs."""

    output: str
    status: str
    """As that of `Evidence`."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What running the model says of a finding."""

    status: str
    """`CONFIRMED`, `CONTRADICTED` or `NOT_MEASURED`."""
    reason: str
    """One sentence: what was run and what came of it, or why nothing was."""
    measurements: tuple[Measurement, ...] = ()
    outputs: tuple[OutputEvidence, ...] = ()
    """By output, where the model has several and they differ or may."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A defect that a rule found, with its place, its numbers and what to do about it."""

    code: str
    name: str
    severity: Severity
    confidence: Confidence
    message: str
    locations: tuple[Location, ...]
    """The first is the primary one."""
    measurements: tuple[Measurement, ...] = ()
    remedy: str = ""
    place: str | None = None
    """Where the primary location is by the graph's shape alone; None: not worked out."""
    suppressed: Suppressed | None = None
    """None: it counts."""
    runtimes: str | None = None
    """The versions of a runtime that are affected, such as ``onnxruntime<1.21``; None: all."""
    evidence: Evidence | None = None
    """None: the model was not run."""

    def __post_init__(self) -> None:
        if not self.locations:
            raise ValueError(f"a finding of {self.code} needs a primary location")

    @property
    def primary(self) -> Location:
        """The place that the finding is about."""
        return self.locations[0]

    @property
    def fingerprint(self) -> str:
        """What makes this the same finding in another run, or in another export of the network.

        SHA-256 in hexadecimal over the code and the place; where that is not worked out, over the
        code and the primary location's node and tensor. Measured values and the message stay out,
        so that it survives another input size or another version of Scotoma.
        """
        identity = [self.code, self.place]
        if self.place is None:
            identity = [self.code, self.primary.node, self.primary.tensor]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Undecided:
    """A rule looked and could not tell."""

    code: str
    node: str | None
    """Name of the operator that it could not judge; None for the graph as a whole."""
    reason: str
