"""The plan: what comes first, what it costs, and that it says the same every time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from scotoma.measure import planning
from scotoma.measure.grid import coarse_to_fine
from scotoma.measure.plan import COLUMNS, PIXELS, ROWS, Lattice, Plan, Probe, Variants
from scotoma.measure.reach import Reach
from scotoma.metrics import blocks


def make(
    shape: tuple[int, ...] = (16, 24),
    *,
    patch: int = 1,
    resolution: int | str | None = None,
    reach: int | None = None,
    walk: np.ndarray | None = None,
    skipped: np.ndarray | None = None,
    variants: Variants | None = None,
    seed: int = 0,
) -> Plan:
    """Make a plan; `reach`: neighbours on each side that share a cell."""
    lattice = Lattice(shape, patch)
    reaches = None
    if reach is not None:
        reaches = [
            [Reach(2 + axis, np.arange(size) - reach, np.arange(size) + reach)]
            for axis, size in enumerate(lattice.shape)
        ]
    return planning.make(
        lattice, resolution=resolution, reaches=reaches, walk=walk, skipped=skipped,
        variants=variants or Variants(), seed=seed,
    )  # fmt: skip


def pixels_of(found: Plan) -> list[tuple[int, ...]]:
    units = [found.unit(index) for index in range(len(found))]
    return [tuple(place) for u in units if u.kind == PIXELS for place in u.places.tolist()]


@pytest.mark.parametrize("reach", [None, 1])
@pytest.mark.parametrize("resolution", [None, "full"])
@pytest.mark.parametrize("shape", [(16, 24), (7,), (4, 5, 3)])
def test_every_pixel_comes_exactly_once(
    shape: tuple[int, ...], resolution: str | None, reach: int | None
) -> None:
    found = make(shape, resolution=resolution, reach=reach)
    assert sorted(pixels_of(found)) == list(np.ndindex(*shape))
    kinds = [found.unit(index).kind for index in range(len(found))]
    lines = resolution is None and len(shape) > 1
    assert kinds.count(ROWS) == (shape[-2] if lines else 0)
    assert kinds.count(COLUMNS) == (shape[-1] if lines else 0)


def test_places_of_one_unit_share_no_cell() -> None:
    found = make((40, 30), resolution="full", reach=2)
    assert len(found) == 25
    for index in range(len(found)):
        for along in found.unit(index).positions:
            assert all(after - before >= 5 for before, after in pairwise(along.tolist()))


def test_multiplexing_must_save_passes() -> None:
    assert make((12, 12), resolution="full", reach=5).palette is not None  # 11 x 11 colours
    assert make((12, 12), resolution="full", reach=6).palette is None
    assert make((12, 12), reach=5).palette is None  # sampled: not worth the loss of choice
    assert make((12, 12), reach=3).palette is not None


def test_a_number_of_samples_is_an_even_grid() -> None:
    found = make((10, 8), resolution=3)
    assert sorted(pixels_of(found)) == [(y, x) for y in (1, 4, 7) for x in (0, 3, 6)]
    assert found.passes == 9


def test_each_prefix_is_spread_over_the_interior() -> None:
    order = coarse_to_fine((64, 64), 3)
    assert sorted(order.tolist()) == list(range(64 * 64))
    for count in (4, 16, 64, 256):
        side = round(count**0.5)
        strata = {
            (cell // 64 * side // 64, cell % 64 * side // 64) for cell in order[:count].tolist()
        }
        assert len(strata) == count  # one in each stratum
    assert order.tolist() != coarse_to_fine((64, 64), 4).tolist()


def test_suspects_border_and_profile_take_turns() -> None:
    shape = (64, 64)
    walk = np.ones(shape)
    walk[20, 5] = 1e-6
    walk[30, 6] = 1e-5
    walk[0, :] = 0.5
    skipped = np.zeros(shape, bool)
    skipped[40] = True
    walk[40] = 0
    found = make(shape, walk=walk, skipped=skipped)
    first = [found.unit(index) for index in range(60)]
    places = [tuple(u.places[0].tolist()) for u in first if u.kind == PIXELS]
    assert places.index((20, 5)) < places.index((30, 6)) < 12
    kinds = [u.kind for u in first]
    assert 8 <= kinds.count(ROWS) + kinds.count(COLUMNS) <= 14  # two of ten shares
    ends = {(u.kind, int(u.positions[0][0])) for u in first if u.kind != PIXELS}
    assert {(ROWS, 0), (ROWS, 63), (COLUMNS, 0), (COLUMNS, 63), (ROWS, 31)} <= ends
    compared = {
        *((y, x) for y in (0, 1, 62, 63) for x in (0, 1, 62, 63)),
        *((y, x) for y in (0, 1, 62, 63) for x in (31, 32)),
        *((y, x) for y in (31, 32) for x in (0, 1, 62, 63)),
        *((y, x) for y in (31, 32) for x in (31, 32)),
    }
    assert compared <= set(pixels_of(found)[:120])
    assert not any(place[0] == 40 for place in pixels_of(found))


def parts(shape: tuple[int, int]) -> list[set[tuple[int, ...]]]:
    """Return the pixels of the corner, centre and edge blocks."""
    groups = (blocks.corner_blocks, blocks.centre_blocks, blocks.edge_blocks)
    return [
        {tuple(place) for block in group(shape) for place in np.argwhere(_inside(shape, block))}
        for group in groups
    ]


def _inside(shape: tuple[int, int], block: tuple[slice, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[block] = True
    return mask


@pytest.mark.parametrize("reach", [None, 20])
@pytest.mark.parametrize("shape", [(320, 256), (90, 400)])
def test_a_few_units_already_hold_a_corner_the_centre_and_a_side(
    shape: tuple[int, int], reach: int | None
) -> None:
    found = make(shape, reach=reach)
    assert (found.palette is not None) is (reach is not None)
    units = [found.unit(index) for index in range(40)]
    assert {unit.kind for unit in units} == {PIXELS, ROWS, COLUMNS}
    units = units[:10]
    seen = {tuple(place) for u in units if u.kind == PIXELS for place in u.places.tolist()}
    assert all(seen & part for part in parts(shape))
    more = {
        tuple(place)
        for index in range(80)
        for place in (found.unit(index).places if found.kinds[index] == 0 else [])
    }
    height, width = shape
    ends = [
        {(y, x) for y, x in more if y < height / 10 and x < width / 10},
        {(y, x) for y, x in more if y < height / 10 and x > width * 0.9},
        {(y, x) for y, x in more if y > height * 0.9 and x < width / 10},
        {(y, x) for y, x in more if y > height * 0.9 and x > width * 0.9},
    ]
    assert all(end & parts(shape)[0] for end in ends)


def test_suspects_come_early_with_those_of_their_colour() -> None:
    walk = np.ones((60, 60))
    walk[33, 44] = 1e-6
    found = make((60, 60), reach=4, walk=walk)
    assert found.palette is not None
    first = [found.unit(index) for index in range(12)]
    assert any([33, 44] in unit.places.tolist() for unit in first if unit.kind == PIXELS)


def test_a_colour_of_dead_places_alone_is_left_out() -> None:
    skipped = np.zeros((12, 12), bool)
    skipped[::3] = True  # three colours along each axis
    found = make((12, 12), reach=1, resolution="full", skipped=skipped)
    assert len(found) == 6
    assert not set(pixels_of(found)) & {tuple(place) for place in np.argwhere(skipped).tolist()}
    skipped[0, 0] = False
    assert len(make((12, 12), reach=1, resolution="full", skipped=skipped)) == 7


def test_passes_count_inputs_channels_and_directions() -> None:
    variants = Variants(inputs=3, channels=2, signs=(-1, 1))
    found = make((4, 4), variants=variants)
    assert found.passes == 16 * 12 + 8 * 6
    assert sum(found.cost(index) for index in range(len(found))) == found.passes
    pixel = next(i for i in range(len(found)) if found.unit(i).kind == PIXELS)
    line = next(i for i in range(len(found)) if found.unit(i).kind == ROWS)
    assert list(found.probes(pixel))[:3] == [
        Probe(pixel, 0, 0, -1), Probe(pixel, 0, 0, 1), Probe(pixel, 0, 1, -1),
    ]  # fmt: skip
    assert len(list(found.probes(pixel))) == found.cost(pixel) == 12
    assert [probe.channel for probe in found.probes(line)] == [None] * 6


def test_the_digest_is_that_of_the_plan() -> None:
    same = make().digest(b"model")
    assert make().digest(b"model") == same
    others = [
        make(seed=1), make(resolution="full"), make(reach=1), make((16, 23)), make(patch=2),
        make(variants=Variants(inputs=2)), make(variants=Variants(signs=(-1, 1))),
    ]  # fmt: skip
    digests = {same, make().digest(b"other"), *(other.digest(b"model") for other in others)}
    assert len(digests) == 9


def test_tiles_are_cut_off_at_the_end() -> None:
    lattice = Lattice((7, 4), 3)
    assert lattice.shape == (3, 2)
    assert lattice.span(0, 2) == slice(6, 7)
    assert lattice.spread(0, np.array([0, 2])).tolist() == [0, 1, 2, 6]
    assert lattice.middles(np.array([[0, 0], [2, 1]])).tolist() == [[1, 1], [6, 3]]
    mask = np.zeros((7, 4), bool)
    mask[6, :3] = mask[0, 0] = True
    assert lattice.tiles(mask).tolist() == [[False, False], [False, False], [True, False]]
    assert lattice.touched(mask).tolist() == [[True, False], [False, False], [True, False]]
    assert lattice.pixels_of(lattice.tiles(mask)).tolist() == [[False] * 4] * 6 + [
        [True, True, True, False]
    ]


def test_a_huge_input_is_sampled_on_a_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MOST_CONSIDERED", 100)
    found = make((50, 8), resolution=None)
    assert tuple(map(len, found.samples)) == (10, 8)
    assert len(found) == 80 + 58
    assert len(make((50, 8), resolution="full")) == 400
