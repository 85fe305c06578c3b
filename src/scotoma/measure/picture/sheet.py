"""What a picture shows: plain arrays and lines of text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Map = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure in the table below the maps."""

    name: str
    measured: str
    graph: str


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """Everything that a picture shows; all maps have one axis per spatial axis of the input.

    Text is drawn as it stands, never as markup.
    """

    title: str
    lines: tuple[str, ...]
    """Conditions of the measurement, below the title."""
    values: Map
    """The measured map; where a pixel was not probed, that of the nearest probe."""
    probed: Mask
    dead: Mask
    """Probed, and never moved the output."""
    quantity: str
    """Label of the measured map's colours."""
    structural: Map | None = None
    """The map of the graph, 1 for an even share; None: not known."""
    structural_dead: Mask | None = None
    """Pixels without a path to the output."""
    profiles: tuple[Map | None, ...] = ()
    """By axis of the map, the influence of whole rows or columns; None or left out: the means."""
    rows: tuple[Row, ...] = field(default=())
    """The table of figures."""
    tile: int = 1
    """Pixels along each axis that share a cell of the maps."""

    @property
    def unit(self) -> str:
        """What the cells of the maps are."""
        return "px" if self.tile == 1 else f"tiles of {self.tile} px"

    @property
    def unread(self) -> Mask:
        """Pixels without a path; none where the graph's map is not known."""
        if self.structural_dead is None:
            return np.zeros(self.values.shape, bool)
        return self.structural_dead

    @property
    def contradictory(self) -> Mask:
        """Pixels without a path that moved the output all the same."""
        mask: Mask = self.unread & self.probed & ~self.dead
        return mask

    def __post_init__(self) -> None:
        """Refuse maps of different shapes.

        Raises
        ------
        ValueError
            If the maps have different shapes, or no pixel.
        """
        maps = (self.values, self.probed, self.dead, self.structural, self.structural_dead)
        shapes = {entry.shape for entry in maps if entry is not None}
        if len(shapes) != 1 or not self.values.size:
            raise ValueError(f"the maps of a sheet must have one shape, not {sorted(shapes)}")
