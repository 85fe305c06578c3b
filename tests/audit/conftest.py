"""Small models that are audited, and the parts of an audit by themselves."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from scotoma import engine
from scotoma.audit import AuditOptions, Budget, audit_model
from scotoma.audit.bench import Bench
from scotoma.audit.exam import Exam
from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.measure import MeasureOptions
from scotoma.registry import load_rules
from scotoma.testing import read_text_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from audit.claims import Audit, Examine, Run, Save

    from scotoma.results import ModelReport

HEADER = '<ir_version: 8, opset_import: ["" : {opset}]>\n'


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write a model that stands as ONNX text."""

    def call(text: str, opset: int = 17, name: str = "model.onnx") -> Path:
        header = "" if "ir_version" in text else HEADER.format(opset=opset)
        path = tmp_path / name
        path.write_bytes(read_text_model(header + text).SerializeToString())
        return path

    return call


@pytest.fixture
def audited(save: Save) -> Audit:
    """Audit a model that stands as ONNX text."""

    def call(
        text: str,
        *codes: str,
        seconds: float = 60.0,
        clock: Callable[[], float] = perf_counter,
        size: Any = None,
        **how: Any,
    ) -> ModelReport:
        registry = load_rules(())
        rules = registry.select(codes) if codes else registry.select()
        return audit_model(
            str(save(text)),
            rules,
            engine.Options(size=size, debug=True),
            AuditOptions(**how),
            Budget.of(seconds, clock),
        )

    return call


@pytest.fixture
def examine(save: Save) -> Examine:
    """Return the exam of a model, for a check that is called by itself."""

    def call(text: str, *tensors: str, budget: Budget | None = None, **options: Any) -> Exam:
        facts = Facts.of(load_model(str(save(text))))
        until = budget or Budget.of(60.0)
        measure = MeasureOptions(**options)
        return Exam(facts, Bench(facts, measure, until, tensors), measure, until, debug=True)

    return call


@pytest.fixture
def run(run: Run) -> Run:
    """Call ``scotoma audit`` without a configuration: its exit status, output and errors."""

    def call(*arguments: str) -> tuple[int, str, str]:
        return run("audit", "--isolated", *arguments)

    return call
