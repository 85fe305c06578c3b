"""Dead kernel taps: other weights in them must change nothing of what the layer makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.audit.bench import same
from scotoma.audit.errors import NotMeasuredError
from scotoma.audit.layer import layer
from scotoma.evidence.taps import kernels
from scotoma.findings import CONFIRMED, CONTRADICTED, Evidence, Finding, Measurement

if TYPE_CHECKING:
    from scotoma.audit.exam import Exam

CODES = ("SC104",)
USES_MAP = False
TENSORS = ()


def check(finding: Finding, exam: Exam) -> Evidence:
    """Run the first layer by itself with other weights in its dead taps, and then in all others."""
    name = finding.primary.node
    kernel = next((k for k in kernels(exam.facts) if k.operators[0].name == name), None)
    if kernel is None or kernel.operators[0].op_type != "Conv":
        raise NotMeasuredError("it is no convolution whose weights could be fed")
    item = layer(exam, name)
    weight = kernel.operators[0].inputs[1]
    one = item.alone.weights[weight]
    random = np.random.default_rng(1)
    other = random.uniform(2.5, 3.5, one.shape).astype(one.dtype)
    image = random.uniform(0.5, 1.5, item.alone.shape).astype(item.alone.dtype)

    exam.budget.require()
    before = item.alone.run(image)
    moved = not same(before, item.alone.run(image, {weight: np.where(kernel.alive, one, other)}))
    exchanged = np.where(kernel.alive, other, one)
    if not moved and same(before, item.alone.run(image, {weight: exchanged})):
        raise NotMeasuredError("run by itself, it makes the same of all weights")
    what = "changed what it makes" if moved else "changed nothing in any bit"
    return Evidence(
        CONTRADICTED if moved else CONFIRMED,
        f"'{name}' run by itself: other weights in {kernel.dead_taps} taps {what}",
        (Measurement("exchanged_taps", kernel.dead_taps, "taps"),),
    )
