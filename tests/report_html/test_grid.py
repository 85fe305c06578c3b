from __future__ import annotations

import numpy as np
import pytest

from scotoma.report.html.grid import MOST, grids_of


def test_a_small_map_is_shown_as_it_is() -> None:
    values = np.array([[1.0, 2.0, 0.0], [3.0, 4.0, 0.0]])
    dead = np.array([[False, False, True], [False, False, True]])
    (grid,) = grids_of(values, dead)
    assert (grid.shape, grid.axes, grid.over) == ((2, 3), ("rows", "columns"), None)
    assert grid.cells.tolist() == values.tolist()
    assert grid.unread.tolist() == dead.tolist()
    assert grid.dead_lines == grid.unread_lines == ((), ((2, 2),))
    assert [line.tolist() for line in grid.profiles] == [[1.0, 7 / 3], [2.0, 3.0, 0.0]]


def test_a_large_map_is_reduced_and_keeps_a_single_dead_row_in_sight() -> None:
    values = np.ones((1000, 300))
    values[501] = 0.0
    (grid,) = grids_of(values, values == 0)
    assert grid.cells.shape == (250, 150)
    assert max(grid.cells.shape) <= MOST
    assert np.flatnonzero(grid.unread.all(axis=1)).tolist() == [501 // 4]
    # The dead pixels are not averaged into the live ones of their cells.
    assert set(grid.cells.ravel().tolist()) == {1.0}
    assert grid.dead_lines == (((501, 501),), ())
    assert [line.size for line in grid.profiles] == [250, 150]
    assert grid.profiles[0][501 // 4] == 0.75


def test_what_has_no_path_is_told_from_what_moved_nothing() -> None:
    unread = np.zeros((3, 3), bool)
    unread[0] = True
    still = np.zeros((3, 3), bool)
    still[:2] = True
    (grid,) = grids_of(np.ones((3, 3)), unread, still)
    assert grid.unread[:, 0].tolist() == [True, False, False]
    assert grid.unmoved[:, 0].tolist() == [False, True, False]
    assert grid.dead_lines[0] == ((0, 1),)
    assert grid.unread_lines[0] == ((0, 0),)


def test_a_volume_is_shown_from_three_sides() -> None:
    values = np.arange(24, dtype=float).reshape(2, 3, 4)
    dead = np.zeros(values.shape, bool)
    dead[:, 2] = True
    dead[0, 0, 0] = True
    grids = grids_of(values, dead)
    assert [(g.axes, g.over, g.shape) for g in grids] == [
        (("rows", "columns"), "slices", (3, 4)),
        (("slices", "columns"), "rows", (2, 4)),
        (("slices", "rows"), "columns", (2, 3)),
    ]
    assert grids[0].dead_lines == (((2, 2),), ())
    assert grids[1].dead_lines == ((), ())
    assert grids[2].dead_lines == ((), ((2, 2),))
    assert grids[2].cells[0, 1] == values[0, 1].mean()


def test_a_signal_has_one_axis() -> None:
    (grid,) = grids_of(np.array([0.0, 2.0]), np.array([True, False]))
    assert (grid.axes, grid.dead_lines) == (("places",), (((0, 0),),))
    assert grid.profiles[0].tolist() == [0.0, 2.0]


@pytest.mark.parametrize("shape", [(), (0, 3), (1, 1, 1, 1)])
def test_other_maps_are_not_shown(shape: tuple[int, ...]) -> None:
    assert grids_of(np.ones(shape), np.zeros(shape, bool)) == ()


def test_values_at_the_end_of_the_range_do_not_leave_it() -> None:
    (grid,) = grids_of(np.full((2, 2), 1.7e308), np.zeros((2, 2), bool))
    assert np.isfinite(grid.profiles[0]).all()
    assert np.isfinite(grid.cells).all()
