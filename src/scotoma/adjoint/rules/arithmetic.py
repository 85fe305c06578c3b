"""Functions of several tensors place by place, with broadcasting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.adjoint.registry import NoAdjointError, rule

if TYPE_CHECKING:
    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site


def back(site: Site, grad: str, slot: int) -> str:
    """Sum the gradient of a broadcast operand over the places that it was spread to.

    onnxruntime runs no model whose operands are broadcast as before opset 7.
    """
    return site.sum_to(grad, site.out_shape(), site.shape(slot))


@rule("Add", "Sum")
def add(site: Site) -> Gradients:
    """Every operand gets the gradient."""
    return [
        back(site, site.grad(), slot) if site.wants(slot) else None
        for slot in range(len(site.op.inputs))
    ]


@rule("Mean")
def mean(site: Site) -> Gradients:
    """Every operand gets its share of the gradient."""
    count = len(site.op.inputs)
    share = site.emit("Mul", site.grad(), site.number(1 / count))
    return [back(site, share, slot) if site.wants(slot) else None for slot in range(count)]


@rule("Sub")
def subtract(site: Site) -> Gradients:
    """Give the subtrahend the gradient with the other sign."""
    grad = site.grad()
    return [
        back(site, grad, 0) if site.wants(0) else None,
        site.emit("Neg", back(site, grad, 1)) if site.wants(1) else None,
    ]


@rule("Mul")
def multiply(site: Site) -> Gradients:
    """Every factor gets the gradient times the other one."""
    grad = site.grad()
    if site.op.inputs[0] == site.op.inputs[1]:
        half = site.emit("Mul", grad, site.input())
        return [half, half]
    return [
        back(site, site.emit("Mul", grad, site.input(1 - slot)), slot) if site.wants(slot) else None
        for slot in (0, 1)
    ]


@rule("Div")
def divide(site: Site) -> Gradients:
    """Return dy / b for a, and -dy y / b for b."""
    each = site.emit("Div", site.grad(), site.input(1))
    found: list[str | None] = [back(site, each, 0) if site.wants(0) else None, None]
    if site.wants(1):
        loss = site.emit("Neg", site.emit("Mul", each, site.output()))
        found[1] = back(site, loss, 1)
    return found


@rule("Pow")
def power(site: Site) -> Gradients:
    """Return dy b a^(b-1) for the base a, and dy y log a for the exponent b, where a is above 0."""
    grad, base = site.grad(), site.input(0)
    found: list[str | None] = [None, None]
    if site.wants(0):
        found[0] = back(site, site.emit("Mul", grad, _power_slope(site, base)), 0)
    if site.wants(1):
        above = site.mask(site.emit("Greater", base, site.number(0)))
        safe = site.emit("Add", base, site.emit("Sub", site.number(1), above))
        safe = site.emit("Max", safe, site.number(np.finfo(site.work).tiny))
        each = site.emit("Mul", site.emit("Mul", grad, site.output()), site.emit("Log", safe))
        found[1] = back(site, each, 1)
    return found


def _power_slope(site: Site, base: str) -> str:
    try:
        exponent = site.known(1)
    except NoAdjointError:
        exponent = np.zeros(0)
    if exponent.size != 1:
        high = site.cast(site.input(1), site.work)
        lower = site.emit("Pow", base, site.emit("Sub", high, site.number(1)))
        return site.emit("Mul", lower, high)
    number = float(exponent.item())
    if number == 2:
        return site.emit("Mul", base, site.number(2))
    if number == 1:
        return site.number(1)
    if number < 1 and number != 0:
        # At 0 the slope is infinite; it counts as 0 lest all pixels be NaN.
        nonzero = site.mask(site.cast(base, bool))
        base = site.emit("Add", base, site.emit("Sub", site.number(1), nonzero))
        factor = site.emit("Mul", nonzero, site.number(number))
        return site.emit("Mul", site.emit("Pow", base, site.number(number - 1)), factor)
    lower = site.emit("Pow", base, site.number(number - 1))
    return site.emit("Mul", lower, site.number(number))


@rule("Max", "Min")
def extreme(site: Site) -> Gradients:
    """Give the largest operand the gradient; equal ones share it."""
    grad, output = site.grad(), site.output()
    count = len(site.op.inputs)
    if count == 1:
        return [grad]
    wanted = [slot for slot in range(count) if site.wants(slot)]
    if count == 2 and len(wanted) == 1:
        # Against a constant: strictly beyond it, as Relu and Clip have it.
        other = site.input(1 - wanted[0])
        beyond = "Greater" if site.op.op_type == "Max" else "Less"
        masks = {wanted[0]: site.mask(site.emit(beyond, output, other))}
    else:
        masks = {
            slot: site.mask(site.emit("Equal", site.input(slot), output)) for slot in range(count)
        }
        grad = site.emit("Div", grad, site.emit("Sum", *masks.values()))
    return [
        back(site, site.emit("Mul", grad, masks[slot]), slot) if slot in wanted else None
        for slot in range(count)
    ]


@rule("Where")
def where(site: Site) -> Gradients:
    """Give the operand that was chosen the gradient."""
    chosen = site.mask(site.input(0))
    grad = site.grad()
    found: list[str | None] = [None, None, None]
    if site.wants(1):
        found[1] = back(site, site.emit("Mul", grad, chosen), 1)
    if site.wants(2):
        other = site.emit("Sub", site.number(1), chosen)
        found[2] = back(site, site.emit("Mul", grad, other), 2)
    return found


@rule("Mod")
def remainder(site: Site) -> Gradients:
    """Between its jumps the remainder follows the dividend."""
    site.only(0)
    return [back(site, site.grad(), 0)]
