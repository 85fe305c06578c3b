"""What SARIF keeps beside the results: notifications of what was not examined or fits nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from scotoma.report.escape import escape
from scotoma.report.sarif_text import plain
from scotoma.report.text import unanalysed_groups

if TYPE_CHECKING:
    from scotoma.results import ModelReport, Report

Object = dict[str, Any]

_SORTS = {
    "unreadable-model": "A model could not be read.",
    "refused-size": "An operator cannot run at the size that was asked for.",
    "crashed-rule": "A rule crashed on a model.",
    "not-analysed": "Operators are not understood, and taken to read everything.",
    "vanished-finding": "A finding of the baseline is not found any more.",
    "unused-suppression": "A suppression fits no finding.",
}
DESCRIPTORS = [{"id": name, "shortDescription": {"text": text}} for name, text in _SORTS.items()]
"""The sorts of notifications, as a run lists them."""


def execution_notes(
    report: Report, places: Sequence[Object], index: dict[str, int]
) -> list[Object]:
    """Return what could not be examined, model by model, and what vanished from the baselines.

    Parameters
    ----------
    places
        The artifactLocation of each model.
    index
        Of each rule by its code.
    """
    found = [
        {**note, "locations": [{"physicalLocation": {"artifactLocation": place}}]}
        for model, place in zip(report.models, places, strict=True)
        for note in _of_model(model, index)
    ]
    for use in report.baselines:
        for known in use.vanished:
            node = f" at {known.node}" if known.node else ""
            text = f"vanished from {known.path}: {known.code}{node}: {known.message}"
            found.append(_note("vanished-finding", "note", text))
    return found


def configuration_notes(report: Report) -> list[Object]:
    """Return what was set in vain."""
    return [
        _note(
            "unused-suppression",
            "warning",
            f"{u.source}: unused suppression of {u.rule} at '{u.node}' ({u.reason})",
        )
        for u in report.unused_suppressions
    ]


def _of_model(model: ModelReport, index: dict[str, int]) -> Iterator[Object]:
    if model.failure:
        text = f"{model.failure.kind}: {model.failure.message}"
        yield _note("unreadable-model", "error", text)
    if model.refusal:
        yield _note("refused-size", "error", model.refusal)
    for failure in model.rule_failures:
        note = _note("crashed-rule", "error", f"{failure.code}: {failure.error}")
        rule: Object = {"id": failure.code}
        if failure.code in index:
            rule["index"] = index[failure.code]
        yield {**note, "associatedRule": rule}
    for group in unanalysed_groups(model):
        yield _note("not-analysed", "note", group)


def _note(sort: str, level: str, text: str) -> Object:
    index = list(_SORTS).index(sort)
    return {
        "descriptor": {"id": sort, "index": index},
        "level": level,
        "message": {"text": plain(escape(text))},
    }
