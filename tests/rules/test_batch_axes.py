"""Through which operators the axis of the samples stays an axis of samples alone."""

from __future__ import annotations

import pytest
from text_models import facts_of

from scotoma.evidence.batch import batch_axes


def axis_after(operator: str, channels: int = 4, outputs: str = "y", opset: int = 17) -> int | None:
    """Return which axis of the first output is that of two samples; None: it is lost."""
    declared = ", ".join(f"float[A,B,C,D] {name}" for name in outputs.split())
    names = ", ".join(outputs.split())
    text = f"g (float[2,{channels},8,8] x) => ({declared}) {{ {names} = {operator} (x) }}"
    facts = facts_of(text, opset=opset)
    assert facts.unanalysed == ()
    return batch_axes(facts).get(outputs.split(maxsplit=1)[0])


@pytest.mark.parametrize(
    ("axis", "channels", "kept"),
    [
        (0, 3, False), (1, 3, True), (2, 3, False), (3, 3, False), (4, 3, False),
        (-3, 3, True), (-2, 3, False),
        # One channel and the samples make as many rows as there are samples.
        (1, 1, True), (2, 1, True), (-2, 1, True), (3, 1, False), (0, 1, False),
    ],
)  # fmt: skip
def test_flattening_keeps_samples_that_stand_alone(axis: int, channels: int, kept: bool) -> None:
    assert axis_after(f"Flatten <axis = {axis}>", channels) == (0 if kept else None)


@pytest.mark.parametrize(
    ("operator", "opset", "kept"),
    [
        ("Split", 13, False),
        ("Split <axis = 0>", 13, False),
        ("Split <axis = -4>", 13, False),
        ("Split <axis = 1>", 13, True),
        ("Softmax", 11, True),
        ("Softmax", 13, True),
        ("Softmax <axis = 0>", 13, False),
        ("Softmax <axis = -4>", 13, False),
        ("Hardmax <axis = 2>", 13, True),
        ("LogSoftmax <axis = 0>", 11, False),
    ],
)
def test_an_operator_along_the_samples_mixes_them(operator: str, opset: int, kept: bool) -> None:
    outputs = "y z" if operator.startswith("Split") else "y"
    assert axis_after(operator, outputs=outputs, opset=opset) == (0 if kept else None)


@pytest.mark.parametrize(("opset", "kept"), [(11, False), (13, True)])
def test_the_default_axis_of_a_softmax_depends_on_the_opset(opset: int, kept: bool) -> None:
    """Two axes are swapped in front of it, so that the samples stand second."""
    facts = facts_of(
        "g (float[2,4,8,8] x) => (float[A,B,C,D] y)"
        " { t = Transpose <perm = [1, 0, 2, 3]> (x)  y = Softmax (t) }",
        opset=opset,
    )
    assert batch_axes(facts).get("y") == (1 if kept else None)
