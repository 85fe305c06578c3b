"""``scotoma diff``: what a person reads."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from comparison.models import pyramid, sample

from scotoma.cli import main


class TestText:
    def test_what_a_person_reads(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["diff", sample("five_layers_same"), sample("five_layers_valid")]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[2] == "  gained  warning SC102 valid-padding-blind-spot at conv1"
        assert "    feature_map  28x28 -> 18x18  0x0 -> 5x5" in lines
        assert "    corner over centre   0.1561  1.694e-05" in lines
        assert lines[-3:] == [
            "  worse: new warning SC102 valid-padding-blind-spot at conv1",
            "",
            "1 model compared: 1 thing got worse",
        ]

    def test_what_was_not_compared_is_not_called_alike(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        known, missing = sample("one_layer_same"), str(tmp_path / "missing.onnx")
        ends = []
        for old, new in ((missing, missing), (missing, known), (known, missing)):
            assert main(["diff", old, new]) == 3
            ends.append(capsys.readouterr().out.splitlines()[-1])
        assert ends == [
            "0 models compared, 1 not",
            "0 models compared, 1 not",
            "0 models compared, 1 not: 1 thing got worse",
        ]

    def test_names_of_a_model_are_harmless(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        model = pyramid(6)
        model.graph.node[3].name = "evil\x1b[31m\nworse: nothing\u202e"
        onnx.save(pyramid(), tmp_path / "old.onnx")
        onnx.save(model, tmp_path / "new.onnx")
        main(["diff", str(tmp_path / "old.onnx"), str(tmp_path / "new.onnx"), "--color", "never"])
        out = capsys.readouterr().out
        assert "at evil\\x1b[31m\\nworse: nothing\\u202e" in out
        assert "\x1b" not in out
        assert "\u202e" not in out
