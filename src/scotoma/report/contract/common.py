"""What several documents share."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

SchemaVersion = Literal["1"]
Level = Literal["error", "warning", "note"]
Certainty = Literal["high", "medium", "low"]
Goal = Literal["classify", "dense", "detect"]
Status = Literal["complete", "partial", "unavailable", "error"]
Number = int | float | str | None
"""A fraction that no JSON number can carry is a text such as ``31/2``."""


class OptionDocument(TypedDict):
    """Something that a user can set of a rule."""

    name: str
    """As in a configuration."""
    default: bool | int | float | str | list[bool | int | float | str | None] | None
    """A fraction is a text."""
    what: str


class RuleDocument(TypedDict):
    """What a rule says of itself."""

    code: str
    name: str
    severity: Level
    severity_by_task: dict[str, Level]
    """Instead of `severity` in a model for this task."""
    confidence: Certainty
    summary: str
    since: str
    """The version of Scotoma that first had it."""
    default: bool
    """False: it runs only where it is selected."""
    references: list[str]
    """Addresses of papers and specifications."""
    runtimes: list[str]
    """Names of runtimes of which its findings tell versions apart."""
    options: list[OptionDocument]


class ToolDocument(TypedDict):
    """The program that made a document."""

    name: Literal["scotoma"]
    version: str
    rules: NotRequired[list[RuleDocument]]
    """The rules that ran."""


class InputDocument(TypedDict):
    """An input of a model with the shape that it is examined at."""

    name: str
    shape: list[int] | None
    """Null: it has no known shape."""
    spatial_axes: list[int]
    assumed: bool
    """Some dimension is not the model's own but a default."""


class UnanalysedDocument(TypedDict):
    """An operator that could not be analysed, and is taken to read everything."""

    node: str
    op_type: str
    reason: str


class ModelIdentity(TypedDict):
    """Which model a document is about."""

    path: str
    """From the folder of the call, with slashes; ``-``: standard input."""
    graph_sha256: str
    """Over the file without its weights."""
    producer: str
    """Name and version of the exporter; empty: the file does not say."""
    opset: int | None
    """Of the operators of ONNX itself."""


class ExaminedHead(TypedDict):
    """What the document of one examined model begins with."""

    schema_version: SchemaVersion
    """Raised when a meaning changes; keys may be added without."""
    tool: ToolDocument
    model: ModelIdentity
    input: InputDocument | None
    """The input whose pixels are followed; null: there is none."""


class ExaminedFoot(TypedDict):
    """What the document of one examined model ends with."""

    status: Status
    """``partial``: some operators could not be analysed; ``unavailable``: there is no image to
    follow."""
    unanalysed: list[UnanalysedDocument]
