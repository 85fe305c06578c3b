"""A baseline: the findings that are known, kept in a file, so that only new ones count."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from scotoma.errors import UsageError
from scotoma.findings import Severity, Suppressed
from scotoma.results import BaselineUse, KnownFinding
from scotoma.settings.files import relative, shown_path

if TYPE_CHECKING:
    from scotoma.results import ModelReport

SCHEMA_VERSION = "1"
MAX_BYTES = 1 << 26

REASON = "known: it is in the baseline"


@dataclass(frozen=True, slots=True)
class Baseline:
    """The findings that a file lists, by the path of their model from the file's folder."""

    path: str
    models: Mapping[str, tuple[KnownFinding, ...]]

    @property
    def folder(self) -> str:
        """The folder that the paths start from."""
        return str(Path(self.path).absolute().parent)

    def key(self, model: str) -> str:
        """Return how the baseline names a model file."""
        return relative(model, self.folder)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The reports of some models with the known findings marked."""

    reports: tuple[ModelReport, ...]
    use: BaselineUse


def read(path: str) -> Baseline:
    """Read a baseline.

    Raises
    ------
    UsageError
        If it cannot be read or is none.
    """
    from scotoma.settings.schema import read_baseline  # noqa: PLC0415  only with a baseline

    shown = shown_path(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError(
            f"{shown}: there is no such baseline; --write-baseline makes one"
        ) from error
    except OSError as error:
        raise UsageError(f"{shown}: the baseline cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise UsageError(f"{shown}: too large for a baseline")
    models = {
        model: tuple(
            KnownFinding(model, k.fingerprint, k.code, k.severity, k.node, k.message) for k in known
        )
        for model, known in read_baseline(data, shown).items()
    }
    return Baseline(path, models)


def compare(
    baseline: Baseline, reports: Sequence[ModelReport], told: Mapping[str, frozenset[str]]
) -> Comparison:
    """Mark the known findings of some models, and say which ones vanished.

    A finding that has become more severe than it was is a new one.

    Parameters
    ----------
    told
        Codes of the rules that could tell all that they look for, by model; a finding of another
        rule has not vanished.
    """
    marked = []
    vanished: list[KnownFinding] = []
    known = new = 0
    source = shown_path(baseline.path)
    for report in reports:
        listed = {k.fingerprint: k for k in baseline.models.get(baseline.key(report.path), ())}
        findings = []
        for finding in report.findings:
            match = listed.get(finding.fingerprint)
            if finding.suppressed is not None:
                findings.append(finding)
            elif match is not None and finding.severity <= Severity[match.severity.upper()]:
                known += 1
                findings.append(replace(finding, suppressed=Suppressed("baseline", REASON, source)))
            else:
                new += 1
                findings.append(finding)
        marked.append(replace(report, findings=tuple(findings)))
        found = {finding.fingerprint for finding in report.findings}
        vanished += [
            k for k in listed.values() if k.fingerprint not in found and k.code in told[report.path]
        ]
    linted = {baseline.key(report.path) for report in reports}
    for model, entries in baseline.models.items():
        if model not in linted and model != "-" and not Path(baseline.folder, model).exists():
            vanished += entries
    vanished.sort(key=lambda k: (k.path, k.code, k.node or "", k.fingerprint))
    return Comparison(tuple(marked), BaselineUse(source, known, new, tuple(vanished)))


def write(path: str, reports: Iterable[ModelReport]) -> Baseline:
    """Write a baseline of all findings that count.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    empty = Baseline(path, {})
    models = {}
    for report in reports:
        key = empty.key(report.path)
        models[key] = tuple(
            KnownFinding(key, f.fingerprint, f.code, str(f.severity), f.primary.node, f.message)
            for f in report.findings
            if f.suppressed is None
        )
    made = Baseline(path, models)
    _save(made)
    return made


def prune(baseline: Baseline, vanished: Iterable[KnownFinding]) -> None:
    """Write a baseline again without some findings.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    gone = {(k.path, k.fingerprint) for k in vanished}
    if gone:
        models = {
            model: tuple(k for k in known if (k.path, k.fingerprint) not in gone)
            for model, known in baseline.models.items()
        }
        _save(Baseline(baseline.path, models))


def _save(baseline: Baseline) -> None:
    document = {
        "schema_version": SCHEMA_VERSION,
        "models": {
            model: [
                {
                    "fingerprint": k.fingerprint,
                    "code": k.code,
                    "severity": k.severity,
                    "node": k.node,
                    "message": k.message,
                }
                for k in sorted(known, key=lambda k: (k.code, k.node or "", k.fingerprint))
            ]
            for model, known in sorted(baseline.models.items())
            if known
        },
    }
    text = json.dumps(document, indent=2) + "\n"
    # Whole or not at all: a baseline that is cut off would fail every later run.
    beside = Path(f"{baseline.path}.{os.getpid()}.tmp")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(baseline.path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(
            f"{shown_path(baseline.path)}: the baseline cannot be written: {error.strerror}"
        ) from error
