"""What is asked of a measurement."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from scotoma.errors import UsageError

METHODS = ("auto", "perturb")
FUNCTIONALS = ("l2", "sum")


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """How to measure; every field has the default of the command line.

    Raises
    ------
    UsageError
        If a field has no meaning: an unknown method or functional, a delta of zero, a resolution
        below one.
    """

    method: str = "auto"
    """``auto`` or ``perturb``, which is what ``auto`` chooses."""
    functional: str = "l2"
    """``sum``: change of the sum over the measured tensor; ``l2``: Euclidean norm of its change."""
    input: str = "random"
    """``random``, ``zeros``, or the path of a ``.npy`` file or an image."""
    delta: float = 1.0
    """Added to every channel of the perturbed pixel, in the unit of the model's input."""
    resolution: int | str | None = None
    """``full``; a number, the most samples per axis; None: what fits into `budget`."""
    output: str | None = None
    """Any tensor of the main graph; None: the largest output, before a trailing softmax."""
    seed: int = 0
    """Of the random input."""
    budget: float = 60.0
    """Seconds that a measurement without a stated resolution may take, about."""
    data: bytes | None = field(default=None, repr=False)
    """The model file itself, for a model that was read from standard input."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if self.method not in METHODS:
            raise UsageError(f"unknown method '{self.method}': use {' or '.join(METHODS)}")
        if self.functional not in FUNCTIONALS:
            raise UsageError(
                f"unknown functional '{self.functional}': use {' or '.join(FUNCTIONALS)}"
            )
        if self.delta == 0 or not math.isfinite(self.delta):
            raise UsageError(f"delta must be a finite number other than 0, not {self.delta}")
        if isinstance(self.resolution, str) and self.resolution != "full":
            raise UsageError(f"resolution must be 'full' or a number, not '{self.resolution}'")
        if isinstance(self.resolution, int) and self.resolution < 1:
            raise UsageError(f"resolution must be at least 1, not {self.resolution}")
        if self.seed < 0:
            raise UsageError(f"seed must not be negative, but is {self.seed}")
