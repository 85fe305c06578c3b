"""Fills the template of the page, and shuts out everything that does not belong to it."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from scotoma.report.escape import clip, escape
from scotoma.report.text import counted

if TYPE_CHECKING:
    from jinja2 import Environment

    from scotoma.report.html.view import PageView

MAX_TEXT = 2000
"""Characters of one text; longer ones are cut off."""
MAX_NAME = 300
"""Characters of a name where it stands alone."""


def render_page(view: PageView) -> str:
    """Return the page; what it shows is its own, and its scripts and styles alone count."""
    style, script = _asset("page.css"), _asset("page.js")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_digest(style)}'",
            f"script-src '{_digest(script)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    template = _environment().get_template("page.html.jinja")
    return template.render(page=view, policy=policy, style=style, script=script)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415  slow to import

    environment = Environment(
        loader=PackageLoader("scotoma.report.html", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_harmless,
    )
    environment.filters |= {
        "counted": counted,
        "is_web": is_web,
        "paragraphs": paragraphs,
        "shortened": shortened,
    }
    return environment


def _harmless(value: object) -> object:
    """Return what the template writes: of every text, one line of printable characters.

    Markup is the template's own, or a picture. Everything else is turned to text of HTML after
    this, by the template library.
    """
    if hasattr(value, "__html__") or not isinstance(value, str):
        return value
    return clip(escape(value), MAX_TEXT)


def shortened(name: str) -> str:
    """Return a name as one line, the middle of a very long one left out.

    Examples
    --------
    >>> shortened("conv"), len(shortened("x" * 1000))
    ('conv', 300)
    """
    text = escape(name)
    half = MAX_NAME // 2
    return text if len(text) <= MAX_NAME else f"{text[: half - 1]}…{text[-half:]}"


def paragraphs(text: str) -> list[tuple[str, bool]]:
    r"""Return the paragraphs of a documentation, and whether the lines of each are to be kept.

    Examples
    --------
    >>> paragraphs("One\ntwo.\n\n    code")
    [('One two.', False), ('    code', True)]
    """
    found = []
    for block in text.split("\n\n"):
        kept = any(line.startswith((" ", "- ", "* ")) for line in block.splitlines())
        if block.strip():
            found.append((block if kept else " ".join(block.split()), kept))
    return found


def is_web(address: str) -> bool:
    """Tell whether an address may be a link: nothing but the web.

    Examples
    --------
    >>> is_web("https://arxiv.org/abs/1"), is_web("javascript:alert(1)")
    (True, False)
    """
    return address.startswith(("https://", "http://"))


def _asset(name: str) -> str:
    return files("scotoma.report.html").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Return the hash by which a Content-Security-Policy knows an element."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
