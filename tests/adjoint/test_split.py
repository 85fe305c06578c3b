"""Whole models split into forward and adjoint: what is computed, shared, missing and written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from adjoint.jacobians import assert_equal, by_adjoint, central, split
from onnx import numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from scotoma.adjoint import Adjoint, Missing, Runner, build
from scotoma.errors import MeasurementError, UsageError, WeightsUnavailableError
from scotoma.loader import load_model
from scotoma.resolve import resolve
from scotoma.testing import read_text_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

RESIDUAL = """
<ir_version: 8, opset_import: ["" : 17]>
g (float[1, 2, 9, 9] x) => (float[1, 3] y)
<float[4, 2, 3, 3] w1, float[4] b1, float[4, 1, 3, 3] w2, float[4, 4, 1, 1] w3, float[3, 4] w4,
 float[4] scale, float[4] shift, float[4] m, float[4] v0>
{
    v = Abs (v0)
    a = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w1, b1)
    n = BatchNormalization (a, scale, shift, m, v)
    r = Relu (n)
    d = Conv <pads = [1, 1, 1, 1], group = 4> (r, w2)
    s = Sigmoid (d)
    u = Mul (d, s)
    p = Conv (u, w3)
    t = Add (p, r)
    q = MaxPool <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (t)
    pooled = GlobalAveragePool (q)
    flat = Flatten (pooled)
    y = Gemm <transB = 1> (flat, w4)
}
"""


def text(body: str, opset: int = 17) -> onnx.ModelProto:
    found: onnx.ModelProto = parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]> {body}'
    )
    return found


def normal(*shape: int, seed: int = 5) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def twin(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model in float64."""
    copy: onnx.ModelProto = onnx.ModelProto.FromString(model.SerializeToString())
    for tensor in copy.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float64), tensor.name))
    return copy


@pytest.mark.parametrize("target", ["y", "t", "u"])
@pytest.mark.parametrize("inner", ["x", "r"])
def test_residual_network_equals_differences(target: str, inner: str) -> None:
    model = read_text_model(RESIDUAL)
    feed = {"x": normal(1, 2, 9, 9)}
    found = by_adjoint(model, feed, target, [inner])
    if inner == "x":
        double = ReferenceEvaluator(_with_output(twin(model), target))
        assert_equal(found, central(lambda fed: next(iter(double.run([target], fed))), feed))
    else:
        # The Jacobian to the input is the product of both.
        first = by_adjoint(model, feed, inner, ["x"])["x"]
        whole = by_adjoint(model, feed, target, ["x"])["x"]
        np.testing.assert_allclose(found[inner] @ first, whole, rtol=1e-4, atol=1e-6)


def _with_output(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    if name not in {value.name for value in model.graph.output}:
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    return model


def test_several_targets_and_tensors_at_once() -> None:
    """Gradients add up over the targets, and a target may lie behind another."""
    adjoint = split(read_text_model(RESIDUAL), ["y", "r"], ["x", "r", "t"])
    runner = Runner(adjoint)
    tape = runner.forward({"x": normal(1, 2, 9, 9)})
    one, two = normal(3, 1, 3), normal(3, 1, 4, 5, 5)
    both = runner.backward(tape, {"y": one, "r": two})
    first = runner.backward(tape, {"y": one})
    second = runner.backward(tape, {"r": two})
    for name in ("x", "r", "t"):
        assert both[name].shape == (3, *_shape(name))
        np.testing.assert_allclose(both[name], first[name] + second[name], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(second["r"], two)
    np.testing.assert_array_equal(second["t"], 0)


def test_tensors_apart_count_without_what_they_do_by_way_of_each_other() -> None:
    """From r to y two ways: through d and s to t, and past them."""
    resolution = resolve(load_model("-", data=read_text_model(RESIDUAL).SerializeToString()))
    feed, cotangent = {"x": normal(1, 2, 9, 9)}, {"y": normal(1, 1, 3)}
    together, apart = (
        Runner(build(resolution, ["y"], ["r", "p"], apart=apart)) for apart in (False, True)
    )
    whole = together.backward(together.forward(feed), cotangent)
    found = apart.backward(apart.forward(feed), cotangent)
    np.testing.assert_array_equal(found["p"], whole["p"])
    np.testing.assert_array_equal(found["r"], whole["p"])  # t = p + r
    assert not np.array_equal(whole["r"], whole["p"])


def _shape(name: str) -> tuple[int, ...]:
    return {"x": (1, 2, 9, 9), "r": (1, 4, 5, 5), "t": (1, 4, 5, 5)}[name]


def test_forward_is_the_model_and_gives_what_the_backward_reads() -> None:
    model = read_text_model(RESIDUAL)
    adjoint = split(model, ["y"], ["x"])
    forward = onnx.ModelProto.FromString(adjoint.forward)
    assert [node.op_type for node in forward.graph.node] == [n.op_type for n in model.graph.node]
    assert forward.opset_import == model.opset_import
    names = [value.name for value in forward.graph.output]
    assert names == ["y", *adjoint.residuals]
    assert adjoint.residuals == ("MaxPool:q/1", "s", "d", "r")
    # Indices of 8 bytes, three maps of 4 bytes.
    assert adjoint.residual_bytes == 4 * 3 * 3 * 8 + 3 * 4 * 5 * 5 * 4
    runner = Runner(adjoint)
    x = normal(1, 2, 9, 9)
    plain = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = plain.run(["y"], {"x": x})[0]
    np.testing.assert_allclose(runner.forward({"x": x}).targets["y"], expected, rtol=1e-5)


def test_only_what_leads_to_the_targets_is_run() -> None:
    adjoint = split(read_text_model(RESIDUAL), ["d"], ["x"])
    forward = onnx.ModelProto.FromString(adjoint.forward)
    assert [node.op_type for node in forward.graph.node] == [
        "Abs", "Conv", "BatchNormalization", "Relu", "Conv",
    ]  # fmt: skip
    assert adjoint.residuals == ("r",)


def test_written_files_run_by_themselves(tmp_path: Path) -> None:
    model = read_text_model(RESIDUAL)
    for tensor in model.graph.initializer:  # no weight is too small for the common file
        if tensor.name == "w1":
            tensor.CopyFrom(numpy_helper.from_array(normal(4, 2, 15, 15), "w1"))
    model.graph.node[1].attribute[0].ints[:] = [7, 7, 7, 7]
    adjoint = split(model, ["y"], ["x"])
    adjoint.save(tmp_path / "made" / "folder")
    folder = tmp_path / "made" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == [
        "backward.onnx", "forward.onnx", "weights.bin",
    ]  # fmt: skip
    assert (folder / "weights.bin").stat().st_size == adjoint.weights.nbytes == 4 * 2 * 225 * 4
    onnx.checker.check_model(str(folder / "forward.onnx"), full_check=True)
    onnx.checker.check_model(str(folder / "backward.onnx"), full_check=True)
    forward, backward = (
        ort.InferenceSession(folder / name, providers=["CPUExecutionProvider"])
        for name in ("forward.onnx", "backward.onnx")
    )
    x, cotangent = normal(1, 2, 9, 9), normal(1, 3)
    names = [value.name for value in forward.get_outputs()]
    made = dict(zip(names, forward.run(names, {"x": x}), strict=True))
    feed = {name: made[name] for name in adjoint.residuals}
    feed[adjoint.cotangents["y"]] = cotangent
    (gradient,) = backward.run([adjoint.gradients["x"]], feed)
    runner = Runner(adjoint)
    expected = runner.backward(runner.forward({"x": x}), {"y": cotangent[None]})["x"][0]
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


def test_operator_without_a_rule_is_named_and_the_rest_goes_on() -> None:
    model = text("""g (float[2, 2] x, float[2, 2] z) => (float y, float[2, 2] other) {
        a = Relu (x)
        [odd] b = Det (a)
        c = Relu (b)
        s = ReduceSum <keepdims = 0> (z)
        y = Add (c, s)
        other = Neg (a)
    }""")
    adjoint = split(model, ["y", "other"], ["x", "z", "a", "b"])
    missing = Missing("odd", "Det", "there is no adjoint rule for it")
    assert adjoint.missing == (missing,)
    assert adjoint.incomplete == {"x": (missing,), "a": (missing,)}
    assert set(adjoint.gradients) == {"z", "b"}
    runner = Runner(adjoint)
    tape = runner.forward({"x": np.eye(2, dtype=np.float32), "z": normal(2, 2)})
    found = runner.backward(tape, {"y": np.full(1, 2.0)})
    np.testing.assert_array_equal(found["z"][0], np.full((2, 2), 2.0))
    np.testing.assert_array_equal(found["b"][0], 2.0)
    # Where the odd operator is on no way to the target, it is of no interest.
    assert split(model, ["other"], ["x"]).missing == ()


def test_operators_of_other_domains_are_named_with_them() -> None:
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17, "my.own": 1]>
        g (float[2] x) => (float[2] y) { [n] a = my.own.Trick (x) [m] y = Relu (a) }""")
    model.graph.value_info.append(
        onnx.helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, [2])
    )
    (missing,) = split(model, ["y"], ["x"]).missing
    assert (missing.node, missing.op_type) == ("n", "my.own.Trick")


def test_nothing_to_compute() -> None:
    model = text("""g (float[2] x, float[2] z) => (int64[1] y, float[2] w) {
        y = ArgMax <axis = 0> (x)
        w = Relu (z)
    }""")
    adjoint = split(model, ["y", "w"], ["x"])
    assert (adjoint.backward, adjoint.gradients, adjoint.missing) == (None, {}, ())
    assert adjoint.zero == {"x": (2,)}
    runner = Runner(adjoint)
    tape = runner.forward({"x": normal(2), "z": normal(2)})
    found = runner.backward(tape, {"w": np.ones((4, 2))})
    np.testing.assert_array_equal(found["x"], np.zeros((4, 2)))


def test_dropout_is_inert() -> None:
    model = text("""g (float[64] x) => (float[64] y) {
        ratio = Constant <value = float {0.5}> ()
        on = Constant <value = bool {1}> ()
        a = Dropout (x, ratio, on)
        y = Mul (a, a)
    }""")
    x = normal(64)
    found = by_adjoint(model, {"x": x}, "y")["x"]
    np.testing.assert_allclose(found, np.diag(2 * x), rtol=1e-6)


def test_a_target_that_is_the_tensor_itself() -> None:
    model = text("g (float[2] x) => (float[2] y) { y = Relu (x) }")
    adjoint = split(model, ["y"], ["y", "x"])
    runner = Runner(adjoint)
    cotangent = normal(2, 2)
    found = runner.backward(runner.forward({"x": np.ones(2, np.float32)}), {"y": cotangent})
    np.testing.assert_array_equal(found["y"], cotangent)
    np.testing.assert_array_equal(found["x"], cotangent)


def test_inlined_function_and_chosen_branch() -> None:
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17, "local": 1]>
        g (float[3] x) => (float[3] y) {
            yes = Constant <value = bool {1}> ()
            y = If (yes) <
                then_branch = t () => (float[3] p) { p = local.twice (x) },
                else_branch = e () => (float[3] q) { q = Neg (x) }
            >
        }
        <opset_import: ["": 17], domain: "local">
        twice (a) => (b) { b = Add (a, a) }""")
    found = by_adjoint(model, {"x": normal(3)}, "y")["x"]
    np.testing.assert_array_equal(found, 2 * np.eye(3))


def test_branch_that_the_input_decides_is_missing() -> None:
    model = text("""g (float[3] x) => (float[3] y) {
        s = ReduceSum <keepdims = 0> (x)
        zero = Constant <value = float {0}> ()
        c = Greater (s, zero)
        [fork] y = If (c) <
            then_branch = t () => (float[3] p) { p = Relu (x) },
            else_branch = e () => (float[3] q) { q = Neg (x) }
        >
    }""")
    adjoint = split(model, ["y"], ["x"])
    assert [(m.node, m.op_type) for m in adjoint.missing] == [("fork", "If")]
    assert set(adjoint.incomplete) == {"x"}
    tape = Runner(adjoint).forward({"x": np.array([-1, -2, 1], np.float32)})
    np.testing.assert_array_equal(tape.targets["y"], [1, 2, -1])


def test_weights_that_operators_make() -> None:
    """A constant that is worked out from others is worked out in the backward as well."""
    model = text("""g (float[1, 1, 3, 3] x) => (float[1, 2, 3, 3] y)
        <int64[4] shape = {2, 1, 1, 1}, float scale = {0.5}>
    {
        ones = ConstantOfShape <value = float[1] {3}> (shape)
        weight = Mul (ones, scale)
        y = Conv (x, weight)
    }""")
    adjoint = split(model, ["y"], ["x"])
    assert adjoint.residuals == ()
    found = by_adjoint(model, {"x": normal(1, 1, 3, 3)}, "y")["x"]
    np.testing.assert_array_equal(found, 1.5 * np.vstack([np.eye(9), np.eye(9)]))


def test_sizes_that_shapes_decide_are_worked_out() -> None:
    model = text("""g (float[n, 4] x) => (float[m] y) {
        shape = Shape (x)
        count = ReduceProd <keepdims = 1> (shape)
        y = Reshape (x, count)
    }""")
    adjoint = _build(model, input_shapes={"x": (3, 4)})
    forward = onnx.ModelProto.FromString(adjoint.forward)
    assert [node.op_type for node in forward.graph.node] == ["Reshape"]
    runner = Runner(adjoint)
    found = runner.backward(runner.forward({"x": normal(3, 4)}), {"y": np.eye(12)})
    np.testing.assert_array_equal(found["x"].reshape(12, 12), np.eye(12))


def _build(model: onnx.ModelProto, **settings: Any) -> Adjoint:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(model.SerializeToString())
        return build(resolve(load_model(path), **settings), ["y"], ["x"])


def test_no_large_weight_is_read_before_it_is_needed(tmp_path: Path) -> None:
    model = text("""g (float[1, 64] x) => (float[1, 64] y) <float[64, 64] w> {
        y = MatMul (x, w)
    }""")
    weight = onnx.TensorProto(name="w", data_type=1, dims=[64, 64])
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="not_there.bin")
    model.graph.initializer.append(weight)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    adjoint = build(resolve(load_model(tmp_path / "model.onnx")), ["y"], ["x"])
    with pytest.raises(WeightsUnavailableError, match=r"tensor 'w' cannot be read: .*not_there"):
        Runner(adjoint)


def test_unknown_names_and_models_that_cannot_run() -> None:
    model = text("g (float[2] x) => (float[2] y) { y = Relu (x) }")
    with pytest.raises(UsageError, match="the model has no tensor 'z'"):
        split(model, ["z"], ["x"])
    with pytest.raises(UsageError, match="the model has no tensor ''"):
        split(model, ["y"], [""])
    runner = Runner(split(model, ["y"], ["x"]))
    with pytest.raises(MeasurementError, match="onnxruntime cannot run the model"):
        runner.forward({"x": normal(3)})
    with pytest.raises(ValueError, match="different numbers"):
        runner.backward(runner.forward({"x": normal(2)}), {})


def test_functions_of_another_operator_set() -> None:
    """Clip has its bounds as attributes there: the forward could not say so."""
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["": 17, "local": 1]>
        g (float[3] x) => (float[3] y) { y = local.old (x) }
        <opset_import: ["": 6], domain: "local">
        old (a) => (b) { [clip] b = Clip <min = 0.0> (a) }""")
    with pytest.raises(MeasurementError, match="is of operator set 6, in a model of operator set"):
        split(model, ["y"], ["x"])


def test_names_that_look_like_those_of_the_adjoint() -> None:
    model = text("g (float[2] x) => (float[2] y) { a = Sigmoid (x) b = Neg (a) y = Mul (a, b) }")
    names = {"a": "cotangent/y", "b": "gradient/x", "y": "y", "x": "x"}
    for node in model.graph.node:
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    x = normal(2)
    s = 1 / (1 + np.exp(-x.astype(np.float64)))
    found = by_adjoint(model, {"x": x}, "y")["x"]
    np.testing.assert_allclose(found, np.diag(-2 * s * s * (1 - s)), rtol=1e-5)
