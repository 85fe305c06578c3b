"""``scotoma diff``: what it calls gained, lost, changed and worse, and its exit status."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import pytest
from onnx import helper

import scotoma
from scotoma.cli import main
from scotoma.testing import read_text_model

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[..., tuple[int, Any, str]]

SAMPLES = Path(__file__).parents[2] / "sample_models"
REAL = Path(__file__).parents[3] / "shared" / "models" / "real"

ONLY = ["--select", "unread-pixels"]
ULTRAFACE = "microsoft__Raw_Ultraface_version-RFB-320"
HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'
PYRAMID = """
model (float[1, 3, 33, 33] x) => (float[1, 4, h, w] y)
<float[4, 3, 3, 3] w1, float[4, 4, 3, 3] w2, float[4, 4, 1, 1] w3>
{
    [first] a = Conv <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (x, w1)
    [relu] b = Relu (a)
    [second] c = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (b, w2)
    [third] d = Conv <kernel_shape = [1, 1], strides = [STEP, STEP]> (c, w3)
    [last] y = Relu (d)
}
"""


def sample(name: str) -> str:
    return str(SAMPLES / f"{name}.onnx")


def pyramid(step: int = 1) -> onnx.ModelProto:
    return read_text_model(HEADER + PYRAMID.replace("STEP", str(step)))


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command and read its JSON document."""

    def run(old: object, new: object, *options: str) -> tuple[int, Any, str]:
        status = main(["diff", str(old), str(new), "--format", "json", *options])
        out, err = capsys.readouterr()
        return status, json.loads(out) if out else None, err

    return run


def codes(findings: list[Any]) -> list[tuple[str, str]]:
    return [(finding["code"], finding["node"]) for finding in findings]


def kinds(document: Any) -> list[str]:
    return [item["kind"] for found in document["comparisons"] for item in found["worse"]]


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


class TestReports:
    def test_reports_are_compared_model_by_model(self, tmp_path: Path, call: Call) -> None:
        for folder, second in (("a", "five_layers_same"), ("b", "five_layers_valid")):
            (tmp_path / folder).mkdir()
            for name, source in (("same", "one_layer_same"), ("other", second)):
                data = Path(sample(source)).read_bytes()
                (tmp_path / folder / f"{name}.onnx").write_bytes(data)
        (tmp_path / "b" / "third.onnx").write_bytes(Path(sample("five_layers_valid")).read_bytes())
        for folder in "ab":
            report = f"json={tmp_path / folder}.json"
            main(["lint", str(tmp_path / folder), "-q", "--exit-zero", "-o", report])
        status, document, _ = call(tmp_path / "a.json", tmp_path / "b.json")
        assert status == 1
        pairs = [
            tuple(Path(side["path"]).parent.name if side else None for side in (f["old"], f["new"]))
            for f in document["comparisons"]
        ]
        assert pairs == [("a", "b"), ("a", "b"), (None, "b")]
        other, same, third = document["comparisons"]
        assert codes(other["findings"]["gained"]) == [("SC102", "conv1")]
        assert codes(third["findings"]["gained"]) == [("SC102", "conv1")]
        assert (same["worse"], same["geometry"]) == ([], None)
        assert same["notes"] == ["the geometry is not compared: a report holds none"]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('{"a": 1}', "schema_version: is missing"),
            (
                '{"schema_version": "2", "models": []}',
                "version 2, and this Scotoma compares version 1",
            ),
            ('{"schema_version": "1", "models": [{"path": "x"}]}', "models[0] has no 'error'"),
            (
                '{"schema_version": "1", "models": [3]}',
                "models[0]: expected a table",
            ),
            ('{"schema_version": "1", "models": [], "x": ' + "[" * 100_000, "recursion"),
            ("{", "truncated"),
        ],
    )
    def test_what_is_no_report_is_refused(
        self, text: str, said: str, tmp_path: Path, call: Call
    ) -> None:
        (tmp_path / "report.json").write_text(text, encoding="utf-8")
        status, document, err = call(tmp_path / "report.json", sample("one_layer_same"))
        assert (status, document) == (2, None)
        assert err.startswith(f"scotoma: {tmp_path / 'report.json'}: is no JSON report of")
        assert said in err
        assert err.count("\n") == 1

    def test_numbers_beyond_all_bounds_are_unknown(self, tmp_path: Path, call: Call) -> None:
        main(["lint", sample("digits_patches_dynamo"), "-q", "-o", f"json={tmp_path / 'a.json'}"])
        document = json.loads((tmp_path / "a.json").read_text("utf-8"))
        document["models"][0]["findings"][0]["measurements"][0]["value"] = 10**400
        (tmp_path / "b.json").write_text(json.dumps(document), "utf-8")
        status, found, _ = call(tmp_path / "a.json", tmp_path / "b.json")
        (pair,) = found["comparisons"][0]["findings"]["changed"]
        assert (status, pair["new"]["measurements"][0]["value"]) == (0, None)

    def test_a_named_pipe_is_not_waited_for(self, tmp_path: Path, call: Call) -> None:
        os.mkfifo(tmp_path / "pipe")
        status, _, err = call(tmp_path / "pipe", sample("one_layer_same"))
        assert (status, "not a regular file" in err) == (3, True)


class TestFailures:
    def test_a_model_that_is_missing(self, call: Call) -> None:
        status, document, err = call("nowhere.onnx", sample("one_layer_same"))
        (found,) = document["comparisons"]
        assert (status, err) == (3, "scotoma: nowhere.onnx: no such file\n")
        assert found["old"]["error"] == {"kind": "missing", "message": "no such file"}
        assert found["notes"] == ["nothing is compared: not both models could be examined"]
        assert found["findings"]["gained"] == []

    def test_an_export_that_cannot_be_read_is_worse(self, tmp_path: Path, call: Call) -> None:
        (tmp_path / "new.onnx").write_bytes(b"")
        status, document, _ = call(sample("one_layer_same"), tmp_path / "new.onnx")
        assert (status, kinds(document)) == (3, ["unreadable"])

    def test_standard_input_once(self, call: Call) -> None:
        assert call("-", "-")[0] == 2

    def test_a_size_that_does_not_fit(self, call: Call) -> None:
        path = sample("one_layer_same")
        assert call(path, path, "--size", "8x8x8")[0] == 2


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
