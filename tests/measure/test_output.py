"""What a measurement leaves behind: map, profiles, JSON document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from measure.nets import COUNT, NODE, ONES, Build, Examine

from scotoma.errors import UsageError
from scotoma.measure import MeasureOptions, document, measure, write

if TYPE_CHECKING:
    from pathlib import Path

    from scotoma.measure import Influence


@pytest.fixture
def unread(build: Build, examine: Examine) -> Influence:
    """Measure a stride that leaves the last row and the last column unread."""
    node = NODE("Conv", ["x", "w"], ["y"], strides=[2, 2])
    facts = examine(build([node], [1, 1, 8, 8], {"w": ONES}), name="a$b_{$<x>.onnx")
    return measure(facts, COUNT)


def test_the_document_keeps_the_contract(unread: Influence) -> None:
    found = document(unread)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    model = unread.resolution.model
    assert found.pop("seconds") >= 0
    notes = found.pop("notes")
    figures = found.pop("figures")
    assert set(figures["corner_over_centre"]) == {"value", "standard_error", "probes", "reason"}
    assert figures["dead_pixel_fraction"]["value"] == 15 / 64
    agreement = found.pop("agreement")
    # 49 live pixels, whose walk is the product of windows that read them, as their influence is
    assert agreement["compared_pixels"] == 49
    assert agreement["correlation"] == pytest.approx(1)
    assert agreement["max_relative_error"] == pytest.approx(0, abs=1e-12)
    assert agreement["contradictions"] == 0
    for key in ("rings", "ripple", "position"):
        assert found.pop(key) is not None
    assert found == {
        "schema_version": "1",
        "model": {
            "path": model.path, "graph_sha256": model.graph_sha256, "producer": model.producer,
            "opset": 17,
        },
        "examined": {
            "name": "x", "shape": [1, 1, 8, 8], "spatial_axes": [2, 3], "assumed": False,
        },
        "method": "perturb",
        "method_reason": "gradients know no delta",
        "functional": "sum",
        "output": "y",
        "outputs": ["y"],
        "target": "the last feature map",
        "unit": None,
        "stripped": [],
        "input": "zeros",
        "inputs": [{"label": "zeros", "seed": None}],
        "seed": None,
        "delta": 1.0,
        "difference": "forward",
        "patch": 1,
        "channels": "together",
        "resolution": {"full": True, "samples": [8, 8], "probed": 64, "pixels": 64},
        "budget": {"seconds": None, "passes": None},
        "passes": 10,
        "planned_passes": 10,
        "passes_by_kind": {"pixels": 9, "rows": 0, "columns": 0, "dead": 1},
        "multiplexed": True,
        "batch": 1,
        "jobs": 1,
        "complete": True,
        "influence": {
            "max": 4.0, "min": 0.0, "argmax": [2, 2],
            "dead_pixel_fraction": 15 / 64, "dead_rows": [[7, 7]], "dead_cols": [[7, 7]],
            "corner_over_centre": 1 / 4 / (9 / 4), "edge_over_centre": (1.5 / 4 * 2) / (9 / 4),
            "left_right_ratio": 5 / 4, "top_bottom_ratio": 5 / 4,
        },
        "pixels": {"structurally_dead": 15, "locally_dead": 0, "live": 49},
        "gradients": None,
        "confirmation": None,
        "preview": None,
        "map": "influence.npy",
        "profiles": {},
    }  # fmt: skip
    assert [note[:31] for note in notes] == ["'zeros' is the same at every pi"]


def test_dead_rows_are_those_that_were_perturbed_throughout(build: Build, examine: Examine) -> None:
    node = NODE("Conv", ["x", "w"], ["y"], strides=[8, 8])
    facts = examine(build([node], [1, 1, 16, 16], {"w": ONES}))
    options = MeasureOptions(functional="sum", random_inputs=1, resolution=8)
    # the graph says it of 3..7 and 11..15, and they were perturbed together
    dead = [[3, 7], [11, 15]]
    influence = document(measure(facts, options))["influence"]
    assert (influence["dead_rows"], influence["dead_cols"]) == (dead, dead)


def test_the_map_is_float32_at_input_resolution(unread: Influence, tmp_path: Path) -> None:
    paths = write(unread, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["influence.npy", "influence.png"]
    stored = np.load(paths[0])
    axis = [1, 1, 2, 1, 2, 1, 1, 0]
    assert (stored.dtype, stored.flags.c_contiguous) == (np.dtype("float32"), True)
    assert stored.tolist() == np.outer(axis, axis).tolist()


def test_profiles_and_perturbed_pixels_are_kept(
    convolutions: Build, examine: Examine, unread: Influence, tmp_path: Path
) -> None:
    facts = examine(convolutions(2, 0, [1, 1, 16, 20]))
    options = MeasureOptions(functional="sum", inputs=("zeros",), delta=1.0, passes=12)
    influence = measure(facts, options)
    names = [path.name for path in write(influence, tmp_path, pictures=())]
    assert names == ["influence.npy", "probed.npy", "rows.npy", "columns.npy"]
    rows = np.load(tmp_path / "rows.npy")
    assert np.isnan(rows).sum() == 16 - influence.work.kinds["rows"]
    assert [rows[0], rows[15]] == [9 * 16, 9 * 16]
    assert np.load(tmp_path / "probed.npy").tolist() == influence.probed.tolist()
    assert document(influence)["profiles"] == {"rows": "rows.npy", "columns": "columns.npy"}
    # another measurement in the same folder leaves nothing of this one
    write(unread, tmp_path, pictures=("svg",))
    assert sorted(path.name for path in tmp_path.glob("*.npy")) == ["influence.npy"]
    assert (tmp_path / "influence.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize("rank", [1, 3])
def test_signals_and_volumes(build: Build, examine: Examine, tmp_path: Path, rank: int) -> None:
    weights = {"w": np.ones((1, 1, *[3] * rank), np.float32)}
    node = NODE("Conv", ["x", "w"], ["y"], strides=[2] * rank)
    influence = measure(examine(build([node], [1, 1, *[6] * rank], weights)), COUNT)
    paths = write(influence, tmp_path / "out")
    assert [path.name for path in paths] == ["influence.npy", "influence.png"]
    assert np.load(paths[0]).shape == (6,) * rank
    figures = document(influence)["influence"]
    assert figures["dead_cols"] == [[5, 5]]
    assert figures["dead_rows"] == ([] if rank == 1 else [[5, 5]])
    assert (figures["top_bottom_ratio"] is None) == (rank == 1)


def test_a_folder_that_cannot_be_made(unread: Influence, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"^cannot write into '.*file"):
        write(unread, tmp_path / "file" / "below")
