"""The measured influence of every input pixel, with all that is needed to repeat it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from scotoma.facts import Facts
    from scotoma.measure.functional import Functional
    from scotoma.measure.inputs import Baseline
    from scotoma.measure.options import MeasureOptions
    from scotoma.measure.target import Target
    from scotoma.resolve.resolution import Resolution


@dataclass(frozen=True, slots=True, eq=False)
class Structural:
    """What the graph alone says of the same target: the static side of the comparison."""

    walk: npt.NDArray[np.float64]
    """The random walk from the target to the pixels, shape of the map; sums to 1 - absorbed."""
    dead: npt.NDArray[np.bool_]
    """True where no path leads to the target, shape of the map."""
    absorbed: float
    """Share of the walk that padding absorbs, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a measurement ran, and what it would have run without a limit."""

    passes: int
    """Perturbed inputs that were run through the model, every row of a batch counted."""
    planned: int
    """Passes of the whole plan."""
    kinds: Mapping[str, int]
    """Passes by what they perturbed: ``pixels``, ``rows``, ``columns``, ``dead`` (all structurally
    dead pixels together)."""
    multiplexed: bool
    """Several pixels were perturbed in one pass, where no cell of the target shares two."""
    batch: int
    """Inputs per call of onnxruntime."""


@dataclass(frozen=True, slots=True, eq=False)
class Gradients:
    """A map from gradients: what central differences with a vanishing step would give."""

    responses: npt.NDArray[np.float64]
    """Influence of each pixel on each input, (inputs, pixels in row-major order), at least 0."""
    linked: npt.NDArray[np.bool_]
    """Pixels with a gradient other than 0 on some input, in some channel; shape of the map."""
    groups: npt.NDArray[np.float64]
    """The same from parts of the cotangents, (parts, pixels): their spread is the cotangents'
    noise. Empty where there is none."""
    cotangents: int
    """Backward passes by input."""
    error: float
    """Relative error of a pixel that the choice of cotangents leaves, root mean square over the
    pixels; 0: there is none."""
    residual_bytes: int
    """Memory of what the backward reads of the forward."""
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Confirmation:
    """What perturbation says of a map from gradients."""

    probed: npt.NDArray[np.bool_]
    """Perturbed pixels, alone or together with others; shape of the map."""
    compared: int
    """Of these the pixels that both methods give an influence above 0."""
    correlation: float | None
    """Pearson's of the logarithms over the compared pixels; None where a side is constant."""
    median_relative_error: float | None
    """Median of the difference over the larger of both; None: nothing was compared."""
    max_relative_error: float | None
    scale: float | None
    """Mean by perturbation over mean by gradients, of the compared pixels."""
    moved: int
    """Pixels without a gradient that moved the target."""
    moved_pixels: tuple[tuple[int, ...], ...]
    """The first of them."""
    unmoved: int
    """Pixels with a gradient that moved no bit."""
    unmoved_pixels: tuple[tuple[int, ...], ...]
    """The first of them."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A map for a large step: exact up to a tensor, a gradient from there on."""

    cut: str
    """The tensor."""
    passes: int
    """Passes of the part before it, over all inputs."""
    cotangents: int
    """Gradients of the part behind it, by input."""
    random: bool
    """They are along random directions, and the map is an estimate."""
    sampled: int
    """Pixels that were perturbed through the whole model to tell the error of the map."""
    relative_error: float | None
    """Euclidean norm of the difference over that of the true map, on these; None: nothing moved."""
    correlation: float | None
    """Pearson's of both, on these; None where a side is constant."""
    seconds: float
    """Without the sample."""
    moved: int
    """Pixels of the sample that moved the target: they are known to live."""


@dataclass(frozen=True, slots=True, eq=False)
class Influence:
    """A map of how much the target changes when one input pixel does, per unit of input."""

    values: npt.NDArray[np.float64]
    """Mean over the inputs, at least 0; one axis per spatial axis of the input, at its resolution,
    or in cells of `tile` pixels where that would take too much memory. Where a pixel was not
    perturbed, an estimate from those around it."""
    dead: npt.NDArray[np.bool_]
    """Perturbed, and nothing in the target changed on any input: bit for bit. Shape of the map.
    Where gradients were not confirmed: without a gradient on any input."""
    probed: npt.NDArray[np.bool_]
    """Pixels with a value of their own: perturbed, or all by gradients; shape of the map."""
    places: npt.NDArray[np.int64]
    """These pixels in row-major order, (places, spatial axes)."""
    responses: npt.NDArray[np.float64]
    """Influence of each place on each input, (inputs, places)."""
    row_profile: npt.NDArray[np.float64] | None
    """Influence of whole rows perturbed as one, per unit of input; NaN where a row was not; None
    where none was, and for a 1-D input."""
    column_profile: npt.NDArray[np.float64] | None
    """Likewise of whole columns, which run along the last axis."""
    structural: Structural | None
    """None where the static exam could not follow the input to the target."""
    resolution: Resolution
    facts: Facts
    target: Target
    functional: Functional
    options: MeasureOptions
    baselines: tuple[Baseline, ...]
    difference: str
    """``forward`` or ``central``."""
    steps: tuple[float, ...]
    """Step by input, in the unit of the model's input."""
    samples: tuple[int, ...]
    """Size of the even grid of sampled pixels, or of the map where pixels were not put on one."""
    work: Work
    seconds: float
    complete: bool
    """Everything that was asked for was measured: no interruption, no limit in its way."""
    interrupted: bool
    """Ctrl-C ended the measurement early."""
    notes: tuple[str, ...]
    """What a reader of the map must know, one sentence each."""
    tile: int = 1
    """Pixels along each axis that share a cell of the map. Above 1 all arrays and places here are
    of cells; a cell is dead where no pixel of it that was perturbed moved anything."""

    gradients: Gradients | None = None
    """Where the map comes from; None: from perturbation alone."""
    confirmation: Confirmation | None = None
    """Of the gradients; None where nothing was perturbed beside."""
    preview: Preview | None = None
    """How far the map is off; None: it is no preview."""
    reason: str | None = None
    """Why ``auto`` did not use gradients; None: it did, or was not asked to."""

    @property
    def method(self) -> str:
        """``adjoint``, ``perturb`` or ``hybrid``: how the map was made."""
        if self.preview is not None:
            return "hybrid"
        return "perturb" if self.gradients is None else "adjoint"

    @property
    def perturbed(self) -> bool:
        """Some pixels were perturbed, with the `steps`."""
        return self.gradients is None or self.confirmation is not None

    @property
    def full(self) -> bool:
        """Every pixel has a value of its own."""
        return bool(self.probed.all())
