"""Dropout that is still on, so that the same image gives another output in every run.

What it finds
-------------
Operators that set activations to zero at random on the way to an output. ``Dropout`` of opset 12
and later whose third input, ``training_mode``, is true (also where a chain of constants says so)
and whose ratio is not 0; of opset 1 and 6 where ``is_test`` is 0, as it is by default; of opset 7
to 11 never. And dropout that an exporter took apart: random numbers that are compared with a
threshold and multiplied into an activation, per element, per channel, or per sample (DropPath).
Bodies of If, Loop and Scan and local functions are searched too. It is an error; where the caller
decides by a graph input whether dropout is on, a warning.

Why it matters
--------------
Accuracy falls and no result can be repeated. It is easily missed, because whether it shows depends
on the settings. onnxruntime removes a ``Dropout`` at its default optimisation level even if it is
on, and then two runs agree; with optimisations disabled the same file randomises, and so do other
runtimes. It stays random at every level where its output is an output of the graph or of the body
that it is in, where its mask is read, where its data or its ratio do not come from a node (a graph
input directly), and for dropout that was taken apart. A finding says which holds, as found with
onnxruntime 1.31; version 1.22 keeps every ``Dropout`` of opset 22.

A seed does not help: it repeats the sequence of a session, not a run.

What to do
----------
Call ``model.eval()`` before the export, and give functional dropout ``training=self.training``. In
the file, leave out the third input of ``Dropout``, or put Identity in place of the operators named.
Where it is meant (Monte Carlo dropout), suppress the rule, and disable onnxruntime's
``EliminateDropout``, without which nothing is sampled.

Limits
------
Noise that is added, or multiplied without a comparison, is no dropout.

References
----------
onnx operator Dropout, all versions; onnxruntime issues 9333 and 5549; onnx issue 4855.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.dropout import Dropout, Unknown, active_dropouts
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta

if TYPE_CHECKING:
    from scotoma.facts import Facts

MOST_SINGLE = 20
"""More findings than this of one severity become one."""


class DropoutAtInference(Rule):
    """The output of a model is random."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC501",
        name="dropout-at-inference",
        severity=Severity.ERROR,
        since="0.1.0",
        references=(
            "https://onnx.ai/onnx/operators/onnx__Dropout.html",
            "https://github.com/microsoft/onnxruntime/issues/9333",
            "https://github.com/onnx/onnx/issues/4855",
        ),
    )

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield every dropout that is on, or one finding for many."""
        on: list[Dropout] = []
        by_caller: list[Dropout] = []
        for item in active_dropouts(facts):
            if isinstance(item, Unknown):
                yield self.undecided(item.reason, item.operator)
            else:
                (by_caller if item.caller else on).append(item)
        for group, severity in ((on, Severity.ERROR), (by_caller, Severity.WARNING)):
            if len(group) > MOST_SINGLE:
                yield self._many(group, severity)
            else:
                for item in group:
                    yield self._one(item, severity)

    def _one(self, item: Dropout, severity: Severity) -> Finding:
        places = [Location(item.operator.name, item.operator.op_type)]
        if item.gate is not None:
            note = "multiplies the mask into the activation"
            places.append(Location(item.gate.name, item.gate.op_type, None, note))
        seed = "; its seed repeats a session, not a run" if _seeded(item) else ""
        return self.finding(
            places,
            f"{_what(item)}; {_where(item)}{seed}",
            *_measured([item]),
            remedy=_remedy(item),
            severity=severity,
        )

    def _many(self, group: list[Dropout], severity: Severity) -> Finding:
        ratios = sorted({item.ratio for item in group if item.ratio is not None})
        share = "some"
        if ratios:
            share = " to ".join(map(_percent, dict.fromkeys((ratios[0], ratios[-1]))))
        when = "whenever the caller turns them on" if group[0].caller else "in every run"
        kept = sum(bool(item.stays) for item in group)
        removed = f"{len(group) - kept} of them" if kept else "them"
        places = [Location(i.operator.name, i.operator.op_type, None, _note(i)) for i in group]
        return self.finding(
            places,
            f"{len(group)} operators drop {share} of their activations at random {when}; "
            f"onnxruntime removes {removed} at its default optimisation level, but all are random "
            "with optimisations disabled and in other runtimes",
            Measurement("active_dropouts", len(group), "1", limit=0),
            *_measured(group),
            remedy=_remedy(group[0]),
            severity=severity,
        )


def _what(item: Dropout) -> str:
    share = item.unit if item.ratio is None else f"{_percent(item.ratio)} of the {item.unit}"
    if item.gate is not None:
        return f"its random numbers drop {share} at '{item.gate.name}' in every run"
    if item.caller:
        return f"drops {share} at random whenever {item.caller} is true"
    switch = "is_test is 0" if (item.operator.version or 13) < 7 else "training_mode is true"
    return f"drops {share} at random in every run, because {switch}"


def _where(item: Dropout) -> str:
    if item.gate is not None:
        return "random in every runtime and at every optimisation level"
    if (item.operator.version or 13) < 7:
        without = f"onnxruntime has no Dropout of opset {item.operator.version} and"
        if item.stays:
            return f"{without} refuses it, other runtimes randomise"
        return f"{without} removes it at its default optimisation level, other runtimes randomise"
    if item.stays:
        return f"random in onnxruntime at every optimisation level, because {item.stays}"
    return (
        "onnxruntime removes it at its default optimisation level, but it is random with "
        "optimisations disabled and in other runtimes"
    )


def _percent(ratio: float) -> str:
    """Return a part as percentage.

    Examples
    --------
    >>> _percent(0.3), _percent(0.125)
    ('30%', '12.5%')
    """
    return f"{100 * ratio:.3g}%"


def _note(item: Dropout) -> str:
    ratio = "ratio unknown" if item.ratio is None else f"ratio {item.ratio:.3g}"
    return f"{ratio}; {'kept' if item.stays else 'removed'} by onnxruntime's default level"


def _measured(group: list[Dropout]) -> list[Measurement]:
    ratios = [item.ratio for item in group if item.ratio is not None]
    return [Measurement("dropped_fraction", max(ratios), "1", limit=0)] if ratios else []


def _remedy(item: Dropout) -> str:
    if item.gate is not None:
        return "export after model.eval(), or put Identity in place of the product"
    if item.caller:
        return "export with training_mode false, or make sure that no caller sets it"
    return "export after model.eval(), or leave out the operator's training_mode input"


def _seeded(item: Dropout) -> bool:
    return "seed" in item.operator.attributes
