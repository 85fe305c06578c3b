"""Finds the checks: one module of `scotoma.audit.checks` for each family of rules.

A module says in ``CODES`` which rules it puts to the test, in ``USES_MAP`` whether it looks at the
map of influence, in ``TENSORS`` which tensors of a finding's operators it looks at (``inputs``,
``outputs``), and its ``check(finding, exam)`` returns the evidence, or raises NotMeasuredError.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from scotoma.audit import checks

if TYPE_CHECKING:
    from scotoma.audit.exam import Exam
    from scotoma.facts import Facts
    from scotoma.findings import Evidence, Finding

GRAPH_ONLY = "it is a claim about the graph, for which no run is made"
WITHOUT_RUN = {
    "SC103": "which pixels a unit reads follows from the graph: no weights can fill the gaps",
    "SC105": "how far a unit can see follows from the graph; the map shows how much of it counts",
    "SC106": "that layers behind a full receptive field add little is seen in training, not in a"
    " run",
    "SC204": "where the cells of a branch are centred follows from the graph: in a run the trained"
    " weights decide which part of its receptive field counts",
    "SC207": "where the cells of an output are centred follows from the graph: in a run the trained"
    " weights decide which part of its receptive field counts",
    "SC701": "how much of a fine pattern is folded depends on what stands in the images",
    "SC802": "a run shows that the branches fit; what was cropped, padded or stretched for it"
    " follows from the graph",
}
"""Why no run is made for the rules that have no check."""


@dataclass(frozen=True, slots=True)
class Checker:
    """What puts the findings of some rules to the test."""

    check: Callable[[Finding, Exam], Evidence]
    uses_map: bool
    tensors: tuple[str, ...]
    """``inputs`` and ``outputs``, the tensors of a finding's operators that it looks at."""


@cache
def checkers() -> dict[str, Checker]:
    """Return the checkers by the code of the rule."""
    found: dict[str, Checker] = {}
    for info in pkgutil.iter_modules(checks.__path__):
        module = importlib.import_module(f"{checks.__name__}.{info.name}")
        checker = Checker(module.check, module.USES_MAP, module.TENSORS)
        for code in module.CODES:
            if code in found:
                raise ValueError(f"two checks are about {code}")
            found[code] = checker
    return found


def wanted(findings: tuple[Finding, ...], facts: Facts) -> set[str]:
    """Return the inner tensors that the checks of some findings look at."""
    operators = {operator.name: operator for operator in facts.operators}
    names: set[str] = set()
    for finding in findings:
        checker = checkers().get(finding.code)
        for location in finding.locations if checker is not None else ():
            operator = operators.get(location.node or "")
            if operator is None or checker is None:
                continue
            if "inputs" in checker.tensors:
                names.update(operator.inputs)
            if "outputs" in checker.tensors:
                names.update(operator.outputs[:1])
    return names - {""}
