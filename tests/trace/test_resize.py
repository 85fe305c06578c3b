"""Which pixels a Resize leaves unread is what onnxruntime leaves unread, pixel by pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from text_models import facts_of

from scotoma.sweep import dead_pixels

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]


def dead(text: str, opset: int, folder: Path) -> tuple[Mask, Mask]:
    """Return the unread pixels of a model, by the graph and as it runs."""
    import onnxruntime

    facts = facts_of(text, folder, opset)
    assert facts.geometry is not None
    found = dead_pixels(facts.geometry, facts.geometry.outputs()).mask
    session = onnxruntime.InferenceSession(
        folder / "model.onnx", providers=["CPUExecutionProvider"]
    )
    unread = np.ones(found.shape, bool)
    for pixel in np.ndindex(found.shape):
        image = np.zeros((1, 1, *found.shape), np.float32)
        image[(0, 0, *pixel)] = 1
        unread[pixel] = not session.run(None, {"x": image})[0].any()
    return found, unread


def check(text: str, opset: int, folder: Path) -> None:
    found, unread = dead(text, opset, folder)
    np.testing.assert_array_equal(found, unread)


@pytest.mark.parametrize(("size", "scale"), [(10, 0.4), (10, 0.6), (7, 0.5), (9, 0.34), (4, 1.5)])
def test_nearest_before_opset_11_rounds_up_where_it_shrinks(
    size: int, scale: float, tmp_path: Path
) -> None:
    text = f"""
        model (float[1, 1, {size}, 5] x) => (float[1, 1, A, 5] y)
        <float[4] scales = {{1.0, 1.0, {scale}, 1.0}}>
        {{ y = Resize <mode = "nearest"> (x, scales) }}
    """
    check(text, 10, tmp_path)


def test_four_tenths_before_opset_11_read_other_rows_than_after(tmp_path: Path) -> None:
    scales = "<float[4] scales = {1.0, 1.0, 0.4, 1.0}>"
    shapes = "(float[1, 1, 10, 2] x) => (float[1, 1, 4, 2] y)"
    old = f'model {shapes} {scales} {{ y = Resize <mode = "nearest"> (x, scales) }}'
    attributes = 'mode = "nearest", coordinate_transformation_mode = "asymmetric"'
    attributes += ', nearest_mode = "floor"'
    new = f"model {shapes} {scales} {{ y = Resize <{attributes}> (x, , scales) }}"
    for text, opset, rows in ((old, 10, [0, 3, 5, 8]), (new, 13, [0, 2, 5, 7])):
        found, unread = dead(text, opset, tmp_path)
        assert np.flatnonzero(~found[:, 0]).tolist() == rows
        np.testing.assert_array_equal(found, unread)


@pytest.mark.parametrize(
    ("before", "after", "attributes", "instead_of"),
    [
        (14, 4, 'coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"', (7, 6)),
        (20, 12, 'coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"', (15, 14)),
        (30, 9, 'nearest_mode = "round_prefer_ceil"', (25, 24)),
        (10, 6, 'nearest_mode = "floor"', (7, 6)),
    ],
)
def test_at_a_tie_the_cell_that_runs_is_read(
    before: int, after: int, attributes: str, instead_of: tuple[int, int], tmp_path: Path
) -> None:
    text = f"""
        model (float[1, 1, {before}, 1] x) => (float[1, 1, {after}, 1] y)
        <int64[4] sizes = {{1, 1, {after}, 1}}>
        {{ y = Resize <mode = "nearest", {attributes}> (x, , , sizes) }}
    """
    found, unread = dead(text, 18, tmp_path)
    np.testing.assert_array_equal(found, unread)
    exact, read = instead_of
    assert found[exact, 0]
    assert not found[read, 0]


@pytest.mark.parametrize(
    ("attributes", "opset"),
    [
        ('mode = "nearest", coordinate_transformation_mode = "asymmetric"', 18),
        ('mode = "linear", coordinate_transformation_mode = "asymmetric"', 18),
        ('mode = "nearest", nearest_mode = "ceil"', 18),
        ('mode = "nearest"', 10),
        ('mode = "linear"', 10),
    ],
)
def test_what_keeps_its_shape_is_copied_whatever_the_scales(
    attributes: str, opset: int, tmp_path: Path
) -> None:
    scales = "(x, scales)" if opset == 10 else "(x, , scales)"
    text = f"""
        model (float[1, 1, 9, 8] x) => (float[1, 1, 9, 8] y)
        <float[4] scales = {{1.0, 1.0, 1.1, 1.06}}> {{ y = Resize <{attributes}> {scales} }}
    """
    found, unread = dead(text, opset, tmp_path)
    assert not unread.any()
    assert not found.any()


@pytest.mark.parametrize("antialias", [0, 1])
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_an_axis_that_keeps_its_length_is_copied_with_antialias(
    mode: str, antialias: int, tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "mode": f'"{mode}"', "antialias": antialias,
        "coordinate_transformation_mode": '"asymmetric"',
    }  # fmt: skip
    attributes = ", ".join(f"{name} = {value}" for name, value in options.items())
    text = f"""
        model (float[1, 1, 9, 8] x) => (float[1, 1, 9, 2] y)
        <float[4] scales = {{1.0, 1.0, 1.1, 0.25}}> {{ y = Resize <{attributes}> (x, , scales) }}
    """
    check(text, 18, tmp_path)
