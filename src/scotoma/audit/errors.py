"""Why a claim was not put to the test."""

from __future__ import annotations


class NotMeasuredError(Exception):
    """A claim cannot be put to the test; its text says why, in one sentence."""


class NotRunError(NotMeasuredError):
    """onnxruntime does not load the model, or fails on it."""


class BudgetSpentError(NotMeasuredError):
    """The time budget did not suffice."""

    def __init__(self) -> None:
        super().__init__("the time budget ran out")
