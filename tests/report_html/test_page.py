from __future__ import annotations

import base64
import dataclasses
import hashlib
import pickle
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import example_rules
import numpy as np
import pytest
from example_reports import HOSTILE, REPORTS, finding
from golden_files import check_golden
from hostile_models import NAMES
from hypothesis import given
from hypothesis import strategies as st
from networks import examples

from scotoma import __version__, engine
from scotoma.cli import main
from scotoma.findings import (
    CONFIRMED,
    CONTRADICTED,
    Evidence,
    Location,
    Measurement,
    OutputEvidence,
    Severity,
)
from scotoma.measure.picture import Row, Sheet
from scotoma.report import keeper, render
from scotoma.report.escape import escape
from scotoma.report.html.portrait import Portrait, portrait_of
from scotoma.report.html.verdict import verdict
from scotoma.report.html.view import MOST_FINDINGS
from scotoma.report.paths import path_from
from scotoma.results import (
    NOT_JUDGED,
    Failure,
    Gate,
    Measured,
    ModelReport,
    Report,
    ThresholdResult,
)

SAMPLES = Path(__file__).parents[2] / "sample_models"
TAGS = {
    "a", "bdi", "body", "button", "caption", "clippath", "dd", "defs", "details", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "g", "h1", "h2", "h3", "h4", "head", "header",
    "html", "image", "input", "label", "legend", "li", "link", "main", "meta", "nav", "ol",
    "option", "output", "p", "path", "pre", "rect", "script", "section", "select", "span",
    "strong", "style",
    "summary", "svg", "table", "tbody", "td", "text", "th", "thead", "title", "tr", "ul", "use",
}  # fmt: skip
ADDRESSES = {"href", "src", "xlink:href", "action", "formaction", "data", "poster", "srcset"}


class Parsed(HTMLParser):
    """The elements and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.bodies: dict[str, str] = {}
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self._open in {"script", "style"} and self._open not in self.bodies:
            self.bodies[self._open] = data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def model(**fields: Any) -> ModelReport:
    base: dict[str, Any] = {"path": "m.onnx", "status": "complete", "examined": example_rules.IMAGE}
    return ModelReport(**{**base, **fields})


def page_of(*models: ModelReport, **more: Any) -> str:
    return render(Report((example_rules.LostPixels(),), models, **more), "html")


def assert_inert(page: str) -> Parsed:
    """Assert that a page holds no element, attribute or address but its own."""
    parsed = Parsed(page)
    assert {tag for tag, _ in parsed.elements} <= TAGS
    for tag, attributes in parsed.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name != "style"
            if name in ADDRESSES:
                ours = ("#", "data:image/png;base64,", "data:,", "https://example.org/lost")
                assert (value or "").startswith(ours), (tag, value)
    assert len(parsed.of("script")) == len(parsed.of("style")) == 1
    return parsed


@pytest.mark.parametrize("kind", REPORTS)
def test_a_page_is_inert_and_whole(kind: str) -> None:
    report = REPORTS[kind]()
    parsed = assert_inert(render(report, "html"))
    for shown in report.models:
        assert escape(path_from(shown.path, report.folder)) in parsed.text
        for one in shown.findings:
            for text in (one.message, one.remedy, one.code, one.name, one.primary.node or ""):
                assert escape(text) in parsed.text
        for undecided in shown.undecided:
            assert escape(f"{undecided.code}") in parsed.text
            assert escape(undecided.reason) in parsed.text
        for item in shown.unanalysed:
            assert escape(item.reason) in parsed.text
        for crash in shown.rule_failures:
            assert escape(crash.error) in parsed.text
        if shown.failure:
            assert escape(shown.failure.message) in parsed.text


@pytest.mark.parametrize("kind", REPORTS)
def test_a_page_shows_each_report_as_before(kind: str) -> None:
    """Its body: styles and the script are what the browser's tests are about."""
    page = render(REPORTS[kind](), "html")
    body = page.partition("<body>\n")[2].partition("<script>")[0]
    check_golden(f"{kind}.html", body.replace(f"Scotoma {__version__}", "Scotoma VERSION"))


@pytest.mark.parametrize("name", [*NAMES, *HOSTILE])
def test_hostile_names_are_text(name: str) -> None:
    hostile = finding(name, Severity.WARNING)
    page = page_of(model(path=f"{name}.onnx", producer=name, findings=(hostile,)))
    parsed = assert_inert(page)
    assert escape(name)[:1900] in parsed.text
    assert all(char.isprintable() or char == "\n" for char in page)


@examples(60)
@given(st.text(st.characters(), max_size=60))
def test_any_name_is_text(name: str) -> None:
    hostile = finding(name, Severity.NOTE)
    located = dataclasses.replace(hostile, locations=(*hostile.locations, Location(name, name)))
    parsed = assert_inert(page_of(model(producer=name, findings=(located,))))
    assert f"'{escape(name)}' loses 3 px" in parsed.text


def test_the_policy_allows_the_pages_own_script_and_style_alone() -> None:
    parsed = Parsed(render(REPORTS["hostile"](), "html"))
    digests = {
        tag: base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        for tag, body in parsed.bodies.items()
    }
    (policy,) = [
        attributes["content"]
        for attributes in parsed.of("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digests['style']}'; "
        f"script-src 'sha256-{digests['script']}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def test_an_address_that_is_no_web_address_is_no_link() -> None:
    class Linked(example_rules.LostPixels):
        meta = dataclasses.replace(
            example_rules.LostPixels.meta,
            references=("javascript:alert(1)", "https://example.org/lost"),
        )

    Linked.__module__ = example_rules.__name__
    report = Report((Linked(),), (model(findings=(finding("c", Severity.NOTE),)),))
    parsed = assert_inert(render(report, "html"))
    links = {a["href"] for a in parsed.of("a") if not (a["href"] or "").startswith("#")}
    assert links == {"https://example.org/lost"}
    assert "javascript:alert(1)" in parsed.text


LIMIT = ThresholdResult("max-dead-pixels", 0.0, None, None, NOT_JUDGED, "no <time> left")
VERDICTS: dict[str, tuple[dict[str, Any], tuple[str, str, str]]] = {
    "unreadable": (
        {"status": "error", "failure": Failure("missing", "gone")},
        ("bad", "not examined", "missing: gone"),
    ),
    "refused": ({"refusal": "too small"}, ("bad", "cannot run at this size", "too small")),
    "failing": (
        {"findings": (finding("c", Severity.ERROR), finding("d", Severity.NOTE))},
        ("bad", "fails", "1 finding at or above error"),
    ),
    "lenient": (
        {"findings": (finding("c", Severity.ERROR),), "gate": Gate(None)},
        ("good", "passes", "Nothing fails a model here"),
    ),
    "partial": (
        {"status": "partial", "unanalysed": example_rules.FakeFacts().unanalysed},
        ("open", "passes in part", "1 operator could not be analysed"),
    ),
    "no image": (
        {"status": "unavailable"},
        ("open", "not followed", "There is no image to follow through the model"),
    ),
    "not judged": (
        {"measured": Measured(status="partial", thresholds=(LIMIT,))},
        ("bad", "not judged whole", "1 threshold could not be judged"),
    ),
    "fine": ({}, ("good", "passes", "Nothing at or above error")),
}


@pytest.mark.parametrize("kind", VERDICTS)
def test_a_verdict_says_how_a_model_fared(kind: str) -> None:
    fields, expected = VERDICTS[kind]
    found = verdict(model(**fields))
    assert (found.kind, found.word, found.why) == expected
    text = Parsed(page_of(model(**fields))).text
    assert expected[1] in text
    assert expected[2] in text


def test_more_findings_than_a_page_holds_are_counted_and_the_worst_are_kept() -> None:
    many = [finding(f"n{i}", Severity.NOTE) for i in range(MOST_FINDINGS)]
    worst = finding("worst", Severity.ERROR)
    parsed = Parsed(page_of(model(findings=(*many, worst))))
    entries = [a for a in parsed.of("li") if "data-code" in a]
    assert len(entries) == MOST_FINDINGS
    assert entries[0]["data-severity"] == "error"
    assert "1 more finding, none of them more severe" in parsed.text


def test_the_same_report_gives_the_same_bytes_however_many_processes_made_it(
    tmp_path: Path,
) -> None:
    paths = [str(SAMPLES / f"{name}.onnx") for name in ("unet_misfit", "ceil_pool")]
    written = []
    for jobs in ("1", "2", "1"):
        target = tmp_path / "report.html"
        main(["lint", "--isolated", "--exit-zero", "--jobs", jobs, "-o", f"html={target}", *paths])
        written.append(target.read_bytes())
        target.unlink()
    assert written[0] == written[1] == written[2]
    assert written[0].count(b"<figure>") == 4


def test_only_a_page_asks_for_a_portrait() -> None:
    assert keeper({"text", "json"}) is None
    assert keeper({"json", "html"}) is portrait_of
    path = str(SAMPLES / "one_layer_valid.onnx")
    without = engine.lint_model(path, (), engine.Options())
    kept = engine.lint_model(path, (), engine.Options(keep=portrait_of))
    assert without.kept is None
    assert isinstance(kept.kept, Portrait)
    assert without == kept
    again = pickle.loads(pickle.dumps(kept)).kept
    assert again.grids[0].cells.tolist() == kept.kept.grids[0].cells.tolist()


def crash(facts: object) -> object:
    raise ZeroDivisionError("no <b>luck</b>")


def test_a_portrait_that_fails_costs_the_pictures_only() -> None:
    path = str(SAMPLES / "one_layer_valid.onnx")
    report = engine.lint_model(path, (), engine.Options(keep=crash))
    assert (report.status, report.failure) == ("complete", None)
    assert report.kept == Failure("internal", "ZeroDivisionError: no <b>luck</b>")
    parsed = assert_inert(page_of(report))
    said = "The pictures could not be made: ZeroDivisionError: no <b>luck</b>"
    assert said in parsed.text
    assert parsed.of("figure") == []
    with pytest.raises(ZeroDivisionError):
        engine.lint_model(path, (), engine.Options(keep=crash, debug=True))


def test_the_table_of_layers_holds_what_trace_says() -> None:
    path = str(SAMPLES / "five_layers_valid.onnx")
    report = engine.lint_model(path, (), engine.Options(keep=portrait_of))
    page = page_of(report)
    heads = re.findall(r'<th scope="col"[^>]*>(.*?)</th>', page.partition('class="sortable"')[2])
    assert heads[:7] == [
        "layer", "node", "op", "what it is", "shape", "receptive field", "eff. stride",
    ]  # fmt: skip
    row = page.partition('id="m1l3"')[2].partition("</tr>")[0]
    cells = re.findall(r"<t[hd][^>]*?>(.*?)</t[hd]>", row)
    assert [re.sub("<.*?>", "", cell) for cell in cells][:7] == [
        "3", "conv3", "Conv", "convolution", "1x1x22x22", "7x7", "1x1",
    ]  # fmt: skip
    assert 'data-order="49"' in row


def test_a_measurement_is_shown_beside_the_graph() -> None:
    path = str(SAMPLES / "one_layer_valid.onnx")
    report = engine.lint_model(path, (), engine.Options(keep=portrait_of))
    assert isinstance(report.kept, Portrait)
    shape = report.kept.image
    sheet = Sheet(
        title="t", lines=("<i>conditions</i>",), values=np.ones(shape),
        probed=np.ones(shape, bool), dead=np.zeros(shape, bool), quantity="<b>q</b>",
        rows=(Row("edge / centre", "0.5 ± 0.1", "0.25"),),
    )  # fmt: skip
    measured = Measured(status="complete", sheet=sheet, reason="")
    parsed = assert_inert(page_of(dataclasses.replace(report, measured=measured)))
    for text in ("What each pixel does, measured", "<i>conditions</i>", "<b>q</b>", "0.5 ± 0.1"):
        assert text in parsed.text
    assert len(parsed.of("figure")) == 3
    assert len(Parsed(page_of(report)).of("figure")) == 2


def test_what_running_a_model_says_stands_with_its_findings() -> None:
    evidence = Evidence(
        CONTRADICTED, "it <moved>", (Measurement("moved", 3, "px"),),
        (OutputEvidence("<y>", CONFIRMED),),
    )  # fmt: skip
    found = dataclasses.replace(finding("c", Severity.WARNING), evidence=evidence)
    measured = Measured(status="unavailable", reason="no <map>", thresholds=(LIMIT,))
    parsed = assert_inert(page_of(model(findings=(found,), measured=measured)))
    text = " ".join(parsed.text.split())
    assert "measuredcontradicted: it <moved> moved = 3 px output <y> confirmed" in text
    assert "Measured measured: no map (no <map>) not judged max-dead-pixels 0 (no <time>" in text


def test_fifty_models_make_a_page_of_a_few_megabytes() -> None:
    path = str(SAMPLES / "unet_misfit.onnx")
    one = engine.lint_model(path, (), engine.Options(keep=portrait_of))
    sizes = [len(page_of(*[one] * count)) for count in (4, 8)]
    assert (sizes[1] - sizes[0]) / 4 * 50 < 5e6
    folded = Parsed(page_of(*[one] * 4)).of("details")
    assert not any("open" in attributes for attributes in folded)
    unfolded = Parsed(page_of(one)).of("details")
    assert all("open" in attributes for attributes in unfolded)


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(first), light(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_all_colours_can_be_told_from_the_page() -> None:
    """Text by 4.5, lines and marks by 3, as WCAG 2 level AA wants it."""
    style = Parsed(render(REPORTS["clean"](), "html")).bodies["style"]
    blocks = [dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in style.split("}")]
    themes = [block for block in blocks if "page" in block]
    assert len(themes) == 4  # light, dark by the system, dark by choice, on paper
    assert themes[1] == themes[2]
    texts = ("ink", "faint", "link", "error", "warning", "note", "good", "open")
    for theme in themes:
        for name in texts:
            for ground in ("page", "raised"):
                assert contrast(theme[name], theme[ground]) >= 4.5, (name, ground)
        for name in ("line", "second", "focus"):
            if name in theme:
                assert contrast(theme[name], theme["page"]) >= 3, name


def test_lint_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(SAMPLES / "one_layer_valid.onnx")
    assert main(["lint", "--isolated", "--format", "html", path]) == 0
    printed = capsys.readouterr().out
    target = tmp_path / "r.html"
    assert main(["lint", "--isolated", "-q", "-o", f"html={target}", path]) == 0
    assert target.read_text(encoding="utf-8") == printed
    assert printed.startswith("<!doctype html>\n")
