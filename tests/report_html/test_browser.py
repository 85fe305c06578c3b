"""Opens pages in a real browser and uses them as people do."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hostile_models import NAMES

from scotoma.report.escape import escape

if TYPE_CHECKING:
    from collections.abc import Callable

    from selenium.webdriver.chrome.webdriver import WebDriver
    from selenium.webdriver.remote.webelement import WebElement

CONTRAST = """
const parse = (text) => {
  const numbers = text.match(/[\\d.]+/g).map(Number);
  return numbers.length > 3 ? numbers : [...numbers, 1];
};
const light = ([r, g, b]) => {
  const part = (x) => { x /= 255; return x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4; };
  return .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
};
const background = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour[3] > 0) return colour;
  }
  return [255, 255, 255, 1];
};
const poor = [];
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  if (!own || ["SCRIPT", "STYLE", "OPTION"].includes(element.tagName)) continue;
  const style = getComputedStyle(element);
  const ink = light(parse(element.ownerSVGElement ? style.fill : style.color));
  const page = light(background(element));
  const ratio = (Math.max(ink, page) + .05) / (Math.min(ink, page) + .05);
  if (ratio < 4.5) poor.push([element.tagName, element.textContent.slice(0, 40), ratio]);
}
return poor;
"""


def logged(driver: WebDriver, kind: str) -> list[str]:
    """Return the messages of a log since it was last asked for."""
    entries: list[dict[str, str]] = driver.get_log(kind)  # type: ignore[no-untyped-call]
    return [entry["message"] for entry in entries]


def look(driver: WebDriver, page: Path, *, width: int = 1280, dark: bool = False) -> None:
    """Open a page in a window of a width, with the system's colours light or dark."""
    for kind in ("browser", "performance"):
        logged(driver, kind)  # what came before
    media = {
        "prefers-color-scheme": "dark" if dark else "light",
        "prefers-reduced-motion": "reduce",
    }
    features = [{"name": name, "value": value} for name, value in media.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.get("about:blank")
    driver.get(page.as_uri())


def find(driver: WebDriver, selector: str) -> WebElement:
    return driver.find_element("css selector", selector)


def until(driver: WebDriver, condition: Callable[[], object]) -> None:
    """Wait for what follows a link: the browser tells the page of a new address in its own time."""
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(driver, 20).until(lambda _: condition())


def shown(driver: WebDriver) -> list[list[str]]:
    """Return severity and code of the findings that are not filtered out."""
    script = """return [...document.querySelectorAll(".finding:not([hidden])")]
        .filter((f) => !f.closest(".quiet")).map((f) => [f.dataset.severity, f.dataset.code]);"""
    found: list[list[str]] = driver.execute_script(script)
    return found


def column(driver: WebDriver, table: str, place: int) -> list[str]:
    script = """return [...document.querySelector(arguments[0]).tBodies[0].rows]
        .map((row) => row.cells[arguments[1]].textContent.trim());"""
    cells: list[str] = driver.execute_script(script, table, place)
    return cells


def sort_states(driver: WebDriver, table: str) -> list[str | None]:
    script = """return [...document.querySelector(arguments[0]).tHead.rows[0].cells]
        .map((cell) => cell.getAttribute("aria-sort"));"""
    states: list[str | None] = driver.execute_script(script, table)
    return states


def press(driver: WebDriver, *keys: str) -> None:
    driver.switch_to.active_element.send_keys(*keys)


def active(driver: WebDriver) -> Any:
    return driver.execute_script("""
        const at = document.activeElement, style = getComputedStyle(at);
        return {text: at.textContent.trim(), id: at.id, tag: at.tagName, value: at.value ?? null,
                outline: style.outlineStyle, width: parseFloat(style.outlineWidth)};""")


@pytest.mark.parametrize("name", ["sample_page", "hostile_page", "one_page"])
def test_a_page_opens_without_complaints_and_asks_for_nothing(
    chromium: WebDriver, request: pytest.FixtureRequest, name: str
) -> None:
    page = request.getfixturevalue(name)
    look(chromium, page)
    chromium.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    messages = logged(chromium, "browser")
    events = [json.loads(message)["message"] for message in logged(chromium, "performance")]
    asked = {
        event["params"]["request"]["url"].partition(",")[0]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert messages == []
    assert {url for url in asked if not url.startswith("data:")} <= {page.as_uri(), "about:blank"}
    assert page.as_uri() in asked


def test_hostile_names_are_text_and_nothing_runs(chromium: WebDriver, hostile_page: Path) -> None:
    look(chromium, hostile_page)
    title = chromium.title
    assert title.startswith("Scotoma: 2 models, 1 not examined")
    text = chromium.execute_script("return document.body.textContent")
    wanted = [escape(name)[:140] for name in NAMES]  # of the longest the middle is left out
    assert [name[:40] for name in wanted if name not in text] == []
    names = chromium.execute_script(
        "return [...document.querySelectorAll('bdi.name')].map((e) => e.textContent)"
    )
    for name in NAMES[:6]:
        assert escape(name) in names or f"{escape(name)} (Conv)" in names
    assert "\u202e" not in text
    assert "abc\\u202egnp.exe\\u2066" in text
    for element in chromium.find_elements("css selector", ".finding, .finding bdi")[:60]:
        chromium.execute_script(
            "arguments[0].dispatchEvent(new MouseEvent('mouseover', {bubbles: true}))", element
        )
    assert chromium.title == title
    # Nothing of a name became an element or an attribute.
    allowed = chromium.execute_script("""
        return [document.scripts.length, document.images.length,
          document.querySelectorAll('style').length,
          [...document.querySelectorAll('*')].filter((e) => [...e.attributes]
            .some((a) => a.name.startsWith('on') || /^\\s*javascript:/i.test(a.value))).length];""")
    assert allowed == [1, 0, 1, 0]


def test_text_of_both_directions_does_not_leak(chromium: WebDriver, hostile_page: Path) -> None:
    look(chromium, hostile_page)
    alone = chromium.execute_script("""
        return [...document.querySelectorAll('.name')].every(
          (e) => e.tagName === 'BDI' && getComputedStyle(e).unicodeBidi === 'isolate');""")
    assert alone is True


@pytest.mark.parametrize("name", ["hostile_page", "one_page", "sample_page"])
def test_a_phone_shows_all_without_scrolling_sideways(
    chromium: WebDriver, request: pytest.FixtureRequest, name: str
) -> None:
    look(chromium, request.getfixturevalue(name), width=360)
    chromium.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    wide = chromium.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide == [360, 360]
    small = chromium.execute_script("""
        return [...document.querySelectorAll('.chart text')].filter(
          (t) => t.getBoundingClientRect().height < 8 && !t.getAttribute('transform')).length;""")
    assert small == 0


def test_filters_by_severity_rule_and_text(chromium: WebDriver, one_page: Path) -> None:
    look(chromium, one_page)
    every = shown(chromium)
    severities = {severity for severity, _ in every}
    assert severities == {"warning", "note"}
    output = find(chromium, "#shown")
    assert output.text == f"{len(every)} findings"
    find(chromium, "input[value=note]").click()
    warnings = [found for found in every if found[0] == "warning"]
    assert shown(chromium) == warnings
    assert output.text == f"{len(warnings)} of {len(every)} findings"
    find(chromium, "#rule option[value=SC204]").click()
    assert shown(chromium) == [["warning", "SC204"]]
    find(chromium, "input[value=warning]").click()
    assert shown(chromium) == []
    assert find(chromium, ".none").text == "None of this model fits the filter."
    find(chromium, "#reset").click()
    assert shown(chromium) == every
    assert not find(chromium, ".none").is_displayed()
    find(chromium, "#words").send_keys("NODE_PAD")
    assert shown(chromium) == [["warning", "SC802"]]


def test_filters_by_keyboard(chromium: WebDriver, one_page: Path) -> None:
    look(chromium, one_page)
    every = shown(chromium)
    find(chromium, "input[value=error]").send_keys("")
    chromium.execute_script("document.querySelector('input[value=error]').focus()")
    press(chromium, "\ue004")  # tab
    assert active(chromium)["value"] == "warning"
    press(chromium, " ")
    assert shown(chromium) == [found for found in every if found[0] == "note"]
    press(chromium, "\ue004\ue004")
    assert active(chromium)["id"] == "rule"


def test_the_first_tab_leads_past_the_head(chromium: WebDriver, sample_page: Path) -> None:
    look(chromium, sample_page)
    find(chromium, "body").send_keys("\ue004")
    place = active(chromium)
    assert (place["text"], place["outline"]) == ("Skip to the models", "solid")
    press(chromium, "\ue007")  # enter
    until(chromium, lambda: active(chromium)["id"] == "main")


def test_every_place_of_the_focus_is_seen_and_named(chromium: WebDriver, one_page: Path) -> None:
    look(chromium, one_page)
    find(chromium, "body").send_keys("\ue004")
    seen = []
    for _ in range(45):
        place = active(chromium)
        if place["tag"] == "BODY":
            break
        element = chromium.switch_to.active_element
        seen.append(place["tag"])
        assert place["outline"] != "none", place
        assert place["width"] >= 2, place
        assert element.accessible_name.strip(), place
        press(chromium, "\ue004")
    assert {"A", "INPUT", "SELECT", "BUTTON", "SUMMARY", "DIV"} <= set(seen)


def test_sorts_by_mouse_and_by_keyboard(chromium: WebDriver, one_page: Path) -> None:
    look(chromium, one_page)
    table = "details.layers table"
    heads = [e.text for e in chromium.find_elements("css selector", f"{table} thead th")]
    place = heads.index("receptive field")
    button = find(chromium, f"{table} thead th:nth-child({place + 1}) button")
    before = column(chromium, table, place)
    button.click()
    sizes = [int(text.partition("x")[0]) for text in column(chromium, table, place)]
    assert sizes == sorted(int(text.partition("x")[0]) for text in before)
    assert [state for state in sort_states(chromium, table) if state] == ["ascending"]
    assert sort_states(chromium, table)[place] == "ascending"
    assert chromium.switch_to.active_element == button
    press(chromium, "\ue007")
    assert sort_states(chromium, table)[place] == "descending"
    assert [int(t.partition("x")[0]) for t in column(chromium, table, place)] == sizes[::-1]
    # What is not known comes last in both directions.
    place = heads.index("parameters")
    button = find(chromium, f"{table} thead th:nth-child({place + 1}) button")
    for descending in (False, True):
        button.send_keys("\ue007")
        cells = column(chromium, table, place)
        known = [int(text.replace(",", "")) for text in cells if text != "-"]
        assert known == sorted(known, reverse=descending)
        assert cells == [f"{n:,}" for n in known] + ["-"] * (len(cells) - len(known))
        assert 0 < len(known) < len(cells)
    find(chromium, f"{table} thead th button").click()
    assert column(chromium, table, 0) == [str(n) for n in range(len(cells))]


def test_links_unfold_what_they_lead_to(chromium: WebDriver, sample_page: Path) -> None:
    look(chromium, sample_page)
    inside = ".model:nth-of-type(1) .finding"
    assert not find(chromium, inside).is_displayed()
    find(chromium, "nav tbody a").click()
    until(chromium, lambda: active(chromium)["id"] == "m1")
    assert find(chromium, inside).is_displayed()
    link = find(chromium, "#m1f1 dd a")
    assert not find(chromium, "#m1 .layers table").is_displayed()
    layer = link.get_attribute("hash")
    link.click()
    until(chromium, lambda: f"#{active(chromium)['id']}" == layer)
    assert find(chromium, "#m1 .layers table").is_displayed()
    rule = find(chromium, "#m1f1 h4 a")
    chromium.execute_script("arguments[0].scrollIntoView({block: 'center'})", rule)
    rule.click()
    code = find(chromium, "#m1f1").get_attribute("data-code")
    until(chromium, lambda: active(chromium)["tag"] == "SUMMARY")
    assert active(chromium)["text"].partition(" ")[0] == code
    assert find(chromium, f"#rule-{code}").get_attribute("open") == "true"


def test_a_link_to_what_is_filtered_out_shows_it(chromium: WebDriver, one_page: Path) -> None:
    look(chromium, one_page)
    every = shown(chromium)
    for severity in ("warning", "note"):
        find(chromium, f"input[value={severity}]").click()
    assert shown(chromium) == []
    link = find(chromium, "details.layers td a")
    target = link.get_attribute("hash")
    link.click()
    until(chromium, lambda: f"#{active(chromium)['id']}" == target)
    assert find(chromium, f"{target} .message").is_displayed()
    assert shown(chromium) == every


@pytest.mark.parametrize("chosen", ["system", "light", "dark"])
@pytest.mark.parametrize("dark", [False, True])
def test_colours_follow_the_system_or_the_switch_and_can_be_read(
    chromium: WebDriver, one_page: Path, chosen: str, dark: bool
) -> None:
    look(chromium, one_page, dark=dark)
    find(chromium, f"#theme-{chosen}").click()
    ground = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
    is_dark = dark if chosen == "system" else chosen == "dark"
    assert ground == ("rgb(15, 19, 24)" if is_dark else "rgb(255, 255, 255)")
    chromium.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    assert chromium.execute_script(CONTRAST) == []


def test_pictures_are_named_with_their_numbers(chromium: WebDriver, one_page: Path) -> None:
    look(chromium, one_page)
    pictures = chromium.find_elements("css selector", "svg.chart")
    assert [picture.aria_role for picture in pictures] == ["image", "image"]
    walk, growth = (picture.accessible_name for picture in pictures)
    assert walk.startswith("What each pixel counts, by the graph, 45 rows by 45 columns. corner")
    assert "corner over centre 0.1775" in walk
    assert "every row and column has a path to an output" in walk
    assert growth.startswith("How the receptive field grows. At most 30×30 px, at layer 14 of 15")


def test_landmarks_and_tables_have_names(chromium: WebDriver, sample_page: Path) -> None:
    look(chromium, sample_page)
    chromium.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    for selector in ("nav", "[role=search]", ".model", "[role=region]", ".layers table"):
        names = [e.accessible_name for e in chromium.find_elements("css selector", selector)]
        assert names, selector
        assert all(names), selector
    levels = chromium.execute_script(
        "return [...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]))"
    )
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = chromium.execute_script("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    broken = chromium.execute_script("""
        return [...document.querySelectorAll("a[href^='#']")].map((a) => a.hash.slice(1))
          .filter((id) => !document.getElementById(id));""")
    assert broken == []


def test_everything_is_unfolded_for_the_printer(chromium: WebDriver, sample_page: Path) -> None:
    look(chromium, sample_page, dark=True)
    count = "return document.querySelectorAll('details:not([open])').length"
    folded = chromium.execute_script(count)
    assert folded > 0
    chromium.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert chromium.execute_script(count) == 0
    chromium.execute_script("dispatchEvent(new Event('afterprint'))")
    assert chromium.execute_script(count) == folded
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    ground = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    assert not find(chromium, ".filter").is_displayed()
    chromium.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert chromium.execute_script(CONTRAST) == []
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_the_page_can_be_read_without_scripts(chromium: WebDriver, one_page: Path) -> None:
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        look(chromium, one_page)
        assert find(chromium, "#m1f1 .message").is_displayed()
        assert not find(chromium, ".filter").is_displayed()
        assert chromium.find_elements("css selector", "thead button") == []
    finally:
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
