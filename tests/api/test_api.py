"""The Python API: what the command line does, as functions with typed results."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import programs
import pytest

import scotoma
from scotoma.cli import main
from scotoma.errors import ModelError, UsageError
from scotoma.report import REPORTERS
from scotoma.testing import assert_clean, read_text_model

SAMPLES = Path(__file__).parents[2] / "sample_models"
PATCHES = SAMPLES / "digits_patches_dynamo.onnx"
VALID = SAMPLES / "five_layers_valid.onnx"
SAME = SAMPLES / "one_layer_same.onnx"
HOSTILE = "<script>alert(1)</script>\u202e&\"'"


def command_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    main([*arguments, "--format", "json"])
    return json.loads(capsys.readouterr().out)


def hostile() -> onnx.ModelProto:
    model = read_text_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        agraph (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y) {
            [pool] y = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (x)
        }""")
    model.graph.node[0].name = HOSTILE
    model.graph.node[0].output[0] = model.graph.output[0].name = HOSTILE
    return model


def loaded(statement: str) -> set[str]:
    """Return which slow libraries a statement imports in a new process."""
    slow = "{'numpy', 'onnx', 'onnxruntime', 'networkx', 'matplotlib', 'msgspec', 'click'}"
    code = f"import sys\n{statement}\nprint(*({slow} & sys.modules.keys()))"
    return set(programs.python("-c", code, check=True).stdout.split())


class TestPackage:
    def test_importing_it_costs_nothing(self) -> None:
        assert loaded("import scotoma; dir(scotoma)") == set()

    def test_linting_needs_no_runtime(self) -> None:
        found = loaded(f"import scotoma; scotoma.lint({str(SAME)!r})")
        assert found & {"onnxruntime", "matplotlib"} == set()

    def test_diff_needs_no_runtime_unless_it_measures(self) -> None:
        found = loaded(f"import scotoma; scotoma.diff({str(SAME)!r}, {str(SAME)!r})")
        assert found & {"onnxruntime", "matplotlib"} == set()

    def test_functions_stay_functions_when_packages_of_their_name_are_imported(self) -> None:
        import scotoma.measure.plan
        import scotoma.sizes.merit
        import scotoma.trace.layers

        for name in ("lint", "trace", "sizes", "measure", "diff"):
            assert getattr(scotoma, name).__name__ == name
            assert name in dir(scotoma)
        from scotoma.trace import trace as trace_geometry

        assert trace_geometry.__module__ == "scotoma.trace.trace"
        assert scotoma.trace.__module__ == "scotoma.api.trace"

    def test_everything_public_is_there(self) -> None:
        assert all(getattr(scotoma, name) is not None for name in scotoma.__all__)
        with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
            scotoma.nonsense  # noqa: B018

    @pytest.mark.parametrize(
        "name", ["LintResult", "TraceResult", "SizesResult", "MeasureResult", "DiffResult"]
    )
    def test_results_are_frozen(self, name: str) -> None:
        result = getattr(scotoma, name)
        assert result.__dataclass_params__.frozen
        assert set(result.__slots__) == {field.name for field in dataclasses.fields(result)}


class TestLint:
    @pytest.mark.parametrize("kind", ["path", "text", "bytes", "proto"])
    def test_a_model_can_be_given_in_four_ways(
        self, kind: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        given: Any = {
            "path": PATCHES,
            "text": str(PATCHES),
            "bytes": PATCHES.read_bytes(),
            "proto": onnx.load(PATCHES),
        }[kind]
        result = scotoma.lint(given, name=str(PATCHES))
        expected = command_line(capsys, "lint", str(PATCHES))
        assert [f.fingerprint for f in result.findings] == [
            f["fingerprint"] for f in expected["models"][0]["findings"]
        ]
        assert result.passed
        assert result.models[0].path == str(PATCHES)
        if kind != "proto":  # whose bytes may be in another order
            assert result.document == expected

    def test_settings_are_those_of_a_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "scotoma.toml").write_text('fail-on = "never"\nignore = ["SC3"]\n')
        (tmp_path / "m.onnx").write_bytes(PATCHES.read_bytes())
        model = tmp_path / "m.onnx"
        assert [f.code for f in scotoma.lint(model).findings] == ["SC101"]
        assert scotoma.lint(model).passed
        assert not scotoma.lint(model, fail_on="warning").passed
        assert [f.code for f in scotoma.lint(model, isolated=True).findings] == ["SC101", "SC306"]
        given = scotoma.lint(model, severity={"SC101": "error"}, ignore=["SC306"], isolated=True)
        assert [(f.code, str(f.severity)) for f in given.findings] == [("SC101", "error")]
        assert not given.passed

    def test_suppressions_sizes_and_options_of_rules(self) -> None:
        suppressed = scotoma.lint(
            PATCHES,
            suppress=[{"rule": "SC101", "node": "node_conv2d", "reason": "masked"}],
            isolated=True,
        )
        assert [f.code for f in suppressed.findings] == ["SC306"]
        (model,) = suppressed.document["models"]
        assert model["findings"][0]["suppressed"] == {
            "by": "configuration", "reason": "masked", "source": "the call",
        }  # fmt: skip
        larger = scotoma.lint(SAMPLES / "detector_head.onnx", size=(64, 64), isolated=True)
        examined = larger.models[0].examined
        assert examined is not None
        assert examined.shape is not None
        assert examined.shape[2:] == (64, 64)

    def test_several_models(self) -> None:
        result = scotoma.lint(SAME, VALID, jobs=2)
        assert [Path(model.path).name for model in result.models] == [VALID.name, SAME.name]
        assert [f.code for f in result.findings] == ["SC102"]

    @pytest.mark.parametrize("format_name", REPORTERS)
    def test_it_renders_every_format(self, format_name: str, tmp_path: Path) -> None:
        result = scotoma.lint(PATCHES, formats=[format_name])
        main(["lint", str(PATCHES), "-o", f"{format_name}={tmp_path / 'report'}"])
        assert result.render(format_name) == (tmp_path / "report").read_text("utf-8")

    @pytest.mark.parametrize(
        ("arguments", "settings", "said"),
        [
            ((), {}, "no model is given"),
            ((3,), {}, "a model is a path, bytes or an onnx.ModelProto, not a int"),
            ((b"x", b"y"), {}, "of several models each is a path; lint others one by one"),
            ((SAME,), {"fail_on": "fatal"}, "the call: fail-on: .*error, warning, note or never"),
            ((SAME,), {"selekt": ["SC1"]}, "the call: selekt: unknown key; did you mean 'select'"),
            ((SAME,), {"size": (0, 8)}, r"the call: size\[0\]"),
            ((SAME,), {"select": ["nonsense"]}, "the call: select: no rule .*'nonsense'"),
            ((SAME,), {"size": (8, 8, 8)}, "one_layer_same.onnx: "),
        ],
    )
    def test_wrong_calls_say_what_is_wrong(
        self, arguments: tuple[Any, ...], settings: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(UsageError, match=said) as caught:
            scotoma.lint(*arguments, **settings)
        assert "\n" not in str(caught.value)

    def test_a_single_model_that_cannot_be_read_raises(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"nowhere.onnx: no such file") as caught:
            scotoma.lint(tmp_path / "nowhere.onnx")
        assert caught.value.kind == "missing"
        with pytest.raises(ModelError, match="-: the file is empty"):
            scotoma.lint(b"")

    def test_of_several_the_others_are_linted(self, tmp_path: Path) -> None:
        result = scotoma.lint(tmp_path / "nowhere.onnx", SAME)
        failure = result.models[0].failure
        assert failure is not None
        assert (failure.kind, result.models[1].status) == ("missing", "complete")
        assert not result.passed

    def test_external_data_is_found_beside_the_name(self, tmp_path: Path) -> None:
        whole, model = onnx.load(PATCHES), onnx.load(PATCHES)  # saving empties the one saved
        onnx.save(
            model, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0,
            location="weights",
        )  # fmt: skip
        data = (tmp_path / "m.onnx").read_bytes()
        result = scotoma.trace(data, name=str(tmp_path / "m.onnx"))
        weight = next(iter(result.facts.model.main.initializers))
        stored = next(item for item in whole.graph.initializer if item.name == weight)
        assert np.array_equal(result.facts.weights(weight), onnx.numpy_helper.to_array(stored))


class TestOthers:
    def test_trace_is_the_command(self, capsys: pytest.CaptureFixture[str]) -> None:
        result = scotoma.trace(VALID)
        assert result.document == command_line(capsys, "trace", str(VALID))
        assert result.tensor("feature_map")["receptive_field"] == [11, 11]
        assert result.coverage is not None
        assert result.coverage["dead_pixel_fraction"] == 0
        with pytest.raises(KeyError):
            result.tensor("nonsense")
        main(["trace", str(VALID)])
        assert result.render() == capsys.readouterr().out

    def test_sizes_is_the_command(self, capsys: pytest.CaptureFixture[str]) -> None:
        model = str(SAMPLES / "residual_net.onnx")
        result = scotoma.sizes(model, limits=[(60, 70)])
        assert result.document == command_line(capsys, "sizes", model, "--range", "60:70")
        assert result.best[0].size == (65, 65)
        deployed = scotoma.sizes(model, limits=[(60, 70)], deploy=[(64, 64)]).deployed
        assert [item.candidate.size for item in deployed] == [(64, 64)]

    @pytest.mark.parametrize("kind", ["path", "bytes"])
    def test_measure_is_the_command(self, kind: str, tmp_path: Path) -> None:
        given: Any = VALID if kind == "path" else VALID.read_bytes()
        result = scotoma.measure(
            given, inputs="zeros", delta=1.0, functional="sum", resolution="full"
        )
        main(["measure", str(VALID), "--out", str(tmp_path / "a"), "--input", "zeros", "--delta",
              "1", "--functional", "sum", "--resolution", "full", "--no-progress"])  # fmt: skip
        expected = np.load(tmp_path / "a" / "influence.npy")
        assert np.array_equal(result.map.astype(np.float32), expected)
        assert (result.map[0, 0], result.map[14, 14]) == (1, 59049)
        assert result.figures["corner_over_centre"].value == result.document["figures"][
            "corner_over_centre"]["value"]  # fmt: skip
        written = result.write(tmp_path / "b")
        assert [path.name for path in written] == ["influence.npy", "influence.png"]
        assert result.complete

    def test_a_measurement_knows_its_options(self) -> None:
        with pytest.raises(UsageError, match="a measurement has no option 'colour'"):
            scotoma.measure(SAME, colour="red")
        with pytest.raises(UsageError, match="unknown method 'guess'"):
            scotoma.measure(SAME, method="guess")

    def test_shapes_must_be_numbers(self) -> None:
        with pytest.raises(UsageError, match="size: 0 is no whole number above 0"):
            scotoma.trace(SAME, size=(0, 10))
        with pytest.raises(UsageError, match=r"image: 1\.5 is no whole number above 0"):
            scotoma.trace(SAME, input_shapes={"image": (1, 1, 1.5, 10)})  # type: ignore[dict-item]


class TestNotebooks:
    def fragments(self) -> dict[str, str]:
        model = hostile()
        options: Any = {"inputs": "zeros", "resolution": "full"}
        return {
            "lint": scotoma.lint(model, name=f"{HOSTILE}.onnx", isolated=True)._repr_html_(),
            "trace": scotoma.trace(model, name=HOSTILE)._repr_html_(),
            "sizes": scotoma.sizes(model, name=HOSTILE, limits=[(6, 9)])._repr_html_(),
            "measure": scotoma.measure(model, name=HOSTILE, **options)._repr_html_(),
            "diff": scotoma.diff(model, model, isolated=True)._repr_html_(),
        }

    def test_nothing_that_a_model_says_runs(self) -> None:
        fragments = self.fragments()
        for fragment in fragments.values():
            assert "<script" not in fragment
            assert "\u202e" not in fragment
        for name in ("lint", "trace", "measure"):
            assert (
                "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e&amp;&quot;&#x27;" in fragments[name]
            )
        assert fragments["measure"].startswith('<img alt="influence map" ')
        assert "SC101 unread-pixels" in fragments["lint"]

    def test_a_clean_model_says_so(self) -> None:
        assert "nothing found" in scotoma.lint(SAME)._repr_html_()

    def test_long_tables_are_cut(self) -> None:
        from scotoma.report.notebook import MAX_ROWS, trace_html

        document = scotoma.trace(SAME).document
        rows = document["tensors"][:1] * (MAX_ROWS + 5)
        html = trace_html({**document, "tensors": rows})
        assert html.count("<tr>") == MAX_ROWS + 1
        assert html.endswith("<p>and 5 more rows</p>")


class TestAssertClean:
    def test_a_clean_model(self) -> None:
        assert assert_clean(SAME).findings == ()
        assert assert_clean(SAME.read_bytes()).passed

    def test_findings_fail_with_the_report(self) -> None:
        with pytest.raises(AssertionError) as caught:
            assert_clean(PATCHES)
        text = str(caught.value)
        assert text.startswith("the model is not clean\n\n")
        assert "warning SC101 unread-pixels at node_conv2d (Conv)" in text
        assert "\x1b" not in text

    def test_the_level_can_be_set(self) -> None:
        result = assert_clean(PATCHES, fail_on="error")
        assert [finding.code for finding in result.findings] == ["SC101", "SC306"]
        with pytest.raises(AssertionError):
            assert_clean(SAMPLES / "digits_good_dynamo.onnx", fail_on="note")

    def test_results_can_be_copied(self) -> None:
        result = scotoma.lint(SAME)
        assert dataclasses.replace(result, complaints=("x",)).complaints == ("x",)


def test_the_example_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    (block,) = re.findall(
        r"^```python\n(import scotoma\n.*?)^```$", readme, re.MULTILINE | re.DOTALL
    )
    for name in ("model", "int8"):
        shutil.copy(VALID, tmp_path / f"{name}.onnx")
    shutil.copy(SAMPLES / "five_layers_same.onnx", tmp_path / "fp32.onnx")
    monkeypatch.chdir(tmp_path)
    assert "budget=30" in block
    exec(block.replace("budget=30", "budget=1"), {})
    assert "'models': 1}" in capsys.readouterr().out
