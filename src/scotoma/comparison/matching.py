"""Finds the tensors that two models have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scotoma.places import places_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from scotoma.facts import Facts
    from scotoma.report.contract.diff import Match
    from scotoma.report.contract.trace import TensorDocument


@dataclass(frozen=True, slots=True)
class Pair:
    """A tensor of both models."""

    match: Match
    old: TensorDocument
    new: TensorDocument


@dataclass(frozen=True, slots=True)
class Matching:
    """The tensors of two models."""

    pairs: tuple[Pair, ...]
    """In the order of the new graph."""
    only_old: int
    only_new: int


def match(
    old: tuple[Facts, Sequence[TensorDocument]], new: tuple[Facts, Sequence[TensorDocument]]
) -> Matching:
    """Pair the tensors of two models, given with the rows of their tables.

    The examined inputs are a pair, and so are the outputs, by their names or else their positions.
    Then those with the same name and type of operator, unless the models name their tensors
    differently: that is so where most operators at the same place of both networks make tensors
    of different names. Then those that operators at the same place make.
    """
    before, after = _Rows(*old), _Rows(*new)
    places = list(_same_places(before, after))
    alike = sum(a == b for a, b in places)
    named: Iterable[tuple[str, str]] = (
        (name, name)
        for name, row in after.rows.items()
        if name in before.rows and before.rows[name]["op_type"] == row["op_type"]
    )
    steps: list[tuple[Match, Iterable[tuple[str, str]]]] = [
        ("input", zip(before.examined, after.examined, strict=False)),
        ("output", _outputs(before.outputs, after.outputs)),
        ("name", named if 2 * alike >= len(places) else ()),
        ("place", places),
    ]
    found: dict[str, tuple[Match, str]] = {}
    taken: set[str] = set()
    for kind, candidates in steps:
        for a, b in candidates:
            if a in before.rows and b in after.rows and a not in taken and b not in found:
                found[b] = (kind, a)
                taken.add(a)
    pairs = tuple(
        Pair(found[name][0], before.rows[found[name][1]], row)
        for name, row in after.rows.items()
        if name in found
    )
    return Matching(pairs, len(before.rows) - len(pairs), len(after.rows) - len(pairs))


def _outputs(old: Sequence[str], new: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Return the outputs that belong together."""
    if set(old) == set(new):
        return zip(new, new, strict=True)
    return zip(old, new, strict=True) if len(old) == len(new) else ()


def _same_places(before: _Rows, after: _Rows) -> Iterator[tuple[str, str]]:
    """Yield the tensors that operators at the same place make.

    Of several whose surroundings are alike those belong together that see the same.
    """
    for digest, new in after.by_place.items():
        left = list(before.by_place.get(digest, ()))
        waiting = []
        for name in new:
            same = [other for other in left if before.sight(other) == after.sight(name)]
            if same:
                left.remove(same[0])
                yield same[0], name
            else:
                waiting.append(name)
        yield from zip(left, waiting, strict=False)


class _Rows:
    """The tensors of a model by what they may be recognised by."""

    def __init__(self, facts: Facts, rows: Sequence[TensorDocument]) -> None:
        self.rows: Mapping[str, TensorDocument] = {row["name"]: row for row in rows}
        places = places_of(facts).by_node
        firsts = {
            operator.name: operator.outputs[0] for operator in facts.operators if operator.outputs
        }
        found: dict[str, list[tuple[int, str]]] = {}
        for row in rows:
            node = row["node"]
            if node is not None and node in places and firsts.get(node) == row["name"]:
                digest, _, ordinal = places[node].rpartition(".")
                found.setdefault(digest, []).append((int(ordinal), row["name"]))
        self.by_place: Mapping[str, Sequence[str]] = {
            digest: [name for _, name in sorted(members)] for digest, members in found.items()
        }
        examined: Any = facts.resolution.examined
        self.examined = [] if examined is None else [examined.name]
        self.outputs = [value.name for value in facts.model.main.outputs]

    def sight(self, name: str) -> object:
        """Return what tells a tensor from another one: its cells and what each sees."""
        row = self.rows[name]
        return (
            row["shape"],
            row["receptive_field_local"],
            row["effective_stride"],
            row["centre"],
        )
