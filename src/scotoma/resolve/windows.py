"""Window arithmetic along one axis: padding after ``auto_pad``, output sizes, ceil mode.

The semantics are those of onnxruntime 1.31 wherever it runs, and of the ONNX specification where
it refuses to.
"""

from __future__ import annotations

from dataclasses import dataclass

from scotoma.resolve.step import RefusedError, UnknownError
from scotoma.resolve.window import Window

AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
LARGEST = 2**31 - 1
"""No kernel, stride, dilation or padding of a model that runs is larger."""


@dataclass(frozen=True, slots=True)
class Slide:
    """What a file declares of a window along one axis, in cells."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    pads: tuple[int, int] = (0, 0)
    """Begin and end; not used under ``auto_pad``."""
    auto_pad: str = "NOTSET"
    """``NOTSET``, ``VALID``, ``SAME_UPPER`` or ``SAME_LOWER``."""

    @property
    def extent(self) -> int:
        """Reach of the dilated kernel: ``(kernel - 1) * dilation + 1``."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def lower(self) -> bool:
        """The odd cell of automatic padding goes to the begin."""
        return self.auto_pad == "SAME_LOWER"

    def check(self) -> None:
        """Raise `UnknownError` for numbers that describe no window."""
        for what in ("kernel", "stride", "dilation"):
            number = getattr(self, what)
            if not 0 < number <= LARGEST:
                raise UnknownError(f"a {what} of {number} describes no window")
        for number in self.pads:
            if abs(number) > LARGEST:
                raise UnknownError(f"a padding of {number} describes no window")
        if self.auto_pad not in AUTO_PADS:
            raise UnknownError(f"auto_pad {self.auto_pad!r} is not defined")


@dataclass(frozen=True, slots=True)
class Pooling:
    """What a pooling operator has beside its window, as far as its opset knows it."""

    ceil_mode: bool = False
    """A last window may hang over the end."""
    count_include_pad: bool = False
    crops: bool = False
    """``SAME_*`` with a stride beyond the kernel gives negative padding (AveragePool since
    opset 19), where the others give none."""
    ignores_phantom: bool = False
    """By the letter of its opset no window starts in the end padding, so none is dropped."""


def conv_window(size: int, slide: Slide) -> Window:
    """Resolve a convolution along one axis.

    Parameters
    ----------
    size
        Cells of the input along the axis.
    slide
        The declared window.

    Raises
    ------
    RefusedError
        If not a single window fits.
    UnknownError
        If the numbers describe no window.
    """
    slide.check()
    extent, stride, pads = slide.extent, slide.stride, slide.pads
    if slide.auto_pad == "VALID":
        pads = (0, 0)
    elif slide.auto_pad != "NOTSET":
        total = (-(-size // stride) - 1) * stride + extent - size
        if total < 0:
            # onnxruntime rounds its negative padding towards zero, after adding one.
            pads = crop(total + 1, lower=slide.lower) if slide.dilation == 1 else (0, 0)
        else:
            pads = split(total, lower=slide.lower)
    room = size + sum(pads) - extent
    if room < 0:
        raise does_not_fit(extent, size, pads)
    out = room // stride + 1
    return Window(slide.kernel, stride, slide.dilation, *pads, size, out, auto_pad=slide.auto_pad)


def split(total: int, *, lower: bool) -> tuple[int, int]:
    """Share padding between begin and end; the odd cell goes to the end unless `lower`."""
    small = total // 2
    return (total - small, small) if lower else (small, total - small)


def crop(total: int, *, lower: bool) -> tuple[int, int]:
    """Share a negative padding as C++ does, whose division rounds towards zero."""
    head = -((-total - lower) // 2) if total < 0 else 0
    return head, total - head


def does_not_fit(extent: int, size: int, pads: tuple[int, int]) -> RefusedError:
    """Make the refusal of a window that is larger than what it slides over."""
    around = f" with padding {pads[0]} and {pads[1]}" if any(pads) else ""
    return RefusedError(f"its window spans {extent} cells, the input has {size}{around}")


def pool_window(size: int, slide: Slide, pooling: Pooling) -> Window:
    """Resolve a pooling operator along one axis.

    As in onnxruntime, ``auto_pad`` takes no account of the dilation, and a ceil-mode window that
    would start in the end padding does not exist.

    Raises
    ------
    RefusedError
        If not a single window fits.
    UnknownError
        If the numbers describe no window.
    """
    slide.check()
    extent, stride, pads = slide.extent, slide.stride, slide.pads
    if slide.auto_pad == "VALID":
        pads = (0, 0)
    elif slide.auto_pad != "NOTSET":
        total = (-(-size // stride) - 1) * stride + slide.kernel - size
        if total >= 0:
            pads = split(total, lower=slide.lower)
        else:
            pads = crop(total, lower=slide.lower) if pooling.crops else (0, 0)
    room = size + sum(pads) - extent
    if room < 0 and not pooling.ceil_mode:
        raise does_not_fit(extent, size, pads)
    out = room // stride + 1
    phantom = False
    if pooling.ceil_mode and room % stride:
        phantom = out * stride >= size + pads[0]
        out += not phantom
    if out <= 0:
        raise does_not_fit(extent, size, pads)
    return Window(
        slide.kernel, stride, slide.dilation, *pads, size, out,
        ceil_mode=pooling.ceil_mode, count_include_pad=pooling.count_include_pad,
        auto_pad=slide.auto_pad, phantom=phantom and not pooling.ignores_phantom,
    )  # fmt: skip


def transposed_window(
    size: int, slide: Slide, *, output_padding: int = 0, output_size: int | None = None
) -> Window:
    """Resolve a transposed convolution along one axis.

    ``output_size`` is the entry of the ``output_shape`` attribute, which decides the padding;
    the odd cell of padding is taken off the end under ``SAME_UPPER`` and off the begin otherwise.
    """
    slide.check()
    stride, pads = slide.stride, slide.pads
    if abs(output_padding) > LARGEST:
        raise UnknownError(f"an output padding of {output_padding} describes no window")
    full = (size - 1) * stride + slide.extent + output_padding
    if output_size is not None or slide.auto_pad.startswith("SAME"):
        wanted = size * stride if output_size is None else output_size
        largest = full - output_padding + stride - 1
        if output_size is not None and output_size > largest:
            raise RefusedError(f"output size {output_size} wanted, at most {largest} can be made")
        pads = split(max(0, full - wanted), lower=slide.auto_pad != "SAME_UPPER")
    elif slide.auto_pad == "VALID":
        pads = (0, 0)
    out = full - sum(pads) if output_size is None else output_size
    if size <= 0 or out <= 0:
        raise RefusedError(f"it makes {out} cells from {size}")
    return Window(
        slide.kernel, stride, slide.dilation, *pads, size, out,
        transposed=True, auto_pad=slide.auto_pad,
    )  # fmt: skip
