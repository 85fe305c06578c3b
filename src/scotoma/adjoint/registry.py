"""The adjoint rules by operator, and the operators that stop gradients by nature."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from scotoma.adjoint.site import Site

Gradients: TypeAlias = "Sequence[str | None]"
"""One name per input of the operator; None, and what is left out at the end: no gradient."""
Rule: TypeAlias = "Callable[[Site], Gradients]"

_RULES: dict[tuple[str, str], Rule] = {}
_STOPS: set[tuple[str, str]] = set()


class NoAdjointError(Exception):
    """There is no adjoint for this use of an operator; the text is the reason."""


def rule(*op_types: str, domain: str = "") -> Callable[[Rule], Rule]:
    """Register a function as the adjoint rule of operators.

    The function gets a `scotoma.adjoint.site.Site`, emits what it needs into the backward graph
    and returns the gradients of the operator's inputs, each of that input's shape.
    """

    def register(function: Rule) -> Rule:
        for op_type in op_types:
            if (domain, op_type) in _RULES:
                raise ValueError(f"two adjoint rules for {op_type}")
            _RULES[domain, op_type] = function
        return function

    return register


def stops(*op_types: str, domain: str = "") -> None:
    """Register operators whose output is piecewise constant, or has no numbers of the input."""
    _STOPS.update((domain, op_type) for op_type in op_types)


@cache
def _load() -> None:
    from scotoma.adjoint import rules  # noqa: PLC0415  the rules import this module

    for module in pkgutil.iter_modules(rules.__path__):
        importlib.import_module(f"{rules.__name__}.{module.name}")


def find(domain: str, op_type: str) -> Rule | None:
    """Return the rule of an operator; None if there is none."""
    _load()
    return _RULES.get((domain, op_type))


def is_stop(domain: str, op_type: str) -> bool:
    """Tell whether an operator stops gradients by nature."""
    _load()
    return (domain, op_type) in _STOPS


def known() -> tuple[tuple[str, str], ...]:
    """Return domain and type of all operators that have a rule, sorted."""
    _load()
    return tuple(sorted(_RULES))


def stopping() -> tuple[tuple[str, str], ...]:
    """Return domain and type of all operators that stop gradients by nature, sorted."""
    _load()
    return tuple(sorted(_STOPS))
