"""Settings of all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# A build must fail neither by the luck of the draw nor because the machine is busy;
# SCOTOMA_EXAMPLES makes every run look at new examples.
settings.register_profile(
    "always-the-same",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
if "SCOTOMA_EXAMPLES" not in os.environ:
    settings.load_profile("always-the-same")

# Who runs the tests may have settings, which are not those of the models that the tests lint.
FOR_TESTS = {"SCOTOMA_ALL_MODELS", "SCOTOMA_EXAMPLES"}
for variable in [name for name in os.environ if name.startswith("SCOTOMA_")]:
    if variable not in FOR_TESTS:
        del os.environ[variable]

_states: dict[np.random.Generator, Any] = {}


@pytest.fixture(autouse=True)
def _numbers_do_not_depend_on_other_tests(request: pytest.FixtureRequest) -> None:
    """Give the random generators of a test's module the state that importing it left."""
    for value in vars(request.module).values():
        if isinstance(value, np.random.Generator):
            value.bit_generator.state = _states.setdefault(value, value.bit_generator.state)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Call the program in this process: its exit status, standard output and standard error."""
    from scotoma.cli import main

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        result = main(arguments)
        captured = capsys.readouterr()
        return result, captured.out, captured.err

    return call


@pytest.fixture(autouse=True, scope="session")
def _documents_fit_their_schemas() -> Iterator[None]:
    """Hold every JSON document that a test has written against its schema."""
    from json_documents import check_document

    from scotoma.report import json as reporter

    dump = reporter.dump

    def checked(document: Any) -> str:
        text = dump(document)
        check_document(document, text)
        return text

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reporter, "dump", checked)
        yield
