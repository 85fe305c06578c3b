"""Says in a word how a model fared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.report.text import counted
from scotoma.results import NOT_JUDGED

if TYPE_CHECKING:
    from scotoma.results import ModelReport


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a model fared."""

    kind: str
    """``good``, ``bad`` or ``open``: how it is coloured."""
    word: str
    why: str
    """The reason in one sentence, without a full stop."""


def verdict(model: ModelReport) -> Verdict:
    """Return how a model fared; what keeps it from being examined comes first."""
    if model.failure is not None:
        return Verdict("bad", "not examined", f"{model.failure.kind}: {model.failure.message}")
    if model.refusal is not None:
        return Verdict("bad", "cannot run at this size", model.refusal)
    if model.rule_failures:
        crashes = counted(len(model.rule_failures), "rule crash", "rule crashes")
        return Verdict("bad", "not linted whole", crashes)
    if model.measured is not None and model.measured.refused:
        return Verdict("bad", "not run", model.measured.reason or "onnxruntime refuses it")
    if model.failed:
        return Verdict("bad", "fails", _why(model))
    judged = model.measured.thresholds if model.measured is not None else ()
    if waiting := sum(item.verdict == NOT_JUDGED for item in judged):
        limits = counted(waiting, "threshold")
        return Verdict("bad", "not judged whole", f"{limits} could not be judged")
    if model.status == "unavailable":
        return Verdict("open", "not followed", "There is no image to follow through the model")
    if model.status == "partial":
        operators = counted(len(model.unanalysed), "operator")
        return Verdict("open", "passes in part", f"{operators} could not be analysed")
    if model.undecided:
        asked = counted(len(model.undecided), "question")
        return Verdict("open", "passes in part", f"{asked} could not be decided")
    return Verdict("good", "passes", _limit(model))


def _why(model: ModelReport) -> str:
    """Return what fails the gate."""
    stopping = [finding for finding in model.counted if model.gate.stops(finding)]
    if stopping:
        return f"{counted(len(stopping), 'finding')} at or above {model.gate.fail_on}"
    return f"{counted(len(model.undecided), 'question')} could not be decided"


def _limit(model: ModelReport) -> str:
    level = model.gate.fail_on
    return "Nothing fails a model here" if level is None else f"Nothing at or above {level}"
