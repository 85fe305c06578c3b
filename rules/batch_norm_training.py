"""Batch normalisation that uses the statistics of its input instead of those it was trained to.

What it finds
-------------
``BatchNormalization`` in training mode on the way to an output: ``training_mode=1`` from opset 14
on, more than one output in opset 7 to 13, ``is_test=0`` (the default) below. Bodies of If, Loop and
Scan and local functions are searched too. Normalisation of weights (weight standardisation, as in
NFNet) and of samples that are folded into channels are no defect and left out.

Why it matters
--------------
Each result depends on the other images of its batch, and with a batch of one the contrast and the
brightness that the model knows are normalised away. The stored statistics are not used. Worse,
onnxruntime (1.31) updates stored statistics in place where their outputs are not used; equal
parameters share memory at its default optimisation level, so that a session can answer the same
image differently in every run.

What to do
----------
Export after ``model.eval()`` (and without ``training=TrainingMode.TRAINING``). In the file, set
``training_mode=0`` and drop the extra outputs, if the stored statistics are real: those of a model
that never used them are 0 and 1.

References
----------
onnx operator BatchNormalization, all versions; onnxruntime issues 26584 and 29790.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.batch import batch_axes, folded_samples
from scotoma.evidence.scopes import is_training, scopes
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator


class BatchNormTraining(Rule):
    """Images are normalised by the batch that they happen to be in."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC502",
        name="batch-norm-training",
        severity=Severity.ERROR,
        since="0.1.0",
        references=(
            "https://onnx.ai/onnx/operators/onnx__BatchNormalization.html",
            "https://github.com/microsoft/onnxruntime/issues/29790",
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding with every layer that is in training mode."""
        layers = training_layers(facts)
        if not layers:
            return
        total = sum(op.op_type == "BatchNormalization" and not op.domain for _, op in facts.walk())
        first, count = layers[0], len(layers)
        subject = "normalises"
        if count > 1:
            more = f"{count - 1} more of the {total} batch normalisations"
            subject = f"'{first.name}' and {more} normalise"
        places = [Location(op.name, op.op_type, None, _why(op)) for op in layers]
        yield self.finding(
            places,
            f"{subject} by the statistics of the batch in hand, because {_why(first)}: every "
            "result depends on the other images of its batch",
            Measurement("training_layers", len(layers), "layers", limit=0),
            remedy="export after model.eval(), or set training_mode=0 and drop the extra outputs "
            "if the stored statistics are real",
        )


def training_layers(facts: Facts) -> list[Operator]:
    """Return the normalisations of activations in training mode that an output depends on."""
    if not any(op.op_type == "BatchNormalization" and is_training(op) for _, op in facts.walk()):
        return []
    axes = facts.once(batch_axes)
    found = []
    for scope in scopes(facts):
        for operator in scope.operators:
            if operator.op_type != "BatchNormalization" or operator.domain:
                continue
            if not is_training(operator) or not operator.inputs or operator not in scope.heard:
                continue
            data = operator.inputs[0]
            if scope.varies(data) and not (
                scope.outer is None and folded_samples(facts, axes, data)
            ):
                found.append(operator)
    return found


def _why(operator: Operator) -> str:
    version = 15 if operator.version is None else operator.version
    if version < 7:
        return "is_test is 0"
    if version < 14:
        count = sum(bool(name) for name in operator.outputs)
        return f"it has {count} outputs, which means training in opset {version}"
    return "training_mode is 1"
