"""What a measurement leaves behind: map, picture, JSON document."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import helper
from PIL import Image

from scotoma.errors import UsageError
from scotoma.measure import MeasureOptions, document, measure, write
from scotoma.measure.picture import DEAD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnx

    from scotoma.measure import Influence
    from scotoma.resolve.resolution import Resolution

    Build = Callable[..., onnx.ModelProto]
    Examine = Callable[..., Resolution]

NODE = helper.make_node
COUNT = MeasureOptions(functional="sum", input="zeros", resolution="full")
ONES = np.ones((1, 1, 3, 3), np.float32)


@pytest.fixture
def unread(build: Build, examine: Examine) -> Influence:
    """Measure a stride that leaves the last row and the last column unread."""
    node = NODE("Conv", ["x", "w"], ["y"], strides=[2, 2])
    resolution = examine(build([node], [1, 1, 8, 8], {"w": ONES}), name="a$b_{$<x>.onnx")
    return measure(resolution.model, resolution, COUNT)


def test_the_document_keeps_the_contract(unread: Influence) -> None:
    found = document(unread)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    model = unread.resolution.model
    assert found.pop("seconds") >= 0
    notes = found.pop("notes")
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
        "functional": "sum",
        "output": "y",
        "stripped": [],
        "input": "zeros",
        "seed": None,
        "delta": 1.0,
        "resolution": {"full": True, "samples": [8, 8]},
        "passes": 64,
        "batch": 1,
        "influence": {
            "max": 4.0, "min": 0.0, "argmax": [2, 2],
            "dead_pixel_fraction": 15 / 64, "dead_rows": [[7, 7]], "dead_cols": [[7, 7]],
            "corner_over_centre": 1 / 4 / (9 / 4), "edge_over_centre": (1.5 / 4 * 2) / (9 / 4),
            "left_right_ratio": 5 / 4, "top_bottom_ratio": 5 / 4,
        },
        "agreement": None,
        "map": "influence.npy",
    }  # fmt: skip
    assert [note[:48] for note in notes] == ["an input of zeros holds every rectifier at its k"]


def test_dead_ranges_of_a_sample_name_sampled_pixels_only(build: Build, examine: Examine) -> None:
    node = NODE("Conv", ["x", "w"], ["y"], strides=[8, 8])
    resolution = examine(build([node], [1, 1, 16, 16], {"w": ONES}))
    options = MeasureOptions(functional="sum", resolution=8)
    influence = document(measure(resolution.model, resolution, options))["influence"]
    # samples at 0, 2, 4 ... 14; 0..2 and 8..10 are read
    dead = [[4, 4], [6, 6], [12, 12], [14, 14]]
    assert (influence["dead_rows"], influence["dead_cols"]) == (dead, dead)
    assert influence["dead_pixel_fraction"] == 48 / 64


def test_the_map_is_float32_at_input_resolution(unread: Influence, tmp_path: Path) -> None:
    paths = write(unread, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["influence.npy", "influence.png"]
    stored = np.load(paths[0])
    axis = [1, 1, 2, 1, 2, 1, 1, 0]
    assert (stored.dtype, stored.flags.c_contiguous) == (np.dtype("float32"), True)
    assert stored.tolist() == np.outer(axis, axis).tolist()


def test_the_picture_marks_dead_pixels_in_their_own_colour(
    unread: Influence, tmp_path: Path
) -> None:
    with Image.open(write(unread, tmp_path)[1]) as image:
        picture = np.asarray(image.convert("RGB"))
    assert min(picture.shape[:2]) > 400
    wanted = [int(DEAD[at : at + 2], 16) for at in (1, 3, 5)]
    marked = (picture == wanted).all(axis=-1)
    # the last row of cells is dead over the width of the map: one unbroken line of that colour
    widest = marked.sum(axis=1).max()
    assert widest > 400
    # 15 of 64 cells, besides the patch of the legend
    assert abs(marked.sum() / (widest**2 * 15 / 64) - 1) < 0.05


def test_the_picture_is_reproducible(unread: Influence, tmp_path: Path) -> None:
    first, again = (write(unread, tmp_path / name)[1].read_bytes() for name in "ab")
    assert first == again


@pytest.mark.parametrize(("rank", "names"), [(1, 2), (3, 1)])
def test_signals_get_a_line_and_volumes_no_picture(
    build: Build, examine: Examine, tmp_path: Path, rank: int, names: int
) -> None:
    weights = {"w": np.ones((1, 1, *[3] * rank), np.float32)}
    node = NODE("Conv", ["x", "w"], ["y"], strides=[2] * rank)
    resolution = examine(build([node], [1, 1, *[6] * rank], weights))
    influence = measure(resolution.model, resolution, COUNT)
    paths = write(influence, tmp_path / "out")
    assert [path.name for path in paths] == ["influence.npy", "influence.png"][:names]
    assert np.load(paths[0]).shape == (6,) * rank
    figures = document(influence)["influence"]
    assert figures["dead_cols"] == [[5, 5]]
    assert figures["dead_rows"] == ([] if rank == 1 else [[5, 5]])
    assert (figures["top_bottom_ratio"] is None) == (rank == 1)


@pytest.mark.parametrize("gain", [0.0, 1e-30, 1e30])
def test_flat_tiny_and_huge_maps_can_be_drawn(
    build: Build, examine: Examine, tmp_path: Path, gain: float
) -> None:
    nodes = [NODE("Mul", ["x", "g"], ["y"])]
    weights = {
        "g": np.geomspace(1, 1e8, 16, dtype=np.float32).reshape(1, 1, 4, 4) * np.float32(gain)
    }
    resolution = examine(build(nodes, [1, 1, 4, 4], weights))
    influence = measure(resolution.model, resolution, COUNT)
    assert influence.dead.all() == (gain == 0)
    with Image.open(write(influence, tmp_path)[1]) as image:
        assert image.format == "PNG"


def test_a_folder_that_cannot_be_made(unread: Influence, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"^cannot write into '.*file"):
        write(unread, tmp_path / "file" / "below")


def test_pyplot_is_never_touched() -> None:
    code = (
        "import sys, numpy as np\n"
        "from types import SimpleNamespace as S\n"
        "from scotoma.measure import picture\n"
        "from scotoma.measure.grid import Grid\n"
        "from scotoma.measure.options import MeasureOptions\n"
        "i = S(values=np.eye(4), dead=np.zeros((4, 4), bool), grid=Grid.of((4, 4), None),"
        " delta=1.0, options=MeasureOptions(), target=S(tensor='y'),"
        " resolution=S(model=S(path='-')))\n"
        "png = picture.render(i)\n"
        "print(png[:4], 'matplotlib.pyplot' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "b'\\x89PNG' False\n"
