"""Windows are those that onnxruntime slides, tap by tap."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnxruntime.capi import onnxruntime_pybind11_state as ort
from resolve.models import build, node, run

from scotoma.resolve.step import RefusedError, UnknownError
from scotoma.resolve.window import Window
from scotoma.resolve.windows import Pooling, Slide, conv_window, pool_window, transposed_window

ERRORS = (ort.Fail, ort.InvalidArgument, ort.RuntimeException)
SAME = st.sampled_from(["SAME_UPPER", "SAME_LOWER"])
SMALL = st.integers(1, 4)
PADS = st.tuples(st.integers(0, 3), st.integers(0, 3))


def taps(window: Window) -> list[list[int]]:
    """Return, per output, the indices of the input that its taps read; padding is left out."""
    return [
        [
            cell
            for tap in range(window.kernel)
            if (cell := out * window.stride - window.pad_begin + tap * window.dilation) >= 0
            and cell < window.size_in
        ]
        for out in range(window.size_out)
    ]


def attributes(slide: Slide) -> dict[str, Any]:
    found: dict[str, Any] = {"strides": [slide.stride], "dilations": [slide.dilation]}
    if slide.auto_pad == "NOTSET":
        found["pads"] = list(slide.pads)
    else:
        found["auto_pad"] = slide.auto_pad
    return found


@st.composite
def slides(draw: st.DrawFn, automatic: bool = True) -> Slide:
    auto_pad = "NOTSET"
    if automatic and draw(st.booleans()):
        auto_pad = draw(st.sampled_from(["VALID", "SAME_UPPER", "SAME_LOWER"]))
    dilation = draw(st.integers(1, 3))
    return Slide(draw(SMALL), draw(st.integers(1, 5)), dilation, draw(PADS), auto_pad)


def run_conv(size: int, slide: Slide) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    weight = 3.0 ** np.arange(slide.kernel)
    model = build(
        [node("Conv", "x w", **attributes(slide))],
        {"x": [1, 1, size]},
        constants={"w": weight.astype("f4").reshape(1, 1, -1)},
    )
    data = np.arange(1, size + 1, dtype="f4")
    return run(model, {"x": data.reshape(1, 1, -1)})[0].ravel(), data, weight


@settings(max_examples=250, deadline=None)
@given(st.integers(1, 12), slides())
def test_convolutions_read_the_same_cells_as_in_onnxruntime(size: int, slide: Slide) -> None:
    # onnxruntime refuses dilation under SAME_*; there the specification holds.
    assume(not (slide.auto_pad.startswith("SAME") and slide.dilation > 1))
    check_conv(size, slide)


@pytest.mark.parametrize("same", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("kernel", [1, 2])
def test_kernels_below_their_stride_under_same(kernel: int, same: str) -> None:
    """The padding is negative by 1 and more, and rounded in onnxruntime's own way."""
    for size, stride in product(range(1, 8), range(1, 5)):
        check_conv(size, Slide(kernel, stride, auto_pad=same))


def check_conv(size: int, slide: Slide) -> None:
    """Compare a convolution, or its refusal, with onnxruntime."""
    try:
        window = conv_window(size, slide)
    except RefusedError:
        with pytest.raises(ERRORS):
            run_conv(size, slide)
        return
    result, data, weight = run_conv(size, slide)
    assert window.size_in == size
    expected = np.zeros(window.size_out)
    for out in range(window.size_out):
        for tap in range(window.kernel):
            cell = out * window.stride - window.pad_begin + tap * window.dilation
            if 0 <= cell < size:
                expected[out] += weight[tap] * data[cell]
    assert result.tolist() == expected.tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), SMALL, st.integers(1, 5), st.integers(2, 3), SAME)
def test_dilated_same_convolutions_follow_the_specification(
    size: int, kernel: int, stride: int, dilation: int, same: str
) -> None:
    window = conv_window(size, Slide(kernel, stride, dilation, auto_pad=same))
    assert window.size_out == -(-size // stride)
    total = max(0, (window.size_out - 1) * stride + window.extent - size)
    small, large = total // 2, total - total // 2
    pads = (small, large) if same == "SAME_UPPER" else (large, small)
    assert (window.pad_begin, window.pad_end) == pads


def pool_model(
    op_type: str, size: int, slide: Slide, opset: int, *, ceil_mode: bool, include: bool = False
) -> onnx.ModelProto:
    extra = attributes(slide)
    extra["kernel_shape"] = [slide.kernel]
    if opset < (19 if op_type == "AveragePool" else 18 if op_type == "LpPool" else 10):
        del extra["dilations"]
    if ceil_mode:
        extra["ceil_mode"] = 1
    if include:
        extra["count_include_pad"] = 1
    return build([node(op_type, "x", **extra)], {"x": [1, 1, size]}, opset=opset)


CEIL = {"MaxPool": 10, "AveragePool": 10, "LpPool": 18}
DILATION = {"MaxPool": 10, "AveragePool": 19, "LpPool": 18}


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(["MaxPool", "AveragePool", "LpPool"]),
    st.sampled_from([7, 9, 10, 11, 17, 18, 19, 21, 22]),
    st.integers(1, 12),
    slides(),
    st.booleans(),
)
def test_pools_read_the_same_cells_as_in_onnxruntime(
    op_type: str, opset: int, size: int, slide: Slide, ceil: bool
) -> None:
    assume(all(pad < slide.kernel for pad in slide.pads))  # onnxruntime refuses them
    ceil = ceil and opset >= CEIL[op_type]
    if opset < DILATION[op_type]:
        slide = Slide(slide.kernel, slide.stride, 1, slide.pads, slide.auto_pad)
    crops = op_type == "LpPool" or slide.dilation > 1 or (op_type == "AveragePool" and opset >= 19)
    narrow = slide.auto_pad.startswith("SAME") and slide.kernel < slide.stride
    assume(crops or not narrow)  # onnxruntime refuses negative padding elsewhere
    # A ceil-mode window over a cropped end: kinds of pools differ on whether it reads the crop.
    assume(not (narrow and ceil))
    pooling = Pooling(ceil_mode=ceil, crops=crops, ignores_phantom=opset >= 22)
    try:
        window = pool_window(size, slide, pooling)
    except RefusedError:
        return  # onnxruntime divides rounding to zero and may run it past the end
    model = pool_model(op_type, size, slide, opset, ceil_mode=ceil)
    # The exponents of the result name the cells: a maximum, a mean or a root of a sum of squares.
    data = (np.arange(size) + 1.0).astype("f4")
    result = run(model, {"x": data.reshape(1, 1, -1)})[0].ravel()
    assert len(result) == window.size_out
    for value, cells in zip(result, taps(window), strict=True):
        if not cells:
            continue
        real = data[cells]
        expected = {
            "MaxPool": real.max(),
            "AveragePool": real.mean(),
            "LpPool": np.sqrt((real**2).sum()),
        }[op_type]
        assert value == pytest.approx(expected, rel=1e-5)


def test_a_stride_beyond_the_kernel_crops_average_pools_since_opset_19() -> None:
    slide = Slide(1, 4, auto_pad="SAME_UPPER")
    window = pool_window(8, slide, Pooling(crops=True))
    assert (window.pad_begin, window.pad_end, taps(window)) == (-1, -2, [[1], [5]])
    model = pool_model("AveragePool", 8, slide, 19, ceil_mode=False)
    assert run(model, {"x": np.arange(8, dtype="f4").reshape(1, 1, 8)})[0].tolist() == [[[1, 5]]]
    assert taps(pool_window(8, slide, Pooling())) == [[0], [4]]


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 8),
    slides(),
    st.integers(0, 2),
    st.one_of(st.none(), st.integers(1, 20)),
)
def test_transposed_convolutions_write_the_same_cells_as_in_onnxruntime(
    size: int, slide: Slide, extra: int, asked: int | None
) -> None:
    assume(extra < slide.stride)  # onnxruntime refuses more
    if asked is not None:
        slide = Slide(slide.kernel, slide.stride, slide.dilation, (0, 0), slide.auto_pad)
        assume(slide.auto_pad != "VALID")
    given_attributes = attributes(slide) | {"output_padding": [extra]}
    if asked is not None:
        given_attributes["output_shape"] = [asked]
    weight = 3.0 ** np.arange(slide.kernel)
    model = build(
        [node("ConvTranspose", "x w", **given_attributes)],
        {"x": [1, 1, size]},
        constants={"w": weight.astype("f4").reshape(1, 1, -1)},
    )
    data = np.arange(1, size + 1, dtype="f4")
    try:
        window = transposed_window(size, slide, output_padding=extra, output_size=asked)
    except RefusedError:
        with pytest.raises(ERRORS):
            run(model, {"x": data.reshape(1, 1, -1)})
        return
    expected = np.zeros(window.size_out)
    for cell in range(size):
        for tap in range(window.kernel):
            out = cell * window.stride - window.pad_begin + tap * window.dilation
            if 0 <= out < window.size_out:
                expected[out] += weight[tap] * data[cell]
    result = run(model, {"x": data.reshape(1, 1, -1)})[0].ravel()
    assert result.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("size", "slide", "strict", "size_out", "phantom"),
    [
        (5, Slide(3, 3, pads=(1, 1)), False, 2, True),
        (5, Slide(3, 3, pads=(1, 1)), True, 2, False),
        (5, Slide(2, 2, pads=(1, 1)), False, 3, True),
        (4, Slide(3, 2, pads=(1, 1)), False, 3, False),
        (4, Slide(2, 2), False, 2, False),
        (2, Slide(3, 2), False, 1, False),
    ],
)
def test_ceil_mode_drops_the_window_that_starts_in_the_end_padding(
    size: int, slide: Slide, strict: bool, size_out: int, phantom: bool
) -> None:
    window = pool_window(size, slide, Pooling(ceil_mode=True, ignores_phantom=strict))
    assert (window.size_out, window.phantom, window.ceil_mode) == (size_out, phantom, True)


def test_a_window_carries_everything_that_was_declared() -> None:
    slide = Slide(3, 2, 2, auto_pad="SAME_LOWER")
    assert conv_window(9, slide) == Window(3, 2, 2, 2, 2, 9, 5, auto_pad="SAME_LOWER")
    assert pool_window(9, Slide(3, 2, 1, (1, 0)), Pooling(count_include_pad=True)) == Window(
        3, 2, 1, 1, 0, 9, 4, count_include_pad=True
    )
    assert transposed_window(4, Slide(3, 2, 1, (1, 0)), output_padding=1) == Window(
        3, 2, 1, 1, 0, 4, 9, transposed=True
    )


@pytest.mark.parametrize(
    ("slide", "reason"),
    [
        (Slide(0), "a kernel of 0 describes no window"),
        (Slide(-3), "a kernel of -3 describes no window"),
        (Slide(3, 0), "a stride of 0 describes no window"),
        (Slide(3, 1, 0), "a dilation of 0 describes no window"),
        (Slide(2**40), "a kernel of 1099511627776 describes no window"),
        (Slide(3, pads=(2**40, 0)), "a padding of 1099511627776 describes no window"),
        (Slide(3, auto_pad="SAME"), "auto_pad 'SAME' is not defined"),
    ],
)
def test_numbers_that_make_no_window_are_unknown(slide: Slide, reason: str) -> None:
    attempts: tuple[Callable[[], Window], ...] = (
        lambda: conv_window(8, slide),
        lambda: pool_window(8, slide, Pooling()),
        lambda: transposed_window(8, slide),
    )
    for attempt in attempts:
        with pytest.raises(UnknownError) as unknown:
            attempt()
        assert str(unknown.value) == reason


@pytest.mark.parametrize(
    ("size", "slide", "words"),
    [
        (2, Slide(3), "its window spans 3 cells, the input has 2"),
        (2, Slide(3, 1, 2, (1, 1)), "its window spans 5 cells, the input has 2 with padding 1 and"),
        (0, Slide(1), "its window spans 1 cells, the input has 0"),
    ],
)
def test_a_window_larger_than_its_input_is_refused_in_words(
    size: int, slide: Slide, words: str
) -> None:
    with pytest.raises(RefusedError, match=words):
        conv_window(size, slide)
    with pytest.raises(RefusedError, match=words):
        pool_window(size, slide, Pooling())
