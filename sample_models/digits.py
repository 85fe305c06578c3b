"""Scikit-learn's handwritten digits, drawn anywhere on a black canvas."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Numbers = NDArray[np.int64]

TRAIN = 1347
"""Digits 0 to 1346 of the shuffled set are for training, the other 450 for tests."""


def load() -> tuple[Images, Numbers, Images, Numbers]:
    """Return the digits in a fixed order, split in two.

    Returns
    -------
    train_images, train_labels, test_images, test_labels
        Images as (digits, 8, 8), 0 black to 1 white; labels 0 to 9.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images / 16).astype(np.float32)
    labels = data.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order]
    return images[:TRAIN], labels[:TRAIN], images[TRAIN:], labels[TRAIN:]


def enlarge(images: Images, factor: int) -> Images:
    """Repeat every pixel `factor` times along both axes."""
    return np.kron(images, np.ones((1, factor, factor), np.float32))


def draw(images: Images, canvas: int, rows: Numbers, cols: Numbers) -> Images:
    """Draw each image on its own black square.

    Parameters
    ----------
    images
        (n, side, side).
    canvas
        Side of the square, px.
    rows, cols
        Where the top-left pixel of each image goes, px; (n,).

    Returns
    -------
    Images
        (n, 1, canvas, canvas).
    """
    side = images.shape[-1]
    drawn = np.zeros((len(images), 1, canvas, canvas), np.float32)
    for target, image, row, col in zip(drawn, images, rows, cols, strict=True):
        target[0, row : row + side, col : col + side] = image
    return drawn


def scatter(images: Images, canvas: int, rng: np.random.Generator) -> Images:
    """Draw each image at a random place, all places equally likely, the border included."""
    places = canvas - images.shape[-1] + 1
    rows, cols = rng.integers(0, places, (2, len(images)))
    return draw(images, canvas, rows, cols)
