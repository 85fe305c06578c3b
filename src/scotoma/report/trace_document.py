"""The document of ``scotoma trace``: receptive fields of all tensors, coverage of the input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict, cast

from scotoma.report.document import examined_foot, examined_head
from scotoma.trace.layers import kind, multiply_adds, parameters

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.report.contract.trace import CoverageDocument, TensorDocument, TraceDocument
    from scotoma.sweep import Coverage
    from scotoma.trace import Geometry


class _Field(TypedDict):
    """What a tensor sees."""

    receptive_field: list[int] | None
    receptive_field_local: list[int] | None
    effective_stride: list[str] | None
    centre: list[str] | None
    note: str


def trace_document(facts: Facts, *, tensor: str | None = None) -> TraceDocument:
    """Return the document of the JSON contract for one model.

    Parameters
    ----------
    tensor
        The functional of the coverage; None: the sum of the graph outputs.

    Raises
    ------
    scotoma.errors.UsageError
        If the model has no such tensor.
    """
    facts.functional(tensor)
    coverage = facts.coverage(tensor) if facts.covers(tensor) else None
    local = facts.coverage(tensor, local=True) if coverage is not None else None
    geometry = facts.geometry
    return {
        **examined_head(facts),
        "functional": list(facts.functional(tensor)),
        "tensors": []
        if geometry is None
        else _rows(facts, geometry, coverage.absorbed if coverage is not None else {}),
        "coverage": _coverage(coverage),
        "coverage_local": _coverage(local),
        **examined_foot(facts),
    }


def _coverage(found: Coverage | None) -> CoverageDocument | None:
    return None if found is None else cast("CoverageDocument", found.document())


def _rows(facts: Facts, geometry: Geometry, absorbed: Mapping[str, float]) -> list[TensorDocument]:
    producers = facts.producers
    rows = []
    for name in geometry.flows:
        if "\0" in name:
            continue
        operator, field = producers.get(name), _field(geometry, name)
        row: TensorDocument = {
            "name": name,
            "node": operator.name if operator is not None else None,
            "op_type": operator.op_type if operator is not None else "Input",
            "shape": _listed(facts.shape(name)),
            "spatial_axes": _listed(geometry.spatial_axes(name)),
            "receptive_field": field["receptive_field"],
            "receptive_field_local": field["receptive_field_local"],
            "effective_stride": field["effective_stride"],
            "centre": field["centre"],
            "note": field["note"],
        }
        if operator is not None and name == operator.outputs[0]:
            row["kind"] = kind(geometry, operator)
            row["absorbed_by_padding"] = absorbed.get(name)
            row["multiply_adds"] = multiply_adds(facts.resolution, operator)
            row["parameters"] = parameters(facts.resolution, operator)
        rows.append(row)
    return rows


def _field(geometry: Geometry, name: str) -> _Field:
    """Return receptive field, effective stride and centre of a tensor, with a note on gaps."""
    flow = geometry.flows[name]
    empty: _Field = {
        "receptive_field": None,
        "receptive_field_local": None,
        "effective_stride": None,
        "centre": None,
        "note": "",
    }
    if geometry.resolution.shapes.get(name) is None:
        return {**empty, "note": "not known: behind an operator that is not analysed"}
    if not flow.local:
        return {**empty, "note": "sees the whole image"}
    grids = geometry.local_grids(name)
    if grids is None:
        return {**empty, "note": "its axes are not the image's any more"}
    fields = [g.field for g in grids]
    sizes = [None if g.field is None else g.field.width(g.size // 2) or g.field.size for g in grids]
    notes = dict.fromkeys(g.note for g in grids if g.note)
    widest = [None if f is None else f.size for f in fields]
    if None not in sizes and sizes != widest:
        notes[f"of the middle cell; others up to {'x'.join(map(str, widest))}"] = None
    if flow.whole:
        notes["whole-map paths see the whole image"] = None
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return {**empty, "note": "; ".join(notes) or "not known"}
    centres = [None if f is None else f.centre for f in fields]
    return {
        "receptive_field": None if flow.whole else known,
        "receptive_field_local": known,
        "effective_stride": [str(f.effective_stride) for f in fields if f is not None],
        "centre": None if None in centres else [str(c) for c in centres],
        "note": "; ".join(notes),
    }


def _listed(values: tuple[int, ...] | None) -> list[int] | None:
    return None if values is None else list(values)
