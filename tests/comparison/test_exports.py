"""``scotoma diff`` of one network that was exported twice, renamed, or quantised."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from comparison.models import REAL, Call, sample

ULTRAFACE = "microsoft__Raw_Ultraface_version-RFB-320"


class TestExports:
    @pytest.mark.parametrize("network", ["good", "valid", "patches", "dropout"])
    def test_the_two_exporters_of_pytorch_give_the_same_network(
        self, network: str, call: Call
    ) -> None:
        status, document, err = call(
            sample(f"digits_{network}_torchscript"), sample(f"digits_{network}_dynamo")
        )
        assert (status, err, document["worse"]) == (0, "", 0)
        (found,) = document["comparisons"]
        assert (found["old"]["opset"], found["new"]["opset"]) == (17, 18)
        findings, geometry = found["findings"], found["geometry"]
        assert (findings["gained"], findings["lost"], findings["changed"]) == ([], [], [])
        assert findings["same"] > 0
        assert geometry["matched"] >= 9
        assert (geometry["tensors"], geometry["coverage"], geometry["offsets"]) == ([], [], [])

    def test_other_names_and_another_order_change_nothing(self, tmp_path: Path, call: Call) -> None:
        model = onnx.load(sample("residual_net"))
        names: dict[str, str] = {}
        for number, node in enumerate(model.graph.node):
            node.name = f"operator_{len(model.graph.node) - number}"
            names |= {output: f"t{number}_of_{output[:1]}" for output in node.output}
        kept = {value.name for value in model.graph.output}
        for node in model.graph.node:
            for slots in (node.input, node.output):
                slots[:] = [name if name in kept else names.get(name, name) for name in slots]
        del model.graph.value_info[:]
        onnx.save(model, tmp_path / "renamed.onnx")
        status, document, _ = call(sample("residual_net"), tmp_path / "renamed.onnx")
        (found,) = document["comparisons"]
        assert (status, found["findings"]["same"]) == (0, 3)
        geometry = found["geometry"]
        assert (geometry["only_old"], geometry["only_new"], geometry["tensors"]) == (0, 0, [])

    @pytest.mark.skipif(not REAL.is_dir(), reason="no ../shared beside the repository")
    @pytest.mark.parametrize(
        ("old", "new", "matched"),
        [
            (ULTRAFACE, "derived__ultraface320_qdq_int8", 75),
            (ULTRAFACE, "derived__ultraface320_qoperator_int8", 75),
            (ULTRAFACE, "derived__ultraface320_ortopt_extended", 75),
            ("derived__yunet_n_320_qdq_int8", "derived__yunet_n_320_qoperator_int8", 111),
        ],
    )  # fmt: skip
    def test_quantised_and_optimised_twins_are_the_same_network(
        self, old: str, new: str, matched: int, call: Call
    ) -> None:
        status, document, _ = call(REAL / f"{old}.onnx", REAL / f"{new}.onnx")
        (found,) = document["comparisons"]
        assert (status, found["worse"]) == (0, [])
        assert (found["findings"]["gained"], found["findings"]["same"]) == ([], 2)
        geometry = found["geometry"]
        assert (geometry["matched"], geometry["tensors"], geometry["coverage"]) == (matched, [], [])
