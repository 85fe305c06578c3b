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
                names.update(operator.inputs[:1])
            if "outputs" in checker.tensors:
                names.update(operator.outputs[:1])
    return names - {""}
