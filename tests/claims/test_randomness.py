"""Whether runs differ where a rule says that they do, on every fixture of randomness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from runtimes import (
    FIXTURES,
    PLAIN,
    examined,
    expecting,
    feeds,
    name_of,
    session,
)  # fmt: skip

from scotoma.testing import Fixture

CODES = ("SC501", "SC503")
NOT_RUN = {"dropout-at-inference/opset_6"}
"""onnxruntime has no Dropout of that opset."""
RUNS = 64


def differs(fixture: Fixture, folder: Path) -> bool:
    """Tell whether some output differs between runs of one session, its optimisations off."""
    proto, facts = examined(fixture, folder)
    loaded = session(proto, PLAIN)
    for switch in (True, False):
        for sign in (1, -1):
            given = {
                name: value
                if value.dtype.kind in "biu"
                else (sign * abs(value)).astype(value.dtype)
                for name, value in feeds(facts, switch=switch).items()
            }
            first = loaded.run(None, given)
            for _ in range(RUNS):
                again = loaded.run(None, given)
                if any(not np.array_equal(a, b) for a, b in zip(first, again, strict=True)):
                    return True
    return False


@pytest.mark.parametrize(
    "fixture", [f for f in expecting(*CODES) if name_of(f) not in NOT_RUN], ids=name_of
)
def test_runs_differ(fixture: Fixture, tmp_path: Path) -> None:
    assert differs(fixture, tmp_path)


QUIET = [
    f
    for f in FIXTURES
    if f.rule in {"dropout-at-inference", "stochastic-operator"}
    and not {e.code for e in f.expected} & {*CODES}
]


@pytest.mark.parametrize("fixture", QUIET, ids=name_of)
def test_runs_agree(fixture: Fixture, tmp_path: Path) -> None:
    assert not differs(fixture, tmp_path)
