"""Writes what the rules say of models, and why it is true, as Markdown that a terminal can show."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from precision import Finding, Group, Model, Reason

LETTERS = {"error": "E", "warning": "W", "note": "n"}
UNDECIDED = "?"
STATES = {"partial": " (in part)", "unavailable": " (no image)", "error": " (not examined)"}
FAMILIES = "SC"
"""What the codes of the built-in rules begin with."""
WIDTH = 100
INTRODUCTION = """\
# Precision

<!-- `python benchmarks/precision.py --models ZOO REAL --write` makes this page. -->

What the rules say, with their default settings, of models that work and of a few that were made to
show one effect. Every error and every warning was looked at: the sentence that stands for it below
says why it is true, and the number behind it was confirmed by other means than the program's own.
E is an error, W a warning, n a note, ? a rule that could not tell; a rule that found nothing has no
letter, and one that found nothing in a whole table has no column. The columns of the models' tables
are the codes of the rules without their SC.
"""


def page(
    names: Mapping[str, str],
    groups: Sequence[tuple[Group, Sequence[Model]]],
    reasons: Sequence[Reason],
) -> str:
    """Return the whole page.

    Parameters
    ----------
    names
        Of all rules, by code.
    groups
        The models, in the order of the tables.
    reasons
        Only those for models that are there are written.
    """
    models = [model for _, members in groups for model in members]
    lines = [
        INTRODUCTION,
        *_table(["", "models", *_COUNTS], _group_rows(groups), words=1),
        "",
        "## Rules",
        "",
        f"Models, of {len(models)}, of which a rule says this at most:",
        "",
        *_table(["code", "rule", "E", "W", "n", UNDECIDED], _rule_rows(names, models), words=2),
        "",
        "## Models",
    ]
    for group, members in groups:
        lines += ["", f"### {group.title}", ""]
        if group.about:
            lines += [*textwrap.wrap(group.about, WIDTH), ""]
        lines += model_table(members)
    lines += ["", "## Why they are true", *_reason_lines(names, models, reasons)]
    return "\n".join(lines) + "\n"


_COUNTS = ("without E or W", "with W", "with E")


def _group_rows(groups: Sequence[tuple[Group, Sequence[Model]]]) -> list[list[str]]:
    rows = [[group.title, *_group_counts(members)] for group, members in groups]
    everything = [model for _, members in groups for model in members]
    return [*rows, ["**all**", *_group_counts(everything)]]


def _group_counts(models: Sequence[Model]) -> list[str]:
    """Return how many models there are: all, those without a judged finding, with W, with E."""
    letters = [{letter_of(model, code)[:1] for code in _codes([model])} for model in models]
    clean = sum(not {"E", "W"} & found for found in letters)
    return [
        str(len(models)),
        str(clean),
        str(sum("W" in found for found in letters)),
        str(sum("E" in found for found in letters)),
    ]


def _rule_rows(names: Mapping[str, str], models: Sequence[Model]) -> list[list[str]]:
    rows = []
    for code in _codes(models):
        cells = [letter_of(model, code) for model in models]
        counts = [sum(cell.startswith(letter) for cell in cells) for letter in LETTERS.values()]
        counts.append(sum(UNDECIDED in cell for cell in cells))
        rows.append([code, names[code], *(str(count) if count else "" for count in counts)])
    return rows


def model_table(models: Sequence[Model]) -> list[str]:
    """Return the lines of the table of one group, with a column for each rule that spoke."""
    codes = _codes(models)
    rows = [
        [
            model.name + STATES.get(model.state, ""),
            *(letter_of(model, code) for code in codes),
        ]
        for model in models
    ]
    # Without the letters that all codes begin with: a terminal is narrow.
    return _table([f"{FAMILIES}…", *(code.removeprefix(FAMILIES) for code in codes)], rows, words=1)


def letter_of(model: Model, code: str) -> str:
    """Return the worst that a rule says of a model as a letter, with ? where it could not tell."""
    severities = {finding.severity for finding in model.findings if finding.code == code}
    worst = next((letter for severity, letter in LETTERS.items() if severity in severities), "")
    return worst + (UNDECIDED if code in model.undecided else "")


def _codes(models: Iterable[Model]) -> list[str]:
    """Return the codes of the rules that said anything of the models, sorted."""
    return sorted({code for m in models for code in (*(f.code for f in m.findings), *m.undecided)})


def _reason_lines(
    names: Mapping[str, str], models: Sequence[Model], reasons: Sequence[Reason]
) -> list[str]:
    judged = {model.name: model.judged() for model in models}
    lines: list[str] = []
    for code in sorted({code for found in judged.values() for code in found}):
        lines += ["", f"### {code} {names[code]}", ""]
        for reason in reasons:
            there = [name for name in reason.models if code in judged.get(name, ())]
            if reason.rule == code and there:
                lines += _item(there, reason, [f for name in there for f in judged[name][code]])
    return lines


def _item(names: Sequence[str], reason: Reason, findings: Sequence[Finding]) -> list[str]:
    worst = "E" if any(finding.severity == "error" for finding in findings) else "W"
    numbers = [f"{name} {_number(value)}" for name, value in reason.checked.items()]
    checked = "; ".join([", ".join(numbers), reason.how] if numbers else [reason.how])
    text = f"**{', '.join(names)}** ({worst}): {reason.because} Checked: {checked}."
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _number(checked: float | Sequence[float]) -> str:
    if isinstance(checked, int | float):
        return f"= {checked:,}" if isinstance(checked, int) else f"= {checked:.6g}"
    low, high = checked
    return f"between {low:g} and {high:g}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], *, words: int) -> list[str]:
    """Return the lines of a Markdown table; the first `words` columns are aligned to the left."""
    lines = [list(header), *map(list, rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * w if i < words else f":{'-' * (w - 2)}:" for i, w in enumerate(widths)]
    lines.insert(1, rule)
    return [
        f"| {' | '.join(_fit(c, w, left=i < words) for i, (c, w) in _cells(line, widths))} |"
        for line in lines
    ]


def _cells(line: Sequence[str], widths: Sequence[int]) -> Iterable[tuple[int, tuple[str, int]]]:
    return enumerate(zip(line, widths, strict=True))


def _fit(cell: str, width: int, *, left: bool) -> str:
    return cell.ljust(width) if left else cell.center(width)
