"""What the graph says is read is what onnxruntime reads, pixel by pixel, on random networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import assume, given
from networks import Network, examples, session
from random_author import Author
from random_networks import networks

from scotoma.sweep import Semiring, coverage, sweep

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROBES = (1e6, -1e6, 30.0, 1.0, -1.0)
"""Large ones win in max pools (a negative lobe of a cubic filter: the negative one); small ones
are seen where the large ones saturate."""


def pixels_read(net: Network, tensors: list[str], axes: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """Return, by tensor, which pixels change it when they change."""
    run = session(net.model(*tensors)).run
    base_input = net.values["x"]
    base = run(tensors, {"x": base_input})
    sizes = tuple(base_input.shape[a] for a in axes)
    read = {name: np.zeros(sizes, bool) for name in tensors}
    # Channels change by different amounts: softmax and normalisations cancel common ones.
    rng = np.random.default_rng(1)
    shape = [n if a not in axes else 1 for a, n in enumerate(base_input.shape)]
    slant = rng.uniform(0.5, 1, shape).astype(np.float32)
    for place in np.ndindex(*sizes):
        index: list[Any] = [slice(None)] * base_input.ndim
        for axis, i in zip(axes, place, strict=True):
            index[axis] = slice(i, i + 1)
        for probe in PROBES:
            image = base_input.copy()
            image[tuple(index)] += np.float32(probe) * slant
            for name, old, new in zip(tensors, base, run(tensors, {"x": image}), strict=True):
                if not read[name][place] and not np.array_equal(old, new, equal_nan=True):
                    read[name][place] = True
    return read


@examples(400)
@given(networks())
def test_reach_is_what_changes(author: Author) -> None:
    net = author.net
    assume(len(author.pool) > 1)
    tensors = [name for name in author.pool if name != "x"]
    geometry = net.geometry(*tensors)
    assert not geometry.resolution.unresolved
    for name in tensors:
        assert geometry.resolution.shapes[name] == net.shape(name)
    read = pixels_read(net, tensors, geometry.input.spatial_axes)
    for name in tensors:
        static = (
            sweep(geometry, [name], Semiring.REACH).values
            if name in geometry.flows
            else np.zeros_like(read[name])
        )
        unseen = read[name] & ~static
        assert not unseen.any(), f"{name}: read but called dead: {np.argwhere(unseen).tolist()}"
        if name in author.exactly and not geometry.unanalysed:
            extra = static & ~read[name]
            assert not extra.any(), f"{name}: dead but called read: {np.argwhere(extra).tolist()}"
        if name in geometry.flows:
            covered = coverage(geometry, [name])
            assert (covered.walk >= 0).all()
            assert ((covered.walk > 0) == static).all()
            assert abs(covered.walk.sum() + sum(covered.absorbed.values()) - 1) < 1e-9
