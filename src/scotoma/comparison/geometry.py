"""Compares what the tensors of two models see of the input, and how they cover it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from scotoma.comparison.findings import alike
from scotoma.comparison.matching import Matching, match

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from scotoma.facts import Facts
    from scotoma.report.contract.diff import (
        ChangedTensorDocument,
        CoverageDifferenceDocument,
        GeometryDifferenceDocument,
        OffsetDocument,
        PlacedTensorDocument,
    )
    from scotoma.report.contract.trace import CoverageDocument, TensorDocument
    from scotoma.sweep import Coverage

COMPARED = (
    "grid", "receptive_field", "receptive_field_local", "effective_stride", "centre",
)  # fmt: skip
"""What of a tensor is compared, by its key."""
MAX_HEADS = 8
"""Last feature maps whose coverage is compared one by one, at most."""


def compare_geometry(
    old: tuple[Facts, Sequence[TensorDocument]], new: tuple[Facts, Sequence[TensorDocument]]
) -> GeometryDifferenceDocument:
    """Return what of the geometry changed.

    Parameters
    ----------
    old, new
        Each model with the rows of its ``scotoma trace``.
    """
    matching = match(old, new)
    heads = _heads(matching, old[0], new[0])
    return {
        "matched": len(matching.pairs),
        "only_old": matching.only_old,
        "only_new": matching.only_new,
        "tensors": list(_tensors(matching)),
        "coverage": list(_coverage(old[0], new[0], heads)),
        "offsets": list(_offsets(matching, old[0], new[0], heads)),
    }


def _tensors(matching: Matching) -> Iterator[ChangedTensorDocument]:
    for pair in matching.pairs:
        before, after = _placed(pair.old), _placed(pair.new)
        old_values: Mapping[str, object] = {**before}
        new_values: Mapping[str, object] = {**after}
        changed = [key for key in COMPARED if old_values[key] != new_values[key]]
        if changed:
            yield {"match": pair.match, "changed": changed, "old": before, "new": after}


def _placed(row: TensorDocument) -> PlacedTensorDocument:
    shape, axes = row["shape"], row["spatial_axes"]
    return {
        "name": row["name"],
        "node": row["node"],
        "op_type": row["op_type"],
        "grid": None if shape is None or axes is None else [shape[axis] for axis in axes],
        "receptive_field": row["receptive_field"],
        "receptive_field_local": row["receptive_field_local"],
        "effective_stride": row["effective_stride"],
        "centre": row["centre"],
    }


def _heads(matching: Matching, old: Facts, new: Facts) -> dict[str, str]:
    """Return the last feature maps of both models, the old one's name by the new one's.

    Those that are left over by what they see of the image, in the order of the graph.
    """
    before, after = set(old.heads), set(new.heads)
    found = {
        pair.new["name"]: pair.old["name"]
        for pair in matching.pairs
        if pair.old["name"] in before and pair.new["name"] in after
    }
    waiting: dict[object, list[str]] = {}
    for name in old.heads:
        if name not in found.values():
            waiting.setdefault(_sight(old, name), []).append(name)
    for name in new.heads:
        alike = waiting.get(_sight(new, name)) if name not in found else None
        if alike:
            found[name] = alike.pop(0)
    left_old = [name for name in old.heads if name not in found.values()]
    left_new = [name for name in new.heads if name not in found]
    if len(left_old) == len(left_new) == 1:
        found[left_new[0]] = left_old[0]
    return found


def _sight(facts: Facts, tensor: str) -> object:
    """Return what tells one last feature map from another: its cells and what each sees."""
    return facts.shape(tensor), facts.receptive_field(tensor), facts.strides(tensor)


def _coverage(
    old: Facts, new: Facts, heads: Mapping[str, str]
) -> Iterator[CoverageDifferenceDocument]:
    pairs: list[tuple[str | None, str | None]] = [(None, None)]
    if len(heads) > 1:  # one is what the outputs see
        pairs += list(heads.items())[:MAX_HEADS]
    for after, before in pairs:
        if not (old.covers(before) and new.covers(after)):
            continue
        first, second = old.coverage(before), new.coverage(after)
        if first is None or second is None:
            continue
        documents = _document(first), _document(second)
        if not _same(*documents):
            yield {
                "of": after,
                "old": documents[0],
                "new": documents[1],
                "old_dead_pixels": int(first.dead.mask.sum()),
                "new_dead_pixels": int(second.dead.mask.sum()),
            }


def _document(coverage: Coverage) -> CoverageDocument:
    document: CoverageDocument = coverage.document()  # type: ignore[assignment]
    return document


def _same(old: CoverageDocument, new: CoverageDocument) -> bool:
    before: Mapping[str, object] = {**old}
    after: Mapping[str, object] = {**new}
    return all(
        alike(value, after[key])  # type: ignore[arg-type]
        if isinstance(value, int | float | None)
        else value == after[key]
        for key, value in before.items()
    )


def _offsets(
    matching: Matching, old: Facts, new: Facts, heads: Mapping[str, str]
) -> Iterator[OffsetDocument]:
    """Yield the offsets that changed; they compare only on images of one size."""
    if old.image_size != new.image_size:
        return
    rows = {pair.new["name"]: pair for pair in matching.pairs}
    for after, before in heads.items():
        pair = rows.get(after)
        if pair is None or pair.old["name"] != before:
            continue
        first, second = (offsets(row, new.image_size) for row in (pair.old, pair.new))
        if first is not None and second is not None and first != second:
            yield {"tensor": after, "old": list(map(str, first)), "new": list(map(str, second))}


def offsets(row: TensorDocument, image: Sequence[int]) -> tuple[Fraction, ...] | None:
    """Return how far a tensor's grid lies off the centre of the image; None if it is not known.

    In pixels along each axis: ``centre + stride (cells - 1) / 2 - (pixels - 1) / 2``, the first
    term being that of the first cell.

    Examples
    --------
    >>> row = {"shape": [1, 8, 7], "spatial_axes": [2], "centre": ["0"], "effective_stride": ["32"]}
    >>> offsets(row, (224,))
    (Fraction(-31, 2),)
    """
    grid = _placed_grid(row)
    centre, stride = row["centre"], row["effective_stride"]
    if grid is None or centre is None or stride is None or len(grid) != len(image):
        return None
    return tuple(
        Fraction(first) + Fraction(step) * (cells - 1) / 2 - Fraction(pixels - 1, 2)
        for first, step, cells, pixels in zip(centre, stride, grid, image, strict=True)
    )


def _placed_grid(row: TensorDocument) -> list[int] | None:
    shape, axes = row["shape"], row["spatial_axes"]
    return None if shape is None or axes is None else [shape[axis] for axis in axes]
