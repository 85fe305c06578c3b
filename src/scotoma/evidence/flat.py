"""What a network makes of an image without content: one number per channel, away from borders.

Every cell of a feature map sees the same, so that a convolution is a matrix (its taps summed up),
and pooling, padding and resizing change nothing. Spatial axes have size 1 in the arrays here, and
in front of a tensor's axes there is one for the images, which are all followed at once. What is
not known of an image is NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from scotoma.errors import WeightsUnavailableError
from scotoma.evidence.flat_operators import (
    BINARY,
    HANDLERS,
    MOST_NUMBERS,
    SAME,
    UNARY,
    UnknownError,
    concatenated,
    joined,
)
from scotoma.evidence.weights import weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.evidence.flat_operators import Handler
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

    Array = NDArray[np.float64]

SMALL = 4096
"""Constants of so many numbers are kept."""


class FlatImage(Mapping[str, "Array"]):
    """The tensors that are known of one of several flat images, by name, without its axis."""

    def __init__(self, known: Mapping[str, Array], place: int) -> None:
        self._known, self._place = known, place

    def __getitem__(self, name: str) -> Array:
        found: Array = self._known[name][self._place]
        if np.isnan(found.flat[0]):
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._known if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def flat_features(facts: Facts, values: Sequence[float]) -> list[FlatImage]:
    """Return the tensors of the main graph for images of one value each, those that are known.

    Parameters
    ----------
    values
        Of all pixels and channels of the examined input, image by image.

    Returns
    -------
    list of FlatImage
        Arrays of the rank of the tensor, with size 1 along the axes of the image.
    """
    examined = facts.resolution.examined
    known: dict[str, Array] = {}
    images = [FlatImage(known, place) for place in range(len(values))]
    if examined is None or examined.shape is None:
        return images
    if all(examined.shape[axis] == 1 for axis in examined.spatial_axes):  # no image but a vector
        return images
    shape = [1 if a in examined.spatial_axes else size for a, size in enumerate(examined.shape)]
    if 0 < prod(shape) <= MOST_NUMBERS:
        known[examined.name] = np.array([np.full(shape, value, np.float64) for value in values])
        follow_flat(facts, known, facts.operators)
    return images


def follow_flat(facts: Facts, known: dict[str, Array], operators: Iterable[Operator]) -> None:
    """Add what some operators, in topological order, make of flat tensors, where it is known.

    Parameters
    ----------
    known
        Tensors by name, of one image or of as many as there are.
    """
    with np.errstate(all="ignore"):
        for operator in operators:
            if operator.outputs and any(name in known for name in operator.inputs):
                made = _made(facts, operator, known)
                if made is not None:
                    known[operator.outputs[0]] = made


def _made(facts: Facts, operator: Operator, known: Mapping[str, Array]) -> Array | None:
    """Return an operator's output for flat inputs, None where it is not known of any image."""
    try:
        made = _apply(facts, operator, known)
    except (UnknownError, WeightsUnavailableError, ValueError, IndexError):
        return None
    out = facts.shape(operator.outputs[0])
    if out is None or made.ndim != len(out) + 1 or not made.size:
        return None
    if any(own not in {1, size} for own, size in zip(made.shape[1:], out, strict=True)):
        return None
    if np.isfinite(made).all():
        return made
    finite = np.asarray(np.isfinite(made).reshape(len(made), -1).all(axis=1))
    if not finite.any():
        return None
    return np.where(finite.reshape(-1, *(1,) * len(out)), made, np.nan)


def _apply(facts: Facts, operator: Operator, known: Mapping[str, Array]) -> Array:
    """Return an operator's output for flat inputs."""
    kind, names = operator.op_type, [name for name in operator.inputs if name]
    if operator.domain:
        raise UnknownError
    joins = kind in BINARY or kind == "Concat"
    if names[0] not in known and not joins:
        raise UnknownError
    if kind in SAME:
        return known[names[0]]
    if kind in UNARY:
        return UNARY[kind](known[names[0]])
    if joins:
        parts = [known[n] if n in known else _constant(facts, n)[None] for n in names]
        return concatenated(facts, operator, parts) if kind == "Concat" else joined(kind, parts)
    handler = HANDLERS.get(kind)
    if handler is None:
        raise UnknownError
    if any(name in known for name in names[1:]):
        return _one_by_one(facts, operator, handler, known)
    return handler(facts, operator, known[names[0]], [_constant(facts, n) for n in names[1:]])


def _one_by_one(
    facts: Facts, operator: Operator, handler: Handler, known: Mapping[str, Array]
) -> Array:
    """Return an operator's output where others of its inputs than the first depend on the image."""
    names = [name for name in operator.inputs if name]
    images = max(len(known[name]) for name in names if name in known)
    stacks = {
        n: np.broadcast_to(known[n], (images, *known[n].shape[1:])) for n in names if n in known
    }
    made = []
    for place in range(images):
        rest = [stacks[n][place] if n in stacks else _constant(facts, n) for n in names[1:]]
        made.append(handler(facts, operator, stacks[names[0]][place : place + 1], rest))
    return np.concatenate(made)


def _constant(facts: Facts, name: str) -> Array:
    if name not in facts.resolution.constants:
        raise UnknownError
    kept = facts.once(_small_constants)
    if name not in kept:
        found = weights_of(facts, name)
        if found.size > SMALL:
            return found
        kept[name] = found
    return kept[name]


def _small_constants(_: Facts) -> dict[str, Array]:
    """Return where constants are kept that were read: phases are followed through the same ones."""
    return {}
