"""Which operators refuse every other size of an input that is declared to take any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.errors import UsageError
from scotoma.evidence.misfits import total_stride
from scotoma.evidence.resized import Resized
from scotoma.resolve import resolve

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.resolve.resolution import Unresolved

Size = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Baked:
    """A graph with open sizes that runs at one of them only."""

    size: Size
    """The spatial size that it was accepted at."""
    tried: tuple[Size, ...]
    """Other sizes, all refused."""
    refused: tuple[Unresolved, ...]
    """The operators that refused each of them, with the reason at the first."""


def open_axes(facts: Facts) -> tuple[int, ...]:
    """Return which axes of the image (0 for H) have no declared size."""
    examined = facts.resolution.examined
    if examined is None:
        return ()
    declared = next((v.shape for v in facts.model.main.inputs if v.name == examined.name), None)
    if declared is None:
        return ()
    sizes = [declared[a] if a < len(declared) else 1 for a in examined.spatial_axes]
    return tuple(i for i, n in enumerate(sizes) if not isinstance(n, int) or n < 0)


def baked_size(facts: Facts) -> Baked | None:
    """Try other sizes on the open axes and return who refuses them; None if one is accepted.

    The sizes are multiples of the total stride, so that no division leaves a remainder.
    """
    examined = facts.resolution.examined
    axes = open_axes(facts)
    if not axes or facts.geometry is None or examined is None or examined.shape is None:
        return None
    if facts.resolution.refused_at:
        return None
    size = tuple(examined.shape[a] for a in examined.spatial_axes)
    refused: list[dict[str, Unresolved]] = []
    tried: list[Size] = []
    for other in other_sizes(size, axes, total_stride(facts)):
        if Resized(facts.geometry, size=other).runs:
            return None
        try:
            at = resolve(facts.model, size=other, input_name=examined.name)
        except UsageError:
            continue
        if not at.refused_at:
            return None
        tried.append(other)
        refused.append({u.operator.name: u for u in at.refused_at})
    if not tried:
        return None
    common = [u for name, u in refused[0].items() if all(name in r for r in refused[1:])]
    return Baked(size, tuple(tried), tuple(common)) if common else None


def other_sizes(size: Size, axes: tuple[int, ...], strides: Size) -> list[Size]:
    """Return sizes to try, twice the size first: windows and patches divide it too.

    Examples
    --------
    >>> other_sizes((224, 224), (0, 1), (32, 32))
    [(448, 448), (256, 256), (192, 192), (96, 96)]
    """
    wanted = []
    for a, (n, s) in enumerate(zip(size, strides, strict=True)):
        if a not in axes:
            wanted.append((n, n, n, n))
            continue
        above, below = n - n % s + s, n - 1 - (n - 1) % s
        wanted.append((2 * n, above, below, n // 2 - n // 2 % s))
    return [
        found
        for found in dict.fromkeys(zip(*wanted, strict=True))
        if found != size and min(found) > 0
    ]
