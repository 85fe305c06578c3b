"""Makes a text the plain text of a SARIF message."""

from __future__ import annotations

import re


def plain(text: str) -> str:
    r"""Return a text as the plain text of a message: without placeholders or links of its own.

    SARIF takes ``{0}`` for the place of an argument and ``[…](…)`` for a link (3.11.5, 3.11.6).

    Examples
    --------
    >>> plain("'{0}' is [here](https://example.org), [1, 3]")
    "'{{0}}' is \\[here\\](https://example.org), \\[1, 3\\]"
    >>> plain("reads [1, 3]")
    'reads [1, 3]'
    """
    found = re.sub(r"\{(\d+)\}", r"{{\1}}", text)
    return re.sub(r"([\[\]])", r"\\\1", found) if "](" in found else found
