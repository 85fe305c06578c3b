"""Tells whether a finding concerns the versions of a runtime that a model is meant for.

Imported only where a runtime is named.
"""

from __future__ import annotations

from collections.abc import Collection

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from scotoma.errors import UsageError


def read_runtime(text: str, known: Collection[str]) -> Requirement:
    """Read a runtime with its versions.

    Parameters
    ----------
    known
        Names of the runtimes of which some rule knows versions.

    Raises
    ------
    UsageError
        If it is none, or one of which no rule knows anything.

    Examples
    --------
    >>> str(read_runtime("onnxruntime >= 1.20, < 1.30", ["onnxruntime"]).specifier)
    '<1.30,>=1.20'
    """
    wrong = f"'{text}' does not name a runtime with versions, such as 'onnxruntime>=1.20'"
    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        raise UsageError(wrong) from error
    if not any(char.isalpha() for char in found.name):  # a version alone
        raise UsageError(wrong)
    if canonicalize_name(found.name) not in {canonicalize_name(name) for name in known}:
        names = ", ".join(sorted(known)) or "none"
        raise UsageError(f"no rule knows the runtime '{found.name}'; known: {names}")
    if found.specifier.is_unsatisfiable():
        raise UsageError(f"no version fits '{text}'")
    return found


def concerns(runtime: Requirement, affected: str) -> bool:
    """Tell whether some version of a runtime is among those that are affected.

    A runtime of another name is: nothing is known of its versions.

    Examples
    --------
    >>> wanted = read_runtime("onnxruntime>=1.22", ["onnxruntime"])
    >>> concerns(wanted, "onnxruntime<1.21"), concerns(wanted, "onnxruntime<=1.28")
    (False, True)
    """
    quirk = Requirement(affected)
    if canonicalize_name(quirk.name) != canonicalize_name(runtime.name):
        return True
    return not (quirk.specifier & runtime.specifier).is_unsatisfiable()
