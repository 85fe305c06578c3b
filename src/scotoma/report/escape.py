"""Makes text that came from a model harmless to print."""

from __future__ import annotations

import unicodedata

_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories of controls, invisible formatting (also that which reverses the direction of
text), lone surrogates, private and unassigned characters, line and paragraph separators."""


def escape(text: str) -> str:
    r"""Return text as one line of printable characters, the others as backslash escapes.

    Every renderer of text sends every string through this that may hold a name from a model, so
    that a name can neither move the cursor, nor begin a line, nor hide another.

    Examples
    --------
    >>> escape("conv\x1b[31m\n")
    'conv\\x1b[31m\\n'
    >>> escape("größe [bold]")
    'größe [bold]'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _HARMFUL else char
        for char in text
    )


def clip(text: str, most: int) -> str:
    """Return a text with at most so many characters, the last a … where some were cut off.

    Examples
    --------
    >>> clip("convolution", 5), clip("conv", 5)
    ('conv…', 'conv')
    """
    return text if len(text) <= most else text[: most - 1] + "…"
