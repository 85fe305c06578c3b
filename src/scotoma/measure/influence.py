"""The measured influence of every input pixel, with all that is needed to repeat it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from scotoma.measure.grid import Grid
    from scotoma.measure.options import MeasureOptions
    from scotoma.measure.target import Target
    from scotoma.resolve.resolution import Resolution


@dataclass(frozen=True, slots=True, eq=False)
class Influence:
    """A map of how much the measured tensor changes when one input pixel does."""

    values: npt.NDArray[np.float64]
    """Influence in the unit of the measured tensor, at least 0; one axis per spatial axis of the
    input, at its resolution. Where pixels were sampled, every cell repeats its sample."""
    dead: npt.NDArray[np.bool_]
    """Per *sample* (shape `Grid.shape`): not one cell of the measured tensor changed."""
    grid: Grid
    """Which pixels were perturbed."""
    resolution: Resolution
    target: Target
    options: MeasureOptions
    delta: float
    """Added to the pixel; in an integer input subtracted where it would leave the range."""
    passes: int
    """Inputs that were run through the model, every row of a batch counted."""
    batch: int
    """Inputs per call of onnxruntime."""
    seconds: float
    notes: tuple[str, ...]
    """What a reader of the map must know, one sentence each."""
