"""Sums over all cells before or behind one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scotoma.adjoint.registry import rule

if TYPE_CHECKING:
    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Site


@rule("CumSum")
def cumulative_sum(site: Site) -> Gradients:
    """Sum in the other direction."""
    axis = site.axis(int(site.known(1).item()), len(site.shape()))
    reverse = 1 - site.integer("reverse", 0)
    exclusive = site.integer("exclusive", 0)
    place = site.constant(axis, np.int64)
    return [site.emit("CumSum", site.grad(), place, exclusive=exclusive, reverse=reverse)]
