"""Ceil-mode pools: the size that they have in a run, and what they make of a flat map."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from scotoma.audit.errors import NotMeasuredError
from scotoma.audit.layer import layer
from scotoma.audit.runtime import is_among, runtime, short, version
from scotoma.evidence.borders import spatial_axes
from scotoma.findings import CONFIRMED, CONTRADICTED, Evidence, Finding, Measurement

if TYPE_CHECKING:
    from scotoma.audit.exam import Exam
    from scotoma.resolve.window import Window

CODES = ("SC401", "SC402", "SC403")
USES_MAP = False
TENSORS = ("outputs",)

ROUNDING = 1e-3


def check(finding: Finding, exam: Exam) -> Evidence:
    """Look at the size of the pool, or at what its last window makes of a flat map."""
    if finding.code == "SC402":
        return _divisor(finding, exam)
    refused = exam.bench.refusal
    if refused is not None:
        return _refused(finding, refused)
    shape, windows = _shape(finding, exam)
    made = "x".join(map(str, shape))
    if finding.code == "SC401":
        return _phantom(finding, made)
    extra = [size - _floored(w) for size, w in zip(shape, windows, strict=True)]
    return Evidence(
        CONFIRMED if any(n > 0 for n in extra) else CONTRADICTED,
        f"in a run '{finding.primary.node}' makes {made} cells, where whole windows alone would"
        f" make {'x'.join(str(_floored(w)) for w in windows)}",
        (Measurement("partial_windows", max(extra), "lines", limit=0),),
    )


def _phantom(finding: Finding, made: str) -> Evidence:
    letter = next(m for m in finding.measurements if m.name == "output_size_by_specification")
    if made not in (letter.value, letter.limit):
        raise NotMeasuredError(f"in a run its output is {made}, which is neither size")
    if any(m.name == "features_by_specification" for m in finding.measurements):
        said = f"{runtime()} loads the model and runs it"
        return Evidence(CONTRADICTED, said)
    return Evidence(
        CONFIRMED if made == letter.limit else CONTRADICTED,
        f"{runtime()} makes the output {made}, where the opset promises {letter.value}",
        (Measurement("run_size", made, "cells", limit=letter.value),),
    )


def _refused(finding: Finding, refused: str) -> Evidence:
    """Confirm a claim of refusal whose message names an operator of the claim."""
    claimed = any(m.name == "features_by_specification" for m in finding.measurements)
    names = {place.node for place in finding.locations if place.node}
    named = any(f"'{name}'" in refused or f"({name})" in refused for name in names)
    if not (claimed and named):
        raise NotMeasuredError(refused)
    return Evidence(CONFIRMED, f"{runtime()} refuses it: {short(refused)}")


def _shape(finding: Finding, exam: Exam) -> tuple[tuple[int, ...], tuple[Window, ...]]:
    """Return the sizes of a pool's map in a run, and its windows."""
    facts, bench = exam.facts, exam.bench
    operator = next((op for op in facts.operators if op.name == finding.primary.node), None)
    windows = facts.windows(operator) if operator is not None else None
    if operator is None or not windows or not bench.has(operator.outputs[0]):
        raise NotMeasuredError("onnxruntime cannot be asked for the map of this operator")
    made = bench.run(bench.feeds[0])[operator.outputs[0]]
    return tuple(made.shape[axis] for axis in spatial_axes(operator, len(windows))), windows


def _floored(window: Window) -> int:
    """Return how many whole windows fit."""
    room = window.size_in + window.pad_begin + window.pad_end - window.extent
    return room // window.stride + 1


def _divisor(finding: Finding, exam: Exam) -> Evidence:
    """Compare what the last window makes of a flat map with the mean over the cells that exist."""
    if finding.runtimes is not None and not is_among(finding.runtimes, version()):
        raise NotMeasuredError(f"the claim is about {finding.runtimes}, and this is {runtime()}")
    claimed = next((m.value for m in finding.measurements if m.name == "corner_gain"), None)
    if claimed is None:
        raise NotMeasuredError("the finding does not say by how much")
    item = layer(exam, finding.primary.node)
    made = item.alone.run(np.ones(item.alone.shape, item.alone.dtype))
    mean = prod(map(_flat_mean, item.windows, item.pads))
    if not mean:
        raise NotMeasuredError("its last window reads padding alone")
    last = made[tuple(slice(-1, None) if a in item.axes else slice(None) for a in range(made.ndim))]
    gain = float(last.mean()) / mean
    return Evidence(
        CONFIRMED if abs(gain - float(claimed)) <= ROUNDING else CONTRADICTED,
        f"of a flat map its last window makes {gain:.3g} of the mean over the cells that exist",
        (Measurement("measured_corner_gain", gain, "1", limit=1),),
    )


def _flat_mean(window: Window, pads: tuple[int, int]) -> float:
    """Return what the last window has to make of a map of ones, of which its padding is not."""
    before, after = pads
    taps = (window.size_out - 1) * window.stride + window.dilation * np.arange(window.kernel)
    exist = taps < window.pad_begin + window.size_in + window.pad_end
    real = (taps >= before) & (taps < window.pad_begin + window.size_in - (after - window.pad_end))
    return float(real.sum() / exist.sum())
