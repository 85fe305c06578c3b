"""What the axes of an image are called in messages and in the names of measurements."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = {1: ("position",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def axis_names(rank: int) -> tuple[str, ...]:
    """Return the name of every axis of an image with so many axes.

    Examples
    --------
    >>> axis_names(2)
    ('height', 'width')
    """
    return _NAMES.get(rank) or tuple(f"axis {label}" for label in range(rank))


def axis_suffixes(rank: int) -> tuple[str, ...]:
    """Return what tells measurements of the axes apart, for the end of their names.

    Examples
    --------
    >>> axis_suffixes(1), axis_suffixes(2), axis_suffixes(3)
    (('position',), ('h', 'w'), ('d', 'h', 'w'))
    """
    if rank in {2, 3}:
        return tuple(name[0] for name in axis_names(rank))
    return tuple(name.replace(" ", "_") for name in axis_names(rank))


def by_axis(said: Mapping[int, str], rank: int) -> str:
    """Join what is said of the axes of an image, once where it is the same of all.

    Parameters
    ----------
    said
        A statement by axis, 0 for the first one.

    Examples
    --------
    >>> by_axis({0: "moves", 1: "moves"}, 2)
    'both axes: moves'
    >>> by_axis({0: "moves by 1", 1: "moves by 2"}, 2), by_axis({1: "moves"}, 2)
    ('height: moves by 1; width: moves by 2', 'width: moves')
    >>> by_axis({0: "moves"}, 1)
    'moves'
    """
    texts = list(dict.fromkeys(said.values()))
    if rank == 1:
        return "; ".join(texts)
    names = axis_names(rank)
    if len(texts) == 1 and len(said) == rank:
        return f"{'both' if rank == 2 else 'all'} axes: {texts[0]}"
    return "; ".join(f"{names[label]}: {text}" for label, text in sorted(said.items()))
