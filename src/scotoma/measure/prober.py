"""Runs a model on single-pixel perturbations, alone or in batches, and takes the functional."""

from __future__ import annotations

import math
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import MeasurementError
from scotoma.measure.baseline import stimulus

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from scotoma.measure.session import Session
    from scotoma.resolve.resolution import InputShape

    Pixel = tuple[int, ...]

BATCH = 16
SLOW_PASS = 0.002
"""Seconds; a pass that takes longer gains nothing from a batch on a CPU."""
LARGEST_BATCH = 2**26
"""Bytes of one batch of inputs."""


class Prober:
    """Perturbs pixels of one baseline and says how the measured tensor answers.

    Parameters
    ----------
    session
        The model.
    feed
        An array for every input of the model; that of the examined input is the baseline.
    examined
        The input whose pixels are perturbed.
    delta
        See `scotoma.measure.baseline.stimulus`.
    functional
        ``sum`` or ``l2``.
    tensor
        Name of the measured tensor, for messages.

    Raises
    ------
    MeasurementError
        If the answer to the baseline is empty or holds a number that is not finite.
    """

    def __init__(
        self,
        session: Session,
        feed: dict[str, npt.NDArray[Any]],
        examined: InputShape,
        delta: float,
        functional: str,
        tensor: str,
    ) -> None:
        self._session = session
        self._feed = feed
        self._name = examined.name
        self._axes = examined.spatial_axes
        self._functional = functional
        self._tensor = tensor
        self._baseline = feed[examined.name]
        self._perturbed = stimulus(self._baseline, delta)
        self._rows = self._baseline.copy()
        self._answer = session.run(feed)
        self.batch = 1
        if self._answer.size == 0:
            raise MeasurementError(f"'{tensor}' is empty at this input size")
        if not np.isfinite(self._answer).all():
            raise MeasurementError(f"'{tensor}' holds NaN or infinity before anything is perturbed")

    def repeats(self) -> bool:
        """Return whether the baseline gives the same answer again, bit for bit."""
        answer = self._session.run(self._feed)
        return answer.shape == self._answer.shape and answer.tobytes() == self._answer.tobytes()

    def try_batch(self) -> None:
        """Run several pixels in one call from now on, if that is right and pays.

        Right: every row of a batch equals the run of its input alone, bit for bit. Only for an
        input that leads with a batch axis of size 1 which the file leaves open.
        """
        fits = self._baseline.nbytes * BATCH <= LARGEST_BATCH
        if self._baseline.shape[0] != 1 or 0 in self._axes or len(self._feed) != 1 or not fits:
            return
        rows = np.repeat(self._baseline, BATCH, axis=0)
        for row, pixel in enumerate(self._spread_pixels(BATCH - 2)):
            self._set(rows, row, pixel, self._perturbed)
        rows[-1] = self._perturbed[0]
        start = perf_counter()
        alone = [self._session.run({self._name: rows[row : row + 1]}) for row in range(BATCH)]
        seconds_alone = perf_counter() - start
        try:
            self._session.run({self._name: rows})
            start = perf_counter()
            together = self._session.run({self._name: rows})
            seconds_together = perf_counter() - start
        except MeasurementError:
            return  # the file says "any batch", but an operator inside is made for one
        if together.shape != (BATCH, *self._answer.shape[1:]) or self._answer.shape[:1] != (1,):
            return
        same = all(
            single.shape == self._answer.shape and single.tobytes() == together[row].tobytes()
            for row, single in enumerate(alone)
        )
        if same and seconds_together < seconds_alone:
            self.batch = BATCH
            self._rows = np.repeat(self._baseline, BATCH, axis=0)

    def time(self, seconds: float) -> float:
        """Return the seconds that one pixel takes, from passes of about `seconds` in all."""
        pixels = self._spread_pixels(self.batch)
        self.respond(pixels)  # the first run of a shape allocates
        start = perf_counter()
        calls = 0
        while calls < 3 or (calls < 64 and perf_counter() - start < seconds):
            self.respond(pixels)
            calls += 1
        return (perf_counter() - start) / (calls * self.batch)

    def respond(self, pixels: Sequence[Pixel]) -> list[tuple[float, bool]]:
        """Perturb each pixel alone; return its influence and whether any cell changed.

        Parameters
        ----------
        pixels
            At most `batch` positions along the spatial axes.

        Raises
        ------
        MeasurementError
            If the answer is not finite, or changes its shape.
        """
        for row, pixel in enumerate(pixels):
            self._set(self._rows, row, pixel, self._perturbed)
        answer = self._session.run({**self._feed, self._name: self._rows})
        for row, pixel in enumerate(pixels):
            self._set(self._rows, row, pixel, self._baseline)
        if self.batch == 1:
            return [self._influence(answer, pixels[0])]
        return [self._influence(answer[r : r + 1], pixel) for r, pixel in enumerate(pixels)]

    def _influence(self, answer: npt.NDArray[Any], pixel: Pixel) -> tuple[float, bool]:
        if answer.shape != self._answer.shape:
            raise MeasurementError(
                f"the shape of '{self._tensor}' depends on the values of the input"
                f" ({self._answer.shape}, then {answer.shape}): measure another tensor"
            )
        with np.errstate(all="ignore"):
            change = np.subtract(answer, self._answer, dtype=np.float64).ravel()
            if self._functional == "sum":
                influence = abs(float(change.sum()))
            else:
                influence = math.sqrt(float(np.dot(change, change)))
        if not math.isfinite(influence):
            place = ", ".join(map(str, pixel))
            raise MeasurementError(
                f"'{self._tensor}' is not finite once pixel ({place}) is perturbed: try a smaller"
                " delta"
            )
        return influence, bool(change.any())

    def _set(
        self, rows: npt.NDArray[Any], row: int, pixel: Pixel, source: npt.NDArray[Any]
    ) -> None:
        """Copy all channels of one pixel from `source` into a row of a batch."""
        place: list[int | slice] = [slice(None)] * source.ndim
        for axis, position in zip(self._axes, pixel, strict=True):
            place[axis] = position
        if len(rows) == len(source):
            rows[tuple(place)] = source[tuple(place)]
        else:
            rows[(row, *place[1:])] = source[(0, *place[1:])]

    def _spread_pixels(self, count: int) -> list[Pixel]:
        """Return some pixels along the diagonal, the corners among them."""
        sizes = [self._baseline.shape[axis] for axis in self._axes]
        last = max(1, count - 1)
        return [tuple(step * (size - 1) // last for size in sizes) for step in range(count)]
