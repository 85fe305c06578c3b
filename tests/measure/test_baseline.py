"""The baseline input and the perturbed one: noise, files of every layout, integer ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from scotoma.errors import MeasurementError, UsageError
from scotoma.measure.baseline import feed, stimulus
from scotoma.measure.options import MeasureOptions
from scotoma.resolve.resolution import InputShape, Resolution

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from scotoma.loader.model import Model

    Layout = tuple[tuple[int, ...], tuple[int, ...]]

CHANNELS_FIRST = ((1, 3, 2, 4), (2, 3))
CHANNELS_LAST = ((1, 2, 4, 3), (1, 2))
HWC = np.arange(24).reshape(2, 4, 3)
CHW = np.moveaxis(HWC, -1, 0)


def resolution_of(*inputs: InputShape) -> Resolution:
    """Return a resolution of which only the inputs count."""
    model: Model = None  # type: ignore[assignment]
    return Resolution(model, inputs, inputs[0], (), {}, {}, {}, frozenset(), {}, ())


def fed(
    layout: Layout, source: Path | str, dtype: str = "float32", seed: int = 0
) -> npt.NDArray[Any]:
    shape, axes = layout
    examined = InputShape("x", shape, axes, assumed=False)
    resolution = Resolution(None, (examined,), examined, (), {}, {}, {}, frozenset(), {}, ())  # type: ignore[arg-type]
    options = MeasureOptions(input=str(source), seed=seed)
    array = feed(resolution, examined, {"x": np.dtype(dtype)}, options)["x"]
    assert (array.shape, array.dtype, array.flags.writeable) == (shape, np.dtype(dtype), True)
    return array


def test_noise_is_seeded() -> None:
    first, again, other = (fed(CHANNELS_FIRST, "random", seed=seed) for seed in (4, 4, 5))
    expected = np.random.default_rng(4).standard_normal((1, 3, 2, 4)).astype("f")
    assert first.tolist() == again.tolist() == expected.tolist()
    assert first.tolist() != other.tolist()


def test_noise_of_a_byte_input_covers_its_range() -> None:
    big = ((1, 3, 64, 64), (2, 3))
    unsigned, signed = fed(big, "random", "uint8"), fed(big, "random", "int8")
    assert (unsigned.min(), unsigned.max()) == (0, 255)
    assert (signed.min(), signed.max()) == (-128, 127)


@pytest.mark.parametrize("stored", [HWC, CHW, CHW[None]], ids=["HWC", "CHW", "NCHW"])
def test_arrays_into_channels_first(tmp_path: Path, stored: npt.NDArray[Any]) -> None:
    np.save(tmp_path / "a.npy", stored)
    assert fed(CHANNELS_FIRST, tmp_path / "a.npy").tolist() == CHW[None].tolist()


@pytest.mark.parametrize("stored", [HWC, CHW, HWC[None]], ids=["HWC", "CHW", "NHWC"])
def test_arrays_into_channels_last(tmp_path: Path, stored: npt.NDArray[Any]) -> None:
    np.save(tmp_path / "a.npy", stored)
    assert fed(CHANNELS_LAST, tmp_path / "a.npy", "uint8").tolist() == HWC[None].tolist()


def test_arrays_into_inputs_without_batch_or_channel(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", HWC)
    assert fed(((3, 2, 4), (1, 2)), tmp_path / "a.npy").tolist() == CHW.tolist()
    np.save(tmp_path / "b.npy", HWC[..., 0])
    assert fed(((1, 1, 2, 4), (2, 3)), tmp_path / "b.npy").tolist() == [[HWC[..., 0].tolist()]]
    np.save(tmp_path / "c.npy", np.arange(5))
    assert fed(((1, 1, 5), (2,)), tmp_path / "c.npy").tolist() == [[[0, 1, 2, 3, 4]]]


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (np.zeros((3, 5, 4)), "has shape 3x5x4, the input wants 1x3x2x4"),
        (np.zeros((2, 4)), "has shape 2x4, the input wants 1x3x2x4"),
        (np.array(["a"]), "does not hold numbers"),
        (np.full((3, 2, 4), np.nan), "holds NaN or infinity"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, stored: npt.NDArray[Any], message: str) -> None:
    np.save(tmp_path / "a.npy", stored)
    with pytest.raises(UsageError) as refusal:
        fed(CHANNELS_FIRST, tmp_path / "a.npy")
    assert str(refusal.value) == f"'{tmp_path / 'a.npy'}' {message}"


def test_values_out_of_the_range_of_an_integer_input(tmp_path: Path) -> None:
    for value in (256, -1, 0.5):
        np.save(tmp_path / "a.npy", np.full((3, 2, 4), value))
        with pytest.raises(UsageError, match="values that are not in the range of uint8"):
            fed(CHANNELS_FIRST, tmp_path / "a.npy", "uint8")


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY junk")
    (tmp_path / "bad.png").write_bytes(b"junk")
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 99999, 99999), }"
    lie = b"\x93NUMPY\x01\x00" + (128 - 10).to_bytes(2, "little") + header.ljust(117) + b"\n"
    (tmp_path / "lie.npy").write_bytes(lie)
    for name, message in (
        ("bad.npy", "is not a readable .npy file"),
        ("lie.npy", "is not a readable .npy file"),
        ("bad.png", "is not a picture that can be read"),
        ("gone.png", "is no file"),
    ):
        with pytest.raises(UsageError, match=message):
            fed(CHANNELS_FIRST, tmp_path / name)


def test_pictures(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(HWC.astype(np.uint8)).save(path)
    assert fed(CHANNELS_LAST, path, "uint8").tolist() == HWC[None].tolist()
    expected = CHW[None].astype("f") / np.float32(255)
    assert fed(CHANNELS_FIRST, path).tolist() == expected.tolist()
    with Image.open(path) as image:
        luminance = np.asarray(image.convert("L"))
    grey = fed(((1, 1, 2, 4), (2, 3)), path, "uint8")
    assert grey[0, 0].tolist() == luminance.tolist()


def test_pictures_of_another_size_are_refused_with_both_sizes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (2, 4)).save(path)
    with pytest.raises(UsageError) as refusal:
        fed(CHANNELS_FIRST, path)
    assert str(refusal.value) == (
        f"'{path}' is 2 px wide and 4 px high, the input 4 x 2: resize it, or examine the model at"
        " its size"
    )
    with pytest.raises(UsageError, match="has 5 channels"):
        fed(((1, 5, 2, 4), (2, 3)), path)
    with pytest.raises(UsageError, match="1 spatial axes"):
        fed(((1, 1, 4), (2,)), path)


def test_an_input_without_a_known_shape_is_named() -> None:
    examined = InputShape("x", (1, 1, 2, 2), (2, 3), assumed=False)
    other = InputShape("scale", None, (), assumed=False)
    resolution = Resolution(None, (examined, other), examined, (), {}, {}, {}, frozenset(), {}, ())  # type: ignore[arg-type]
    types = {"x": np.dtype("f"), "scale": np.dtype("f")}
    with pytest.raises(MeasurementError, match="the shape of input 'scale' is not known"):
        feed(resolution, examined, types, MeasureOptions())


def test_a_step_in_integers_turns_back_at_the_end_of_the_range() -> None:
    baseline = np.array([0, 200, 250], np.uint8)
    assert stimulus(baseline, 10).tolist() == [10, 210, 240]
    assert stimulus(baseline, -10).tolist() == [10, 190, 240]
    top = np.array([2**63 - 1, -(2**63)], np.int64)
    assert stimulus(top, 1).tolist() == [2**63 - 2, -(2**63) + 1]
    assert stimulus(np.array([True, False]), 1).tolist() == [False, True]


@pytest.mark.parametrize(
    ("baseline", "delta", "message"),
    [
        (np.array([5], np.uint8), 0.5, "delta must be whole, not 0.5"),
        (np.array([100], np.uint8), 200, "out of the range of a uint8 input"),
        (np.array([1e9], np.float32), 1.0, "lost in the rounding of a float32 input"),
        (np.array([0], np.float16), 1e6, "out of the range of a float16 input"),
    ],
)
def test_steps_that_cannot_be_taken(baseline: npt.NDArray[Any], delta: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stimulus(baseline, delta)
