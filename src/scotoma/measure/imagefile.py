"""Reads pictures into pixels of the size that the input has; the files are not trusted."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import UsageError
from scotoma.measure.arrayfile import require_regular

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    from PIL import Image

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What pillow may take a file for: none of these runs other programs."""
SUFFIXES = frozenset(
    {
        ".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
    }
)  # fmt: skip
"""Names that a picture in a folder may have."""
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""What pictures are converted to, by the channels of the input."""
LARGEST_PICTURE = 2**26
"""Pixels of a picture; it is not decoded if it claims more."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What a picture has to become."""

    height: int
    width: int
    channels: int
    fit: str
    """What happens to another size: ``refuse``; ``crop``: scaled until it covers the input, the
    rest cut off evenly; ``resize``: stretched."""
    bgr: bool
    """Blue first."""


def read_picture(path: Path, frame: Frame) -> npt.NDArray[np.uint8]:
    """Return the pixels of a picture, turned upright.

    The first image of an animation; an opacity that the input does not want is dropped; 16-bit
    grey is rounded to 8 bits.

    Returns
    -------
    ndarray
        Shape (height, width, channels), 0 to 255.

    Raises
    ------
    UsageError
        If the file is no picture, is larger than `LARGEST_PICTURE`, or has another size than
        wanted and `Frame.fit` is ``refuse``.
    """
    from PIL import Image, ImageOps  # noqa: PLC0415  only needed for pictures

    if frame.channels not in MODES:
        raise UsageError(
            f"the input has {frame.channels} channels: a picture cannot fill it, use a .npy file"
        )
    require_regular(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged tags that are not needed, and of its size
            with Image.open(path, formats=FORMATS) as image:
                _require_size(path, image)
                upright = ImageOps.exif_transpose(image)
                converted = _converted(path, upright, MODES[frame.channels])
    except UsageError:
        raise
    except Image.DecompressionBombError:
        raise UsageError(f"'{path}' claims more pixels than {LARGEST_PICTURE:,}") from None
    except Exception as error:  # its readers raise whatever a damaged file makes them do
        raise UsageError(f"'{path}' is not a picture that can be read") from error
    pixels = np.asarray(_fitted(path, converted, frame), np.uint8)
    pixels = pixels.reshape(frame.height, frame.width, frame.channels)
    return (
        pixels[..., [2, 1, 0, 3][: frame.channels]] if frame.bgr and frame.channels > 1 else pixels
    )


def _require_size(path: Path, image: Image.Image) -> None:
    if image.width * image.height > LARGEST_PICTURE:
        raise UsageError(
            f"'{path}' claims {image.width} x {image.height} pixels, more than {LARGEST_PICTURE:,}"
        )


def _converted(path: Path, image: Image.Image, mode: str) -> Image.Image:
    """Return the picture in 8-bit channels; pillow's own conversion cuts deeper grey off at 255."""
    from PIL import Image  # noqa: PLC0415  only needed for pictures

    if image.mode in {"I", "F"}:
        raise UsageError(f"'{path}' has 32-bit pixels: save it with 8 bits, or as a .npy file")
    if image.mode.startswith("I;16"):
        deep: npt.NDArray[Any] = np.asarray(image).astype(np.float64)
        image = Image.fromarray(np.rint(deep / 257).astype(np.uint8))
    return image.convert(mode)


def _fitted(path: Path, image: Image.Image, frame: Frame) -> Image.Image:
    from PIL import Image, ImageOps  # noqa: PLC0415  only needed for pictures

    wanted = (frame.width, frame.height)
    if image.size == wanted:
        return image
    if frame.fit == "crop":
        return ImageOps.fit(image, wanted, Image.Resampling.BILINEAR)
    if frame.fit == "resize":
        return image.resize(wanted, Image.Resampling.BILINEAR)
    raise UsageError(
        f"'{path}' is {image.width} px wide and {image.height} px high, the input {frame.width} x"
        f" {frame.height}: give --fit crop or --fit resize, or examine the model at its size"
    )
