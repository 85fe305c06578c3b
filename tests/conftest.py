"""Settings of all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

# A build must not fail by the luck of the draw; SCOTOMA_EXAMPLES makes every run look at new ones.
settings.register_profile("always-the-same", derandomize=True, deadline=None)
if "SCOTOMA_EXAMPLES" not in os.environ:
    settings.load_profile("always-the-same")


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
