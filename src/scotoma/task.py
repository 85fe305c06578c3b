"""What a model is for, as far as the meaning of a place depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Task(StrEnum):
    """What a model answers with."""

    CLASSIFY = "classify"
    """A vector for the whole image: classes, or an embedding."""
    DENSE = "dense"
    """A map: a class, a depth or a colour for every place."""
    DETECT = "detect"
    """Boxes, or whatever else it finds at places of several scales."""


@dataclass(frozen=True, slots=True)
class TaskTaken:
    """What a model was taken to be for."""

    value: Task
    assumed: bool
    """Derived from the graph; False: somebody set it."""
    because: str
    """What says so, in one line: a node or an output, or the source of the setting."""
