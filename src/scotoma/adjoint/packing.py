"""Tensors that onnxruntime's optimiser packs: channels in blocks of the processor's width.

A packed tensor says that its shape is (samples, channels, ...) and lies in memory as
(samples, channels / width, ..., width). All gradients are in the plain order, and the backward
reads such a tensor through an operator of onnxruntime that unpacks it, which knows the width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scotoma.resolve.resolution import Resolution

DOMAIN = "com.microsoft.nchwc"
UNPACK = "ReorderOutput"


def packed_tensors(resolution: Resolution) -> frozenset[str]:
    """Return the names of all packed tensors: what that domain makes, and what is made of them."""
    if DOMAIN not in resolution.model.opsets:
        return frozenset()
    found: set[str] = set()
    for operator in resolution.operators:
        is_packer = operator.domain == DOMAIN
        if operator.op_type == UNPACK if is_packer else found.isdisjoint(operator.inputs):
            continue
        found.update(name for name in operator.outputs if name)
    return frozenset(found)
