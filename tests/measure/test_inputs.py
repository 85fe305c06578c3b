"""The inputs that are measured on: constants, arrays, pictures, folders; what is refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from text_models import facts_of

from scotoma.errors import MeasurementError, UsageError
from scotoma.measure import inputs
from scotoma.measure.inputs import Baseline, baselines
from scotoma.measure.options import MeasureOptions

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from scotoma.facts import Facts

HWC = np.arange(24).reshape(2, 4, 3)
CHW = np.moveaxis(HWC, -1, 0)
NORMAL = (
    "random inputs are standard normal: where the model wants other values, give --value-range"
    " LOW:HIGH, or images with --mean and --std"
)
FIRST = facts_of("""model (float[1, 3, 2, 4] x) => (y) <float[3, 3, 1, 1] w> { y = Conv (x, w) }""")
LAST = facts_of(
    """model (float[1, 2, 4, 3] x) => (y) <float[3, 3, 1, 1] w>
    { t = Transpose <perm = [0, 3, 1, 2]> (x)  y = Conv (t, w) }"""
)
GREY = facts_of("""model (float[1, 1, 2, 4] x) => (y) <float[3, 1, 1, 1] w> { y = Conv (x, w) }""")


def made(
    facts: Facts, *texts: Path | str, dtype: str = "float32", **options: Any
) -> tuple[Baseline, ...]:
    asked = MeasureOptions(inputs=tuple(map(str, texts)), **options)
    return baselines(facts, {"x": np.dtype(dtype)}, asked)


def fed(facts: Facts, text: Path | str, dtype: str = "float32", **options: Any) -> npt.NDArray[Any]:
    """Return the only input that a text stands for."""
    (baseline,) = made(facts, text, dtype=dtype, **options)
    array = baseline.feed["x"]
    assert array.dtype == np.dtype(dtype)
    assert array.shape == facts.resolution.examined.shape  # type: ignore[union-attr]
    assert array.flags.c_contiguous
    assert array.flags.owndata
    return array


class TestConstants:
    TRAP = (
        "'zeros' is the same at every pixel, where rectifiers without a bias stand at their kinks:"
        " a pixel that looks dead may be live on another input: measure on --input random as well"
    )

    def test_zeros_alone_are_a_trap(self) -> None:
        (found,) = made(FIRST, "zeros")
        assert (found.label, found.seed, found.notes) == ("zeros", None, (self.TRAP,))
        assert found.feed["x"].tolist() == np.zeros((1, 3, 2, 4)).tolist()

    def test_beside_others_they_are_pointed_out(self) -> None:
        first, *_, last = made(FIRST, "random", "zeros")
        assert first.notes == (NORMAL,)
        assert last.notes == (self.TRAP.removesuffix(": measure on --input random as well"),)

    def test_the_mean_image_is_zero_behind_the_normalisation(self) -> None:
        assert not fed(FIRST, "mean", mean=(0.485, 0.456, 0.406), std=(0.2,)).any()
        assert fed(FIRST, "mean").tolist() == np.full((1, 3, 2, 4), 0.5).tolist()
        raw = fed(FIRST, "mean", "uint8", mean=(0.2, 0.4, 0.6))
        assert raw[0, :, 0, 0].tolist() == [51, 102, 153]
        assert fed(FIRST, "mean", "int8")[0, :, 0, 0].tolist() == [0, 0, 0]  # -128 + 127.5


class TestArrays:
    @pytest.mark.parametrize("stored", [HWC, CHW, CHW[None]], ids=["HWC", "CHW", "NCHW"])
    def test_into_channels_first(self, tmp_path: Path, stored: npt.NDArray[Any]) -> None:
        np.save(tmp_path / "a.npy", stored)
        assert fed(FIRST, tmp_path / "a.npy").tolist() == CHW[None].tolist()

    @pytest.mark.parametrize("stored", [HWC, CHW, HWC[None], CHW[None]], ids=lambda a: a.shape)
    def test_into_channels_last(self, tmp_path: Path, stored: npt.NDArray[Any]) -> None:
        np.save(tmp_path / "a.npy", stored)
        assert fed(LAST, tmp_path / "a.npy", "uint8").tolist() == HWC[None].tolist()
        assert made(LAST, tmp_path / "a.npy")[0].label == str(tmp_path / "a.npy")

    def test_where_both_layouts_fit_the_input_decides(self, tmp_path: Path) -> None:
        cube = np.arange(27).reshape(3, 3, 3)
        np.save(tmp_path / "a.npy", cube)
        first = facts_of(
            "model (float[1, 3, 3, 3] x) => (y) <float[1, 3, 3, 3] w> { y = Conv (x, w) }"
        )
        assert fed(first, tmp_path / "a.npy").tolist() == cube[None].tolist()
        last = facts_of(
            """model (float[1, 3, 3, 3] x) => (y) <float[1, 3, 3, 3] w>
            { t = Transpose <perm = [0, 3, 1, 2]> (x)  y = Conv (t, w) }"""
        )
        assert fed(last, tmp_path / "a.npy").tolist() == cube[None].tolist()

    def test_into_inputs_without_batch_or_channel(self, tmp_path: Path) -> None:
        signal = facts_of("model (float[1, 1, 5] x) => (y) <float[1, 1, 3] w> { y = Conv (x, w) }")
        np.save(tmp_path / "a.npy", np.arange(5))
        assert fed(signal, tmp_path / "a.npy").tolist() == [[[0, 1, 2, 3, 4]]]
        np.save(tmp_path / "b.npy", HWC[..., 0])
        assert fed(GREY, tmp_path / "b.npy").tolist() == [[HWC[..., 0].tolist()]]
        volume = facts_of(
            "model (float[1, 1, 2, 3, 4] x) => (y) <float[1, 1, 1, 1, 1] w> { y = Conv (x, w) }"
        )
        np.save(tmp_path / "c.npy", np.arange(24).reshape(2, 3, 4))
        assert fed(volume, tmp_path / "c.npy").ravel().tolist() == list(range(24))

    def test_an_image_of_one_row(self, tmp_path: Path) -> None:
        row = facts_of(
            """model (float[1, 1, 4, 3] x) => (y) <float[3, 3, 1, 1] w>
            { t = Transpose <perm = [0, 3, 1, 2]> (x)  y = Conv (t, w) }"""
        )
        assert row.resolution.examined is not None
        assert row.resolution.examined.spatial_axes == (1, 2)
        np.save(tmp_path / "a.npy", np.arange(12).reshape(1, 4, 3))
        assert fed(row, tmp_path / "a.npy").ravel().tolist() == list(range(12))

    def test_a_batch_of_fixed_size_is_filled_with_copies(self, tmp_path: Path) -> None:
        facts = facts_of(
            "model (float[2, 3, 2, 4] x) => (y) <float[3, 3, 1, 1] w> { y = Conv (x, w) }"
        )
        np.save(tmp_path / "a.npy", HWC)
        assert fed(facts, tmp_path / "a.npy").tolist() == [CHW.tolist()] * 2

    @pytest.mark.parametrize("shape", [(3, 3, 2, 4), (3, 2, 4, 3), (3, 1, 3, 2, 4)])
    def test_a_stack_is_several_inputs(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        stack = np.arange(72).reshape(shape)
        np.save(tmp_path / "a.npy", stack)
        found = made(FIRST, tmp_path / "a.npy")
        assert [b.label for b in found] == [f"{tmp_path / 'a.npy'}[{n}]" for n in range(3)]
        for place, baseline in enumerate(found):
            one = np.moveaxis(stack[place], -1, 0) if shape[-1] == 3 else stack[place]
            assert baseline.feed["x"].ravel().tolist() == one.ravel().tolist()

    def test_a_large_stack_is_sampled(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.zeros((311, 3, 2, 4)) + np.arange(311)[:, None, None, None])
        found = made(FIRST, tmp_path / "a.npy")
        assert [int(b.feed["x"].flat[0]) for b in found] == [10 * n for n in range(32)]
        assert found[0].notes[0] == (
            f"32 of the 311 arrays in '{tmp_path / 'a.npy'}' are used, evenly spread"
        )

    @pytest.mark.parametrize(
        ("stored", "message"),
        [
            (np.zeros((3, 5, 4)), "has shape 3x5x4, the input wants 1x3x2x4"),
            (np.zeros((2, 4)), "has shape 2x4, the input wants 1x3x2x4"),
            (np.zeros((0, 3, 2, 4)), "has shape 0x3x2x4, the input wants 1x3x2x4"),
            (np.zeros(()), "has shape a single number, the input wants 1x3x2x4"),
            (np.array(["a"]), "does not hold numbers"),
            (np.full((3, 2, 4), np.nan), "holds NaN or infinity"),
            (np.full((3, 2, 4), 1e39), "holds values that are not in the range of float32"),
        ],
    )
    def test_what_does_not_fit(
        self, tmp_path: Path, stored: npt.NDArray[Any], message: str
    ) -> None:
        np.save(tmp_path / "a.npy", stored)
        with pytest.raises(UsageError) as refusal:
            fed(FIRST, tmp_path / "a.npy")
        assert str(refusal.value) in {
            f"'{tmp_path / 'a.npy'}' {message}",
            f"'{tmp_path / 'a.npy'}' is not a readable .npy file: {message}",
        }

    @pytest.mark.parametrize("value", [256, -1, 0.5])
    def test_values_out_of_the_range_of_whole_numbers(self, tmp_path: Path, value: float) -> None:
        np.save(tmp_path / "a.npy", np.full((3, 2, 4), value))
        with pytest.raises(UsageError, match="values that are not in the range of uint8"):
            fed(FIRST, tmp_path / "a.npy", "uint8")

    def test_files_that_lie(self, tmp_path: Path) -> None:
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 99999, 99999), }"
        start = b"\x93NUMPY\x01\x00" + (128 - 10).to_bytes(2, "little")
        objects = b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 3, 2, 4), }"
        for name, content in (
            ("junk.npy", b"\x93NUMPY junk"),
            ("empty.npy", b""),
            ("lie.npy", start + header.ljust(117) + b"\n"),
            ("pickle.npy", start + objects.ljust(117) + b"\ncos\nsystem\n"),
            ("deep.npy", start + (b"(" * 100).ljust(117) + b"\n"),
        ):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(UsageError, match=r"is not a readable \.npy file") as refusal:
                fed(FIRST, tmp_path / name)
            assert "\n" not in str(refusal.value)


def save(path: Path, pixels: npt.NDArray[Any]) -> None:
    Image.fromarray(pixels.astype(np.uint8)).save(path)


class TestPictures:
    def test_become_units(self, tmp_path: Path) -> None:
        save(tmp_path / "a.png", HWC)
        expected = (CHW[None] / 255).astype(np.float32)
        assert fed(FIRST, tmp_path / "a.png").tolist() == expected.tolist()
        assert fed(LAST, tmp_path / "a.png").tolist() == np.moveaxis(expected, 1, -1).tolist()

    def test_are_normalised(self, tmp_path: Path) -> None:
        save(tmp_path / "a.png", HWC)
        mean, std = np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.25, 0.125])
        array = fed(LAST, tmp_path / "a.png", mean=tuple(mean), std=tuple(std))
        assert array.tolist() == ((HWC / 255 - mean) / std).astype(np.float32)[None].tolist()
        one = fed(LAST, tmp_path / "a.png", mean=(0.5,), std=(0.5,))
        assert one.tolist() == ((HWC / 255 - 0.5) / 0.5).astype(np.float32)[None].tolist()
        raw = fed(LAST, tmp_path / "a.png", std=(1 / 255,))
        assert np.allclose(raw, HWC[None], rtol=1e-6)

    def test_stay_as_they_are_in_bytes(self, tmp_path: Path) -> None:
        save(tmp_path / "a.png", HWC)
        assert fed(LAST, tmp_path / "a.png", "uint8").tolist() == HWC[None].tolist()
        assert fed(LAST, tmp_path / "a.png", "int8").tolist() == (HWC[None] - 128).tolist()
        (found,) = made(LAST, tmp_path / "a.png", dtype="uint8", mean=(0.5,))
        assert found.feed["x"].tolist() == HWC[None].tolist()
        assert found.notes == ("'x' holds uint8: images go in without --mean and --std",)

    def test_flags_are_the_bright_pixels(self, tmp_path: Path) -> None:
        save(tmp_path / "a.png", np.array([[0, 127, 128, 255]] * 2))
        assert fed(GREY, tmp_path / "a.png", "bool")[0, 0, 0].tolist() == [False, False, True, True]

    def test_fill_a_range(self, tmp_path: Path) -> None:
        save(tmp_path / "a.png", np.array([[0, 51, 204, 255]] * 2))
        array = fed(GREY, tmp_path / "a.png", value_range=(-1.0, 1.0))
        assert np.allclose(array[0, 0, 0], [-1, -0.6, 0.6, 1], atol=1e-7)
        whole = fed(GREY, tmp_path / "a.png", "uint8", value_range=(0.0, 8.0))
        assert whole[0, 0, 0].tolist() == [0, 2, 6, 8]  # 1.6 and 6.4 are rounded

    def test_fill_the_range_that_the_graph_shows(self, tmp_path: Path) -> None:
        facts = facts_of(
            """model (float[1, 3, 2, 4] x) => (y) <float c = {255}, float[3, 3, 1, 1] w>
            { a = Div (x, c)  y = Conv (a, w) }"""
        )
        save(tmp_path / "a.png", HWC)
        assert fed(facts, tmp_path / "a.png").tolist() == CHW[None].tolist()
        assert fed(facts, "mean").tolist() == np.full((1, 3, 2, 4), 127.5).tolist()

    def test_no_picture_for_a_signal(self, tmp_path: Path) -> None:
        signal = facts_of("model (float[1, 1, 5] x) => (y) <float[1, 1, 3] w> { y = Conv (x, w) }")
        save(tmp_path / "a.png", HWC)
        with pytest.raises(UsageError, match=r"is no \.npy file, and the input has 1 axes$"):
            fed(signal, tmp_path / "a.png")

    def test_a_missing_file(self) -> None:
        for name in ("gone.png", "nul\0.png", "Random", "a" * 5000):
            with pytest.raises(UsageError) as refusal:
                fed(FIRST, name)
            assert str(refusal.value) == (
                f"there is no file or folder '{name}' (nor is it random, zeros or mean)"
            )


class TestFolders:
    def test_every_picture_in_the_order_of_names(self, tmp_path: Path) -> None:
        for place, name in enumerate(("b.png", "a.JPG", "c.bmp")):
            save(tmp_path / name, np.full((2, 4, 3), place))
        (tmp_path / "notes.txt").write_text("no picture")
        (tmp_path / ".hidden.png").write_text("")
        found = made(GREY, tmp_path, dtype="uint8")
        assert [b.label for b in found] == [str(tmp_path / n) for n in ("a.JPG", "b.png", "c.bmp")]
        assert [b.feed["x"].flat[0] for b in found] == [1, 0, 2]
        assert all(len(b.notes) == 1 for b in found)  # each is constant

    def test_unreadable_ones_are_named(self, tmp_path: Path) -> None:
        save(tmp_path / "a.png", HWC)
        save(tmp_path / "b.png", np.zeros((3, 3, 3)))
        (tmp_path / "c.png").write_bytes(b"junk")
        (tmp_path / "d.png").symlink_to(tmp_path / "a.png")
        os.mkfifo(tmp_path / "e.png")
        (found,) = made(FIRST, tmp_path)
        assert found.feed["x"].tolist() == (CHW[None] / 255).astype(np.float32).tolist()
        (note,) = found.notes
        assert note == (
            f"passed over in '{tmp_path}': '{tmp_path / 'b.png'}' is 3 px wide and 3 px high, the"
            " input 4 x 2: give --fit crop or --fit resize, or examine the model at its size;"
            f" '{tmp_path / 'c.png'}' is not a picture that can be read; '{tmp_path / 'd.png'}' is"
            " a symbolic link; and 1 more"
        )

    def test_none_that_can_be_used(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"^there is no image in '.*' \(\.bmp, \.gif"):
            made(FIRST, tmp_path)
        (tmp_path / "c.png").write_bytes(b"junk")
        with pytest.raises(UsageError, match=r"^no image in '.*' can be used: '.*c\.png' is not"):
            made(FIRST, tmp_path)

    def test_a_large_folder_is_sampled(self, tmp_path: Path) -> None:
        for place in range(63):
            save(tmp_path / f"{place:02}.bmp", np.full((2, 4), place))
        found = made(GREY, tmp_path, dtype="uint8")
        assert [int(b.feed["x"].flat[0]) for b in found] == list(range(0, 63, 2))
        assert found[0].notes[0] == f"32 of the 63 images in '{tmp_path}' are used, evenly spread"


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"mean": (0.1, 0.2)}, "--mean gives 2 numbers, the input has 3 channels"),
            ({"std": (0.1,) * 4}, "--std gives 4 numbers, the input has 3 channels"),
            ({"std": (0.0,)}, "--std must be above 0"),
            (
                {"mean": (127.5,)},
                "--mean must lie within 0 and 1, as images are divided by 255 first: give 0.5",
            ),
        ],
    )
    def test_means_without_meaning(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError) as refusal:
            made(FIRST, **options)
        assert str(refusal.value) == message

    def test_too_much_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(inputs, "LARGEST", 4 * 96 - 1)
        with pytest.raises(
            MeasurementError, match=r"^4 x input 'x' of 1x3x2x4 would need 0\.0 GiB"
        ):
            made(FIRST)
        assert len(made(FIRST, random_inputs=3)) == 3

    def test_a_claim_that_nothing_could_hold(self) -> None:
        huge = facts_of("model (float[1, 1, 200000, 200000] x) => (y) { y = Neg (x) }")
        with pytest.raises(MeasurementError, match=r"^4 x input 'x' .* would need 596\.0 GiB"):
            made(huge)
        with pytest.raises(
            MeasurementError, match=r"^input 's' of 99999x99999 would need 37\.3 GiB$"
        ):
            baselines(
                facts_of(
                    "model (float[1, 1, 4, 4] x, float[99999, 99999] s) => (y) { y = Neg (x) }"
                ),
                {"x": np.dtype("f"), "s": np.dtype("f")},
                MeasureOptions(),
            )

    def test_no_image(self) -> None:
        flat = facts_of("model (float[1, 5] x) => (y) { y = Neg (x) }")
        with pytest.raises(MeasurementError, match="no spatial input"):
            made(flat)
