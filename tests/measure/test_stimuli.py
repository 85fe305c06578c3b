"""How far pixels are moved, and where the step ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from text_models import facts_of

from scotoma.errors import UsageError
from scotoma.measure.inputs import Baseline
from scotoma.measure.options import MeasureOptions
from scotoma.measure.stimuli import channel_axis, difference, extremes, step

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.facts import Facts


def network(layers: int, dtype: str = "float") -> Facts:
    chain = "".join(f"t{n + 1} = Conv (t{n}, w)\n" for n in range(layers))
    return facts_of(
        f"""model ({dtype}[1, 1, 8, 8] x) => (y) <float[1, 1, 1, 1] w>
        {{ t0 = Cast <to = 1> (x)  {chain}  y = Relu (t{layers}) }}"""
    )


def on(*arrays: npt.NDArray[Any]) -> list[Baseline]:
    return [Baseline("", {"x": array}, None, ()) for array in arrays]


def noise(deviation: float = 1.0, dtype: str = "float32", middle: float = 0.0) -> npt.NDArray[Any]:
    values = np.random.default_rng(0).standard_normal((1, 1, 8, 8))
    values = (values - values.mean()) / values.std()
    array: npt.NDArray[Any] = (middle + deviation * values).astype(dtype)
    return array


class TestStep:
    def test_what_is_asked_for_is_taken(self) -> None:
        found = step(network(1), on(noise()), MeasureOptions(delta=-0.3))
        assert (found.size, found.why) == (-0.3, "")
        with pytest.raises(
            UsageError, match=r"^the input holds uint8: delta must be whole, not 0\.3$"
        ):
            step(network(1, "uint8"), on(noise(20, "uint8", 99)), MeasureOptions(delta=0.3))

    @pytest.mark.parametrize(
        ("layers", "deviation", "size"),
        [(1, 1, 2**-10), (8, 1, 2**-10), (9, 1, 2**-8), (9, 60, 2**-2), (1, 1 / 60, 2**-16)],
    )
    def test_a_power_of_two_in_deviations_of_the_input(
        self, layers: int, deviation: float, size: float
    ) -> None:
        found = step(network(layers), on(noise(deviation)), MeasureOptions())
        assert found.size == size
        assert found.why.startswith(f"step {size:.4g}, about {size / deviation:.2g} standard")

    def test_the_deviation_is_that_of_most_inputs(self) -> None:
        flat = np.zeros((1, 1, 8, 8), np.float32)
        several = on(flat, flat, noise(8), noise(8), noise(64))
        assert step(network(1), several, MeasureOptions()).size == 2**-7
        assert step(network(1), on(flat), MeasureOptions()).size == 2**-10
        ranged = MeasureOptions(value_range=(0.0, 12**0.5 * 64))
        assert step(network(1), on(flat), ranged).size == 2**-4

    def test_it_survives_the_rounding_of_the_input(self) -> None:
        far = noise(1, middle=2.0**20)
        found = step(network(1), on(far), MeasureOptions())
        assert found.size == 16  # 64 units of 2^-3, and a little more for what lies above 2^20
        moved = extremes(far, found.size, "central")
        assert np.allclose(moved.high.astype(float) - moved.low, 32, rtol=1 / 64)

    def test_half_precision_takes_a_larger_one(self) -> None:
        found = step(network(1, "float16"), on(noise(1, "float16")), MeasureOptions())
        assert found.size == 2**-2
        moved = extremes(noise(1, "float16"), found.size, "central")
        assert np.allclose(moved.high.astype("f") - moved.low, 2**-1, rtol=2 / 64)

    def test_whole_numbers_and_flags(self) -> None:
        found = step(network(9, "uint8"), on(noise(40, "uint8", 128)), MeasureOptions())
        assert (found.size, found.why) == (1, "step 1, the least of uint8")
        assert step(network(1), on(noise(1, "bool")), MeasureOptions()).size == 1


class TestQuantisedNetworks:
    def test_half_a_deviation_in_whole_quanta_of_the_input(self) -> None:
        facts = facts_of(
            """model (float[1, 1, 8, 8] x) => (y)
            <float s = {0.125}, uint8 z = {99}, float two = {2}>
            {
                d = Div (x, two)  [quant] q = QuantizeLinear (d, s, z)
                y = DequantizeLinear (q, s, z)
            }"""
        )
        found = step(facts, on(noise(3.1)), MeasureOptions())
        assert found.size == 6 * 0.25
        assert found.why == (
            "step 1.5, 6 quanta of 'quant': a smaller one is lost in the network's quantisation"
        )
        assert step(facts, on(noise(0.01)), MeasureOptions()).size == 0.25

    def test_where_the_quantum_is_not_known(self) -> None:
        facts = facts_of(
            """model (float[1, 1, 8, 8] x) => (y) <float s = {0.5}, uint8 z = {0}>
            { a = Relu (x)  q = QuantizeLinear (a, s, z)  y = DequantizeLinear (q, s, z) }"""
        )
        assert step(facts, on(noise(2)), MeasureOptions()).size == 1

    def test_whole_numbers(self) -> None:
        facts = facts_of(
            """model (uint8[1, 1, 8, 8] x) => (y)
            <float s = {0.5}, uint8 z = {3}, uint8[1, 1, 3, 3] w>
            { y = QLinearConv (x, s, z, w, s, z, s, z) }"""
        )
        found = step(facts, on(noise(40, "uint8", 128)), MeasureOptions())
        assert 19 <= found.size <= 20
        assert " quanta of uint8: " in found.why

    def test_packed_weights_make_no_quantised_network(self) -> None:
        facts = facts_of(
            """model (float[1, 1, 8, 8] x) => (y) <float v = {1}, float s = {0.5}, uint8 z = {0}>
            {
                q = QuantizeLinear (v, s, z)  w = DequantizeLinear (q, s, z)
                y = Mul (x, w)
            }"""
        )
        assert step(facts, on(noise()), MeasureOptions()).size == 2**-10


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "central"),
        ({"delta": 1.0}, "forward"),
        ({"delta": 1.0, "difference": "central"}, "central"),
        ({"difference": "forward"}, "forward"),
    ],
)
def test_a_stimulus_goes_one_way_and_a_derivative_both(
    options: dict[str, Any], expected: str
) -> None:
    assert difference(MeasureOptions(**options)) == expected


class TestExtremes:
    def test_of_floating_point(self) -> None:
        array = np.array([0.0, 2.5, -1.0], np.float32)
        both = extremes(array, 0.25, "central")
        assert (both.low.tolist(), both.high.tolist(), both.span) == (
            [-0.25, 2.25, -1.25], [0.25, 2.75, -0.75], 0.5
        )  # fmt: skip
        assert both.low.dtype == both.high.dtype == np.float32
        one = extremes(array, -0.25, "forward")
        assert one.low is array
        assert (one.high.tolist(), one.span) == ([-0.25, 2.25, -1.25], 0.25)

    def test_whole_numbers_stay_two_steps_apart(self) -> None:
        for dtype in (np.uint8, np.int8, np.int64, np.uint64):
            limits = np.iinfo(dtype)
            array = np.array([limits.min, limits.min + 1, 5, limits.max], dtype)
            found = extremes(array, 3, "central")
            low, high = ([int(v) for v in side] for side in (found.low, found.high))
            assert low == [limits.min, limits.min, 2, limits.max - 6]
            assert [b - a for a, b in zip(low, high, strict=True)] == [6] * 4
            assert found.span == 6
            assert found.low.dtype == dtype

    def test_a_whole_number_turns_back_at_the_end_of_its_range(self) -> None:
        array = np.array([0, 200, 250], np.uint8)
        assert extremes(array, 10, "forward").high.tolist() == [10, 210, 240]
        assert extremes(array, -10, "forward").high.tolist() == [10, 190, 240]
        assert extremes(array, 10, "forward").span == 10
        top = np.array([2**63 - 1, -(2**63)], np.int64)
        assert extremes(top, 1, "forward").high.tolist() == [2**63 - 2, -(2**63) + 1]

    def test_all_channels_of_a_pixel_turn_back_together(self) -> None:
        # two channels of four pixels: both can go both ways, one cannot rise, one cannot fall,
        # each can go only its own way
        array = np.array([[[10, 250, 5, 3]], [[20, 30, 99, 253]]], np.uint8)
        up, down, single = (
            extremes(array, size, "forward", axes).high.tolist()
            for size, axes in ((10, (1, 2)), (-10, (1, 2)), (10, ()))
        )
        assert up == [[[20, 240, 15, 13]], [[30, 20, 109, 243]]]
        assert down == [[[0, 240, 15, 13]], [[10, 20, 109, 243]]]
        assert single == [[[20, 240, 15, 13]], [[30, 40, 109, 243]]]

    def test_flags(self) -> None:
        array = np.array([True, False])
        assert extremes(array, 1, "forward").high.tolist() == [False, True]
        both = extremes(array, 7.5, "central")
        assert (both.low.tolist(), both.high.tolist(), both.span) == (
            [False, False], [True, True], 1
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("array", "size", "way", "message"),
        [
            (np.array([5], np.uint8), 0.5, "forward", "delta must be whole, not 0.5"),
            (np.array([100], np.uint8), 200, "forward", "leaves uint8 on both sides of some pixel"),
            (np.array([100], np.uint8), 256, "forward", "out of the range of uint8"),
            (np.array([100], np.uint8), 128, "central", "out of the range of uint8"),
            (np.array([100], np.int64), 2.0**60, "forward", "out of the range of int64"),
            (np.array([1e9], np.float32), 1.0, "forward", "lost in the rounding of float32"),
            (np.array([0], np.float16), 1e6, "forward", "out of the range of float16"),
            (np.array([-3e38], np.float32), 3e38, "central", "out of the range of float32"),
        ],
    )
    def test_steps_that_cannot_be_taken(
        self, array: npt.NDArray[Any], size: float, way: str, message: str
    ) -> None:
        with pytest.raises(UsageError) as refusal:
            extremes(array, size, way)
        assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("shape", "first", "axis"),
    [
        ("1, 3, 8, 8", "y = Conv (x, w)", 1),
        ("1, 8, 8, 3", "t = Transpose <perm = [0, 3, 1, 2]> (x)  y = Conv (t, w)", 3),
        ("1, 3, 8", "y = Conv (x, v)", 1),
    ],
)
def test_where_the_channels_are(shape: str, first: str, axis: int | None) -> None:
    facts = facts_of(
        f"model (float[{shape}] x) => (y) <float[2, 3, 3, 3] w, float[2, 3, 3] v> {{ {first} }}"
    )
    assert channel_axis(facts) == axis
