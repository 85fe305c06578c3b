"""Inputs that are not examined: zeros, numbers, files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from text_models import facts_of

from scotoma.errors import MeasurementError, UsageError
from scotoma.measure.inputs import Baseline, baselines
from scotoma.measure.options import MeasureOptions

if TYPE_CHECKING:
    from pathlib import Path


class TestOtherInputs:
    FACTS = facts_of(
        """model (float[1, 1, 4, 4] x, float[1, 2] gain, int64[1] n, bool flag) => (y)
        { y = Neg (x) }"""
    )
    TYPES: ClassVar[dict[str, np.dtype[Any]]] = {
        "x": np.dtype("f"), "gain": np.dtype("f"), "n": np.dtype(np.int64), "flag": np.dtype(bool),
    }  # fmt: skip

    def feed(self, **fixed: str) -> Baseline:
        options = MeasureOptions(inputs=("zeros", "random"), fixed=fixed)
        first, second, *_ = baselines(self.FACTS, self.TYPES, options)
        assert all(first.feed[name] is second.feed[name] for name in ("gain", "n", "flag"))
        return first

    def test_zeros(self) -> None:
        found = self.feed()
        assert [found.feed[name].tolist() for name in ("gain", "n", "flag")] == [
            [[0, 0]],
            [0],
            False,
        ]
        assert found.feed["n"].dtype == np.int64
        assert found.notes[0] == (
            "the other inputs hold zeros ('gain', 'n', 'flag'): --fix NAME=VALUE sets another"
        )

    def test_numbers_and_files(self, tmp_path: Path) -> None:
        np.save(tmp_path / "g.npy", np.array([2.5, 3.0]))
        found = self.feed(gain=str(tmp_path / "g.npy"), n="-7", flag="1")
        assert found.feed["gain"].tolist() == [[2.5, 3]]
        assert found.feed["n"].tolist() == [-7]
        assert found.feed["flag"].tolist() is True
        assert not any("--fix" in note for note in found.notes)
        assert (
            self.feed(n="1", flag="0").notes[0].startswith("the other input holds zeros ('gain')")
        )

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("x", "0", "--fix x=…: this is the input that is perturbed, use --input"),
            ("scale", "0", "--fix scale=…: there is no input 'scale'; others are gain, n, flag"),
            ("n", "0.5", "--fix n=0.5: this is no value of int64"),
            ("flag", "2", "--fix flag=2: this is no value of bool"),
            ("gain", "nan", "--fix gain=nan: this is no value of float32"),
            ("gain", "1e39", "--fix gain=1e39: this is no value of float32"),
            ("gain", "gone.npy", "'gone.npy' cannot be read: No such file or directory"),
        ],
    )
    def test_what_cannot_be_fixed(self, name: str, text: str, message: str) -> None:
        with pytest.raises(UsageError) as refusal:
            self.feed(**{name: text})
        assert str(refusal.value) == message

    def test_a_file_of_another_shape(self, tmp_path: Path) -> None:
        np.save(tmp_path / "g.npy", np.zeros((2, 2)))
        with pytest.raises(UsageError, match=r"has shape 2x2, input 'gain' wants 1x2$"):
            self.feed(gain=str(tmp_path / "g.npy"))

    def test_an_unknown_shape_is_asked_for(self) -> None:
        facts = facts_of("model (float[1, 1, 4, 4] x, float[] s) => (y) { y = Neg (x) }")
        proto = facts_of("model (float[1, 1, 4, 4] x, float s) => (y) { y = Neg (x) }")
        assert (
            baselines(
                proto, {"x": np.dtype("f"), "s": np.dtype("f")}, MeasureOptions(inputs=("zeros",))
            )[0]
            .feed["s"]
            .shape
            == ()
        )
        with pytest.raises(MeasurementError) as refusal:
            baselines(facts, {"x": np.dtype("f"), "s": np.dtype("f")}, MeasureOptions())
        assert str(refusal.value) == (
            "the shape of input 's' is not known: give it with --input-shape"
        )
