"""Operators on tensors whose channels onnxruntime's optimiser packed in blocks.

Their gradients are in plain order; see `scotoma.adjoint.packing`. Channels that only fill the last
block up have none.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from scotoma.adjoint.interpolation import taps as taps_of
from scotoma.adjoint.packing import DOMAIN
from scotoma.adjoint.registry import NoAdjointError, rule
from scotoma.adjoint.rules.convolution import by_data
from scotoma.adjoint.rules.fused import activation_params, before_activation
from scotoma.adjoint.rules.pooling import (
    average_pool,
    global_average_pool,
    global_max_pool,
    pooled_indices,
    to_maxima,
)
from scotoma.adjoint.rules.resize import by_axes
from scotoma.trace.resample import Resampling

if TYPE_CHECKING:
    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Shape, Site

rule("AveragePool", domain=DOMAIN)(average_pool)
rule("GlobalAveragePool", domain=DOMAIN)(global_average_pool)
rule("GlobalMaxPool", domain=DOMAIN)(global_max_pool)


def filled(site: Site, tensor: str, shape: Shape, channels: int) -> str:
    """Cut channels off, or fill them up with zeros."""
    return site.pad(tensor, [0], [channels - shape[1]], [1], len(shape))


def moved(site: Site, tensor: str, *, last: bool) -> str:
    """Bring the channels to the end, or back behind the samples."""
    rank = len(site.shape())
    order = [0, *range(2, rank), 1] if last else [0, rank - 1, *range(1, rank - 1)]
    return site.emit("Transpose", tensor, perm=order)


@rule("ReorderInput", domain=DOMAIN)
def reorder_input(site: Site) -> Gradients:
    """Return the gradient, which is in plain order already."""
    grad, shape, last = site.grad(), site.out_shape(), site.integer("channels_last", 0) == 1
    grad = filled(site, grad, shape, site.shape()[-1 if last else 1])
    return [moved(site, grad, last=True) if last else grad]


@rule("ReorderOutput", domain=DOMAIN)
def reorder_output(site: Site) -> Gradients:
    """Return the gradient, filled up with channels of zeros."""
    grad, shape = site.grad(), site.out_shape()
    if site.integer("channels_last", 0):
        grad, shape = moved(site, grad, last=False), (shape[0], shape[-1], *shape[1:-1])
    return [filled(site, grad, shape, site.shape()[1])]


@rule("Conv", domain=DOMAIN)
def conv(site: Site) -> Gradients:
    """Go back over an activation, a sum with another tensor, and a convolution."""
    site.only(0, 3)
    grad = before_activation(site, site.text("activation", ""), activation_params(site))
    shape = site.shape(1)
    found = by_data(site, grad, _weight(site, shape), shape)
    sizes = (site.shape()[0], shape[1] * site.integer("group", 1), *site.shape()[2:])
    return [filled(site, found, sizes, site.shape()[1]), None, None, grad]


def _weight(site: Site, shape: Shape) -> str:
    """Unpack a weight: by output channels, and by input channels where the data is packed, too."""
    outputs, inputs, *kernel = shape
    cells = site.elements(kernel)
    # (O / width, I / width, kernel, width of I, width of O), unpacked from the end.
    flat = site.unpack(site.reshape(site.raw(1), [1, outputs, inputs * cells, 1]), outputs)
    depthwise = inputs == 1 and outputs == site.integer("group", 1)
    if site.is_packed() and not depthwise:
        flat = site.unpack(site.reshape(flat, [outputs, inputs, cells, 1]), inputs)
    return site.reshape(flat, shape)


@rule("MaxPool", domain=DOMAIN)
def max_pool(site: Site) -> Gradients:
    """Add every gradient to the cell that the maximum came from; of equal ones the first."""
    indices = pooled_indices(site, site.input())
    shapes = site.shape(), site.out_shape()
    return [to_maxima(site, site.grad(), indices, shapes, site.windows)]


@rule("Upsample", domain=DOMAIN)
def upsample(site: Site) -> Gradients:
    """Give every cell its weighted share of the gradients of the outputs that read it."""
    mode = site.text("mode", "nearest")
    transformation = site.text("coordinate_transformation_mode", "asymmetric")
    if mode not in ("nearest", "linear"):
        raise NoAdjointError(f"its mode {mode!r} is not known")
    axes = {}
    for axis, (before, after) in enumerate(zip(site.shape(), site.out_shape(), strict=True)):
        if axis > 1 and before != after:
            scale = Fraction(after, before)
            each = Resampling(before, after, scale, mode, transformation, "floor", False, False)
            axes[axis] = taps_of(each, -0.75, None)
    return [by_axes(site, axes)]
