"""One arrow of the sweep, beside the matrix of the operator's index map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import examples

from scotoma.sweep import along as module
from scotoma.sweep.along import Semiring
from scotoma.sweep.pull import pull
from scotoma.trace.field import Field
from scotoma.trace.index_map import IndexMap, Taps, TapsMap, WindowMap
from scotoma.trace.layout import Digit, Grid, Layout, collapsed, of_grid
from scotoma.trace.reading import AxisRead, Faded, Mapped, Mixed, Reading, Same

if TYPE_CHECKING:
    from numpy.typing import NDArray


def grid(size: int, label: int = 0) -> Grid:
    return Grid(label, size, Field.of_pixels())


def matrix(index_map: IndexMap) -> NDArray[np.int64]:
    """Return how often every output reads every input, straight from the definition."""
    found = np.zeros((index_map.size_out, index_map.size_in), np.int64)
    if isinstance(index_map, TapsMap):
        np.add.at(found, (index_map.outputs, index_map.inputs), 1)
        return found
    m = index_map
    for o in range(m.size_out):
        for i in range(m.size_in):
            for t in range(m.kernel):
                here, there = (i, o) if m.transposed else (o, i)
                found[o, i] += here * m.stride - m.pad_begin + t * m.dilation == there
    return found


def pulled(index_map: IndexMap, array: Any, semiring: Semiring) -> Any:
    layout: Layout = (of_grid(grid(index_map.size_in)),)
    out: Layout = (of_grid(grid(index_map.size_out)),)
    reading = Reading("x", layout, (Mapped(0, index_map),), share=1)
    return pull(reading, out, np.asarray(array), semiring)


@st.composite
def windows(draw: Any) -> WindowMap:
    kernel = draw(st.one_of(st.integers(1, 6), st.integers(20, 40)))
    return WindowMap(
        kernel, draw(st.integers(1, 4)), draw(st.integers(1, 3)) if kernel < 10 else 1,
        draw(st.integers(-3, 6)), draw(st.integers(1, 60)), draw(st.integers(1, 40)),
        draw(st.booleans()), draw(st.sampled_from(list(Taps))), draw(st.integers(-3, 6)),
    )  # fmt: skip


@examples(300)
@given(windows(), st.integers(0, 2**32 - 1))
def test_windows(window: WindowMap, seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 3, window.size_out).astype(float)
    taps = matrix(window)
    assert window.real_taps().tolist() == taps.sum(axis=1).tolist()
    for o in range(window.size_out):
        inside = [i for i in window.reads(o) if 0 <= i < window.size_in]
        assert sorted(inside) == np.flatnonzero(taps[o]).tolist()
    assert pulled(window, array, Semiring.COUNT).tolist() == (array @ taps).tolist()
    reached = pulled(window, array > 0, Semiring.REACH)
    assert reached.dtype == bool
    assert reached.tolist() == ((array > 0) @ (taps > 0)).tolist()
    choices = taps.sum(axis=1)
    if not window.transposed and window.taps is Taps.ALL:
        choices = np.full(window.size_out, window.kernel)
    if not window.transposed and window.taps is Taps.PADDED:
        start = np.arange(window.size_out) * window.stride - window.pad_begin
        place = start[:, None] + np.arange(window.kernel) * window.dilation
        low, high = -window.pad_begin, window.size_in + window.pad_end
        choices = ((place >= low) & (place < high)).sum(axis=1)
    if window.kernel > 1:
        walk = pulled(window, array, Semiring.WALK)
        np.testing.assert_allclose(walk, (array / np.maximum(choices, 1)) @ taps, atol=1e-12)
        assert ((walk > 0) <= reached).all()


@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.parametrize("pad", [0, 17, 60, -4])
def test_long_kernels_equal_tap_by_tap(
    monkeypatch: pytest.MonkeyPatch, stride: int, pad: int
) -> None:
    window = WindowMap(31, stride, 1, pad, 50, 40)
    array = np.random.default_rng(0).uniform(0, 1, 40) * (np.arange(40) % 7 == 0)
    long = [pulled(window, a, s) for s, a in ((Semiring.COUNT, array), (Semiring.REACH, array > 0))]
    monkeypatch.setattr(module, "LONG_KERNEL", 1000)
    monkeypatch.setattr(module, "slide_of", module.Slide)
    short = [
        pulled(window, a, s) for s, a in ((Semiring.COUNT, array), (Semiring.REACH, array > 0))
    ]
    np.testing.assert_allclose(long[0], short[0], rtol=1e-12, atol=1e-12)
    assert ((long[0] > 0) == (short[0] > 0)).all()
    assert long[1].tolist() == short[1].tolist()


def test_transposed_window_cropped_beyond_its_size() -> None:
    window = WindowMap(9, 1, 1, 6, 1, 1, transposed=True)
    assert window.real_taps().tolist() == [1]
    assert list(window.reads(0))[6] == 0


def test_table() -> None:
    table = TapsMap.of_table(np.array([4, 4, -1, 0, 2]), 6)
    assert table.real_taps().tolist() == [1, 1, 0, 1, 1]
    assert [list(table.reads(o)) for o in range(5)] == [[4], [4], [], [0], [2]]
    counted = pulled(table, [1.0, 2.0, 4.0, 8.0, 16.0], Semiring.COUNT)
    assert counted.tolist() == [8, 0, 16, 0, 3, 0]


def test_table_finds_its_pattern() -> None:
    doubled = TapsMap.of_table(np.arange(20) // 2, 10)
    field = doubled.field(Field.of_pixels())
    assert field is not None
    assert [field.at(o) for o in range(4)] == [(0, 0), (0, 0), (1, 1), (1, 1)]
    assert TapsMap.of_table(np.array([3, 1, 2, 0, 5]), 6).field(Field.of_pixels()) is None


@pytest.mark.parametrize(
    ("semiring", "expected"),
    [(Semiring.COUNT, [6.0, 6.0, 6.0]), (Semiring.WALK, [2.0, 2.0, 2.0])],
)
def test_mixed_reads_everything(semiring: Semiring, expected: list[float]) -> None:
    reading = Reading("x", (of_grid(grid(3)),), (Mixed(),), share=1, whole=True)
    found = pull(reading, (of_grid(grid(2, 1)),), np.array([2.0, 4.0]), semiring)
    assert found.tolist() == expected


def test_mixed_reach() -> None:
    reading = Reading("x", (of_grid(grid(3)),), (Mixed(),), share=1, whole=True)
    for array in ([False, True], [False, False]):
        found = pull(reading, (of_grid(grid(2, 1)),), np.array(array), Semiring.REACH)
        assert found.tolist() == [any(array)] * 3


def test_same_follows_a_transpose() -> None:
    h, w = of_grid(grid(2, 0)), of_grid(grid(3, 1))
    array = np.arange(6.0).reshape(3, 2)
    reading = Reading("x", (h, w), (Same(1), Same(0)), share=1)
    assert pull(reading, (w, h), array, Semiring.COUNT).tolist() == array.T.tolist()


def test_same_sums_what_the_input_does_not_tell_apart() -> None:
    """The output follows six cells, the input three places of two cells each."""
    coarse = grid(3)
    reading = Reading("x", ((Digit(3, coarse), Digit(2)),), (Same(0),), share=1)
    found = pull(reading, (of_grid(grid(6)),), np.array([1.0, 2, 4, 8, 16, 32]), Semiring.COUNT)
    assert found.tolist() == [3, 12, 48]
    places = ((Digit(2), Digit(3, coarse)),)
    reading = Reading("x", places, (Same(0),), share=1)
    found = pull(reading, (of_grid(grid(6)),), np.array([1.0, 2, 4, 8, 16, 32]), Semiring.COUNT)
    assert found.tolist() == [9, 18, 36]


def test_regrouped_digits_keep_their_order() -> None:
    h, w = grid(2, 0), grid(3, 1)
    reading = Reading("x", (of_grid(h), of_grid(w)), None, share=1)
    tokens = ((Digit(2, h), Digit(3, w)),)
    found = pull(reading, tokens, np.arange(6.0).reshape(2, 3), Semiring.COUNT)
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_broadcast_axis_sums_over_the_output() -> None:
    reads: tuple[AxisRead, ...] = (Mixed(), Same(1))
    reading = Reading("x", (collapsed(1), of_grid(grid(3, 1))), reads, share=1)
    out = (of_grid(grid(2, 0)), of_grid(grid(3, 1)))
    found = pull(reading, out, np.arange(6.0).reshape(2, 3), Semiring.COUNT)
    assert found.tolist() == [3, 5, 7]


def test_faded_windows_lose_the_share_of_padding() -> None:
    window = WindowMap(3, 1, 1, 1, 4, 4)  # 2, 3, 3 and 2 of 3 taps are real
    reading = Reading("x", (collapsed(4),), (Faded(window),), share=1)
    found = pull(reading, (collapsed(4),), np.array(1.0), Semiring.WALK)
    assert float(found) == pytest.approx(10 / 12)
    assert float(pull(reading, (collapsed(4),), np.array(1.0), Semiring.COUNT)) == 2.5
    assert bool(pull(reading, (collapsed(4),), np.array(True), Semiring.REACH))


def test_faded_window_wholly_on_padding_reads_nothing() -> None:
    window = WindowMap(1, 1, 1, 5, 4, 3)
    reading = Reading("x", (collapsed(4),), (Faded(window),), share=1)
    assert not pull(reading, (collapsed(3),), np.array(True), Semiring.REACH)
    assert float(pull(reading, (collapsed(3),), np.array(1.0), Semiring.WALK)) == 0
