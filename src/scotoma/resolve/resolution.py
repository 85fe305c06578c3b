"""What resolving a model for chosen input shapes yields: concrete shapes, constants and windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from scotoma.loader.model import Model, Operator
    from scotoma.resolve.window import Window


@dataclass(frozen=True, slots=True)
class InputShape:
    """The shape that a graph input is examined at."""

    name: str
    shape: tuple[int, ...] | None
    """None where nothing sensible can be chosen (no declared rank)."""
    spatial_axes: tuple[int, ...]
    """Axes of the image grid, in order (H, W); empty for an input that is not spatial."""
    assumed: bool
    """Some dimension was neither declared nor given, so a default stands in for it."""


@dataclass(frozen=True, slots=True)
class Unresolved:
    """An operator whose output could not be worked out, with the reason."""

    operator: Operator
    reason: str
    refused: bool
    """True: the operator cannot run on these shapes (a runtime would refuse the model at this
    size); False: Scotoma does not know."""


@dataclass(frozen=True, slots=True, eq=False)
class Resolution:
    """Concrete facts of a model at chosen input shapes. Never written after it is made."""

    model: Model
    inputs: tuple[InputShape, ...]
    """All graph inputs, in file order."""
    examined: InputShape | None
    """The input whose pixels are followed: the largest spatial one, or the one asked for."""
    operators: tuple[Operator, ...]
    """The main graph in topological order, each If whose condition is constant replaced by the
    operators of the branch that is taken."""
    shapes: Mapping[str, tuple[int, ...] | None]
    """By tensor name; None or missing: not known."""
    dtypes: Mapping[str, np.dtype]
    values: Mapping[str, np.ndarray]
    """Constants, folded: every tensor that does not depend on an input's values and is small, or
    is an integer or boolean tensor of up to `fold.MAX_ELEMENTS` elements."""
    constants: frozenset[str]
    """Names of all tensors that depend on no graph input's values, folded or not."""
    windows: Mapping[str, tuple[Window, ...]]
    """By operator name, one window per spatial axis, for every convolution and pooling operator
    whose parameters are known."""
    unresolved: tuple[Unresolved, ...]
    refused_at: tuple[Unresolved, ...] = ()
    """Only the operators that refuse these shapes, the first of a chain of refusals first."""
