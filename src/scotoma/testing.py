"""For tests: holds models against the rules, and rules against fixtures.

`assert_clean` fails a test where a model has findings. A fixture is a small model as ONNX text,
with what the rules must say of it.

A fixture is an ``.onnxtxt`` file. Comment lines state its expectations, and why::

    # A 1x1 projection with stride 2, whose skipped pixels nothing else reads.
    # expect: SC101
    # expect-undecided: SC402 pool
    <ir_version: 8, opset_import: ["" : 17]>
    model (float[1, 8, 32, 32] x) => (float[1, 16, 16, 16] y)
    <float[16, 8, 1, 1] w>
    {
        [shortcut] y = Conv <kernel_shape = [1, 1], strides = [2, 2]> (x, w)
    }

``# expect: CODE NODE`` is a finding whose primary location is that node; without a node, the graph
as a whole. ``# expect-undecided:`` is the same for what could not be told. ``# only: NAME`` (codes
or names, separated by spaces) leaves out all other rules, where they would rightly speak too.
A tensor that is declared but not made by any operator becomes an initializer, filled with numbers
that depend on its name alone, so that weights cost no bytes.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from scotoma.api.lint import lint
from scotoma.api.settings import LintSettings
from scotoma.engine import Options, lint_model
from scotoma.results import ModelReport
from scotoma.rule import Rule

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from scotoma.api.lint import LintResult
    from scotoma.api.models import ModelSource

SUFFIX = ".onnxtxt"
_KINDS = {"expect": "finding", "expect-undecided": "undecided"}


def assert_clean(*models: ModelSource, **settings: Unpack[LintSettings]) -> LintResult:
    """Fail a test where models have findings, with the report as the message.

    Parameters
    ----------
    models
        Paths, or one model as bytes or as an ``onnx.ModelProto``; see `scotoma.lint`.
    settings
        Keys of a configuration; ``fail_on`` is ``warning`` unless it is given.

    Raises
    ------
    AssertionError
        If a finding counts at or above ``fail_on``, or a model or rule failed.
    scotoma.errors.ScotomaError
        As of `scotoma.lint`.

    Examples
    --------
    >>> import onnx.parser
    >>> model = onnx.parser.parse_model('''
    ...     <ir_version: 8, opset_import: ["" : 17]>
    ...     agraph (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y) {
    ...         y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
    ...     }''')
    >>> assert_clean(model).passed
    True
    """
    __tracebackhide__ = True  # pytest shows the test that called
    asked: LintSettings = {"fail_on": "warning", **settings}
    result = lint(*models, **asked)
    if not result.passed:
        raise AssertionError(f"the model is not clean\n\n{result.render()}")
    return result


@dataclass(frozen=True, slots=True, order=True)
class Expectation:
    """One thing that a rule says of a model."""

    kind: str
    """``finding`` or ``undecided``."""
    code: str
    node: str
    """Name of the operator; ``""`` for the graph as a whole."""


@dataclass(frozen=True, slots=True)
class Fixture:
    """A model as text, with all that the rules must say of it."""

    path: Path
    text: str
    expected: tuple[Expectation, ...]
    """Sorted; two equal ones are two findings."""
    only: tuple[str, ...]
    """Codes or names of the rules to run; empty: all."""

    @property
    def rule(self) -> str:
        """Name of the rule that it is an example for: the folder that it is in."""
        return self.path.parent.name

    def lint(self, rules: Iterable[Rule]) -> ModelReport:
        """Run those of the rules that it is meant for.

        Rules that are off by default run on their own fixtures and where they are named.
        """
        chosen = [
            rule
            for rule in rules
            if {rule.meta.code, rule.meta.name} & set(self.only)
            or (not self.only and (rule.meta.default or rule.meta.name == self.rule))
        ]
        return lint_text(self.text, chosen)


def find_fixtures(folder: str | Path) -> list[Fixture]:
    """Read all fixtures below a folder, sorted by path."""
    return [read_fixture(path) for path in sorted(Path(folder).rglob(f"*{SUFFIX}"))]


def read_fixture(path: str | Path) -> Fixture:
    """Read one fixture.

    Raises
    ------
    ValueError
        If a comment that looks like an expectation is not one.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    expected: list[Expectation] = []
    only: list[str] = []
    for line in text.splitlines():
        key, colon, rest = line.removeprefix("#").strip().partition(":")
        if not line.startswith("#") or not colon:
            continue
        if key == "only":
            only.extend(rest.split())
        elif key in _KINDS:
            code, _, node = rest.strip().partition(" ")
            if not code:
                raise ValueError(f"{path}: no code in {line!r}")
            expected.append(Expectation(_KINDS[key], code, node.strip()))
        elif key.startswith("expect"):
            raise ValueError(f"{path}: {line!r} is no expectation ({', '.join(_KINDS)})")
    return Fixture(path, text, tuple(sorted(expected)), tuple(only))


def lint_text(text: str, rules: Iterable[Rule]) -> ModelReport:
    """Run rules over a model in ONNX text, as `scotoma lint` does; their crashes are raised."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(read_text_model(text).SerializeToString())
        return lint_model(str(path), rules, Options(debug=True))


def said(report: ModelReport) -> tuple[Expectation, ...]:
    """Return what the rules said of a model, in the form of a fixture's expectations."""
    findings = [Expectation("finding", f.code, f.primary.node or "") for f in report.findings]
    undecided = [Expectation("undecided", u.code, u.node or "") for u in report.undecided]
    return tuple(sorted(findings + undecided))


def read_text_model(text: str) -> onnx.ModelProto:
    """Parse ONNX text and give every tensor that is declared but not made a value."""
    import onnx.parser  # noqa: PLC0415  slow to import

    # Blank lines in place of comments keep the line numbers of the parser's errors.
    lines = ["" if line.lstrip().startswith("#") else line for line in text.splitlines()]
    model = onnx.parser.parse_model("\n".join(lines))
    for graph in _graphs(model.graph):
        made = {name for node in graph.node for name in node.output}
        made.update(tensor.name for tensor in graph.initializer)
        missing = [value for value in graph.value_info if value.name not in made]
        graph.initializer.extend(_initializer(value) for value in missing)
    return model


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _initializer(value: onnx.ValueInfoProto) -> onnx.TensorProto:
    from onnx import helper, numpy_helper  # noqa: PLC0415  slow to import

    declared = value.type.tensor_type
    shape = tuple(dim.dim_value for dim in declared.shape.dim)
    dtype = helper.tensor_dtype_to_np_dtype(declared.elem_type)
    return numpy_helper.from_array(_numbers(value.name, shape, dtype), value.name)


def _numbers(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[np.generic]:
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    if dtype.kind in "biu":
        return generator.integers(0, 2, shape).astype(dtype)
    return generator.standard_normal(shape).astype(dtype)
