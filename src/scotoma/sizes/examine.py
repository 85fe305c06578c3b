"""What is known of a model at another input size once its whole graph is followed there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from scotoma.errors import UsageError
from scotoma.evidence.ceil_mode import disputed_pools, is_phantom
from scotoma.evidence.resized import Resized
from scotoma.evidence.strided import strided_layers
from scotoma.evidence.taps import all_looked_at, dead_share, kernels
from scotoma.facts import Facts
from scotoma.sizes.candidates import Candidate, exact_grid, furthest, offset
from scotoma.unanalysed import Unanalysed

if TYPE_CHECKING:
    from scotoma.loader.model import Operator
    from scotoma.resolve.window import Window
    from scotoma.sweep import Dead

    Size = tuple[int, ...]


def examine(facts: Facts, guess: Candidate, input_shapes: Mapping[str, Sequence[int]]) -> Candidate:
    """Follow the whole graph at another size.

    Parameters
    ----------
    facts
        The model at its current size.
    guess
        What arithmetic says of the other size.
    input_shapes
        Shapes that the caller gave to inputs, by name; the examined input's own gets the size.
    """
    examined = facts.resolution.examined
    assert examined is not None
    given = dict(input_shapes)
    size: Size | None = guess.size
    if examined.name in given:
        shape = list(given[examined.name])
        for axis, length in zip(examined.spatial_axes, guess.size, strict=True):
            shape[axis] = length
        given[examined.name], size = shape, None
    try:
        there = Facts.of(
            facts.model, size=size, input_shapes=given or None, input_name=examined.name
        )
    except UsageError as error:
        refusal = Unanalysed(examined.name, "Input", str(error))
        return replace(guess, examined=True, refused_by=refusal)
    return examined_at(facts, there, guess)


def screen(facts: Facts, guess: Candidate) -> tuple[bool | None, Candidate]:
    """Tell whether the graph accepts another size, by the sizes of its maps alone.

    That takes a small part of the time of `examine`.

    Returns
    -------
    (bool or None, Candidate)
        None where they do not tell; what is known of the size, which says who refuses it.
    """
    there = Resized(facts.geometry, size=guess.size) if facts.geometry is not None else None
    if there is None or not there.told:
        return None, guess
    if there.refused_by is None:
        return there.runs or None, guess
    operator, reason = there.refused_by
    by = Unanalysed(operator.name, operator.op_type, reason)
    return False, replace(guess, examined=True, refused_by=by)


def examined_at(facts: Facts, there: Facts, guess: Candidate) -> Candidate:
    """Return what the facts at a size say of it; what they do not say stays arithmetic."""
    if there.resolution.refused_at:
        first = there.resolution.refused_at[0]
        by = Unanalysed(first.operator.name, first.operator.op_type, first.reason)
        return replace(guess, examined=True, refused_by=by)
    if there.geometry is None:
        return replace(guess, obstacle=next((u.reason for u in there.unanalysed), "no image"))
    layers = strided_layers(there)
    pools = list(disputed_pools(there))
    axes = []
    for label, known in enumerate(guess.axes):
        own = [layer for layer in layers if layer.label == label]
        grids = (exact_grid(there, head, label) for head in facts.heads)
        axes.append(
            replace(
                known,
                uneven=frozenset(s.operator.name for s in own if s.reads_unevenly),
                leftover=frozenset(s.operator.name for s in own if s.leaves_over),
                phantoms=_phantoms(pools, label),
                centre_offset=furthest(offset(g, known.size, g.size) for g in grids if g),
            )
        )
    every = all_looked_at(there)
    found = kernels(there) if every else []
    local = _count(there.dead(local=True))
    return replace(
        guess,
        axes=tuple(axes),
        examined=True,
        # Gates only add paths, so that nothing is dead where no pixel is without them.
        dead=0 if local == 0 else _count(there.dead()),
        dead_local=local,
        dead_share=dead_share(found) if every else None,
        dead_taps=frozenset(op.name for k in found if k.dead_taps for op in k.operators)
        if every
        else None,
    )


def _phantoms(
    pools: Sequence[tuple[Operator, tuple[Window, ...] | None]], label: int
) -> frozenset[str] | None:
    """Return the pools with a phantom window along an axis, None if a window is not known."""
    if any(windows is None for _, windows in pools):
        return None
    return frozenset(
        operator.name
        for operator, windows in pools
        if windows and label < len(windows) and is_phantom(windows[label])
    )


def _count(dead: Dead | None) -> int | None:
    return int(dead.mask.sum()) if dead is not None else None
