"""Holds JSON documents against the schemas that are published for them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema
import msgspec

from scotoma.report.schema import document_type, schema_of

MARKS = {
    "lint": "summary",
    "trace": "tensors",
    "sizes": "deployed",
    "diff": "comparisons",
    "measure": "influence",
}
"""A key that only the document of this command has."""
LARGE = 100_000
"""Characters above which only the types are checked: the validator takes seconds."""


@cache
def validator(command: str) -> Any:
    """Return a validator that also refuses keys that the schema does not name."""
    schema = schema_of(command)
    for part in (schema, *schema["$defs"].values()):
        part["additionalProperties"] = False
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def check_document(document: Any, text: str) -> None:
    """Fail where a document is not what the schema of its command says; ignore all others."""
    if not isinstance(document, dict) or "schema_version" not in document:
        return
    for command, mark in MARKS.items():
        if mark in document:
            if len(text) > LARGE:
                msgspec.convert(json.loads(text), document_type(command))
            else:
                validator(command).validate(json.loads(text))
