"""What a measurement leaves behind: the map, its picture, the profiles, and the JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma import metrics
from scotoma.errors import UsageError
from scotoma.measure import picture
from scotoma.measure.summary import Summary, summarise

if TYPE_CHECKING:
    from os import PathLike

    from scotoma.measure.influence import Influence

MAP = "influence.npy"
PROBED = "probed.npy"
JOURNAL = "influence.journal"
PLAIN = (
    "corner_over_centre", "edge_over_centre", "left_right_ratio", "top_bottom_ratio",
)  # fmt: skip


def write(
    influence: Influence,
    directory: str | PathLike[str],
    *,
    summary: Summary | None = None,
    pictures: Sequence[str] = ("png",),
    theme: str = "light",
) -> tuple[Path, ...]:
    """Write the map and its pictures into a directory, which is made if it is not there.

    Parameters
    ----------
    influence
        What was measured.
    directory
        Receives ``influence.npy`` (float32, one axis per spatial axis of the input, row-major, a
        cell for each pixel, or tile of a large map), ``influence.png``, where pixels were left out
        ``probed.npy`` (booleans, which were perturbed), and where whole rows and columns were
        perturbed ``rows.npy`` and ``columns.npy`` (float64, NaN where one was not). Files of
        these names from an earlier measurement are removed.
    summary
        Its figures, if they are at hand.
    pictures
        Kinds of pictures: ``png``, ``svg``, ``pdf``.
    theme
        ``light`` or ``dark``.

    Returns
    -------
    tuple
        The files written.

    Raises
    ------
    UsageError
        If the directory cannot be written.
    """
    folder = Path(directory)
    sheet = picture.sheet_of(influence, summary or summarise(influence))
    drawn = {f"influence.{kind}": picture.render(sheet, kind, theme) for kind in pictures}
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(influence.values, dtype=np.float32)
    arrays = {
        MAP: stored,
        PROBED: None if influence.full else influence.probed,
        **_lines(influence),
    }
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in arrays.items():
            (folder / name).unlink(missing_ok=True)
            if array is not None:
                np.save(folder / name, array, allow_pickle=False)
                written.append(folder / name)
        for name, image in drawn.items():
            if image is not None:
                (folder / name).write_bytes(image)
                written.append(folder / name)
    except OSError as error:
        raise UsageError(f"cannot write into '{folder}': {error.strerror}") from error
    return tuple(written)


def _lines(influence: Influence) -> dict[str, np.ndarray | None]:
    """Return the profiles by file name."""
    return {"rows.npy": influence.row_profile, "columns.npy": influence.column_profile}


def document(influence: Influence, summary: Summary | None = None) -> dict[str, Any]:
    """Return the measurement as JSON types, with the keys that other programs rely on.

    The numbers under ``influence`` are those of the metrics in `scotoma.metrics`; ``figures`` holds
    them and more, each with the number of probes that it comes from and its standard error.
    ``argmax`` is the first pixel of the largest influence. The dead fraction is that of the
    perturbed pixels; dead rows and columns are those of which every pixel was perturbed.
    """
    summary = summary or summarise(influence)
    options, target, work = influence.options, influence.target, influence.work
    model, examined = influence.resolution.model, influence.resolution.examined
    baselines = influence.baselines
    return {
        "schema_version": "1",
        "model": {
            "path": model.path,
            "graph_sha256": model.graph_sha256,
            "producer": model.producer,
            "opset": model.opsets.get(""),
        },
        "examined": None
        if examined is None
        else {
            "name": examined.name,
            "shape": None if examined.shape is None else list(examined.shape),
            "spatial_axes": list(examined.spatial_axes),
            "assumed": examined.assumed,
        },
        "method": influence.method,
        "method_reason": influence.reason,
        "functional": influence.functional.name,
        "output": target.tensors[0],
        "outputs": list(target.tensors),
        "target": target.why,
        "unit": _unit_document(influence),
        "stripped": [
            {"node": operator.name, "op_type": operator.op_type} for operator in target.stripped
        ],
        "input": ", ".join(dict.fromkeys(options.inputs)) or "random",
        "inputs": [{"label": item.label, "seed": item.seed} for item in baselines],
        "seed": baselines[0].seed,
        "delta": influence.steps[0] if influence.perturbed else None,
        "difference": influence.difference if influence.perturbed else None,
        "patch": options.patch,
        "channels": options.channels,
        "resolution": {
            "full": influence.full,
            "samples": list(influence.samples),
            **({"tile": influence.tile} if influence.tile > 1 else {}),
            "probed": int(influence.probed.sum()),
            "pixels": influence.probed.size,
        },
        "budget": {"seconds": options.seconds, "passes": options.passes},
        "passes": work.passes,
        "planned_passes": work.planned,
        "passes_by_kind": dict(work.kinds),
        "multiplexed": work.multiplexed,
        "batch": work.batch,
        "jobs": options.jobs,
        "seconds": round(influence.seconds, 3),
        "complete": influence.complete,
        "influence": _influence_document(influence, summary),
        "pixels": _pixels_document(influence),
        "gradients": _gradients_document(influence),
        "confirmation": _confirmation_document(influence),
        "preview": _preview_document(influence),
        **summary.document(),
        "map": MAP,
        "profiles": {
            name.partition(".")[0]: name for name, a in _lines(influence).items() if a is not None
        },
        "notes": list(influence.notes),
    }


def _unit_document(influence: Influence) -> dict[str, Any] | None:
    """Return the unit and the box of pixels that have a path to it, both ends included."""
    unit, structural = influence.target.unit, influence.structural
    if unit is None:
        return None
    box = None
    if structural is not None and not structural.dead.all():
        places = np.argwhere(~structural.dead)
        box = np.stack([places.min(axis=0), places.max(axis=0)], axis=1).tolist()
    return {"place": list(unit), "receptive_field": box}


def _pixels_document(influence: Influence) -> dict[str, int | None]:
    """Return how many pixels are dead by the graph, dead by measurement only, and alive."""
    structural = influence.structural
    dead, known = influence.dead, influence.probed
    proven = None if structural is None else structural.dead
    local = dead if proven is None else dead & ~proven
    live = known & ~dead
    if influence.gradients is not None and influence.confirmation is not None:
        live = influence.gradients.linked | influence.confirmation.probed & ~dead
    return {
        "structurally_dead": None if proven is None else int(proven.sum()),
        "locally_dead": int(local.sum()),
        "live": int(live.sum()) if influence.preview is None else influence.preview.moved,
    }


def _gradients_document(influence: Influence) -> dict[str, Any] | None:
    found = influence.gradients
    if found is None:
        return None
    return {
        "inputs": len(influence.baselines),
        "cotangents": found.cotangents,
        "random": bool(len(found.groups)),
        "relative_error": found.error,
        "residual_bytes": found.residual_bytes,
        "seconds": round(found.seconds, 3),
    }


def _confirmation_document(influence: Influence) -> dict[str, Any] | None:
    found = influence.confirmation
    if found is None:
        return None
    return {
        "perturbed_pixels": int(found.probed.sum()),
        "compared_pixels": found.compared,
        "correlation": found.correlation,
        "median_relative_error": found.median_relative_error,
        "max_relative_error": found.max_relative_error,
        "scale": found.scale,
        "moved_without_gradient": found.moved,
        "moved_without_gradient_pixels": [list(pixel) for pixel in found.moved_pixels],
        "unmoved_with_gradient": found.unmoved,
        "unmoved_with_gradient_pixels": [list(pixel) for pixel in found.unmoved_pixels],
    }


def _preview_document(influence: Influence) -> dict[str, Any] | None:
    found = influence.preview
    if found is None:
        return None
    return {
        "cut": found.cut,
        "passes": found.passes,
        "cotangents": found.cotangents,
        "random": found.random,
        "sampled_pixels": found.sampled,
        "relative_error": found.relative_error,
        "correlation": found.correlation,
        "seconds": round(found.seconds, 3),
    }


def _influence_document(influence: Influence, summary: Summary) -> dict[str, Any]:
    """Return the figures of the map as plain numbers."""
    values = influence.values
    lines = metrics.dead_ranges(influence.dead)
    rows, columns = (
        _in_pixels(ranges, influence.tile, size)
        for ranges, size in zip(lines, (1, *influence.facts.image_size)[-2:], strict=True)
    )
    plain = {key: found.value for key, found in summary.figures.items()}
    return {
        "max": float(values.max()),
        "min": float(values.min()),
        "argmax": [
            int(i) * influence.tile for i in np.unravel_index(int(values.argmax()), values.shape)
        ],
        "dead_pixel_fraction": plain.get("dead_pixel_fraction"),
        "dead_rows": rows,
        "dead_cols": columns,
        **{key: plain.get(key) for key in PLAIN},
    }


def _in_pixels(ranges: Sequence[tuple[int, int]], tile: int, size: int) -> list[list[int]]:
    """Return ranges of cells of the map as ranges of pixels, both ends included."""
    return [[first * tile, min((last + 1) * tile, size) - 1] for first, last in ranges]
