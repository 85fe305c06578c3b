"""Unread pixels: perturbed all together, the outputs must stay the same bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.audit.bench import differing, same
from scotoma.audit.errors import NotMeasuredError
from scotoma.evidence.resampling import crops_of
from scotoma.findings import (
    CONFIRMED,
    CONTRADICTED,
    Evidence,
    Finding,
    Measurement,
    OutputEvidence,
)

if TYPE_CHECKING:
    from typing import Any

    import numpy.typing as npt

    from scotoma.audit.bench import Feed
    from scotoma.audit.exam import Exam

    Mask = npt.NDArray[np.bool_]

CODES = ("SC101", "SC107")
USES_MAP = False
TENSORS = ()


def check(finding: Finding, exam: Exam) -> Evidence:
    """Give the pixels of the claim other values, and then all others."""
    mask = _claimed(finding, exam)
    bench, name = exam.bench, exam.bench.image
    outputs = bench.outputs
    moved: set[str] = set()
    read: set[str] = set()
    runs = 0
    for number, feed in enumerate(bench.feeds):
        before = bench.run(feed)
        if differing(before, bench.run(feed), outputs):
            raise NotMeasuredError("the model is random: its outputs change without a reason")
        other = _other(bench.feeds, number, name)
        if not (mask.all() or read):
            changed = _replaced(exam, feed[name], other, ~mask)
            read.update(differing(before, bench.run(bench.with_image(feed, changed)), outputs))
        changed = _replaced(exam, feed[name], other, mask)
        moved.update(differing(before, bench.run(bench.with_image(feed, changed)), outputs))
        runs += 1
    count = int(mask.sum())
    if not (read or moved or mask.all()):
        raise NotMeasuredError("the outputs stay the same whatever the image is")
    measured = (
        Measurement("perturbed_pixels", count, "px"),
        Measurement("changed_outputs", len(moved), "outputs", limit=0),
    )
    pixels = f"{count:,} unread {'pixel' if count == 1 else 'pixels'}"
    if moved:
        what = f"an output changed when the {pixels} got other values"
        status = CONTRADICTED
    else:
        what = f"with other values in the {pixels}, on {runs} inputs, no output changed in any bit"
        status = CONFIRMED
    single = len(outputs) == 1
    by_output = () if single else tuple(
        OutputEvidence(output, CONTRADICTED if output in moved else CONFIRMED)
        for output in outputs
    )  # fmt: skip
    return Evidence(status, what, measured, by_output)


def _claimed(finding: Finding, exam: Exam) -> Mask:
    """Return the pixels of the claim that no path at all connects to an output."""
    local, dead = exam.facts.dead(local=True), exam.facts.dead()
    if local is None or dead is None:
        raise NotMeasuredError("the graph could not be followed")
    claimed: Mask = local.mask
    if finding.code == "SC107":
        crops = [c for c in crops_of(exam.facts) if c.operator.name == finding.primary.node]
        claimed = crops[0].pixels if crops else np.zeros_like(claimed)
    if not (claimed & dead.mask).any():
        raise NotMeasuredError(
            "whole-map gates read these pixels: they change the outputs, which says nothing of"
            " their place"
        )
    return claimed & dead.mask


def _other(feeds: tuple[Feed, ...], number: int, name: str) -> npt.NDArray[Any]:
    """Return an image of other values."""
    image = feeds[number][name]
    following = feeds[(number + 1) % len(feeds)][name]
    if not same(image, following):
        return following
    if image.dtype.kind == "f":
        return np.asarray(image * 1.5 + 1).astype(image.dtype)
    if image.dtype.kind == "b":
        return np.logical_not(image)
    limits = np.iinfo(image.dtype)
    return np.where(image > limits.max // 2, limits.min, limits.max).astype(image.dtype)


def _replaced(
    exam: Exam, image: npt.NDArray[Any], other: npt.NDArray[Any], mask: Mask
) -> npt.NDArray[Any]:
    """Return the image with the other's values where the mask says, in all channels."""
    examined = exam.facts.resolution.examined
    axes = examined.spatial_axes if examined is not None else ()
    shape = [1] * image.ndim
    for axis, size in zip(axes, mask.shape, strict=True):
        shape[axis] = size
    # The axes of the mask are in the order of the image's.
    order = np.argsort(np.argsort(axes)) if list(axes) != sorted(axes) else range(len(axes))
    return np.where(mask.transpose(tuple(order)).reshape(shape), other, image)
