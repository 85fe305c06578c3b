"""Collects the answers of a measurement, in memory that grows with what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.measure.plan import PIXELS, ROWS

if TYPE_CHECKING:
    import numpy.typing as npt

    from scotoma.measure.plan import Lattice, Unit
    from scotoma.measure.prober import Response

COMPACT = 4096
"""So many answers are held apart before they are joined."""


class Ledger:
    """The answers so far.

    Parameters
    ----------
    lattice
        The places.
    inputs
        Number of inputs.
    """

    def __init__(self, lattice: Lattice, inputs: int) -> None:
        self._lattice = lattice
        self._inputs = inputs
        self.shape = lattice.pixels
        """Of the map."""
        self._flat: list[npt.NDArray[np.int64]] = []
        self._values: list[npt.NDArray[np.float64]] = []
        self._moved: list[npt.NDArray[np.bool_]] = []
        self._profiles: dict[str, npt.NDArray[np.float64]] = {}

    def add(self, unit: Unit, response: Response) -> None:
        """Keep the answer of a unit."""
        if unit.kind != PIXELS:
            axis = -2 if unit.kind == ROWS else -1
            size = self._lattice.pixels[axis]
            profile = self._profiles.setdefault(unit.kind, np.full(size, np.nan))
            axis += len(self._lattice.pixels)
            profile[self._lattice.span(axis, int(unit.positions[0][0]))] = response.values.mean()
            return
        self._keep(unit, response)

    def _keep(self, unit: Unit, response: Response) -> None:
        """Keep the answer of places."""
        self._flat.append(unit.flat(self._lattice.shape))
        self._values.append(response.values)
        self._moved.append(response.moved)
        if len(self._flat) >= COMPACT:
            self._join()

    def add_dead(self, mask: npt.NDArray[np.bool_]) -> None:
        """Keep that all places of a mask were perturbed together and nothing moved."""
        flat = np.flatnonzero(mask)
        self._flat.append(flat)
        self._values.append(np.zeros((self._inputs, len(flat))))
        self._moved.append(np.zeros(len(flat), bool))

    def places(
        self,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Return what has an answer, in row-major order.

        Returns
        -------
        tuple
            Places on the map, (places, axes): the pixels, or the middle ones of the patches; their
            influence, (inputs, places); whether they moved.
        """
        if not self._flat:
            rank = len(self._lattice.shape)
            empty = np.zeros((0, rank), np.int64), np.zeros((self._inputs, 0))
            return *empty, np.zeros(0, bool)
        self._join()
        # A dead place may have been perturbed once more with those of its colour.
        flat, first = np.unique(self._flat[0], return_index=True)
        places = np.stack(np.unravel_index(flat, self._lattice.shape), axis=-1)
        return self._lattice.middles(places), self._values[0][:, first], self._moved[0][first]

    def profile(self, kind: str) -> npt.NDArray[np.float64] | None:
        """Return the influence of whole rows or columns, NaN where not measured; None: nowhere."""
        return self._profiles.get(kind)

    def _join(self) -> None:
        self._flat = [np.concatenate(self._flat)]
        self._values = [np.concatenate(self._values, axis=1)]
        self._moved = [np.concatenate(self._moved)]
