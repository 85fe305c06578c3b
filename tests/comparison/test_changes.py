"""``scotoma diff``: what it calls gained, lost, changed and worse, and its exit status."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from comparison.models import HEADER, ONLY, PYRAMID, Call, codes, kinds, pyramid, sample
from onnx import helper

from scotoma.cli import main
from scotoma.testing import read_text_model


class TestChanges:
    def test_a_changed_stride_is_worse(self, tmp_path: Path, call: Call) -> None:
        onnx.save(pyramid(), tmp_path / "old.onnx")
        onnx.save(pyramid(6), tmp_path / "new.onnx")
        status, document, _ = call(tmp_path / "old.onnx", tmp_path / "new.onnx", *ONLY)
        assert status == 1
        (found,) = document["comparisons"]
        assert codes(found["findings"]["gained"]) == [("SC101", "third")]
        changed = {item["new"]["name"]: item for item in found["geometry"]["tensors"]}
        assert list(changed) == ["d", "y"]
        assert changed["d"]["match"] == "name"
        assert changed["d"]["changed"] == ["grid", "effective_stride"]
        assert (changed["d"]["old"]["grid"], changed["d"]["new"]["grid"]) == ([17, 17], [3, 3])
        assert changed["d"]["new"]["effective_stride"] == ["12", "12"]
        # Three places of windows of 7 pixels, 12 apart, cover 18 of 33 rows and columns.
        (coverage,) = found["geometry"]["coverage"]
        read = sum(any(-3 <= row - 12 * cell <= 3 for cell in range(3)) for row in range(33))
        assert coverage["new_dead_pixels"] == 33 * 33 - read * read
        assert kinds(document) == ["finding", "dead-pixels", "centre-offset"]
        assert found["geometry"]["offsets"] == [
            {"tensor": "y", "old": ["0", "0"], "new": ["-4", "-4"]}
        ]

    def test_the_other_way_round_it_is_better(self, tmp_path: Path, call: Call) -> None:
        onnx.save(pyramid(6), tmp_path / "old.onnx")
        onnx.save(pyramid(), tmp_path / "new.onnx")
        status, document, _ = call(tmp_path / "old.onnx", tmp_path / "new.onnx", *ONLY)
        assert (status, document["worse"]) == (0, 0)
        assert codes(document["comparisons"][0]["findings"]["lost"]) == [("SC101", "third")]

    def test_a_changed_kernel_keeps_the_findings_behind_it(
        self, tmp_path: Path, call: Call
    ) -> None:
        def model(kernel: int) -> onnx.ModelProto:
            text = PYRAMID.replace("STEP", "6").replace(
                "[4, 3, 3, 3]", f"[4, 3, {kernel}, {kernel}]"
            )
            first, rest = text.split("[relu]")
            first = first.replace("kernel_shape = [3, 3]", f"kernel_shape = [{kernel}, {kernel}]")
            pad = kernel // 2
            first = first.replace("[1, 1, 1, 1]>", f"[{pad}, {pad}, {pad}, {pad}]>")
            return read_text_model(f"{HEADER}{first}[relu]{rest}")

        onnx.save(model(3), tmp_path / "old.onnx")
        onnx.save(model(5), tmp_path / "new.onnx")
        status, document, _ = call(tmp_path / "old.onnx", tmp_path / "new.onnx", *ONLY)
        assert status == 0
        findings = document["comparisons"][0]["findings"]
        assert (findings["gained"], findings["lost"]) == ([], [])
        (pair,) = findings["changed"]
        assert pair["old"]["fingerprint"] != pair["new"]["fingerprint"]
        assert (pair["old"]["node"], pair["new"]["node"]) == ("third", "third")
        changed = document["comparisons"][0]["geometry"]["tensors"][0]
        assert (changed["old"]["receptive_field"], changed["new"]["receptive_field"]) == (
            [3, 3], [5, 5],
        )  # fmt: skip

    def test_more_severe_is_worse_and_less_is_not(self, call: Call, tmp_path: Path) -> None:
        path = sample("digits_patches_dynamo")
        main(["lint", path, "-q", "--exit-zero", "-o", f"json={tmp_path / 'warning.json'}"])
        main(["lint", path, "-q", "--exit-zero", "-o", f"json={tmp_path / 'error.json'}",
              "--severity", "SC101=error"])  # fmt: skip
        status, document, _ = call(tmp_path / "warning.json", tmp_path / "error.json")
        assert (status, kinds(document)) == (1, ["severity"])
        assert document["comparisons"][0]["worse"][0]["message"] == (
            "SC101 unread-pixels at node_conv2d was warning, is error"
        )
        status, document, _ = call(tmp_path / "error.json", tmp_path / "warning.json")
        assert (status, document["worse"]) == (0, 0)

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ([], 1), (["--fail-on", "error"], 0), (["--fail-on", "never"], 0),
            (["--exit-zero"], 0), (["--ignore", "SC102"], 0),
            (["--severity", "SC102=note"], 0), (["--config", 'fail-on="note"'], 1),
            (["--config", 'fail-on="error"'], 0),
        ],
    )  # fmt: skip
    def test_the_gate_decides_what_is_worse(
        self, options: list[str], expected: int, call: Call
    ) -> None:
        old, new = sample("five_layers_same"), sample("five_layers_valid")
        assert call(old, new, *options)[0] == expected

    def test_fail_on_comes_from_the_environment_too(
        self, call: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SCOTOMA_FAIL_ON", "error")
        assert call(sample("five_layers_same"), sample("five_layers_valid"))[0] == 0

    def test_another_input_size_is_said(self, tmp_path: Path, call: Call) -> None:
        large = helper.make_tensor_value_info("x", 1, [1, 3, 65, 65])
        model = pyramid()
        onnx.save(model, tmp_path / "old.onnx")
        model.graph.input[0].CopyFrom(large)
        onnx.save(model, tmp_path / "new.onnx")
        status, document, _ = call(tmp_path / "old.onnx", tmp_path / "new.onnx")
        (found,) = document["comparisons"]
        assert (status, found["new"]["shape"]) == (0, [1, 3, 65, 65])
        assert found["notes"] == ["the inputs differ in size, and so does all that depends on it"]
        assert found["geometry"]["offsets"] == []
