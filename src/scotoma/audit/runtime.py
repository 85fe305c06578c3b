"""The onnxruntime that runs the models: its version, and what it says when it refuses one."""

from __future__ import annotations

import re

from packaging.requirements import Requirement

_FAILED_NODE = re.compile(
    r"Non-zero status code returned while running (\S+) node\. Name:'([^']*)' Status Message: "
)
_SOURCE = re.compile(r"/\S+:\d+ (?:.*?\[with [^\]]*\] |[^()]*::[^()]*\([^()]*\)(?: const)? )")
"""A place in the sources, and the function there: a template's, or another's."""


def version() -> str:
    """Return the version of onnxruntime."""
    from importlib.metadata import version as installed  # noqa: PLC0415  only where it is said

    return installed("onnxruntime")


def runtime() -> str:
    """Name onnxruntime with its version."""
    return f"onnxruntime {version()}"


def short(said: str) -> str:
    """Return a message without the place in onnxruntime's sources.

    Examples
    --------
    >>> short("cannot load: /a/b.h:50 Conv(const T&) [with T = U] pads was false.")
    'cannot load: pads was false.'
    >>> short(
    ...     "Non-zero status code returned while running Add node. Name:'n1' Status Message: "
    ...     "/a/b.h:9 ort::Add::Run(const Shape&, bool) const 3 by 4"
    ... )
    "'n1' (Add): 3 by 4"
    """
    said = _FAILED_NODE.sub(r"'\2' (\1): ", said)
    return _SOURCE.sub("", said)


def is_among(versions: str, one: str) -> bool:
    """Tell whether a version is among those of a finding.

    Examples
    --------
    >>> is_among("onnxruntime<1.29", "1.28.1"), is_among("onnxruntime<1.29", "1.29.0")
    (True, False)
    """
    return Requirement(versions).specifier.contains(one, prereleases=True)
