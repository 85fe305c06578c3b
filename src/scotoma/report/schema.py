"""Makes the JSON Schemas of the documents from the types that the documents are written as."""

from __future__ import annotations

import ast
import importlib
import inspect
from typing import Any

DOCUMENTS = {
    "lint": ("scotoma.report.contract.lint", "LintDocument"),
    "trace": ("scotoma.report.contract.trace", "TraceDocument"),
    "sizes": ("scotoma.report.contract.sizes", "SizesDocument"),
    "diff": ("scotoma.report.contract.diff", "DiffDocument"),
    "measure": ("scotoma.report.contract.measure", "MeasureDocument"),
}
"""Module and type by the command that writes the document."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(command: str) -> dict[str, Any]:
    """Return the schema of what a command writes with ``--format json``.

    Keys that it does not name are allowed: later versions of Scotoma add some.

    Parameters
    ----------
    command
        One of `DOCUMENTS`.
    """
    import msgspec  # noqa: PLC0415  slow to import, and nothing else of a report needs it

    from scotoma.report.document import SCHEMA_VERSION  # noqa: PLC0415

    kind = document_type(command)
    kinds = {found.__name__: found for found in _types(kind)}
    _, definitions = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    described = {name: _described(definitions[name], kinds[name]) for name in sorted(definitions)}
    return {
        "$schema": DIALECT,
        "$id": f"urn:scotoma:schema:{command}:{SCHEMA_VERSION}",
        **described.pop(kind.__name__),
        "$defs": described,
    }


def document_type(command: str) -> type:
    """Return the type of what a command writes."""
    module, name = DOCUMENTS[command]
    found: type = getattr(importlib.import_module(module), name)
    return found


def _types(kind: type) -> list[type]:
    """Return the types of dictionaries that the modules of a document know."""
    shared = importlib.import_module("scotoma.report.contract.common")
    known = {**vars(shared), **vars(inspect.getmodule(kind))}
    return [found for found in known.values() if hasattr(found, "__required_keys__")]


def _described(schema: dict[str, Any], kind: type) -> dict[str, Any]:
    """Return a schema with its keys in the order of the type, each with the text below it."""
    texts = _texts(kind)
    properties = {}
    for key in kind.__annotations__:
        found = schema["properties"][key]
        # What stands beside a reference is about this key, not about the type.
        properties[key] = {**found, "description": texts[key]} if key in texts else found
    description = _plain(inspect.getdoc(kind) or "")
    return {**schema, "description": description, "properties": properties}


def _texts(kind: type) -> dict[str, str]:
    """Return the strings that stand below the keys of a type and its bases, by key."""
    (source,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(source, ast.ClassDef)
    texts: dict[str, str] = {}
    for base in map(ast.unparse, source.bases):
        if base != "TypedDict":
            texts |= _texts(getattr(inspect.getmodule(kind), base))
    for item, below in zip(source.body, source.body[1:], strict=False):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            match below:
                case ast.Expr(ast.Constant(str() as text)):
                    texts[item.target.id] = _plain(text)
    return texts


def _plain(text: str) -> str:
    """Return a docstring in one line, with marks that Markdown knows."""
    return " ".join(text.split()).replace("``", "`")
