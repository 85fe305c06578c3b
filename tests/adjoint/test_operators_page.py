"""The page of operators with an adjoint is what the registry holds; UPDATE_GOLDEN=1 writes it."""

from __future__ import annotations

import os
import re
from itertools import groupby
from pathlib import Path

from scotoma.adjoint import registry

PAGE = Path(__file__).parents[2] / "docs" / "adjoint.md"
BLOCK = re.compile(r"(<!-- (rules|stops) -->\n).*?(<!-- end of \2 -->)", re.DOTALL)


def listed(operators: tuple[tuple[str, str], ...]) -> str:
    """Return the operators by domain, the standard one first."""
    lines = []
    for domain, members in groupby(operators, key=lambda found: found[0]):
        names = ", ".join(f"`{op_type}`" for _, op_type in members)
        lines.append(f"- {f'`{domain}`' if domain else 'standard'}: {names}")
    return "\n".join(lines)


def written(text: str) -> str:
    """Return the page with the lists that the registry gives."""
    made = {"rules": listed(registry.known()), "stops": listed(registry.stopping())}
    return BLOCK.sub(lambda found: f"{found[1]}{made[found[2]]}\n{found[3]}", text)


def test_the_page_lists_what_the_registry_holds() -> None:
    text = PAGE.read_text(encoding="utf-8")
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(written(text), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == written(text)
    assert {found[2] for found in BLOCK.finditer(text)} == {"rules", "stops"}


def test_nothing_that_is_named_as_missing_has_a_rule() -> None:
    missing = PAGE.read_text(encoding="utf-8").partition("## Without a rule")[2]
    named = set(re.findall(r"`([A-Z]\w+)`", missing))
    in_part = {"If", "RoiAlign", "Attention"}
    assert named >= {"If", "Loop", "Scan", "DeformConv", "QAttention"}
    known = {op_type for _, op_type in (*registry.known(), *registry.stopping())}
    assert not (named - in_part) & known
