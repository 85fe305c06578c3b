"""The command that compares, as tests call it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from comparison.models import Call


@pytest.fixture
def call(run: Callable[..., tuple[int, str, str]]) -> Call:
    """Run the command and read its JSON document."""

    def read(old: object, new: object, *options: str) -> tuple[int, Any, str]:
        status, out, err = run("diff", str(old), str(new), "--format", "json", *options)
        return status, json.loads(out) if out else None, err

    return read
