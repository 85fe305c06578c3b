"""Bodies of control flow: what they read, and how the branch of an If joins the main graph."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from scotoma.loader.model import Operator

if TYPE_CHECKING:
    from scotoma.loader.model import Graph

UNKNOWABLE = "\0random"
"""Stands among the tensors that a body reads for a random number."""


def reads(operator: Operator, random: Collection[str]) -> set[str]:
    """Return the outer tensors that the bodies of an operator read, at any depth."""
    needed: set[str] = set()
    stack = list(operator.bodies.values())
    own: set[str] = set()
    while stack:
        body = stack.pop()
        own.update(value.name for value in body.inputs)
        own.update(body.initializers)
        needed.update(value.name for value in body.outputs)
        for inner in body.operators:
            own.update(inner.outputs)
            needed.update(inner.inputs)
            stack.extend(inner.bodies.values())
            if inner.op_type in random:
                needed.add(UNKNOWABLE)
    return needed - own - {""}


def spliceable(body: Graph, operator: Operator, taken: Collection[str]) -> bool:
    """Tell whether a branch can join the outer graph: its tensors have names of their own."""
    if len(body.outputs) != len(operator.outputs) or body.inputs:
        return False
    return not any(name in taken for name in body.initializers) and not any(
        name in taken for inner in body.operators for name in inner.outputs if name
    )


def unique(name: str, names: set[str]) -> str:
    """Add a name to the others, with as many primes as make it a new one."""
    while name in names:
        name += "'"
    names.add(name)
    return name


def aliases(body: Graph, operator: Operator, names: set[str]) -> tuple[Operator, ...]:
    """Make the Identity operators that give a branch's outputs the names of the If's.

    They get names that are not among `names`, and are added to them.
    """
    return tuple(
        Operator(
            name=unique(f"{operator.name}/{name}", names),
            op_type="Identity",
            domain="",
            version=operator.version,
            inputs=(value.name,),
            outputs=(name,),
            attributes={},
            bodies={},
            function=operator.function,
        )
        for value, name in zip(body.outputs, operator.outputs, strict=True)
        if name
    )
