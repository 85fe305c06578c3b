"""What the rules on inference say of their fixtures, confirmed by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from scotoma.findings import Finding, Severity
from scotoma.registry import load_rules
from scotoma.testing import Fixture, find_fixtures, read_text_model

RULES = load_rules()
FOLDER = Path(__file__).parents[1] / "rules"
PLAIN = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
DEFAULT = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
ort.set_default_logger_severity(4)

BATCH = find_fixtures(FOLDER / "batch-norm-training") + find_fixtures(FOLDER / "batch-leak")
NOISE = find_fixtures(FOLDER / "stochastic-operator")
MASKS = find_fixtures(FOLDER / "frozen-dropout-mask")


def name_of(fixture: Fixture) -> str:
    return f"{fixture.rule}/{fixture.path.stem}"


def session(proto: onnx.ModelProto, level: ort.GraphOptimizationLevel) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    return ort.InferenceSession(proto.SerializeToString(), options)


def findings(fixture: Fixture) -> tuple[Finding, ...]:
    return fixture.lint([RULES.get(fixture.rule)]).findings


def feed(model: ort.InferenceSession, batch: int, seed: int) -> dict[str, Any]:
    """Return a batch for every image input, and true for every switch."""
    generator = np.random.default_rng(seed)
    return {
        value.name: np.array(True)
        if value.type == "tensor(bool)"
        else generator.standard_normal(
            [batch if axis == 0 else size for axis, size in enumerate(value.shape)]
        ).astype(np.float32)
        for value in model.get_inputs()
    }


def open_batch(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Let a model take any number of images."""
    for value in (*proto.graph.input, *proto.graph.output):
        if len(value.type.tensor_type.shape.dim) > 2:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return proto


OTHERS = {
    # onnxruntime has no BatchNormalization of these opsets.
    "by_default_of_opset_6", "test_mode_of_opset_6",
    # Made for one image, or without an output of its own for each.
    "samples_in_channels", "groups", "loss", "branch",
}  # fmt: skip


@pytest.mark.parametrize("fixture", [f for f in BATCH if f.path.stem not in OTHERS], ids=name_of)
def test_a_result_depends_on_the_other_images(fixture: Fixture) -> None:
    model = session(open_batch(read_text_model(fixture.text)), PLAIN)
    one = feed(model, 2, seed=1)
    other = {name: value.copy() for name, value in one.items()}
    for value in other.values():
        value[1] = 3 * value[1] + 2
    first, second = (model.run(None, given)[0][0] for given in (one, other))
    assert np.array_equal(first, second) != bool(fixture.expected)


def test_a_branch_depends_on_the_other_images() -> None:
    fixture = next(f for f in BATCH if f.path.stem == "branch")
    model = session(read_text_model(fixture.text), PLAIN)
    one = feed(model, 2, seed=1)
    other = {**one, "x": one["x"] * np.array([1, 3], np.float32).reshape(2, 1, 1, 1)}
    assert not np.array_equal(model.run(None, one)[0][0], model.run(None, other)[0][0])


def test_equal_parameters_are_overwritten() -> None:
    fixture = next(f for f in BATCH if f.path.stem == "equal_parameters")
    proto = read_text_model(fixture.text)

    def is_steady(level: ort.GraphOptimizationLevel) -> bool:
        model = session(proto, level)
        given = feed(model, 2, seed=1)
        runs = [model.run(None, given)[0] for _ in range(4)]
        return all(np.array_equal(runs[0], other) for other in runs[1:])

    assert is_steady(PLAIN)
    assert not is_steady(DEFAULT)


@pytest.mark.parametrize("level", [PLAIN, DEFAULT], ids=["plain", "default"])
@pytest.mark.parametrize("fixture", NOISE, ids=name_of)
def test_runs_differ_where_numbers_are_random(
    fixture: Fixture, level: ort.GraphOptimizationLevel
) -> None:
    model = session(read_text_model(fixture.text), level)
    given = {k: np.abs(v) if v.dtype != bool else v for k, v in feed(model, 1, seed=1).items()}
    runs = [model.run(None, given)[0] for _ in range(64)]
    if fixture.path.stem == "random_slope":
        given = {"x": -given["x"]}
        runs = [model.run(None, given)[0] for _ in range(2)]
    differ = any(not np.array_equal(runs[0], other) for other in runs[1:])
    assert differ == bool(fixture.expected)


@pytest.mark.parametrize("fixture", MASKS, ids=name_of)
def test_activations_are_dead(fixture: Fixture) -> None:
    found = [f for f in findings(fixture) if f.severity > Severity.NOTE]
    if not found:
        return
    proto = read_text_model(fixture.text)
    node = next(node for node in proto.graph.node if node.name == found[0].primary.node)
    proto.graph.output.append(onnx.ValueInfoProto(name=node.output[0]))
    model = session(proto, PLAIN)
    runs = [model.run(None, {"x": np.abs(feed(model, 1, s)["x"])})[-1] for s in range(3)]
    dead = np.all(np.array(runs) == 0, axis=0)
    assert float(found[0].measurements[0].value) == dead.mean()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "name", "severity"),
    [
        ("batch-leak", "moments", Severity.ERROR),
        ("batch-leak", "wrong_softmax", Severity.ERROR),
        ("batch-leak", "moments_of_one", Severity.WARNING),
        ("batch-leak", "whole_image_of_one", Severity.NOTE),
        ("batch-leak", "one_result", Severity.NOTE),
        ("batch-norm-training", "training_mode", Severity.ERROR),
        ("stochastic-operator", "noise_added", Severity.ERROR),
        ("stochastic-operator", "noise_around_itself", Severity.ERROR),
        ("stochastic-operator", "latent", Severity.NOTE),
        ("stochastic-operator", "variational", Severity.NOTE),
        ("stochastic-operator", "injected", Severity.NOTE),
        ("frozen-dropout-mask", "places", Severity.ERROR),
        ("frozen-dropout-mask", "factor", Severity.ERROR),
        ("frozen-dropout-mask", "aperture", Severity.WARNING),
        ("frozen-dropout-mask", "pruned_channels", Severity.WARNING),
        ("frozen-dropout-mask", "noise", Severity.NOTE),
        ("checkerboard-upsampling", "kernel_3_stride_2", Severity.WARNING),
        ("checkerboard-upsampling", "unreadable", Severity.NOTE),
        ("unwritten-output", "output_padding", Severity.WARNING),
        ("unwritten-output", "inserted_zeros", Severity.NOTE),
    ],
)
def test_severity(rule: str, name: str, severity: Severity) -> None:
    fixture = next(f for f in find_fixtures(FOLDER / rule) if f.path.stem == name)
    assert [finding.severity for finding in findings(fixture)] == [severity]


MESSAGES = {
    "batch-norm-training/two_layers": (
        "'one' and 1 more of the 3 batch normalisations normalise by the statistics of the batch "
        "in hand, because training_mode is 1: every result depends on the other images of its batch"
    ),
    "batch-norm-training/five_outputs": (
        "normalises by the statistics of the batch in hand, because it has 5 outputs, which means "
        "training in opset 9: every result depends on the other images of its batch"
    ),
    "batch-leak/moments": (
        "it and 1 more operator reduce over the axis of the batch, so that the result of an image "
        "depends on the other images of its batch"
    ),
    "batch-leak/whole_image_of_one": (
        "reduces over the axis of the batch, which mixes images as soon as the batch is not 1, as "
        "the file fixes it"
    ),
    "stochastic-operator/noise_multiplied": (
        "its random numbers, normal with mean 1 and deviation 0.5, meet the image's values at "
        "'mul' and reach an output: every run gives another result; its seed repeats a session, "
        "not a run"
    ),
    "stochastic-operator/many": (
        "its and 20 more operators' random numbers, normal with mean 0 and deviation 1, reach an "
        "output: every run gives another result"
    ),
    "frozen-dropout-mask/factor": (
        "sets 33.3% of the activations to zero for every image, 16 of 48 in a 1x48x1x1 mask of "
        "random places, the others multiplied by 1.33"
    ),
    "checkerboard-upsampling/kernel_3_stride_2": (
        "on a flat image the values in each tile of 2x2 cells differ by 133% of their mean size "
        "(channel 0, limit 30%)"
    ),
    "unwritten-output/output_padding": (
        "no tap writes 1 of 13 rows at the border and 1 of 13 columns at the border: 14.8% of the "
        "output is the bias alone"
    ),
    "unwritten-output/inserted_zeros": (
        "no tap writes 5 of 11 rows in between and 5 of 11 columns in between: 70.2% of the output "
        "is the bias alone, which the windows behind it blend with written cells"
    ),
}


@pytest.mark.parametrize("key", MESSAGES)
def test_message(key: str) -> None:
    rule, name = key.split("/")
    fixture = next(f for f in find_fixtures(FOLDER / rule) if f.path.stem == name)
    assert [finding.message for finding in findings(fixture)] == [MESSAGES[key]]
