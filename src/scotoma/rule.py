"""What a rule module uses: the rule's metadata, its base class and its documentation."""

from __future__ import annotations

import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, TypeVar

from scotoma.findings import Confidence, Finding, Location, Measurement, Severity, Undecided
from scotoma.task import Task

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

    Place = Location | Operator

REQUIRED_SECTIONS = ("What it finds", "Why it matters", "What to do")
OPTIONAL_SECTIONS = ("Limits", "References")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleMeta:
    """What a rule declares about itself; its documentation is the docstring of its module."""

    code: str
    """Capital letters and digits, the family first: ``SC101``."""
    name: str
    """Lower case with hyphens; names the pattern that is found, not the cure."""
    severity: Severity
    """Of its findings, unless a finding says otherwise."""
    severity_by_task: Mapping[Task, Severity] = field(default_factory=dict, hash=False)
    """Instead of `severity` in a model for this task; what a finding is rated otherwise stays."""
    confidence: Confidence = Confidence.HIGH
    since: str
    """Version of Scotoma that first had the rule."""
    references: tuple[str, ...] = ()
    """Addresses of papers and specifications."""
    default: bool = True
    """False: runs only where it is selected."""
    runtimes: tuple[str, ...] = ()
    """Names of runtimes of which its findings tell versions apart: ``onnxruntime``."""

    def rated(self, severity: Severity, task: Task | None) -> Severity:
        """Return the severity of a finding in a model for a task.

        Examples
        --------
        >>> low = {Task.CLASSIFY: Severity.NOTE}
        >>> meta = RuleMeta(
        ...     code="XX1", name="x", severity=Severity.WARNING, since="1", severity_by_task=low
        ... )
        >>> [str(meta.rated(level, Task.CLASSIFY)) for level in (Severity.WARNING, Severity.ERROR)]
        ['note', 'error']
        """
        if task is None or severity is not self.severity:
            return severity
        return self.severity_by_task.get(task, severity)


T = TypeVar("T")


def option(default: T, what: str, least: float | None = None, most: float | None = None) -> T:
    """Return a field of a rule's options.

    Parameters
    ----------
    what
        What it is in a few words, with its unit.
    least, most
        Of a number: what `RuleOptions` accepts, both included; None: no bound.
    """
    made: T = field(default=default, metadata={"what": what, "least": least, "most": most})
    return made


@dataclass(frozen=True, slots=True)
class RuleOptions:
    """The base of a rule's options: refuses numbers that are out of bounds."""

    def __post_init__(self) -> None:
        """Compare every number with the bounds of its `option`.

        Raises
        ------
        ValueError
            If one is out of bounds, or not a number at all.
        """
        for item in fields(self):
            value, least, most = (
                getattr(self, item.name), item.metadata.get("least"), item.metadata.get("most"),
            )  # fmt: skip
            if least is None and most is None:
                continue
            if not (least is None or value >= least) or not (most is None or value <= most):
                bounds = f"{least} to {most}" if most is not None else f"{least} or more"
                name = item.name.replace("_", "-")
                raise ValueError(f"{name}: expected {bounds}, got {value}")


@dataclass(frozen=True, slots=True)
class DeclaredOption:
    """Something that a user can set of a rule."""

    name: str
    """As in a configuration."""
    default: object
    what: str


@dataclass(frozen=True, slots=True)
class Documentation:
    """The docstring of a rule's module, taken apart."""

    summary: str
    """Its first line."""
    sections: Mapping[str, str]
    """Text by heading, in the order of the docstring."""


class Rule(ABC):
    """The base of every rule. A rule keeps no state: everything it knows comes with `check`."""

    meta: ClassVar[RuleMeta]
    options: ClassVar[type | None] = None
    """What a user can set: a frozen dataclass whose fields, made with `option`, are numbers,
    fractions, texts, booleans or tuples of them; its ``__post_init__`` raises ValueError for a
    value that makes no sense. `check` asks ``facts.options(ITS_CLASS)`` for the values."""

    @abstractmethod
    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield what is wrong with a model, and what could not be told of it."""

    @property
    def declared_options(self) -> tuple[DeclaredOption, ...]:
        """What a user can set of this rule, with the defaults."""
        if self.options is None:
            return ()
        return tuple(
            DeclaredOption(item.name.replace("_", "-"), item.default, item.metadata["what"])
            for item in fields(self.options)
        )

    @property
    def summary(self) -> str:
        """The first line of the module's docstring, without its full stop."""
        return self.documentation.summary.removesuffix(".")

    @property
    def documentation(self) -> Documentation:
        """The docstring of the rule's module, taken apart at its headings."""
        return read_documentation(inspect.getdoc(sys.modules[type(self).__module__]) or "")

    def finding(
        self,
        where: Place | Sequence[Place],
        message: str,
        *measurements: Measurement,
        remedy: str,
        severity: Severity | None = None,
        confidence: Confidence | None = None,
        runtimes: str | None = None,
    ) -> Finding:
        """Return a finding of this rule.

        Parameters
        ----------
        where
            The operator or location that it is about, or several, the primary one first.
        message
            One sentence with the numbers in it.
        measurements
            The same numbers for programs.
        remedy
            What to do about it, in one line.
        severity, confidence
            Where they differ from the rule's own.
        runtimes
            The versions of a runtime that are affected, such as ``onnxruntime<1.21``; None: all.

        Raises
        ------
        ValueError
            If the rule does not declare the runtime.
        """
        if runtimes is not None and not runtimes.startswith(self.meta.runtimes):
            raise ValueError(f"{self.meta.code} does not declare the runtime of '{runtimes}'")
        places = where if isinstance(where, Sequence) else (where,)
        return Finding(
            code=self.meta.code,
            name=self.meta.name,
            severity=self.meta.severity if severity is None else severity,
            confidence=self.meta.confidence if confidence is None else confidence,
            message=message,
            locations=tuple(_location(place) for place in places),
            measurements=measurements,
            remedy=remedy,
            runtimes=runtimes,
        )

    def undecided(self, reason: str, node: Operator | str | None = None) -> Undecided:
        """Return that this rule could not tell, about one operator or the whole graph."""
        name = node if node is None or isinstance(node, str) else node.name
        return Undecided(self.meta.code, name, reason)


def _location(place: Place) -> Location:
    if isinstance(place, Location):
        return place
    return Location(place.name, place.op_type)


def read_documentation(docstring: str) -> Documentation:
    r"""Take a docstring apart at its underlined headings.

    Examples
    --------
    >>> read_documentation("A window.\n\nWhat it finds\n-------------\nWindows.\n").sections
    {'What it finds': 'Windows.'}
    """
    lines = docstring.splitlines()
    starts = [
        index
        for index in range(len(lines) - 1)
        if lines[index].strip() and set(lines[index + 1].strip()) == {"-"}
    ]
    sections = {}
    for start, end in pairwise([*starts, len(lines)]):
        sections[lines[start].strip()] = "\n".join(lines[start + 2 : end]).strip()
    return Documentation(lines[0].strip() if lines else "", sections)
