"""Dimmed borders: what an average pool makes of its corner window, beside the mean of its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.audit.errors import NotMeasuredError
from scotoma.evidence.borders import dimmed_pool
from scotoma.findings import CONFIRMED, CONTRADICTED, Evidence, Finding, Measurement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scotoma.audit.bench import Array
    from scotoma.audit.exam import Exam
    from scotoma.evidence.borders import DimmedPool

CODES = ("SC301",)
USES_MAP = False
TENSORS = ("inputs", "outputs")

ROUNDING = 1e-3
"""A gain this near to 1 dims nothing."""


def check(finding: Finding, exam: Exam) -> Evidence:
    """Compare the pool that the claim says dims most with the mean over the cells that are there.

    A constant image would show the same, but padding in front of the pool makes it uneven; the
    gain on the values that really arrive is the same number.
    """
    pools = {pool.operator.name: pool for pool in _pools(finding, exam)}
    if not pools:
        raise NotMeasuredError("no pool of the claim can be looked at by itself")
    worst = min(pools.values(), key=lambda pool: pool.corner_gain)
    source, made = worst.operator.inputs[0], worst.operator.outputs[0]
    bench = exam.bench
    if not (bench.has(source) or source == bench.image) or not bench.has(made):
        raise NotMeasuredError(
            f"onnxruntime cannot be asked for the map of '{worst.operator.name}'"
        )
    pairs = []
    for feed in bench.feeds:
        answer = bench.run(feed)
        before = feed[source] if source == bench.image else answer[source]
        pairs += list(_corners(before, answer[made], worst))
    if not pairs:
        raise NotMeasuredError("its windows do not lie as expected")
    real = np.concatenate([one.ravel() for one, _ in pairs]).astype(np.float64)
    shown = np.concatenate([other.ravel() for _, other in pairs]).astype(np.float64)
    power = float((real * real).sum())
    if power == 0:
        raise NotMeasuredError("zeros arrive at the corners of the pool, whatever the image is")
    gain = float((real * shown).sum()) / power
    return Evidence(
        CONFIRMED if gain < 1 - ROUNDING else CONTRADICTED,
        f"in its corners '{worst.operator.name}' makes {gain:.3g} of the mean of the cells that are"
        f" there, on {len(bench.feeds)} inputs",
        (Measurement("border_gain", gain, "1", limit=1),),
    )


def _pools(finding: Finding, exam: Exam) -> Iterator[DimmedPool]:
    nodes = {location.node for location in finding.locations}
    for operator, windows in exam.facts.windowed:
        if operator.name not in nodes or operator.op_type != "AveragePool" or operator.domain:
            continue
        pool = dimmed_pool(exam.facts, operator, windows)
        if pool is not None and (pool.front is None or pool.front.direct):
            yield pool


def _corners(before: Array, after: Array, pool: DimmedPool) -> Iterator[tuple[Array, Array]]:
    """Yield the mean of the real cells and the pool's answer, in the first and the last window."""
    rank = len(pool.windows)
    if before.ndim != rank + 2 or after.ndim != rank + 2 or before.dtype.kind != "f":
        return
    for last in (False, True):
        cells: Array = before
        place: list[slice | int] = [slice(None), slice(None)]
        for axis, window in enumerate(pool.windows):
            at = window.size_out - 1 if last else 0
            taps = at * window.stride - window.pad_begin
            reads = taps + np.arange(window.kernel) * window.dilation
            front = (pool.front.begins[axis], pool.front.ends[axis]) if pool.front else (0, 0)
            # Of what stands there a Pad in front has added the first and the last cells.
            real = (reads >= front[0]) & (reads < before.shape[2 + axis] - front[1])
            reads = reads[real]
            if not len(reads) or at >= after.shape[2 + axis]:
                return
            cells = cells.take(reads, axis=2 + axis)
            place.append(at)
        yield cells.mean(axis=tuple(range(2, 2 + rank))), after[tuple(place)]
