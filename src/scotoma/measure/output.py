"""What a measurement leaves behind: the map, the picture, and the JSON document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma import metrics
from scotoma.errors import UsageError
from scotoma.measure import picture

if TYPE_CHECKING:
    from os import PathLike

    from scotoma.measure.influence import Influence

MAP = "influence.npy"
PICTURE = "influence.png"


def write(influence: Influence, directory: str | PathLike[str]) -> tuple[Path, ...]:
    """Write the map and its picture into a directory, which is made if it is not there.

    Parameters
    ----------
    influence
        What was measured.
    directory
        Receives ``influence.npy`` (float32, one axis per spatial axis of the input, row-major, at
        the resolution of the input) and ``influence.png`` (a heat map; for a 1-D input a line;
        none for a 3-D one).

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
    drawn = picture.render(influence)
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(influence.values, dtype=np.float32)
    paths = [folder / MAP]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(paths[0], stored, allow_pickle=False)
        if drawn is not None:
            paths.append(folder / PICTURE)
            paths[1].write_bytes(drawn)
    except OSError as error:
        raise UsageError(f"cannot write into '{folder}': {error.strerror}") from error
    return tuple(paths)


def document(influence: Influence) -> dict[str, Any]:
    """Return the measurement as JSON types, with the keys that other programs rely on.

    Metrics of the map are those of `scotoma.metrics`. ``argmax`` is the first pixel of the largest
    influence. Dead figures come from the perturbed pixels alone: the fraction is theirs, and a
    range of rows or columns names perturbed rows or columns.
    """
    resolution, target, grid = influence.resolution, influence.target, influence.grid
    model, examined = resolution.model, resolution.examined
    values = influence.values
    axes = values.ndim
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
        "method": "perturb",
        "functional": influence.options.functional,
        "output": target.tensor,
        "stripped": [
            {"node": operator.name, "op_type": operator.op_type} for operator in target.stripped
        ],
        "input": influence.options.input,
        "seed": influence.options.seed if influence.options.input == "random" else None,
        "delta": influence.delta,
        "resolution": {"full": grid.full, "samples": list(grid.shape)},
        "passes": influence.passes,
        "batch": influence.batch,
        "seconds": round(influence.seconds, 3),
        "influence": {
            "max": float(values.max()),
            "min": float(values.min()),
            "argmax": [int(i) for i in np.unravel_index(int(values.argmax()), values.shape)],
            "dead_pixel_fraction": metrics.dead_pixel_fraction(influence.dead),
            "dead_rows": _ranges(influence, axes - 2),
            "dead_cols": _ranges(influence, axes - 1),
            "corner_over_centre": metrics.corner_over_centre(values),
            "edge_over_centre": metrics.edge_over_centre(values),
            "left_right_ratio": metrics.left_right_ratio(values),
            "top_bottom_ratio": metrics.top_bottom_ratio(values),
        },
        "agreement": None,
        "map": MAP,
        "notes": list(influence.notes),
    }


def _ranges(influence: Influence, axis: int) -> list[list[int]]:
    if axis < 0:
        return []
    return [list(limits) for limits in influence.grid.ranges(axis, influence.dead)]
