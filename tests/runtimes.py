"""Fixtures in onnxruntime: what it makes of a model in text, and which findings concern it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from scotoma.registry import load_rules
from scotoma.testing import Fixture, find_fixtures, read_text_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.findings import Finding

    Array = NDArray[Any]
    Feeds = Mapping[str, Array]

FOLDER = Path(__file__).parent / "rules"
FIXTURES = find_fixtures(FOLDER)
RULES = load_rules()
INSTALLED = Version(ort.__version__)
PLAIN = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
DEFAULT = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
"""Above `PLAIN`, onnxruntime removes active dropout and folds pads into pools."""
ort.set_default_logger_severity(4)


def name_of(fixture: Fixture) -> str:
    return f"{fixture.rule}/{fixture.path.stem}"


def expecting(*codes: str) -> list[Fixture]:
    """Return the fixtures of all rules that expect a finding of one of these."""
    return [f for f in FIXTURES if {e.code for e in f.expected if e.kind == "finding"} & {*codes}]


def silent(rule: str, *codes: str) -> list[Fixture]:
    """Return the fixtures of a rule that expect nothing of it."""
    return [f for f in FIXTURES if f.rule == rule and not {e.code for e in f.expected} & {*codes}]


def findings(fixture: Fixture, code: str) -> list[Finding]:
    return list(fixture.lint([RULES.get(code)]).findings)


def concerns(finding: Finding) -> bool:
    """Tell whether a finding is about the installed version of onnxruntime."""
    versions = (finding.runtimes or "").removeprefix("onnxruntime")
    return INSTALLED in SpecifierSet(versions)


def session(proto: onnx.ModelProto, level: Any = PLAIN) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    return ort.InferenceSession(proto.SerializeToString(), options)


def feeds(facts: Facts, seed: int = 0, *, switch: bool = True) -> dict[str, Array]:
    """Return random numbers for every input, at the size that was examined."""
    generator = np.random.default_rng(seed)
    kinds = facts.resolution.dtypes
    made: dict[str, Array] = {}
    for value in facts.resolution.inputs:
        shape, kind = value.shape or (), kinds[value.name]
        if kind.kind == "b":
            made[value.name] = np.full(shape, switch)
        elif kind.kind in "iu":
            made[value.name] = generator.integers(0, 100, shape).astype(kind)
        else:
            made[value.name] = generator.standard_normal(shape).astype(kind)
    return made


def outcome(proto: onnx.ModelProto, given: Feeds, level: Any = DEFAULT) -> str:
    """Return ``load`` or ``run`` where onnxruntime refuses a model there, else nothing."""
    try:
        loaded = session(proto, level)
    except Exception:  # noqa: BLE001  onnxruntime raises types of its own
        return "load"
    try:
        loaded.run(None, dict(given))
    except Exception:  # noqa: BLE001  onnxruntime raises types of its own
        return "run"
    return ""


def part(proto: onnx.ModelProto, facts: Facts, source: str, target: str) -> onnx.ModelProto:
    """Return the model of what lies between two tensors of the main graph."""
    needed, nodes = {target}, []
    for node in reversed(proto.graph.node):
        if needed & {*node.output} and source not in node.output:
            nodes.append(node)
            needed.update(node.input)
    kind, shape = facts.resolution.dtypes[source], facts.shape(source)
    value = helper.make_tensor_value_info(source, helper.np_dtype_to_tensor_dtype(kind), shape)
    out = onnx.ValueInfoProto(name=target)
    graph = helper.make_graph(
        nodes[::-1],
        "part",
        [value],
        [out],
        [t for t in proto.graph.initializer if t.name in needed],
    )
    made = helper.make_model(graph, opset_imports=proto.opset_import)
    made.ir_version = proto.ir_version
    return made


def with_outputs(proto: onnx.ModelProto, tensors: Iterable[str]) -> onnx.ModelProto:
    """Return a model with some inner tensors among its outputs, which come last."""
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    present = {value.name for value in proto.graph.output}
    changed.graph.output.extend(onnx.ValueInfoProto(name=t) for t in tensors if t not in present)
    return changed


def examined(fixture: Fixture, folder: Path) -> tuple[onnx.ModelProto, Facts]:
    """Return a fixture's model and what is known of it."""
    from scotoma.facts import Facts
    from scotoma.loader import load_model

    proto = read_text_model(fixture.text)
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return proto, Facts.of(load_model(str(path)))
