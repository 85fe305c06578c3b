"""Normalisations and softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.adjoint.registry import NoAdjointError, rule

if TYPE_CHECKING:
    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site


@rule("BatchNormalization")
def batch_normalization(site: Site) -> Gradients:
    """With stored statistics, a factor per channel: scale / sqrt(variance + epsilon)."""
    if site.integer("spatial", 1) == 0:
        raise NoAdjointError("its statistics are per cell")
    if site.integer("training_mode", 0) or (site.version < 14 and len(site.op.outputs) > 1):
        return _in_training(site)
    grad = site.grad()
    deviation = site.emit("Sqrt", site.emit("Add", site.input(4), epsilon(site)))
    inverse = _per_channel(site, site.emit("Reciprocal", deviation))
    scaled = site.emit("Mul", inverse, _per_channel(site, site.input(1)))
    found: list[str | None] = [None] * 5
    if site.wants(0):
        found[0] = site.emit("Mul", grad, scaled)
    if site.wants(3):
        found[3] = _channel_sums(site, site.emit("Neg", site.emit("Mul", grad, scaled)))
    if site.wants(1) or site.wants(4):
        centred = site.emit("Sub", site.input(), _per_channel(site, site.input(3)))
        along = site.emit("Mul", grad, site.emit("Mul", centred, inverse))
        found[1] = _channel_sums(site, along)
        half = site.emit("Mul", site.emit("Mul", scaled, inverse), site.number(-0.5))
        found[4] = _channel_sums(site, site.emit("Mul", along, half))
    if site.wants(2):
        found[2] = _channel_sums(site, grad)
    return found


def _in_training(site: Site) -> Gradients:
    """Standardise every channel by its mean and deviation over samples and places, once more."""
    grad, data = site.grad(), site.input()
    axes = [0, *range(2, len(site.shape()))]
    over = site.ints(axes)
    centred = site.emit("Sub", data, site.emit("ReduceMean", data, over, keepdims=1))
    variance = site.emit("ReduceMean", site.emit("Mul", centred, centred), over, keepdims=1)
    deviation = site.emit("Sqrt", site.emit("Add", variance, epsilon(site)))
    unit = site.emit("Div", centred, deviation)
    found: list[str | None] = [None, None, None]
    if site.wants(0):
        scaled = site.emit("Mul", grad, _per_channel(site, site.input(1)))
        found[0] = site.emit("Div", normalized(site, scaled, unit, axes), deviation)
    if site.wants(1):
        found[1] = _channel_sums(site, site.emit("Mul", grad, unit))
    if site.wants(2):
        found[2] = _channel_sums(site, grad)
    return found


def epsilon(site: Site, default: float = 1e-5) -> str:
    """Return what is added to a variance or a mean square."""
    return site.number(site.real("epsilon", default))


def _per_channel(site: Site, tensor: str) -> str:
    """Lay one number per channel along the second axis."""
    shape = site.shape()
    return site.reshape(tensor, [shape[1], *[1] * (len(shape) - 2)])


def _channel_sums(site: Site, tensor: str) -> str:
    """Sum over samples and places."""
    rank = len(site.shape())
    return site.emit("ReduceSum", tensor, site.ints([0, *range(2, rank)]), keepdims=0)


def normalized(site: Site, grad: str, unit: str, axes: list[int], *, centred: bool = True) -> str:
    """Take the mean, and the part along the normalised tensor, out of a gradient.

    For u = (x - mean) / deviation over the axes this is the gradient of x times the deviation.
    """
    over = site.ints(axes)
    along = site.emit("ReduceMean", site.emit("Mul", grad, unit), over, keepdims=1)
    rest = site.emit("Sub", grad, site.emit("Mul", unit, along))
    if not centred:
        return rest
    return site.emit("Sub", rest, site.emit("ReduceMean", grad, over, keepdims=1))


@rule("LayerNormalization")
def layer_normalization(site: Site) -> Gradients:
    """Normalise once more, by the mean and the deviation that the forward gives away."""
    shape = site.shape()
    axis = site.axis(site.integer("axis", -1), len(shape))
    axes = list(range(axis, len(shape)))
    grad = site.grad()
    kept = [1 if at in axes else size for at, size in enumerate(shape)]
    mean, inverse = (site.extra(slot, np.float32, kept) for slot in (1, 2))
    if site.work.itemsize == 8:
        mean, inverse = site.cast(mean, site.work), site.cast(inverse, site.work)
    unit = site.emit("Mul", site.emit("Sub", site.input(), mean), inverse)
    found: list[str | None] = [None, None, None]
    if site.wants(1):
        found[1] = site.sum_to(site.emit("Mul", grad, unit), shape, site.shape(1))
    if site.wants(2):
        found[2] = site.sum_to(grad, shape, site.shape(2))
    if site.wants(0):
        scaled = site.emit("Mul", grad, site.input(1))
        found[0] = site.emit("Mul", normalized(site, scaled, unit, axes), inverse)
    return found


@rule("RMSNormalization", "SimplifiedLayerNormalization")
@rule("SimplifiedLayerNormalization", domain="com.microsoft")
def rms_normalization(site: Site) -> Gradients:
    """Divide by the root of the mean square once more."""
    shape, grad = site.shape(), site.grad()
    axes = list(range(site.axis(site.integer("axis", -1), len(shape)), len(shape)))
    data = site.input()
    found: list[str | None] = [None, None]
    scaled = site.emit("Mul", grad, site.input(1))
    found[0], unit = by_mean_square(site, data, scaled, axes, epsilon(site))
    if site.wants(1):
        found[1] = site.sum_to(site.emit("Mul", grad, unit), shape, site.shape(1))
    return found


def by_mean_square(site: Site, data: str, grad: str, axes: list[int], tiny: str) -> tuple[str, str]:
    """Return the gradient of what is divided by the root of its mean square, and the quotient."""
    squares = site.emit("ReduceMean", site.emit("Mul", data, data), site.ints(axes), keepdims=1)
    root = site.emit("Sqrt", site.emit("Add", squares, tiny))
    unit = site.emit("Div", data, root)
    return site.emit("Div", normalized(site, grad, unit, axes, centred=False), root), unit


def _softmax_axes(site: Site) -> list[int]:
    rank = len(site.shape())
    if site.version < 13:
        return list(range(site.axis(site.integer("axis", 1), rank), rank))
    return [site.axis(site.integer("axis", -1), rank)]


@rule("Softmax")
def softmax(site: Site) -> Gradients:
    """Return y (dy - sum of y dy)."""
    y, grad = site.output(), site.grad()
    each = site.emit("Mul", y, grad)
    total = site.emit("ReduceSum", each, site.ints(_softmax_axes(site)), keepdims=1)
    return [site.emit("Sub", each, site.emit("Mul", y, total))]


@rule("LogSoftmax")
def log_softmax(site: Site) -> Gradients:
    """Return dy - exp(y) times the sum of dy."""
    grad = site.grad()
    total = site.emit("ReduceSum", grad, site.ints(_softmax_axes(site)), keepdims=1)
    return [site.emit("Sub", grad, site.emit("Mul", site.emit("Exp", site.output()), total))]
