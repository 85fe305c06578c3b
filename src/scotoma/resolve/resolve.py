"""From a model and input shapes to a `Resolution`: one pass over the operators in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from scotoma.resolve.inputs import Choice, Size
from scotoma.resolve.passes import Pass
from scotoma.resolve.resolution import Resolution
from scotoma.resolve.step import Values

if TYPE_CHECKING:
    from scotoma.loader.model import Model

TRIAL_OPERATORS = 100_000
"""Other default sizes are tried until so many operators have been looked at."""


def resolve(
    model: Model,
    *,
    size: Sequence[int] | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    input_name: str | None = None,
) -> Resolution:
    """Work out concrete shapes, constants and windows for chosen input shapes.

    Parameters
    ----------
    model
        A loaded model; only small constants of it are read.
    size
        One number per spatial axis of the examined input, in cells; overrides declared sizes.
    input_shapes
        Whole shapes by input name.
    input_name
        The input to examine; by default the largest spatial one.

    Returns
    -------
    Resolution
        What could not be worked out is listed in it, with the reason.

    Raises
    ------
    UsageError
        If an input of that name does not exist, or the numbers do not fit its axes.
    """
    choice = Choice(model.main, size, input_shapes, input_name)
    with np.errstate(all="ignore"):
        default, first = choose(model, choice)
        done = first or Pass(model, choice.shapes(default)).run()
    inputs = done.inputs
    examined = next(
        (item for item in inputs if choice.examined and item.name == choice.examined.name), None
    )
    return Resolution(
        model=model,
        inputs=inputs,
        examined=examined,
        operators=tuple(done.ordered),
        shapes=done.state.shapes,
        dtypes=done.state.dtypes,
        values=Values(done.state),
        constants=frozenset(done.state.constants),
        windows=done.state.windows,
        unresolved=tuple(done.unresolved),
        refused_at=tuple(item for item in done.unresolved if item.refused),
    )


def choose(model: Model, choice: Choice) -> tuple[Size | None, Pass | None]:
    """Return the first default size that no operator refuses, with its finished pass.

    Without a dynamic spatial axis there is nothing to choose, and one pass is made.
    """
    sizes = list(choice.sizes())
    first = Pass(model, choice.shapes(sizes[0])).run()
    if not first.refused or not dynamic(choice):
        return sizes[0], first
    tries = min(len(sizes) - 1, TRIAL_OPERATORS // max(1, len(model.main.operators)))
    for size in sizes[1 : 1 + tries]:
        trial = Pass(model, choice.shapes(size), stop_at_refusal=True).run()
        if not trial.refused:
            return size, trial
    return sizes[0], first


def dynamic(choice: Choice) -> bool:
    """Tell whether the shapes depend on the default size at all."""
    sizes = list(choice.sizes())
    return len(sizes) > 1 and choice.shapes(sizes[0]) != choice.shapes(sizes[1])
