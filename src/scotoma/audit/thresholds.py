"""Measured figures beyond a limit that was set for them.

What it finds
-------------
Figures of the map of influence that ``scotoma audit`` measures, beside limits that a team has
set: ``max-dead-pixels`` (pixels that changed nothing), ``min-border-ratio`` (mean influence of the
border over that of the interior), ``max-asymmetry`` (one half of the image over the other, the
larger over the smaller, along the axis where that is most) and ``max-position-sensitivity``
(deviation of the answer to the same stimulus between places, over the mean answer).

Why it matters
--------------
A rule tells what the graph cannot do; what its weights make of the rest only a run shows.

What to do
----------
Look at the map (``scotoma measure``) and at the findings beside it: they name the layers.

Limits
------
A figure whose standard error leaves open on which side of the limit it lies is not judged, nor one
that could not be measured within the budget; the run then ends with status 3.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from scotoma.audit.errors import NotMeasuredError
from scotoma.audit.figures import side
from scotoma.findings import (
    CONFIRMED,
    Evidence,
    Finding,
    Location,
    Measurement,
    Severity,
    Undecided,
)
from scotoma.metrics import Figure
from scotoma.results import EXCEEDED, KEPT, NOT_JUDGED, ThresholdResult
from scotoma.rule import Documentation, Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.measure import Influence
    from scotoma.measure.summary import Summary


class Threshold(Rule):
    """A limit of a measured figure; its findings come from a measurement, none from the graph."""

    unit: ClassVar[str] = "1"
    what: ClassVar[str]
    """The figure in words."""
    at_least: ClassVar[bool] = False
    """The limit is the least value that is allowed; else the largest."""
    example: ClassVar[str]
    """A limit that a team may set."""

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:  # noqa: ARG002  of the base
        """Yield nothing: the graph does not hold what is measured."""
        return iter(())

    @property
    def documentation(self) -> Documentation:
        """What all limits have in common, with what this one limits and how it is set."""
        common = super().documentation
        key, limit = self.key, self.example
        how = (
            f"``scotoma audit --{key} {limit}``, or ``{key} = {limit}`` in the table [thresholds]"
            "\nof a configuration. Without a limit nothing is judged."
        )
        sections = {"How it is set": how, **common.sections}
        return Documentation(inspect.getdoc(type(self)) or common.summary, sections)

    @property
    def key(self) -> str:
        """The name of the limit in a configuration."""
        return self.meta.name.removeprefix("measured-")

    def figure(self, influence: Influence, summary: Summary) -> tuple[Figure, str]:
        """Return the figure, and what it was taken of.

        Raises
        ------
        NotMeasuredError
            If it is not known.
        """
        raise NotImplementedError

    def judge(
        self, limit: float, found: tuple[Influence, Summary] | NotMeasuredError
    ) -> ThresholdResult:
        """Hold the figure of a map against its limit."""
        try:
            if isinstance(found, NotMeasuredError):
                raise found
            figure, taken_of = self.figure(*found)
        except NotMeasuredError as error:
            return ThresholdResult(self.key, limit, None, None, NOT_JUDGED, str(error))
        where = side(figure, limit)
        if where is None:
            verdict = NOT_JUDGED
            doubt = figure.error or 0.0
            taken_of = f"{figure.value:.4g} ± {doubt:.2g} lies too near to it ({taken_of})"
        elif self.at_least:
            verdict = EXCEEDED if where < 0 and figure.value != limit else KEPT
        else:
            verdict = EXCEEDED if where > 0 else KEPT
        return ThresholdResult(self.key, limit, figure.value, figure.error, verdict, taken_of)

    def answer(self, result: ThresholdResult) -> Finding | Undecided | None:
        """Return what is to be reported of a limit; None: it is kept."""
        code = self.meta.code
        if result.verdict == KEPT:
            return None
        if result.value is None or result.verdict == NOT_JUDGED:
            reason = f"{result.name} {result.limit:g} could not be judged: {result.judged_on}"
            return Undecided(code, None, reason)
        beyond = "below" if self.at_least else "above"
        error = f" ± {result.error:.2g}" if result.error else ""
        measured = Measurement(self.key, result.value, self.unit, limit=result.limit)
        finding = self.finding(
            Location(None),
            f"{self.what} is {result.value:.4g}{error}, {beyond} the limit of {result.limit:g}"
            f" ({result.judged_on})",
            measured,
            remedy="look at the map (scotoma measure) and at the findings that name the layers",
        )
        evidence = Evidence(CONFIRMED, "it is itself a measurement", (measured,))
        place = hashlib.sha256(self.key.encode()).hexdigest()
        return replace(finding, evidence=evidence, place=place)


def _known(summary: Summary, key: str) -> Figure:
    figure = summary.figures.get(key)
    if figure is None or figure.value is None:
        why = f": {figure.reason}" if figure is not None and figure.reason else ""
        raise NotMeasuredError(f"{key.replace('_', ' ')} is not known of the measured map{why}")
    return figure


def _probed(influence: Influence, figure: Figure) -> str:
    inputs = len(influence.baselines)
    pixels = f"{figure.probes:,} {'pixel' if figure.probes == 1 else 'pixels'}"
    return f"{pixels}, {inputs} {'input' if inputs == 1 else 'inputs'}"


class DeadPixels(Threshold):
    """More pixels change nothing than the limit allows."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC901", name="measured-max-dead-pixels", severity=Severity.ERROR, since="0.1.0"
    )
    unit = "px"
    what = "the number of pixels that changed nothing"
    example = "0"

    def figure(self, influence: Influence, summary: Summary) -> tuple[Figure, str]:
        """Count the pixels that are dead by the graph, and those that moved nothing when probed."""
        measured = _known(summary, "dead_pixel_fraction")
        structural = influence.structural
        dead, probed = influence.dead & influence.probed, influence.probed
        if structural is not None:
            dead = dead | structural.dead
        elif not influence.full:
            raise NotMeasuredError(
                f"{int(probed.sum()):,} of {probed.size:,} pixels were perturbed, and the graph"
                " cannot be followed"
            )
        how = "perturbed" if influence.gradients is None else "by gradients"
        taken_of = f"{measured.probes:,} pixels {how}"
        if structural is not None:
            taken_of += " and the paths of all"
        return Figure(float(dead.sum()), 0.0, measured.probes), taken_of


class BorderRatio(Threshold):
    """The border has less influence, over that of the interior, than the limit demands."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC902", name="measured-min-border-ratio", severity=Severity.ERROR, since="0.1.0"
    )
    what = "the mean influence of the border over that of the interior"
    example = "0.5"
    at_least = True

    def figure(self, influence: Influence, summary: Summary) -> tuple[Figure, str]:
        """Return border over interior."""
        figure = _known(summary, "border_over_interior")
        return figure, _probed(influence, figure)


class Asymmetry(Threshold):
    """One half of the image has more influence, over that of the other, than the limit allows."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC903", name="measured-max-asymmetry", severity=Severity.ERROR, since="0.1.0"
    )
    what = "the influence of one half of the image over that of the other"
    example = "1.5"

    def figure(self, influence: Influence, summary: Summary) -> tuple[Figure, str]:
        """Return the larger half over the smaller, along the axis where that is most."""
        found: list[tuple[Figure, str]] = []
        for key, name in (("left_right_ratio", "left/right"), ("top_bottom_ratio", "top/bottom")):
            figure = summary.figures.get(key)
            if figure is None or figure.value is None:
                continue
            if figure.value == 0:
                raise NotMeasuredError(f"{name}: one half has no influence at all")
            ratio, error = figure.value, figure.error
            if ratio < 1:
                ratio, error = 1 / ratio, None if error is None else error / ratio**2
            found.append((Figure(ratio, error, figure.probes), name))
        if not found:
            raise NotMeasuredError("the ratio of the halves is not known of the measured map")
        figure, name = max(found, key=lambda pair: pair[0].value or 0.0)
        return figure, f"{name}, {_probed(influence, figure)}"


class PositionSensitivity(Threshold):
    """The answer to the same stimulus depends on its place more than the limit allows."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC904",
        name="measured-max-position-sensitivity",
        severity=Severity.ERROR,
        since="0.1.0",
    )
    what = "the position sensitivity"
    example = "0.2"

    def figure(self, influence: Influence, summary: Summary) -> tuple[Figure, str]:
        """Return the deviation between places of the same phase, over the mean answer."""
        place = summary.position
        if place is None or place.sensitivity.value is None:
            reason = None if place is None else place.reason
            raise NotMeasuredError(reason or "the position sensitivity is not known")
        return place.sensitivity, _probed(influence, place.sensitivity)


THRESHOLDS: Mapping[str, Threshold] = {
    item.key: item for item in (DeadPixels(), BorderRatio(), Asymmetry(), PositionSensitivity())
}
"""By the name in a configuration."""
