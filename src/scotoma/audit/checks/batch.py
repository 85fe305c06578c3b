"""Batch statistics and leaks: the same image beside other neighbours, in batches of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scotoma.audit.errors import NotMeasuredError
from scotoma.audit.runtime import short
from scotoma.errors import MeasurementError, UsageError
from scotoma.facts import Facts
from scotoma.findings import (
    CONFIRMED,
    CONTRADICTED,
    Evidence,
    Finding,
    Measurement,
    OutputEvidence,
)
from scotoma.measure.freeze import suspects

if TYPE_CHECKING:
    from scotoma.audit.bench import Bench, Feed
    from scotoma.audit.exam import Exam

CODES = ("SC502", "SC505")
USES_MAP = False
TENSORS = ()

ROUNDING = 1e-5
"""Of the largest value; a smaller difference may be the order of a sum."""


def check(finding: Finding, exam: Exam) -> Evidence:
    """Compare the first image's results with two different second images."""
    bench = _pairs(exam)
    try:
        feeds = bench.feeds
        seen = [_beside(bench, feed, feeds[1]) for feed in bench.switched(feeds[0])]
    except MeasurementError as error:
        said = short(str(error))
        raise NotMeasuredError(f"the model does not run on two images at once: {said}") from error
    changes = max(seen, key=lambda item: max(item.changes.values())).changes
    if any(item.drifts for item in seen):
        if finding.code == "SC502" and not suspects(exam.facts.model):
            reason = "the same batch gives other results in another run: its statistics move on"
            return Evidence(CONFIRMED, reason)
        raise NotMeasuredError("the model is random: the same batch gives other results")
    most = max(changes.values())
    measured = (Measurement("relative_change", most, "1", limit=0),)
    by_output = () if len(changes) == 1 else tuple(
        OutputEvidence(n, CONFIRMED if changes[n] > ROUNDING else CONTRADICTED) for n in changes
    )  # fmt: skip
    if most > ROUNDING:
        reason = f"beside another image the same one's results change by {most:.2g} of the largest"
        return Evidence(CONFIRMED, reason, measured, by_output)
    if exam.is_in_body(finding):
        raise NotMeasuredError("it stands in a body that may not have run: no result changed")
    reason = "an image's results do not depend on which other one stands beside it"
    return Evidence(CONTRADICTED, reason, measured, by_output)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What became of the first image's results."""

    changes: dict[str, float]
    """Relative, by output."""
    drifts: bool
    """They change without a reason."""


def _beside(bench: Bench, feed: Feed, other: Feed) -> _Seen:
    name = bench.image
    images = np.array(feed[name])
    images[1:] = other[name][1:]
    one, moved = bench.run(feed), bench.run(bench.with_image(feed, images))
    again = bench.run(feed)
    outputs = [n for n in bench.outputs if one[n].ndim and one[n].shape[0] == 2]
    if not outputs:
        raise NotMeasuredError("no output has a result for each image of a batch")
    return _Seen(
        {n: _change(one[n][0], moved[n][0]) for n in outputs},
        any(_change(one[n][0], again[n][0]) > ROUNDING for n in outputs),
    )


def _pairs(exam: Exam) -> Bench:
    """Return the model with two images in each batch."""
    resolution = exam.facts.resolution
    examined = resolution.examined
    if examined is None or not examined.shape or 0 in examined.spatial_axes:
        raise NotMeasuredError("the model has no batch of images to feed")
    others = [item for item in resolution.inputs if item.name != examined.name]
    shapes = {examined.name: (2, *examined.shape[1:])}
    shapes |= {
        item.name: (2, *item.shape[1:])
        for item in others
        if item.shape and examined.shape[0] == item.shape[0]
    }
    try:
        facts = Facts.of(exam.facts.model, input_shapes=shapes, input_name=examined.name)
    except UsageError as error:
        raise NotMeasuredError(f"the model takes no batch of two: {error}") from error
    return exam.bench.at(facts)


def _change(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference over the largest value."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    largest = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
    return float(np.abs(a - b).max(initial=0)) / largest if largest > 0 else 0.0
