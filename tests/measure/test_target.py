"""Which tensors are looked at, and what is said of the choice."""

from __future__ import annotations

from pathlib import Path

import pytest
from text_models import facts_of

from scotoma.errors import MeasurementError, UsageError
from scotoma.facts import Facts
from scotoma.measure.options import MeasureOptions
from scotoma.measure.target import Target, choose

SAMPLES = Path(__file__).resolve().parents[2] / "sample_models"


def target(facts: Facts, tensor: str | None = None, functional: str = "l2") -> Target:
    return choose(facts, MeasureOptions(tensor=tensor, functional=functional))


def seen(found: Target) -> tuple[tuple[str, ...], list[str], str]:
    return found.tensors, [operator.name for operator in found.stripped], found.why


CLASSIFIER = """model (float[1, 3, 16, 16] x) => (float[1, 10] y)
    <float[8, 3, 3, 3] w, float[8, 8, 3, 3] v, float[8, 10] d>
    {
        [first] a = Conv (x, w)
        [second] m = Conv (a, v)
        p = GlobalAveragePool (m)
        f = Flatten (p)
        logits = MatMul (f, d)
        [last] y = Softmax (logits)
    }"""


def test_the_last_feature_map_of_a_classifier() -> None:
    found = target(facts_of(CLASSIFIER))
    assert seen(found) == (("m",), [], "the last feature map")
    assert (found.tapped, found.saturated, found.notes) == (frozenset({"m"}), None, ())


def test_the_class_vector_for_a_logit() -> None:
    found = target(facts_of(CLASSIFIER), functional="logit:3")
    why = "the class vector, before Softmax 'last', which hides changes where saturated"
    assert seen(found) == (("logits",), ["last"], why)
    assert found.tapped == {"logits"}


SEGMENTER = """model (float[1, 3, 16, 16] x) => (float[1, 16, 16, 2] y)
    <float[8, 3, 3, 3] w, float[2, 8, 1, 1] v>
    {
        a = Conv <pads = [1, 1, 1, 1]> (x, w)
        [scores] s = Conv (a, v)
        [last] t = Sigmoid (s)
        y = Transpose <perm = [0, 2, 3, 1]> (t)
    }"""


def test_a_map_that_is_the_output_loses_its_saturation() -> None:
    found = target(facts_of(SEGMENTER))
    why = "the last feature map, before Sigmoid 'last', which hides changes where saturated"
    assert seen(found) == (("s",), ["last"], why)


@pytest.mark.parametrize(
    ("last", "tensors"),
    [
        ("y = ArgMax <axis = 1, keepdims = 1> (s)", ("s",)),
        ("y = LogSoftmax <axis = 1> (s)", ("s",)),
        ("y = HardSigmoid (s)", ("s",)),
        ("y = Clip (s, zero, one)", ("s",)),
        ("y = Tanh (s)", ("s",)),
        ("a = Softmax (s)  [two] y = Hardmax (a)", ("s",)),
        ("h = Relu (s)  y = Neg (h)", ("y",)),
        ("h = Sigmoid (s)  y = Mul (h, s)", ("y",)),
        ("h = Sigmoid (s)  y = Concat <axis = 1> (h, s)", ("s",)),
        ("h = Neg (s)  y = Concat <axis = 1> (h, s)", ("y",)),
        ("h = Neg (s) g = Softmax (h) y = Concat <axis = 1> (g, s)", ("s", "h")),
        ("y, i = TopK <axis = 1> (s, k)", ("s",)),
    ],
)
def test_what_is_stripped_from_the_end(last: str, tensors: tuple[str, ...]) -> None:
    text = f"""model (float[1, 3, 8, 8] x) => (y)
        <float[4, 3, 3, 3] w, float zero = {{0}}, float one = {{1}}, int64[1] k = {{2}}>
        {{ s = Conv (x, w)  {last} }}"""
    found = target(facts_of(text))
    assert found.tensors == tensors
    assert found.tapped == frozenset(tensors) - {"y"}
    assert bool(found.stripped) == (found.tensors != ("y",))


def test_what_is_stripped_is_named_in_the_order_of_the_graph() -> None:
    text = """model (float[1, 3, 8, 8] x) => (y) <float[4, 3, 3, 3] w>
        { s = Conv (x, w)  [one] a = Softmax (s)  [two] y = Hardmax (a) }"""
    why = "the last feature map, before Softmax 'one', Hardmax 'two', which hide changes where"
    assert seen(target(facts_of(text))) == (("s",), ["one", "two"], f"{why} saturated")


def test_boxes_and_scores_before_their_suppression() -> None:
    text = """model (float[1, 1, 4, 4] x) => (int64[m, 3] y)
        <float[16, 20] w, float[16, 5] v, int64[3] b = {1, 5, 4}, int64[3] s = {1, 1, 5},
         int64 most = {3}>
        {
            f = Flatten (x)
            u = MatMul (f, w)  boxes = Reshape (u, b)
            t = MatMul (f, v)  scores = Reshape (t, s)
            [nms] y = NonMaxSuppression (boxes, scores, most)
        }"""
    found = target(facts_of(text))
    assert found.tensors == ("boxes", "scores")
    assert [operator.name for operator in found.stripped] == ["nms"]


def test_an_operator_of_ones_own_is_not_known_by_its_name() -> None:
    text = """model (float[1, 3, 8, 8] x) => (y) <float[4, 3, 3, 3] w>
        { s = Conv (x, w)  y = local.Sigmoid (s) }"""
    assert target(facts_of(text), "y").saturated is None
    assert target(facts_of(text.replace("local.", "")), "y").saturated is not None


def test_an_activation_inside_stays() -> None:
    text = CLASSIFIER.replace("m = Conv (a, v)", "n = Conv (a, v)  m = Clip (n, lo, hi)").replace(
        "float[8, 10] d", "float[8, 10] d, float lo = {0}, float hi = {6}"
    )
    assert target(facts_of(text)).tensors == ("m",)


def test_all_heads_of_a_detector_together() -> None:
    text = """model (float[1, 3, 32, 32] x) => (float[1, 80, 4] boxes, float[1, 80, 2] scores)
        <float[8, 3, 3, 3] w, float[8, 8, 3, 3] v, float[16, 8, 1, 1] b, float[8, 8, 1, 1] c,
         int64[3] s4 = {1, -1, 4}, int64[3] s2 = {1, -1, 2}>
        {
            m = Conv <pads = [1, 1, 1, 1], strides = [8, 8]> (x, w)
            n = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (m, v)
            b1 = Conv (m, b)
            b2 = Conv (n, b)
            c1 = Conv (m, c)
            c2 = Conv (n, c)
            e1 = Reshape (b1, s4)
            e2 = Reshape (b2, s4)
            f1 = Reshape (c1, s2)
            f2 = Reshape (c2, s2)
            boxes = Concat <axis = 1> (e1, e2)
            g = Concat <axis = 1> (f1, f2)
            [last] scores = Softmax <axis = 2> (g)
        }"""
    found = target(facts_of(text))
    assert seen(found) == (("b1", "b2", "c1", "c2"), [], "the last 4 feature maps")
    with pytest.raises(UsageError) as refusal:
        target(facts_of(text), functional="logit")
    assert str(refusal.value) == (
        "a logit needs a class vector, and no output is one ('boxes' 1x80x4, 'scores' 1x80x2):"
        " name a tensor with --tensor"
    )


def test_what_only_gates_another_map_is_no_last_one() -> None:
    text = """model (float[1, 3, 16, 16] x) => (float[1, 10] y)
        <float[8, 3, 3, 3] w, float[8, 8, 1, 1] v, float[8, 10] d>
        {
            a = Conv (x, w)
            square = Mul (a, a)
            gate = GlobalAveragePool (square)
            g = Sigmoid (gate)
            m = Mul (a, g)
            n = Conv (m, v)
            p = GlobalAveragePool (n)
            f = Flatten (p)
            y = MatMul (f, d)
        }"""
    facts = facts_of(text)
    assert facts.heads == ("square", "n")
    assert target(facts).tensors == ("n",)


def test_a_gating_map_that_is_an_output_stays() -> None:
    text = """model (float[1, 3, 16, 16] x) => (square, n) <float[8, 3, 3, 3] w>
        {
            a = Conv (x, w)
            square = Mul (a, a)
            gate = GlobalAveragePool (square)
            n = Mul (a, gate)
        }"""
    assert target(facts_of(text)).tensors == ("square", "n")


def test_without_a_feature_map_the_output() -> None:
    text = """model (float[1, 1, 4, 4] x) => (float[1, 3] y) <float[1] c, float[16, 3] w>
        { s = Sub (x, c)  f = Flatten (s)  [fc] l = MatMul (f, w)  [last] y = Softmax (l) }"""
    found = target(facts_of(text))
    assert found.tensors == ("l",)
    assert found.why == (
        "the output, as there is no feature map that sees more than one pixel, before Softmax"
        " 'last', which hides changes where saturated"
    )


def test_of_several_outputs_the_largest_of_floating_point() -> None:
    text = """model (float[1, 1, 4, 4] x) => (float[1, 2] y, float[1, 3] z, int64[1, 16] i)
        <float[16, 2] w, float[16, 3] v>
        { f = Flatten (x)  y = MatMul (f, w)  z = MatMul (f, v)  i = Cast <to = 7> (f) }"""
    assert target(facts_of(text)).tensors == ("z",)


def transformer(layers: int) -> str:
    blocks = "".join(
        f"""q{i} = MatMul (t{i}, wq)  k{i} = Transpose <perm = [0, 2, 1]> (t{i})
            s{i} = MatMul (q{i}, k{i})  p{i} = Softmax (s{i})  a{i} = MatMul (p{i}, t{i})
            o{i} = MatMul (a{i}, wq)  t{i + 1} = Add (t{i}, o{i})"""
        for i in range(layers)
    )
    return f"""model (float[1, 3, 16, 16] x) => (float[1, 5] y)
        <float[8, 3, 4, 4] w, float[8, 8] wq, int64[3] s = {{1, 8, 16}}, float[8, 5] d>
        {{
            m = Conv <strides = [4, 4]> (x, w)
            r = Reshape (m, s)
            t0 = Transpose <perm = [0, 2, 1]> (r)
            {blocks}
            g = ReduceMean <axes = [1], keepdims = 0> (t{layers})
            y = MatMul (g, d)
        }}"""


def test_the_patches_of_a_transformer_say_nothing_of_it() -> None:
    facts = facts_of(transformer(3))
    assert facts.heads == ("m",)
    found = target(facts)
    assert seen(found) == (
        ("y",), [], "the output, as most layers stand behind the last feature map"
    )  # fmt: skip


def test_patches_that_are_an_output_are_what_was_wanted() -> None:
    text = transformer(3).replace("(float[1, 5] y)", "(float[1, 500] y, float[1, 8, 4, 4] m)")
    text = text.replace("float[8, 5] d", "float[8, 500] d")
    assert target(facts_of(text)).tensors == ("m",)


def test_one_score_per_place_is_no_class_vector() -> None:
    text = """model (float[1, 3, 8, 8] x) => (float[1, 36, 1] y)
        <float[1, 3, 3, 3] w, int64[3] s = {1, 36, 1}>
        { m = Conv (x, w)  y = Reshape (m, s) }"""
    with pytest.raises(UsageError, match=r"no output is one \('y' 1x36x1\)"):
        target(facts_of(text), functional="logit")


def test_classes_behind_a_flatten_do_not_count_as_such_layers() -> None:
    text = """model (float[1, 1, 8, 8] x) => (float[1, 3] y)
        <float[2, 1, 3, 3] w, float[72, 9] a, float[9, 9] b, float[9, 3] c>
        {
            m = Conv (x, w)  f = Flatten (m)
            g = MatMul (f, a)  h = MatMul (g, b)  y = MatMul (h, c)
        }"""
    assert target(facts_of(text)).tensors == ("m",)


TAIL = """<domain: "local", opset_import: ["" : 17]>
    tail (a, b) => (c) { d = Conv (a, b)  c = %s (d) }"""


def test_a_map_inside_a_local_function_cannot_be_had() -> None:
    text = f"""model (float[1, 3, 8, 8] x) => (float[1, 4] y)
        <float[4, 3, 3, 3] w, float[4, 4, 3, 3] v>
        {{ m = Conv (x, w)  n = local.tail (m, v)  y = Flatten (n) }}
        {TAIL % "GlobalAveragePool"}"""
    found = target(facts_of(text))
    assert found.tensors == ("m",)
    assert [note.split(",")[0] for note in found.notes] == [
        "the last feature map stands in a local function or in the branch of an If"
    ]


@pytest.mark.parametrize("name", ["n", "/features/out"])
def test_the_result_of_a_local_function_can(name: str) -> None:
    text = f"""model (float[1, 3, 8, 8] x) => (float[1, 4] y)
        <float[4, 3, 3, 3] w, float[4, 4, 3, 3] v>
        {{
            m = local.tail (x, w)
            "{name}" = local.tail (m, v)
            p = GlobalAveragePool ("{name}")
            y = Flatten (p)
        }}
        {TAIL % "Relu"}"""
    found = target(facts_of(text.replace('"n"', "n")))
    assert (found.tensors, found.notes) == ((name,), ())


def test_quantised_maps_say_so() -> None:
    text = """model (uint8[1, 1, 8, 8] x) => (float[1, 1] y)
        <float s = {0.5}, uint8 z = {3}, uint8[1, 1, 3, 3] w>
        {
            m = QLinearConv (x, s, z, w, s, z, s, z)
            d = DequantizeLinear (m, s, z)
            e = ReduceMean <axes = [2, 3], keepdims = 0> (d)
            y = Neg (e)
        }"""
    found = target(facts_of(text), tensor="m")
    assert found.notes == ("'m' holds uint8: changes below 1 do not show in it",)
    assert target(facts_of(text)).tensors == ("d",)


class TestNamed:
    FACTS = facts_of(CLASSIFIER)

    def test_any_tensor_or_operator(self) -> None:
        for name in ("a", "first"):
            found = target(self.FACTS, name)
            assert seen(found) == (("a",), [], "as asked")
            assert found.tapped == {"a"}

    def test_a_saturated_one_is_taken_with_a_warning(self) -> None:
        found = target(self.FACTS, "y")
        assert found.tensors == ("y",)
        assert found.saturated is not None
        assert found.saturated.name == "last"
        (note,) = found.notes
        assert note == (
            "measured behind Softmax 'last', where a confident model looks blind: look at the"
            " tensor before it"
        )
        assert target(self.FACTS, "logits").saturated is None

    @pytest.mark.parametrize(
        ("name", "functional", "message"),
        [
            ("logit", "l2", "the model has no tensor or node 'logit'; did you mean 'logits'?"),
            ("nonsense", "l2", "the model has no tensor or node 'nonsense'; its outputs are 'y'"),
            ("x", "l2", "'x' is an input of the model: measure what comes of it"),
            ("m", "logit", "a logit needs a class vector, but 'm' is 1x8x12x12"),
        ],
    )
    def test_what_cannot_be_taken(self, name: str, functional: str, message: str) -> None:
        with pytest.raises(UsageError) as refusal:
            target(self.FACTS, name, functional)
        assert str(refusal.value) == message

    def test_what_does_not_depend_on_the_image(self) -> None:
        text = """model (float[1, 1, 4, 4] x, float[1, 2] other) => (y, z)
            { y = Neg (x)  z = Neg (other) }"""
        with pytest.raises(UsageError, match=r"^'z' does not depend on the examined input$"):
            target(facts_of(text), "z")

    def test_what_onnxruntime_has_no_name_for(self) -> None:
        text = """model (float[1, 1, 4, 4] x) => (y) { y = local.twice (x) }
            <domain: "local", opset_import: ["" : 17]>
            twice (a) => (c) { b = Neg (a)  c = Neg (b) }"""
        facts = facts_of(text)
        (inner,) = set(facts.producers) - {"y"}
        with pytest.raises(MeasurementError, match=r"^onnxruntime cannot be asked for '.*'"):
            target(facts, inner)
        assert target(facts, "y").tensors == ("y",)
