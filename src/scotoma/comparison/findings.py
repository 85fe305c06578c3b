"""Compares what the rules say of two models."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from scotoma.report.contract.diff import (
        ChangedFindingDocument,
        DiffFindingDocument,
        FindingsDifferenceDocument,
    )
    from scotoma.report.contract.lint import UndecidedDocument

T = TypeVar("T")

CLOSE = 1e-6
"""Numbers that differ by less, relative to them, are the same: other exports round otherwise."""


def compare_findings(
    old: Sequence[DiffFindingDocument], new: Sequence[DiffFindingDocument]
) -> tuple[list[DiffFindingDocument], list[DiffFindingDocument], list[ChangedFindingDocument], int]:
    """Return the findings that were gained, lost and changed, and how many stayed the same.

    Two findings are the same if their fingerprints are. Of those that are left over they are if
    rule, node and tensor have the same names: behind a layer that changed, fingerprints do as well.
    Of the others if rule, severity and all numbers are the same: one that is about several layers
    names the first, and another export may write another branch first.
    """
    lost, gained = list(old), list(new)
    pairs: list[tuple[DiffFindingDocument, DiffFindingDocument]] = []
    for key in (_fingerprint, _named, _numbered):
        found, lost, gained = _paired(lost, gained, key)
        pairs += found
    changed: list[ChangedFindingDocument] = [
        {"old": before, "new": after} for before, after in pairs if _differ(before, after)
    ]
    order = {id(finding): place for place, finding in enumerate(new)}
    changed.sort(key=lambda pair: order[id(pair["new"])])
    return gained, lost, changed, len(pairs) - len(changed)


def compare_undecided(
    old: Sequence[UndecidedDocument], new: Sequence[UndecidedDocument]
) -> tuple[list[UndecidedDocument], list[UndecidedDocument]]:
    """Return what rules can no longer tell, and what they can tell now, by rule.

    Nodes have other names in another export, so that only how often a rule could not tell counts.
    """
    _, lost, gained = _paired(old, new, lambda item: item["code"])
    return gained, lost


def findings_difference(
    old: Sequence[DiffFindingDocument],
    new: Sequence[DiffFindingDocument],
    old_undecided: Sequence[UndecidedDocument],
    new_undecided: Sequence[UndecidedDocument],
) -> FindingsDifferenceDocument:
    """Return all that changed in what the rules say."""
    gained, lost, changed, same = compare_findings(old, new)
    gained_undecided, lost_undecided = compare_undecided(old_undecided, new_undecided)
    return {
        "gained": gained,
        "lost": lost,
        "changed": changed,
        "same": same,
        "gained_undecided": gained_undecided,
        "lost_undecided": lost_undecided,
    }


def _fingerprint(finding: DiffFindingDocument) -> Hashable:
    return finding["fingerprint"]


def _numbered(finding: DiffFindingDocument) -> Hashable:
    """Return rule, severity and numbers; of a finding without numbers what no other has."""
    numbers = tuple((item["name"], _rounded(item["value"])) for item in finding["measurements"])
    return (finding["code"], finding["severity"], numbers) if numbers else id(finding)


def _rounded(value: float | str | None) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)


def _named(finding: DiffFindingDocument) -> Hashable:
    """Return rule and names; of the graph as a whole a rule says something once."""
    return finding["code"], finding["node"], finding["tensor"]


def _paired(
    old: Iterable[T], new: Iterable[T], key: Callable[[T], Hashable]
) -> tuple[list[tuple[T, T]], list[T], list[T]]:
    """Return the pairs with equal keys, each item in one at most, and what is left of both.

    Examples
    --------
    >>> _paired("aab", "acab", lambda letter: letter)
    ([('a', 'a'), ('a', 'a'), ('b', 'b')], [], ['c'])
    """
    waiting: dict[Hashable, list[T]] = {}
    for item in old:
        waiting.setdefault(key(item), []).append(item)
    pairs, gained = [], []
    for item in new:
        before = waiting.get(key(item))
        if before:
            pairs.append((before.pop(0), item))
        else:
            gained.append(item)
    left = {id(item) for items in waiting.values() for item in items}
    return pairs, [item for items in waiting.values() for item in items if id(item) in left], gained


def _differ(old: DiffFindingDocument, new: DiffFindingDocument) -> bool:
    """Tell whether severity or numbers are others."""
    if old["severity"] != new["severity"]:
        return True
    before = {item["name"]: item["value"] for item in old["measurements"]}
    after = {item["name"]: item["value"] for item in new["measurements"]}
    return before.keys() != after.keys() or any(
        not alike(before[name], after[name]) for name in before
    )


def alike(old: float | str | None, new: float | str | None) -> bool:
    """Tell whether two numbers of a report are the same but for rounding.

    Examples
    --------
    >>> alike(0.5, 0.5000000001), alike(0.5, 0.51), alike("31/2", "31/2"), alike(None, 0)
    (True, False, True, False)
    """
    if isinstance(old, int | float) and isinstance(new, int | float):
        return math.isclose(old, new, rel_tol=CLOSE, abs_tol=CLOSE * CLOSE)
    return old == new
