"""Makes the sheet of a measurement: its maps, the conditions and the figures in words."""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from scotoma import metrics
from scotoma.measure.picture.parts import percent
from scotoma.measure.picture.sheet import Row, Sheet
from scotoma.metrics import Figure, Sample

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.measure.influence import Influence
    from scotoma.measure.summary import Summary

ROUNDING = 1e-12
"""Numbers below are rounding, and written as 0."""
NO_OFFSET = 1e-6
"""Pixels; an offset below is rounding, and written as 0."""
QUANTITIES = {
    "l2": "norm of the target's change, per unit of input",
    "sum": "change of the target's sum, per unit of input",
    "max": "change of the target's maximum, per unit of input",
    "logit": "change of the logit, per unit of input",
}
TABLE = {
    "corner_over_centre": "corner / centre",
    "edge_over_centre": "edge / centre",
    "border_over_interior": "border / interior",
    "left_right_ratio": "left / right",
    "top_bottom_ratio": "top / bottom",
    "centroid_offset_rows": "centroid, rows [px]",
    "centroid_offset_cols": "centroid, columns [px]",
    "centroid_offset_slices": "centroid, slices [px]",
    "point_asymmetry": "point asymmetry",
    "ripple_rows": "ripple, rows",
    "ripple_cols": "ripple, columns",
    "ripple_slices": "ripple, slices",
}


def sheet_of(influence: Influence, summary: Summary) -> Sheet:
    """Return what the picture of a measurement shows."""
    structural = influence.structural
    scaled = None if structural is None else structural.walk * structural.walk.size
    profiles: tuple[npt.NDArray[np.float64] | None, ...] = ()
    lines = (influence.row_profile, influence.column_profile)
    if influence.values.ndim == 2 and not influence.full:
        # Whole rows and columns tell more than the few probes in each; but only all of them.
        profiles = (
            lines if all(line is not None and np.isfinite(line).all() for line in lines) else ()
        )
    return Sheet(
        title=f"Pixel influence in {plain(_name(influence), 56)}",
        lines=tuple(_conditions(influence)),
        values=influence.values,
        probed=influence.probed,
        dead=influence.dead,
        quantity=_quantity(influence),
        structural=scaled,
        structural_dead=None if structural is None else structural.dead,
        profiles=profiles,
        rows=tuple(_rows(influence, summary)),
        tile=influence.tile,
    )


def _name(influence: Influence) -> str:
    path = influence.resolution.model.path
    return "standard input" if path == "-" else PurePath(path).name


def _quantity(influence: Influence) -> str:
    text = QUANTITIES.get(influence.functional.name.partition(":")[0], influence.functional.name)
    return text.replace(", ", ",\n")


def _conditions(influence: Influence) -> list[str]:
    size = " x ".join(map(str, influence.values.shape))
    unit = "px" if influence.tile == 1 else f"tiles of {influence.tile} px"
    steps = sorted(set(influence.steps))
    step = "step " + " to ".join(f"{value:.3g}" for value in dict.fromkeys((steps[0], steps[-1])))
    labels = [plain(baseline.label, 40) for baseline in influence.baselines]
    inputs = labels[0] if len(labels) == 1 else f"{len(labels)} inputs ({labels[0]}, …)"
    target = ", ".join(f"'{plain(name, 40)}'" for name in influence.target.tensors[:2])
    if len(influence.target.tensors) > 2:
        target += f" and {len(influence.target.tensors) - 2} more"
    if influence.target.unit is not None:
        target += f", unit {','.join(map(str, influence.target.unit))} alone"
    options = influence.options
    moved = f", patches of {options.patch} px" if options.patch > 1 else ""
    moved += ", channel by channel" if options.channels == "each" else ""
    how = f"{influence.difference} difference, {step}{moved}"
    if influence.gradients is not None:
        how = "gradients" + moved
    return [
        f"{size} {unit}, {inputs}, {how}",
        f"target {target}",
        _probes(influence),
    ]


def _probes(influence: Influence) -> str:
    total, probed = influence.values.size, int(influence.probed.sum())
    if influence.gradients is not None:
        if influence.confirmation is None:
            return f"all {total:,} pixels by gradients"
        confirmed = int(influence.confirmation.probed.sum())
        return f"all {total:,} pixels by gradients, {confirmed:,} confirmed by perturbation"
    if influence.preview is not None:
        return (
            f"preview of all {total:,} pixels, linear behind '{plain(influence.preview.cut, 40)}'"
        )
    if influence.tile > 1:
        return f"every tile shows the nearest of {probed:,} that hold perturbed pixels"
    if probed == total:
        return f"all {total:,} pixels measured" if total > 1 else "the only pixel measured"
    share = percent(probed / total) if total else ""
    text = f"every pixel shows the nearest of {probed:,} probes ({share} of the pixels)"
    return text + ("" if influence.complete else "; the measurement is not complete")


def _rows(influence: Influence, summary: Summary) -> list[Row]:
    found = summary.figures
    structural = influence.structural
    graph: dict[str, Figure] = {}
    if structural is not None:
        graph = metrics.figures(Sample(structural.walk))
        graph["dead_pixel_fraction"] = metrics.fraction(structural.dead)
    rows = [
        Row(
            "dead pixels",
            _share(found, "dead_pixel_fraction"),
            _share(graph, "dead_pixel_fraction"),
        )
    ]
    for key, name in TABLE.items():
        if key in found or key in graph:
            rows.append(
                Row(_with_period(name, key, summary), in_table(found, key), in_table(graph, key))
            )
    place = summary.position
    if place is not None:
        rows.append(Row("position sensitivity", written(place.sensitivity), ""))
    if structural is not None:
        rows.append(Row("absorbed by padding", "", percent(round(structural.absorbed, 12))))
    return rows


def _with_period(name: str, key: str, summary: Summary) -> str:
    ripple = summary.ripple.get(key.removeprefix("ripple_")) if key.startswith("ripple_") else None
    return name if ripple is None else f"{name} (period {ripple.period})"


def in_table(figures: dict[str, Figure], key: str) -> str:
    """Return what the table of a picture shows of a figure."""
    if key not in figures:
        return "–"
    figure = figures[key]
    if key == "point_asymmetry" and figure.error is None and figure.value is not None:
        return f"at least {figure.value:.4g}"
    largest = max(abs(figure.value or 0.0), figure.error or 0.0)
    if key.startswith("centroid") and figure.value is not None and largest < NO_OFFSET:
        return "0"
    return written(figure)


def _share(figures: dict[str, Figure], key: str) -> str:
    figure = figures.get(key)
    if figure is None or figure.value is None:
        return "–"
    if not figure.error:
        return percent(figure.value)
    return f"{100 * figure.value:.1f} ± {100 * figure.error:.2g}%"


def written(figure: Figure) -> str:
    """Return a figure with its standard error, where that changes one of four digits.

    Examples
    --------
    >>> written(Figure(0.12342, 0.0012, 9)), written(Figure(1.0, 0.0, 9))
    ('0.1234 ± 0.0012', '1')
    >>> written(Figure(3.0, None, 9)), written(Figure(None, None, 0))
    ('3 (error unknown)', '–')
    """
    value, error = figure.value, figure.error
    if value is None:
        return "–"
    if abs(value) < ROUNDING and (error is None or error < ROUNDING):
        value = 0.0
    if error is None:
        return f"{value:.4g} (error unknown)"
    if error < 5e-5 * abs(value) or error < ROUNDING or not math.isfinite(error):
        return f"{value:.4g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    if digits > 5 or error >= 1e5:
        return f"{value:.2g} ± {error:.1g}"
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def plain(text: str, length: int) -> str:
    r"""Return text without control characters, its middle left out where it is too long.

    Examples
    --------
    >>> plain("a\nb", 9), plain("abcdefghij", 5)
    ('a?b', 'ab…ij')
    """
    text = "".join(char if char.isprintable() else "?" for char in text)
    if len(text) <= length:
        return text
    keep = length - 1
    return f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"
