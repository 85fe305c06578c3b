"""Which numbers random inputs hold, and what the graph shows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from text_models import facts_of

from scotoma.errors import UsageError
from scotoma.measure.inputs import Baseline, baselines
from scotoma.measure.options import MeasureOptions

if TYPE_CHECKING:
    from scotoma.facts import Facts

NORMAL = (
    "random inputs are standard normal: where the model wants other values, give --value-range"
    " LOW:HIGH, or images with --mean and --std"
)
FIRST = facts_of("""model (float[1, 3, 2, 4] x) => (y) <float[3, 3, 1, 1] w> { y = Conv (x, w) }""")


def made(facts: Facts, *texts: str, dtype: str = "float32", **options: Any) -> tuple[Baseline, ...]:
    return baselines(facts, {"x": np.dtype(dtype)}, MeasureOptions(inputs=texts, **options))


class TestNoise:
    def test_four_seeded_ones_are_the_default(self) -> None:
        found = made(FIRST, seed=3)
        assert [b.label for b in found] == [f"random, seed {n}" for n in (3, 4, 5, 6)]
        assert [b.seed for b in found] == [3, 4, 5, 6]
        for baseline in found:
            assert baseline.seed is not None
            generator = np.random.default_rng(baseline.seed)
            expected = generator.standard_normal((1, 3, 2, 4), np.float32)
            assert baseline.feed["x"].tolist() == expected.tolist()
        assert found[0].notes == (NORMAL,)
        assert [b.notes for b in found[1:]] == [()] * 3

    def test_what_is_asked_for_twice_is_measured_once(self) -> None:
        assert [b.label for b in made(FIRST, "zeros", "zeros")] == ["zeros"]

    def test_another_number(self) -> None:
        assert [b.seed for b in made(FIRST, "random", random_inputs=2)] == [0, 1]

    @pytest.mark.parametrize(
        ("dtype", "low", "high"), [("uint8", 0, 255), ("int8", -128, 127), ("int32", 0, 255)]
    )
    def test_whole_numbers_cover_their_range(self, dtype: str, low: int, high: int) -> None:
        big = facts_of("model (float[1, 3, 64, 64] x) => (y) { y = Neg (x) }")
        found = made(big, dtype=dtype)[0]
        assert (found.feed["x"].min(), found.feed["x"].max()) == (low, high)
        assert found.notes == ()

    def test_flags(self) -> None:
        array = made(FIRST, dtype="bool")[0].feed["x"]
        assert array.dtype == np.bool_
        assert set(array.flat) == {True, False}

    def test_a_range_is_filled_evenly(self) -> None:
        big = facts_of("model (float[1, 3, 64, 64] x) => (y) { y = Neg (x) }")
        array = made(big, value_range=(-2.0, 6.0))[0].feed["x"]
        assert -2 <= array.min() < -1.99
        assert 5.99 < array.max() <= 6
        assert abs(array.mean() - 2) < 0.1
        whole = made(big, dtype="uint8", value_range=(10.0, 12.0))[0].feed["x"]
        assert set(whole.flat) == {10, 11, 12}

    @pytest.mark.parametrize(
        ("span", "dtype", "message"),
        [
            ((1.0, 1.0), "float32", "--value-range 1:1 is no range: LOW must be below HIGH"),
            ((0.0, np.inf), "float32", "--value-range 0:inf is no range: LOW must be below HIGH"),
            ((-3e38, 3e38), "float32", "--value-range -3e+38:3e+38 is not a range of float32"),
            ((0.0, 1e39), "float32", "--value-range 0:1e+39 is not a range of float32"),
            ((0.0, 256.0), "uint8", "--value-range 0:256 is not a range of uint8"),
            ((0.0, 0.5), "uint8", "--value-range 0:0.5 is not a range of uint8"),
            ((0.0, 2.0**60), "int64", "--value-range 0:1.15292e+18 is not a range of int64"),
            ((0.0, 2.0**63), "int64", "--value-range 0:9.22337e+18 is not a range of int64"),
            ((0.0, 2.0), "bool", "--value-range 0:2 is not a range of bool"),
        ],
    )
    def test_ranges_that_are_none(
        self, span: tuple[float, float], dtype: str, message: str
    ) -> None:
        with pytest.raises(UsageError) as refusal:
            made(FIRST, dtype=dtype, value_range=span)
        assert str(refusal.value) == message


class TestWhatTheGraphShows:
    @pytest.mark.parametrize(
        ("first", "span"),
        [
            ("Div (x, c255)", (0, 255)),
            ("Mul (x, inverse)", (0, 255)),
            ("Sub (x, means)", (0, 255)),
            ("Sub (c255, x)", (0, 255)),
            ("Add (x, minus)", (0, 255)),
            ("Sub (x, unit_means)", None),
            ("Mul (x, two)", None),
            ("Sub (x, mixed)", None),
            ("Mul (x, nothing)", None),
            ("Div (x, nothing)", None),
            ("Div (c255, x)", None),
            ("Neg (x)", None),
            ("Div (x, tiny)", None),
            ("BatchNormalization (x, ones, means1, means1, squares)", (0, 255)),
        ],
    )
    def test_a_rescaling_shows_the_range(
        self, first: str, span: tuple[float, float] | None
    ) -> None:
        facts = facts_of(
            f"""model (float[1, 3, 64, 64] x) => (y)
            <float c255 = {{255}}, float inverse = {{0.00392}}, float nothing = {{0}},
             float tiny = {{1e-45}}, float[1, 3, 1, 1] mixed = {{123, 2, 3}},
             float[1, 3, 1, 1] means = {{123, 117, 104}}, float minus = {{-127}},
             float[1, 3, 1, 1] unit_means = {{0.485, 0.456, 0.406}}, float two = {{2}},
             float[3] ones = {{1, 1, 1}}, float[3] means1 = {{123, 117, 104}},
             float[3] squares = {{3000, 3000, 3000}}, float[4, 3, 3, 3] w>
            {{ [first] a = {first}  y = Conv (a, w) }}"""
        )
        baseline = made(facts)[0]
        array = baseline.feed["x"]
        if span is None:
            assert baseline.notes == (NORMAL,)
            assert array.min() < -2
        else:
            (note,) = baseline.notes
            assert note == (
                f"the input is taken to hold 0 to 255, as {first.partition(' ')[0]} 'first'"
                " rescales it; --value-range LOW:HIGH sets another range"
            )
            assert (array.min() >= 0, array.max() <= 255, array.max() > 254) == (True,) * 3

    def test_a_normalisation_of_units(self) -> None:
        facts = facts_of(
            """model (float[1, 64, 64, 3] x) => (y)
            <float[3] m = {0.485, 0.456, 0.406}, float[3] s = {0.229, 0.224, 0.225},
             float[4, 3, 3, 3] w>
            {
                [first] a = Sub (x, m)  b = Div (a, s)
                c = Transpose <perm = [0, 3, 1, 2]> (b)  y = Conv (c, w)
            }"""
        )
        found = made(facts)[0]
        assert found.notes[0].startswith("the input is taken to hold 0 to 1, as Sub 'first'")
        assert (found.feed["x"].min() >= 0, found.feed["x"].max() <= 1) == (True, True)

    def test_an_inverted_image_and_its_shape(self) -> None:
        facts = facts_of(
            """model (float[1, 1, 64, 64] x) => (y, n)
            <float half = {0.5}, float two = {2}, float[4, 1, 3, 3] w>
            { a = Sub (half, x)  b = Mul (a, two)  y = Conv (b, w)  n = Shape (x) }"""
        )
        assert made(facts)[0].notes[0].startswith("the input is taken to hold 0 to 1, as Sub")

    def test_a_range_beyond_the_type_is_none(self) -> None:
        facts = facts_of(
            """model (float16[1, 1, 64, 64] x) => (y) <float f = {1000}, uint8 z = {0}>
            {
                s = Cast <to = 10> (f)
                q = QuantizeLinear (x, s, z)  y = DequantizeLinear (q, s, z)
            }""",
            opset=19,
        )
        found = made(facts, dtype="float16")[0]
        assert found.notes == (NORMAL,)
        assert np.isfinite(found.feed["x"]).all()

    def test_a_quantiser_shows_its_range(self) -> None:
        facts = facts_of(
            """model (float[1, 3, 64, 64] x) => (y)
            <float two = {2}, float s = {0.5}, uint8 z = {100}>
            {
                d = Div (x, two)  [quant] q = QuantizeLinear (d, s, z)
                y = DequantizeLinear (q, s, z)
            }"""
        )
        found = made(facts)[0]
        # 0 and 255 are so many quanta of a half from 100; the half and the division cancel
        assert found.notes[0].startswith(
            "the input is taken to hold -100 to 155, as QuantizeLinear 'quant' quantises it"
        )
        assert -100 <= found.feed["x"].min() < -99
        assert 154 < found.feed["x"].max() <= 155
