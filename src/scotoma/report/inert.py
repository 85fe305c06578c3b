r"""Makes text that came from a model harmless in Markdown: no markup, HTML, link or mention.

GitHub and GitLab look for mentions, references and addresses in what Markdown leaves of a text, so
that a backslash does not stop them; a space of no width behind their first character does. In code
they look for none of it.
"""

from __future__ import annotations

import re

from scotoma.report.escape import clip, escape

GAP = "&#8203;"
"""A space of no width, as an entity, so that who reads the source can see it."""
MAX_TEXT = 1000
"""Characters of one text."""

_SPECIAL = re.compile(
    r"""
      [\\`*\[\]<>|]              # Markdown's own
    | (?<! [^\W_] ) _            # not between letters, where it is none
    | _ (?! [^\W_] )
    | [~$^]                      # Markdown's, and references of GitLab
    | & (?= [\#\w] )             # entities, and references of GitLab
    | [@#!%] (?= \w )            # mentions and references
    | : (?= [\w+-]+ : )          # names of emoji
    | / (?= / )                  # addresses
    | (?<= \bwww ) [.]           # addresses without a scheme
    | (?<= \bGH ) - (?= \d )     # references of GitHub
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MARKUP = frozenset("\\`*_[]<>|~$^&")
_REFERRING = frozenset("~$^&@#!%:/.-")


def prose(text: str) -> str:
    r"""Return a text as one line of Markdown that reads as the text does.

    It is not for the beginning of a line, where more characters have a meaning.

    Examples
    --------
    >>> prose("<b> *x* | @all")
    '\\<b\\> \\*x\\* \\| @&#8203;all'
    >>> prose("'/conv1:0' drifts by 0.5 px (99% of it)")
    "'/conv1:0' drifts by 0.5 px (99% of it)"
    """
    return _SPECIAL.sub(_harmless, clip(escape(text), MAX_TEXT))


def _harmless(match: re.Match[str]) -> str:
    char, rest = match[0], match.string[match.end() :][:1]
    escaped = f"\\{char}" if char in _MARKUP else char
    refers = char in _REFERRING and (char not in _MARKUP or rest.isalnum() or rest == "_")
    return escaped + GAP if refers else escaped


def code(text: str) -> str:
    """Return a text as code that stands within a line, though not within a table.

    Examples
    --------
    >>> code("conv"), code("a`b")
    ('`conv`', '``a`b``')
    """
    found = clip(escape(text), MAX_TEXT)
    longest = max((len(run) for run in re.findall("`+", found)), default=0)
    fence = "`" * (longest + 1)
    edge = " " if not found.strip() or found[0] in "` " or found[-1] in "` " else ""
    return f"{fence}{edge}{found}{edge}{fence}"
