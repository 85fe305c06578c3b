"""What is asked of a measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scotoma.errors import UsageError

METHODS = ("auto", "adjoint", "perturb", "hybrid")
DIFFERENCES = ("auto", "forward", "central")
CHANNELS = ("together", "each")
FITS = ("refuse", "crop", "resize")
DEFAULT_BUDGET = 60.0
"""Seconds that a measurement may take of which neither resolution nor passes are stated."""


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """How to measure; every field has the default of the command line.

    Raises
    ------
    UsageError
        If a field has no meaning: an unknown method, a delta of zero, a budget below zero.
    """

    method: str = "auto"
    """``adjoint``: gradients; ``perturb``: pixels are moved; ``auto``: gradients, confirmed by
    moving some pixels, or ``perturb`` where gradients cannot answer; ``hybrid``: a preview of a
    large ``delta``, see `scotoma.measure.hybrid`."""
    functional: str = "l2"
    """``l2``, ``sum``, ``max``, ``logit`` or ``logit:K``; see `scotoma.measure.functional`."""
    tensor: str | None = None
    """Any tensor of the main graph; None: the last feature maps."""

    unit: tuple[int, ...] | None = None
    """A place of the target, one number per axis of the image: its effective receptive field is
    measured. None: the whole target."""

    inputs: tuple[str, ...] = ()
    """``random``, ``zeros``, ``mean``, or paths of images, folders of images and ``.npy`` files;
    empty: ``random``."""
    random_inputs: int = 4
    """How many inputs ``random`` stands for."""
    seed: int = 0
    """Of the random inputs, and of the order in which pixels are perturbed."""
    mean: tuple[float, ...] | None = None
    """Of the image's channels (or one number), in units of 1 after the division by 255."""
    std: tuple[float, ...] | None = None
    """Likewise; an image becomes ``(x / 255 - mean) / std``."""
    value_range: tuple[float, float] | None = None
    """Random inputs are uniform between these two instead of standard normal."""
    fit: str = "refuse"
    """What happens to an image of another size than the input: ``refuse``, ``crop``, ``resize``."""
    bgr: bool = False
    """The model wants the channels of an image in the order blue, green, red."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """What is fed to inputs other than the examined one: a number or a ``.npy`` file, by name."""

    delta: float | None = None
    """Step, in the unit of the model's input; None: chosen for precision."""
    difference: str = "auto"
    """``forward``, ``central``; ``auto``: central where the step is chosen here, else forward."""
    patch: int = 1
    """Pixels along each side of what is perturbed as one."""
    channels: str = "together"
    """``together``, or ``each`` channel of a pixel in a pass of its own."""

    resolution: int | str | None = None
    """``full``; a number, the most samples per axis; None: what budget and passes allow."""
    budget: float | None = None
    """Seconds that the measurement may take; None: `DEFAULT_BUDGET` where neither `resolution`
    nor `passes` is given, else no limit."""
    confirmation: float | None = None
    """Seconds in which perturbation confirms a map from gradients, at most; None: all that the
    budget leaves."""
    passes: int | None = None
    """Most passes of perturbed inputs through the model; None: no limit."""
    multiplex: bool = True
    """Pixels that no cell of the target shares may be perturbed in one pass."""
    jobs: int = 1
    """Threads that run passes; each pass has one of its own."""

    journal: Path | None = None
    """File that keeps every answer as it comes, for `resume`; None: none."""
    resume: bool = False
    """Go on from the journal."""
    data: bytes | None = field(default=None, repr=False)
    """The model file itself, for a model that was read from standard input."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        _choice("method", self.method, METHODS)
        _choice("difference", self.difference, DIFFERENCES)
        _choice("channels", self.channels, CHANNELS)
        _choice("fit", self.fit, FITS)
        if self.method == "adjoint" and (stated := self.finite or self._limited):
            raise UsageError(f"gradients know no {stated}: use another method than 'adjoint'")
        if self.method == "hybrid":
            self._check_hybrid()
        if self.delta is not None and (self.delta == 0 or not math.isfinite(self.delta)):
            raise UsageError(f"delta must be a finite number other than 0, not {self.delta}")
        if isinstance(self.resolution, str) and self.resolution != "full":
            raise UsageError(f"resolution must be 'full' or a number, not '{self.resolution}'")
        if isinstance(self.resolution, int):
            _at_least("resolution", self.resolution, 1)
        if self.budget is not None and not 0 < self.budget < math.inf:
            raise UsageError(f"budget must be a number of seconds above 0, not {self.budget:g}")
        if self.passes is not None:
            _at_least("passes", self.passes, 1)
        if self.unit is not None and self.functional.startswith("logit"):
            raise UsageError("a logit is no place of a map: give --unit or --functional logit")
        _at_least("seed", self.seed, 0)
        _at_least("patch", self.patch, 1)
        _at_least("jobs", self.jobs, 1)
        _at_least("inputs", self.random_inputs, 1)

    def _check_hybrid(self) -> None:
        """Refuse what a preview of the whole map does not take."""
        if self.delta is None:
            raise UsageError("the method 'hybrid' previews a large step: give its --delta")
        stated = {"resolution": self.resolution is not None, "passes": self.passes is not None}
        for name in (name for name, is_set in stated.items() if is_set):
            raise UsageError(f"the method 'hybrid' maps all pixels and knows no {name}")
        if self.resume:
            raise UsageError("the method 'hybrid' cannot resume: it keeps no journal")

    @property
    def finite(self) -> str:
        """The first of the options that only perturbation can obey; empty: none is set."""
        stated = {
            "delta": self.delta is not None,
            "difference": self.difference != "auto",
            "patch": self.patch > 1,
            "resolution": self.resolution is not None,
        }
        return next((name for name, is_set in stated.items() if is_set), "")

    @property
    def _limited(self) -> str:
        return "passes" if self.passes is not None else ""

    @property
    def seconds(self) -> float | None:
        """Seconds that the measurement may take; None: as many as it needs."""
        if self.budget is not None:
            return self.budget
        limited = self.resolution is not None or self.passes is not None
        return None if limited else DEFAULT_BUDGET


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"unknown {name} '{value}': use {', '.join(allowed)}")


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise UsageError(f"{name} must be at least {least}, not {value}")
