"""Receptive fields of grids, small enough to check by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from scotoma.trace.field import MAX_PERIOD, Field

PIXELS = Field.of_pixels()


def figures(field: Field) -> tuple[object, ...]:
    return field.size, field.effective_stride, field.centre


def test_pixels_read_themselves() -> None:
    assert figures(PIXELS) == (1, 1, 0)
    assert PIXELS.at(-3) == (-3, -3)
    assert PIXELS.width(7) == 1


@pytest.mark.parametrize(
    ("window", "size", "stride", "centre", "first_cell"),
    [
        ((3, 1, 1, 1), 3, 1, 0, (-1, 1)),
        ((7, 2, 1, 3), 7, 2, 0, (-3, 3)),
        ((2, 2, 1, 0), 2, 2, Fraction(1, 2), (0, 1)),
        ((3, 2, 1, 0), 3, 2, 1, (0, 2)),
        ((3, 1, 4, 4), 9, 1, 0, (-4, 4)),
        ((1, 3, 1, -2), 1, 3, 2, (2, 2)),
    ],
)
def test_window(
    window: tuple[int, int, int, int],
    size: int,
    stride: int,
    centre: Fraction,
    first_cell: tuple[int, int],
) -> None:
    field = PIXELS.window(*window)
    assert field is not None
    assert figures(field) == (size, stride, centre)
    assert field.at(0) == first_cell
    assert field.at(5) == (first_cell[0] + 5 * stride, first_cell[1] + 5 * stride)


def test_windows_compose() -> None:
    field = PIXELS.window(7, 2, 1, 3)
    assert field is not None
    field = field.window(3, 2, 1, 1)
    assert field is not None
    assert figures(field) == (11, 4, 0)


@pytest.mark.parametrize("dilation", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3])
def test_a_transposed_window_is_written_by_the_cells_that_meet_it(
    kernel: int, stride: int, dilation: int
) -> None:
    field = PIXELS.transposed(kernel, stride, dilation, 2)
    assert field is not None
    for cell in range(20, 40):
        writers = [
            i
            for i in range(60)
            if cell in {i * stride - 2 + tap * dilation for tap in range(kernel)}
        ]
        first, last = field.at(cell)
        assert list(range(first, last + 1))[:: max(1, last - first)] == (
            [writers[0], writers[-1]][: len(writers)] if writers else []
        )


def test_transposed_window_has_phases() -> None:
    field = PIXELS.transposed(3, 2, 1, 0)
    assert field is not None
    # output 0 is written by input 0, output 1 by input 0, output 2 by inputs 0 and 1
    assert [field.at(o) for o in range(2, 6)] == [(0, 1), (1, 1), (1, 2), (2, 2)]
    assert field.effective_stride == Fraction(1, 2)
    assert field.size == 2


def test_transposed_window_with_gaps_reads_nothing_there() -> None:
    field = PIXELS.transposed(1, 3, 1, 0)
    assert field is not None
    assert [field.width(o) for o in range(4)] == [1, None, None, 1]
    assert field.size == 1
    assert field.at(3) == (1, 1)


def test_upsampling_and_pooling_cancel() -> None:
    up = PIXELS.compose(2, 1, lambda o: (o // 2,))
    assert up is not None
    assert up.effective_stride == Fraction(1, 2)
    assert up.centre == Fraction(-1, 4)
    assert up.window(2, 2, 1, 0) == PIXELS


def test_strided_window_over_phases_keeps_those_it_meets() -> None:
    up = PIXELS.compose(2, 1, lambda o: (o // 2, o // 2 + o % 2))
    assert up is not None
    assert [up.width(o) for o in range(2)] == [1, 2]
    odd = up.window(1, 2, 1, -1)
    assert odd is not None
    assert (odd.period, odd.size, odd.at(0)) == (1, 2, (0, 1))


def test_window_over_reversed_cells() -> None:
    mirrored = PIXELS.compose(1, -1, lambda o: (9 - o,))
    assert mirrored is not None
    field = mirrored.window(3, 1, 1, 0)
    assert field is not None
    assert field.at(0) == (7, 9)
    assert field.effective_stride == -1


def test_hull_of_branches() -> None:
    wide = PIXELS.window(5, 1, 1, 2)
    late = PIXELS.window(1, 1, 1, -4)
    assert wide is not None
    assert late is not None
    both = wide.hull(late)
    assert both is not None
    assert both.at(10) == (8, 14)
    assert wide.hull(wide) is wide
    half = PIXELS.window(2, 2, 1, 0)
    assert half is not None
    assert wide.hull(half) is None


def test_branches_of_different_strides_are_listed() -> None:
    half = PIXELS.window(2, 2, 1, 0)
    assert half is not None
    both = PIXELS.around(half, 6)
    assert both is not None
    assert [both.at(o) for o in range(6)] == [(o, 2 * o + 1) for o in range(6)]
    assert both.effective_stride == 2


def test_periods_do_not_grow_without_end() -> None:
    field: Field | None = PIXELS
    for _ in range(20):
        assert field is not None
        field = field.transposed(3, 3, 1, 0)
        if field is None:
            break
        assert field.period <= MAX_PERIOD
    assert field is None


def test_a_pattern_that_does_not_fit_the_period_is_given_up() -> None:
    up = PIXELS.compose(2, 1, lambda o: (o // 2, o // 2 + o % 2))
    assert up is not None
    assert up.compose(1, 1, lambda o: (o,)) is None


def test_period_is_reduced() -> None:
    assert PIXELS.compose(4, 4, lambda o: (o,)) == PIXELS
