"""Gradients of whole networks, from both of PyTorch's exporters, against its own in float64."""

from __future__ import annotations

import copy
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the reference needs PyTorch")

from adjoint.architectures import ARCHITECTURES, EXPORTERS, export  # noqa: E402  it imports torch
from adjoint.jacobians import split  # noqa: E402

from scotoma.adjoint import Runner  # noqa: E402

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

COTANGENTS = 2


@cache
def network(name: str) -> Any:
    return ARCHITECTURES[name].module(zlib.crc32(name.encode()))


@cache
def image(name: str) -> Array:
    roll = np.random.default_rng(zlib.crc32(name.encode()))
    return roll.standard_normal(ARCHITECTURES[name].shape).astype(np.float32)


@cache
def reference(name: str) -> tuple[list[Array], list[Array], Array]:
    """Return outputs, cotangents of them, and the gradients of the image for these; in float64."""
    double = copy.deepcopy(network(name)).double()
    fed = torch.tensor(image(name), dtype=torch.float64, requires_grad=True)
    made = double(fed)
    outputs = list(made) if isinstance(made, tuple) else [made]
    roll = np.random.default_rng(1)
    cotangents = [roll.standard_normal((COTANGENTS, *output.shape)) for output in outputs]
    gradients = []
    for index in range(COTANGENTS):
        terms = [
            (output * torch.from_numpy(cotangent[index])).sum()
            for output, cotangent in zip(outputs, cotangents, strict=True)
        ]
        (gradient,) = torch.autograd.grad(sum(terms), fed, retain_graph=True)
        gradients.append(gradient.numpy())
    return [output.detach().numpy() for output in outputs], cotangents, np.stack(gradients)


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_adjoint_is_the_gradient(name: str, exporter: str) -> None:
    outputs, cotangents, expected = reference(name)
    about = ARCHITECTURES[name]
    model = export(network(name), about.shape, exporter, about.opset)
    targets = [value.name for value in model.graph.output]

    adjoint = split(model, targets, ["image"])
    assert adjoint.missing == ()
    runner = Runner(adjoint, threads=1)
    tape = runner.forward({"image": image(name)})
    for target, output in zip(targets, outputs, strict=True):
        np.testing.assert_allclose(tape.targets[target], output, rtol=1e-3, atol=1e-4)
    found = runner.backward(tape, dict(zip(targets, cotangents, strict=True)))["image"]

    np.testing.assert_array_equal(found != 0, expected != 0)
    alive = expected != 0
    assert alive.any()
    # A unit at its kink may fall on the other side in float32: the median does not see it.
    error = np.abs(found[alive] - expected[alive]) / np.abs(expected[alive])
    assert np.median(error) < 1e-5
    assert np.quantile(error, 0.9) < 1e-4
