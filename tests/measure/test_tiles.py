"""A map that is too large for memory is kept in tiles: the same pixels, added up by tile."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import helper

from scotoma import metrics
from scotoma.errors import MeasurementError
from scotoma.measure import MeasureOptions, document, measure, setup, stimuli, tiles, write
from scotoma.measure.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt
    import onnx

    from scotoma.facts import Facts
    from scotoma.measure import Influence

    Build = Callable[..., onnx.ModelProto]
    Examine = Callable[..., Facts]
    Array = npt.NDArray[Any]

NODE = helper.make_node
EXACT = MeasureOptions(
    method="perturb", functional="sum", inputs=("zeros",), delta=1.0, resolution="full"
)
"""Answers are whole numbers, whose sums have no rounding."""


@pytest.fixture
def strided(build: Build, examine: Examine) -> Facts:
    """Return a net that leaves the last column of its 16x15 pixels unread; four share a cell."""
    weights = {"w": np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)}
    node = NODE("Conv", ["x", "w"], ["y"], strides=[3, 2], pads=[0, 0, 1, 0])
    return examine(build([node], [1, 1, 16, 16], weights))


def in_tiles(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    """Let a map have no more than so many cells."""
    monkeypatch.setattr(tiles, "LARGEST_MAP", cells * tiles.BYTES_PER_CELL)
    monkeypatch.setattr(tiles, "MOST_TILES", cells)


def run(facts: Facts, **changes: Any) -> Influence:
    return measure(facts, dataclasses.replace(EXACT, **changes))


def reduced(ufunc: np.ufunc, values: Array, tile: int) -> Array:
    for axis, size in enumerate(values.shape):
        values = ufunc.reduceat(values, np.arange(0, size, tile), axis=axis)
    return values


def sizes(shape: tuple[int, ...], tile: int) -> Array:
    return reduced(np.add, np.ones(shape, np.int64), tile)


class TestTileOf:
    @pytest.mark.parametrize(
        ("pixels", "tile"),
        [((10, 10), 1), ((10, 11), 2), ((20, 20), 2), ((21, 20), 3), ((1, 1000), 10), ((300,), 3)],
    )
    def test_is_the_least_that_fits(
        self, monkeypatch: pytest.MonkeyPatch, pixels: tuple[int, ...], tile: int
    ) -> None:
        in_tiles(monkeypatch, 100)
        assert tiles.tile_of(pixels) == tile


class TestMap:
    @pytest.mark.parametrize("multiplex", [False, True])
    @pytest.mark.parametrize(("cells", "tile"), [(64, 2), (16, 4), (36, 3)])
    def test_is_the_mean_of_all_pixels_bit_for_bit(
        self,
        strided: Facts,
        monkeypatch: pytest.MonkeyPatch,
        cells: int,
        tile: int,
        multiplex: bool,
    ) -> None:
        whole = run(strided, multiplex=multiplex, difference="central")
        in_tiles(monkeypatch, cells)
        found = run(strided, multiplex=multiplex, difference="central")
        assert found.tile == tile
        assert found.work.multiplexed is multiplex
        assert found.work == whole.work
        sums = reduced(np.add, whole.values, tile)
        assert (sums > 0).any()
        assert found.values.tolist() == (sums / sizes((16, 16), tile)).tolist()
        assert found.dead.tolist() == reduced(np.logical_and, whole.dead, tile).tolist()
        assert found.probed.all()
        assert found.responses.tolist() == [found.values.ravel().tolist()]
        assert whole.structural is not None
        assert found.structural is not None
        assert found.structural.dead.tolist() == (
            reduced(np.logical_and, whole.structural.dead, tile).tolist()
        )
        if 16 % tile == 0:
            shares = reduced(np.add, whole.structural.walk, tile)
            np.testing.assert_allclose(found.structural.walk, shares, rtol=1e-12)

    def test_figures_are_those_of_the_map_in_tiles(
        self, strided: Facts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = run(strided)
        in_tiles(monkeypatch, 64)
        found = summarise(run(strided))
        values = reduced(np.add, whole.values, 2) / 4
        expected = metrics.figures(metrics.Sample(values))
        for key in ("corner_over_centre", "left_right_ratio", "point_asymmetry"):
            assert found.figures[key] == expected[key]
        for key in ("centroid_offset_cols", "effective_radius_rows", "effective_width_cols"):
            value = expected[key].value
            assert value is not None
            assert found.figures[key].value == 2 * value
        rings = [ring["distance"] for ring in found.document()["rings"]]
        assert rings == [0, 2, 4]
        assert found.position is None

    def test_pixels_that_were_not_perturbed_count_as_those_of_their_tile_that_were(
        self, strided: Facts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        part = run(strided, passes=60, multiplex=False)
        in_tiles(monkeypatch, 16)
        found = run(strided, passes=60, multiplex=False)
        assert found.work == part.work
        assert part.structural is not None
        dead = part.structural.dead
        known = part.probed & ~dead
        live = reduced(np.add, (~dead).astype(int), 4)
        counts = reduced(np.add, known.astype(int), 4)
        sums = reduced(np.add, np.where(known, part.values, 0), 4)
        shares = sums[counts > 0] / (counts * 16 / live)[counts > 0]
        assert (counts > 0).sum() > 8
        assert ((counts > 0) & (counts < live)).any()
        assert found.values[counts > 0].tolist() == shares.tolist()
        assert found.probed.tolist() == (counts > 0).tolist()
        assert found.notes[-1].startswith("pixels were perturbed in 16 of 16 tiles: in the map")

    def test_of_patches_holds_each_in_the_tile_of_its_middle(
        self, strided: Facts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = run(strided, patch=3)
        in_tiles(monkeypatch, 64)
        found = run(strided, patch=3)
        middles = [1, 4, 7, 10, 13, 15]
        assert whole.places.tolist() == [[y, x] for y in middles for x in middles]
        cells = [middle // 2 for middle in middles]
        assert found.places.tolist() == [[y, x] for y in cells for x in cells]
        assert found.responses.tolist() == whole.responses.tolist()

    def test_profiles_are_means(self, strided: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = run(strided, resolution=None, passes=10**6)
        in_tiles(monkeypatch, 36)
        found = run(strided, resolution=None, passes=10**6)
        for name in ("row_profile", "column_profile"):
            line = getattr(whole, name)
            means = [float(line[start : start + 3].sum()) / len(line[start : start + 3])
                     for start in range(0, 16, 3)]  # fmt: skip
            assert getattr(found, name).tolist() == means

    def test_goes_on_from_a_journal(
        self, strided: Facts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        in_tiles(monkeypatch, 16)
        path = tmp_path / "journal"
        run(strided, passes=60, journal=path)
        rest = run(strided, journal=path, resume=True)
        assert rest.values.tobytes() == run(strided).values.tobytes()


class TestReport:
    def test_says_what_it_would_need_and_names_pixels(
        self, strided: Facts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        in_tiles(monkeypatch, 16)
        found = run(strided)
        assert (
            "the map of 16x16 pixels would need 0.0 GiB, more than 2.4e-06: it is kept in tiles of"
            " 4x4 pixels, each the mean of those that were perturbed"
        ) in found.notes
        said = document(found)
        assert said["resolution"] == {
            "full": True, "samples": [16, 16], "tile": 4, "probed": 16, "pixels": 16,
        }  # fmt: skip
        row, column = np.unravel_index(int(found.values.argmax()), (4, 4))
        assert said["influence"]["argmax"] == [4 * int(row), 4 * int(column)]
        assert {path.name for path in write(found, tmp_path)} == {"influence.npy", "influence.png"}
        assert np.load(tmp_path / "influence.npy").shape == (4, 4)

    def test_dead_ranges_are_of_pixels(
        self, build: Build, examine: Examine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        crop = [NODE("Slice", ["x", "from", "to", "axes"], ["y"])]
        constants = {name: np.array(value) for name, value in
                     {"from": [0, 4], "to": [7, 12], "axes": [2, 3]}.items()}  # fmt: skip
        in_tiles(monkeypatch, 16)
        found = document(run(examine(build(crop, [1, 1, 13, 14], constants))))["influence"]
        assert found["dead_rows"] == [[8, 12]]
        assert found["dead_cols"] == [[0, 3], [12, 13]]

    def test_gradients_leave_it_to_perturbation(
        self, strided: Facts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        in_tiles(monkeypatch, 16)
        found = measure(strided, MeasureOptions(passes=60))
        assert (found.method, found.tile) == ("perturb", 4)
        assert found.reason == "gradients give a map of all pixels, which takes too much memory"
        for method, delta in (("adjoint", None), ("hybrid", 1.0)):
            with pytest.raises(MeasurementError, match="a map of all pixels, which takes too much"):
                measure(strided, MeasureOptions(method=method, delta=delta))


class TestInputs:
    def test_that_are_too_large_are_refused(
        self, strided: Facts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(setup, "LARGEST_INPUTS", 5 * 4 * 256 - 1)
        with pytest.raises(MeasurementError, match=r"^inputs of 1x1x16x16 would take .* fewer"):
            run(strided, inputs=())
        assert run(strided, inputs=(), random_inputs=3).probed.all()

    @pytest.mark.parametrize("difference", ["central", "forward"])
    def test_are_moved_where_they_are_asked_for(
        self, strided: Facts, monkeypatch: pytest.MonkeyPatch, difference: str
    ) -> None:
        whole = run(strided, inputs=(), difference=difference)
        monkeypatch.setattr(setup, "MOST_HELD", 0)
        monkeypatch.setattr(stimuli, "Extremes", None)
        found = run(strided, inputs=(), difference=difference)
        assert found.responses.tobytes() == whole.responses.tobytes()
