"""Makes the pictures of the documentation from the sample models: python docs/make_images.py."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from scotoma.measure.picture.theme import COLOURS, THEMES, UNMOVED, UNREAD

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
MODELS = {
    "measure_blind_border": "digits_valid_torchscript",
    "measure_unread_pixels": "digits_patches_torchscript",
    "measure_shifted": "residual_net",
}
"""Sample model by picture."""
REPORT_SIZE = 1100, 1720
"""Width and height of the report's picture, in pixels."""


def palette() -> Image.Image:
    """Return the colours of a light page: a palette makes the file a third as large."""
    import matplotlib as mpl  # noqa: PLC0415  slow to import

    theme = THEMES["light"]
    colours = [mpl.colormaps[COLOURS](i / 159)[:3] for i in range(160)]
    named = [theme.text, theme.faint, theme.grid, theme.measured, theme.graph, UNREAD, UNMOVED]
    for name in named:
        colour = mpl.colors.to_rgb(name)
        # Letters and lines are smoothed: mixtures with the page.
        colours += [tuple(1 - part / 12 * (1 - c) for c in colour) for part in range(3, 13)]
    image = Image.new("P", (1, 1))
    image.putpalette([round(255 * part) for colour in [(1, 1, 1), *colours] for part in colour])
    return image


def photograph(model: str, picture: str) -> None:
    """Audit a model and store what a browser shows of the HTML report; chromium is needed."""
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder) / "report.html", Path(folder) / "report.png"
        audit = [sys.executable, "-m", "scotoma", "audit", f"sample_models/{model}.onnx"]
        command = [*audit, "--exit-zero", "--format", "html", "-o", str(page)]
        subprocess.run(command, check=True, cwd=ROOT)
        browser = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars"]
        window = [f"--window-size={','.join(map(str, REPORT_SIZE))}", f"--screenshot={shot}"]
        subprocess.run([*browser, *window, page.as_uri()], check=True, capture_output=True)
        with Image.open(shot) as image:
            # Not by how often a colour occurs: those at the ends of a colour bar are rare.
            few = image.convert("RGB").quantize(
                colors=256, method=Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE
            )
    few.save(IMAGES / f"{picture}.png", optimize=True)


def main() -> None:
    """Measure every model at full resolution, store its picture, and that of one report."""
    photograph("digits_patches_torchscript", "report")
    for picture, model in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            path = ROOT / "sample_models" / f"{model}.onnx"
            command = [sys.executable, "-m", "scotoma", "measure", str(path), "--out", folder]
            subprocess.run([*command, "--resolution", "full", "--no-progress"], check=True)
            with Image.open(Path(folder) / "influence.png") as image:
                few = image.convert("RGB").quantize(palette=palette(), dither=Image.Dither.NONE)
        few.save(IMAGES / f"{picture}.png", optimize=True)


if __name__ == "__main__":
    main()
