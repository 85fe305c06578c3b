"""``scotoma diff --measure``: maps of both models, and their differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from comparison.models import Call, pyramid, sample

import scotoma
from scotoma.cli import main


class TestMeasured:
    def test_equal_networks_have_equal_maps(self, call: Call) -> None:
        old, new = sample("digits_good_torchscript"), sample("digits_good_dynamo")
        status, document, _ = call(old, new, "--measure", "--passes", "64", "--inputs", "1")
        influence = document["comparisons"][0]["influence"]
        assert status == 0
        assert influence["relative_error"] < 1e-3
        assert influence["old"]["delta"] == influence["new"]["delta"]
        targets = [influence[side]["target"] for side in ("old", "new")]
        assert targets == [["/layer5/relu/Relu_output_0"], ["relu_4"]]
        assert (influence["newly_dead"], influence["revived"]) == (0, 0)
        assert influence["compared_pixels"] > 10

    def test_pixels_that_move_nothing_any_more_are_worse(self, tmp_path: Path) -> None:
        result = scotoma.diff(
            pyramid(),
            pyramid(6),
            measure=scotoma_options(),
            fail_on="never",
            max_influence_change=0.01,
        )
        (found,) = result.comparisons
        assert found["influence"] is not None
        assert found["influence"]["compared_pixels"] == 33 * 33
        assert found["geometry"] is not None
        (coverage,) = found["geometry"]["coverage"]
        assert found["influence"]["newly_dead"] == coverage["new_dead_pixels"]
        assert [item["kind"] for item in found["worse"]] == [
            "dead-pixels", "centre-offset", "measured-dead-pixels", "influence-change",
        ]  # fmt: skip

    def test_an_interrupt_ends_all(self, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
        from scotoma.measure.prober import Prober

        calls: list[int] = []

        def interrupted(*_: object) -> Any:
            calls.append(1)
            if len(calls) > 3:
                raise KeyboardInterrupt
            return respond(*_)  # type: ignore[arg-type]

        respond = Prober.respond
        monkeypatch.setattr(Prober, "respond", interrupted)
        path = sample("digits_good_dynamo")
        status, document, err = call(path, path, "--measure")
        assert (status, document, err.strip()) == (130, None, "scotoma: interrupted")

    def test_reports_cannot_be_measured(self, tmp_path: Path, call: Call) -> None:
        path = sample("one_layer_same")
        main(["lint", path, "-q", "-o", f"json={tmp_path / 'report.json'}"])
        status, document, err = call(path, tmp_path / "report.json", "--measure")
        assert (status, document) == (2, None)
        assert err == ("scotoma: a measurement needs the models themselves, not reports of them\n")

    def test_a_limit_without_a_measurement_is_refused(self, call: Call) -> None:
        path = sample("one_layer_same")
        status, _, err = call(path, path, "--max-influence-change", "0.1")
        assert (status, err) == (2, "scotoma: --max-influence-change goes with --measure\n")


def scotoma_options() -> Any:
    from scotoma.measure import MeasureOptions

    return MeasureOptions(random_inputs=8, resolution="full")
