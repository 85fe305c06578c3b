from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest
from example_reports import HOSTILE, REPORTS, finding, report_hostile
from example_rules import report_clean
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from scotoma.findings import Severity
from scotoma.report import render
from scotoma.report.escape import clip, escape
from scotoma.report.inert import GAP, MAX_TEXT, code, prose
from scotoma.report.markdown import LIMIT, MAX_MODELS
from scotoma.results import Report

MARKDOWN = MarkdownIt("gfm-like")
"""With HTML, tables, strikethrough and bare addresses, as GitHub reads it."""
PLAIN = {"text", "text_special", "code_inline"}
SAID = {
    "heading_open", "paragraph_open", "bullet_list_open", "list_item_open", "inline", "strong_open",
    "em_open", "softbreak",
}  # fmt: skip
"""What the document itself is made of."""


def flat(tokens: Iterable[Token]) -> list[Token]:
    return [t for token in tokens for t in (token, *flat(token.children or ()))]


def shown(markdown: str) -> str:
    """Return the text that a reader sees of one line."""
    tokens = flat(MARKDOWN.parse(f"a {markdown}"))
    assert {t.type for t in tokens} <= {"paragraph_open", "paragraph_close", "inline"} | PLAIN
    text = "".join(t.content for t in tokens if t.type in PLAIN)
    return text.removeprefix("a ").replace("\u200b", "")


@given(st.text(st.characters(), max_size=60))
def test_prose_reads_as_the_text_does(text: str) -> None:
    assert shown(f"{prose(text)}.") == f"{escape(text)}."


@given(st.text(st.sampled_from("`*_[]()<>!#@:/&;~|$^%\\ -+=.0aw"), max_size=30))
def test_markup_is_no_markup(text: str) -> None:
    assert shown(f"{prose(text)}.") == f"{escape(text)}."
    assert shown(f"{code(text)}.") in (f"{escape(text)}.", f" {escape(text)} .")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_shown_as_they_are(text: str) -> None:
    assert shown(f"{prose(text)}.") == f"{escape(text)}."
    tokens = flat(MARKDOWN.parse(f"a {code(text)}."))
    assert [t.content.strip() for t in tokens if t.type == "code_inline"] == [escape(text).strip()]


@pytest.mark.parametrize(
    "reference",
    [
        "@user", "@org/team", "#12", "o/r#12", "GH-7", "gh-7", "!3", "%4", "~bug", "$5", "^alert",
        "&x", "&#1", "https://x.example", "http://x.example", "ftp://x.example", "www.x.example",
        "//x.example", "WWW.x.example", "a@x.example", ":smile:", ":+1:", "user@0123456789abcdef",
        "[x]: https://x.example",
    ],
)  # fmt: skip
def test_references_are_broken_up(reference: str) -> None:
    found = prose(reference)
    assert GAP in found
    assert shown(f"{found}.") == f"{reference}."


@pytest.mark.parametrize("text", ["/layer1/conv_1:0", "99% of it", "a & b", "3! x", "1.5 px: why"])
def test_ordinary_texts_have_no_gaps(text: str) -> None:
    assert prose(text) == text


def test_long_texts_are_cut() -> None:
    assert prose("x" * 5000) == clip("x" * 5000, MAX_TEXT)
    assert len(code("x" * 5000)) == MAX_TEXT + 2


@pytest.mark.parametrize("kind", REPORTS)
def test_documents_hold_nothing_but_lists(kind: str) -> None:
    tokens = flat(MARKDOWN.parse(render(REPORTS[kind](), "markdown")))
    opened = {t.type for t in tokens if not t.type.endswith("_close")}
    assert opened <= SAID | PLAIN


def test_the_most_severe_finding_comes_first() -> None:
    clean = report_clean()
    found = tuple(finding(str(level), level) for level in Severity)
    report = Report(clean.rules, (dataclasses.replace(clean.models[0], findings=found),))
    lines = render(report, "markdown").splitlines()
    assert [line for line in lines if line.startswith("- ")] == [
        "- **error** XX101 lost-pixels at `error` (Conv): 'error' loses 3 px",
        "- **warning** XX101 lost-pixels at `warning` (Conv): 'warning' loses 3 px",
        "- **note** XX101 lost-pixels at `note` (Conv): 'note' loses 3 px",
    ]


def test_models_with_the_most_severe_findings_come_first() -> None:
    clean = report_clean().models[0]
    broken = REPORTS["error"]().models
    found = {
        str(level): dataclasses.replace(
            clean, path=f"{level}.onnx", findings=(finding("a", level),)
        )
        for level in Severity
    }
    models = (clean, *found.values(), *broken)
    lines = render(Report(report_clean().rules, models), "markdown").splitlines()
    order = [line.split("`")[1] for line in lines if line.startswith("- `")]
    assert order == [
        "models/gone.onnx", "models/small.onnx", "models/crash.onnx",
        "error.onnx", "warning.onnx", "note.onnx", "good.onnx",
    ]  # fmt: skip
    heads = [line.split("`")[1] for line in lines if line.startswith("### ")]
    assert heads == order[1:-1]
    assert "- `models/small.onnx`: **cannot run at this size**" in lines


def test_a_long_document_is_cut_and_says_so() -> None:
    clean = report_clean()
    found = tuple(finding(f"n{i}", Severity.NOTE) for i in range(1000))
    report = Report(clean.rules, (dataclasses.replace(clean.models[0], findings=found),))
    text = render(report, "markdown")
    assert LIMIT - 500 < len(text) <= LIMIT
    kept = sum(line.startswith("- ") for line in text.splitlines())
    assert text.endswith(
        f"\n  - remedy: pad it\n\n*… {1000 - kept} more entries would not fit into a comment: the "
        "other formats have all.*\n"
    )
    fits = dataclasses.replace(report.models[0], findings=found[:kept])
    whole = render(Report(clean.rules, (fits,)), "markdown")
    assert "would not fit" not in whole


def test_many_models_and_long_names_are_cut_too() -> None:
    clean = report_clean()
    models = tuple(
        dataclasses.replace(clean.models[0], path=f"{i}{'x' * 9000}.onnx") for i in range(300)
    )
    text = render(Report(clean.rules, models), "markdown")
    assert len(text) <= LIMIT
    assert "more entries would not fit" in text
    short = tuple(dataclasses.replace(m, path=f"{i}.onnx") for i, m in enumerate(models))
    lines = render(Report(clean.rules, short), "markdown").splitlines()
    assert lines[-2:] == ["- `99.onnx`: nothing found", f"- and {300 - MAX_MODELS} more models"]


def test_hostile_reports_mention_nobody() -> None:
    text = render(report_hostile(), "markdown")
    tokens = flat(MARKDOWN.parse(text))
    prose_texts = [t.content for t in tokens if t.type == "text"]
    assert not [t for t in prose_texts if "@everyone" in t or "https://" in t or "#1" in t]
    assert any("@\u200beveryone" in t for t in prose_texts)
