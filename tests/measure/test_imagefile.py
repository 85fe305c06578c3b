"""Pictures as files: what they become, and what is refused before it is decoded."""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from scotoma.errors import UsageError
from scotoma.measure.imagefile import Frame, read_picture

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

RGB = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


def frame(
    height: int = 2, width: int = 4, channels: int = 3, fit: str = "refuse", *, bgr: bool = False
) -> Frame:
    return Frame(height, width, channels, fit, bgr)


def stored(path: Path, pixels: npt.NDArray[Any], **options: Any) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.ppm", "a.tiff", "no suffix"])
def test_pixels(tmp_path: Path, name: str) -> None:
    kind = {"format": "PNG"} if name == "no suffix" else {}
    path = stored(tmp_path / name, RGB, **kind)
    pixels = read_picture(path, frame())
    assert pixels.dtype == np.uint8
    assert pixels.tolist() == RGB.tolist()
    assert read_picture(path, frame(bgr=True)).tolist() == RGB[..., ::-1].tolist()


def test_channels_are_converted(tmp_path: Path) -> None:
    grey = np.array([[0, 50, 100, 150], [200, 250, 255, 1]], np.uint8)
    path = stored(tmp_path / "grey.png", grey)
    assert read_picture(path, frame()).tolist() == np.stack([grey] * 3, axis=-1).tolist()
    assert read_picture(path, frame(channels=1)).tolist() == grey[..., None].tolist()
    assert read_picture(path, frame(channels=1, bgr=True)).tolist() == grey[..., None].tolist()
    opaque = np.dstack([RGB, np.full((2, 4), 7, np.uint8)])
    path = stored(tmp_path / "rgba.png", opaque)
    assert read_picture(path, frame()).tolist() == RGB.tolist()
    assert read_picture(path, frame(channels=4)).tolist() == opaque.tolist()
    assert read_picture(path, frame(channels=4, bgr=True))[..., 3].tolist() == [[7] * 4] * 2
    path = tmp_path / "palette.png"
    with Image.fromarray(RGB) as image:
        image.quantize(8).save(path)
    assert read_picture(path, frame()).shape == (2, 4, 3)
    one_bit = np.array([[True, False, True, True], [False] * 4])
    path = stored(tmp_path / "bits.png", one_bit)
    assert read_picture(path, frame(channels=1)).tolist() == (255 * one_bit[..., None]).tolist()


def test_deep_grey_is_rounded_to_bytes(tmp_path: Path) -> None:
    deep = np.array([[0, 128, 129, 257], [65535, 65406, 300, 32768]], np.uint16)
    path = stored(tmp_path / "deep.png", deep)
    expected = [[0, 0, 1, 1], [255, 254, 1, 128]]
    assert read_picture(path, frame(channels=1))[..., 0].tolist() == expected
    assert read_picture(path, frame())[..., 2].tolist() == expected


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_pixels_of_32_bits_are_refused(tmp_path: Path, kind: type) -> None:
    path = stored(tmp_path / "a.tiff", np.ones((2, 4), kind))
    with pytest.raises(UsageError, match=r"has 32-bit pixels: save it with 8 bits, or as a \.npy"):
        read_picture(path, frame())


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    lying = np.rot90(RGB)
    path = stored(tmp_path / "a.png", lying, exif=exif)
    assert read_picture(path, frame()).tolist() == RGB.tolist()


def test_another_size(tmp_path: Path) -> None:
    # a black and a white half, twice as wide as high
    halves = np.zeros((40, 80, 3), np.uint8)
    halves[:, 40:] = 255
    path = stored(tmp_path / "a.png", halves)
    with pytest.raises(UsageError) as refusal:
        read_picture(path, frame())
    assert str(refusal.value) == (
        f"'{path}' is 80 px wide and 40 px high, the input 4 x 2: give --fit crop or --fit resize,"
        " or examine the model at its size"
    )
    squeezed = read_picture(path, frame(8, 8, fit="resize"))
    assert squeezed[0, [0, 1, 2, 5, 6, 7], 0].tolist() == [0, 0, 0, 255, 255, 255]
    # the middle 40 columns: the left and the right of them are lost
    column = np.arange(80, dtype=np.uint8)
    path = stored(tmp_path / "b.png", np.tile(column, (40, 1)))
    cropped = read_picture(path, frame(40, 40, 1, fit="crop"))
    assert cropped[0, :, 0].tolist() == column[20:60].tolist()


def test_no_picture_for_many_channels(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.png", RGB)
    with pytest.raises(UsageError, match=r"^the input has 5 channels: a picture cannot fill it"):
        read_picture(path, frame(channels=5))


def png_of(width: int, height: int) -> bytes:
    """Return a file that claims a size, and holds hardly a pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("size", [(9000, 9000), (12000, 12000), (60000, 60000)])
@pytest.mark.parametrize("fit", ["refuse", "crop", "resize"])
def test_a_bomb_is_not_decoded(tmp_path: Path, size: tuple[int, int], fit: str) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(*size))
    with pytest.raises(UsageError, match=r"^'.*bomb\.png' claims .*67,108,864$"):
        read_picture(path, frame(fit=fit))


def test_what_is_no_picture(tmp_path: Path) -> None:
    good = stored(tmp_path / "good.png", RGB).read_bytes()
    for name, content in (
        ("junk.png", b"junk"),
        ("empty.png", b""),
        ("short.png", good[:50]),
        ("truncated.png", png_of(400, 200)),
        ("script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 2\nshowpage\n"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError) as refusal:
            read_picture(tmp_path / name, frame())
        assert str(refusal.value) == f"'{tmp_path / name}' is not a picture that can be read"


def test_only_common_formats_are_tried(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.pcx", RGB)
    with pytest.raises(UsageError, match="is not a picture that can be read"):
        read_picture(path, frame())


def test_special_files_are_not_opened(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match=r"is not a regular file$"):
        read_picture(pipe, frame())
    with pytest.raises(UsageError, match=r"is not a regular file$"):
        read_picture(tmp_path, frame())
    with pytest.raises(UsageError, match=r"cannot be read: No such file or directory$"):
        read_picture(tmp_path / "gone.png", frame())
