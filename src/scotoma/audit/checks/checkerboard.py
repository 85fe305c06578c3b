"""Checkerboards: the phases of a tile in the output, on flat images."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from scotoma.audit.errors import NotMeasuredError
from scotoma.evidence.upsampling import LEVELS, score_of, upsamplings
from scotoma.findings import CONFIRMED, CONTRADICTED, Evidence, Finding, Measurement

if TYPE_CHECKING:
    from typing import Any

    import numpy.typing as npt

    from scotoma.audit.exam import Exam
    from scotoma.evidence.upsampling import Upsampling

CODES = ("SC601",)
USES_MAP = False
TENSORS = ("outputs",)

MARGIN = 4
"""One of so many parts of the map on each side is left out: its border sees padding."""
LIMIT = 0.3
"""Of the mean size, where the finding does not say it."""


def check(finding: Finding, exam: Exam) -> Evidence:
    """Feed flat images, and take the least uneven answer, as the rule does."""
    items = [i for i in upsamplings(exam.facts) if i.operator.name == finding.primary.node]
    if not items:
        raise NotMeasuredError("the upsampling is not in the main graph")
    item, bench = items[0], exam.bench
    limits = [m.limit for m in finding.measurements if m.name == "phase_unevenness"]
    limit = float(limits[0]) if limits and isinstance(limits[0], int | float) else LIMIT
    tensor = _looked_at(item, exam)
    feed = bench.feeds[0]
    image = feed[bench.image]
    if image.dtype.kind not in "fu":
        raise NotMeasuredError("a flat image of some brightness cannot be made for this input")
    top = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1
    scores = []
    for level in LEVELS:
        flat = np.full_like(image, round(level * top) if image.dtype.kind == "u" else level)
        answer = bench.run(bench.with_image(feed, flat))[tensor]
        found = score_of(_phases(answer, item.strides))
        if found is not None:
            scores.append(found[0])
    if not scores:
        raise NotMeasuredError(f"'{tensor}' is zero everywhere on flat images")
    score = min(scores)
    tile = "x".join(map(str, item.strides))
    return Evidence(
        CONFIRMED if score > limit else CONTRADICTED,
        f"on flat images the cells of a tile of {tile} in '{tensor}' differ by {score:.0%} of their"
        f" mean size at least",
        (Measurement("phase_unevenness", score, "1", limit=limit),),
    )


def _looked_at(item: Upsampling, exam: Exam) -> str:
    """Return an output of the size of the upsampled map, else the map itself."""
    made, facts = item.operator.outputs[0], exam.facts
    rank = len(item.strides)
    shape = facts.shape(made)
    for output in exam.bench.outputs:
        other = facts.shape(output)
        if shape and other and len(other) == rank + 2 and other[-rank:] == shape[-rank:]:
            return output
    if shape and len(shape) == rank + 2 and exam.bench.has(made):
        return made
    raise NotMeasuredError("no output is a map of the upsampled size")


def _phases(values: npt.NDArray[Any], strides: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return the mean of every place of a tile, (channels, places), away from the border."""
    rank = len(strides)
    index: list[slice] = [slice(None)] * (values.ndim - rank)
    for size, stride in zip(values.shape[-rank:], strides, strict=True):
        begin = size // MARGIN // stride * stride
        tiles = (size - 2 * begin) // stride
        if tiles < 1:
            raise NotMeasuredError("the map has no tile away from its border")
        index.append(slice(begin, begin + tiles * stride))
    inner = values[tuple(index)].astype(np.float64)
    inner = inner.reshape(-1, *inner.shape[-rank:])
    places = [
        inner[(slice(None), *(slice(o, None, s) for o, s in zip(offset, strides, strict=True)))]
        for offset in product(*map(range, strides))
    ]
    return np.stack([p.reshape(len(p), -1).mean(axis=1) for p in places], axis=1)
