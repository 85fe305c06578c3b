"""Receptive fields and dead pixels of published architectures, beside independent measurements.

The truths come from automatic differentiation of the original PyTorch models and, for other
input sizes, from a sweep over the graph by another program.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from networks import SHARED, geometry

from scotoma.sweep import dead_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from scotoma.sweep import Dead
    from scotoma.trace import Geometry


def truth(name: str) -> dict[str, Any]:
    path = SHARED / name
    return json.loads(path.read_text()) if path.exists() else {}


def traced_files() -> Iterator[tuple[Path, dict[str, Any], str]]:
    """Yield a file, its truth and the tensor that the truth is about."""
    for name, entry in sorted(truth("ground_truth.json").items()):
        if "dead_pixel_fraction" not in entry:
            continue
        if name.startswith("broken/"):
            path = SHARED / (entry.get("file") or f"{name}.onnx")
            if entry.get("feature_tensor_hint"):
                yield path, entry, entry["feature_tensor_hint"]
            continue
        for file, hint in sorted((entry.get("onnx_files") or {}).items()):
            if hint.get("feature_tensor"):
                yield SHARED / "zoo" / file, entry, hint["feature_tensor"]


def resized_files() -> Iterator[tuple[Path, dict[str, Any], str, tuple[int, ...]]]:
    for file, entry in sorted(truth("size_truth.json").items()):
        for size, numbers in sorted(entry["sizes"].items()):
            shape = tuple(int(n) for n in size.split("x"))
            yield SHARED / "zoo" / file, numbers, entry["feature_tensor"], shape


TRACED = list(traced_files())
RESIZED = list(resized_files())
ABSENT = pytest.param(None, marks=pytest.mark.skip(reason=f"{SHARED} is not there"), id="absent")


@cache
def traced(path: Path, size: tuple[int, ...]) -> Geometry:
    return geometry(path, size)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case[0].name) for case in TRACED if case[1].get("rf_h") is not None]
    or [ABSENT],
)
def test_receptive_field(case: tuple[Path, dict[str, Any], str]) -> None:
    path, entry, tensor = case
    grids = traced(path, tuple(entry["input_size"][1:])).local_grids(tensor)
    assert grids is not None
    # The truth is about the height and the width; a volume has frames before them.
    for grid, axis in ((grids[-2], "h"), (grids[-1], "w")):
        assert grid.field is not None, grid.note
        found = grid.field.width(grid.size // 2)
        detail = entry[f"rf_{axis}_detail"]
        if "rf_max" in detail:
            assert found is not None
            assert detail["rf_min"] <= found <= detail["rf_max"]
        else:
            assert found == entry[f"rf_{axis}"]
            # Behind upsampling, neighbours lie apart by more or by less than the mean stride.
            apart = detail["stride"] == grid.field.effective_stride
            assert apart or grid.field.period > 1


@pytest.mark.parametrize("case", [pytest.param(c, id=c[0].name) for c in TRACED] or [ABSENT])
def test_dead_pixels(case: tuple[Path, dict[str, Any], str]) -> None:
    path, entry, tensor = case
    found = traced(path, tuple(entry["input_size"][1:]))
    check_dead(dead_pixels(found, [tensor]), entry)
    if "dead_pixel_fraction_local" in entry:
        check_dead(dead_pixels(found, [tensor], local=True), entry, "_local")


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=f"{c[0].name}-{'x'.join(map(str, c[3]))}") for c in RESIZED] or [ABSENT],
)
def test_dead_pixels_at_another_size(
    case: tuple[Path, dict[str, Any], str, tuple[int, ...]],
) -> None:
    path, entry, tensor, size = case
    check_dead(dead_pixels(geometry(path, size), [tensor]), entry)


def check_dead(found: Dead, entry: dict[str, Any], suffix: str = "") -> None:
    assert indices(found.rows) == entry[f"dead_rows{suffix}"]
    assert indices(found.columns) == entry[f"dead_cols{suffix}"]
    assert float(found.fraction) == pytest.approx(entry[f"dead_pixel_fraction{suffix}"], abs=2e-6)


def indices(ranges: Sequence[tuple[int, int]]) -> list[int]:
    return [int(i) for first, last in ranges for i in np.arange(first, last + 1)]
