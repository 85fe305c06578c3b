"""Lints models that work, and holds every error and warning against a reason that was checked.

``python benchmarks/precision.py [--models FOLDER...] [--write]`` lints the light models of the
installed onnx package, the sample models of this repository and all models below the given
folders. It prints a table, model by rule, and every error and warning with the reason why it is
true and the number that was confirmed by other means, from ``precision.toml``. The status is 1
where a finding has no reason, a reason has no finding any more, or a number is not the one that
was checked. With ``--write`` the text is kept as ``precision.md``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from precision_page import page

HERE = Path(__file__).resolve().parent
PAGE = HERE / "precision.md"
REASONS = HERE / "precision.toml"
SAMPLES = HERE.parent / "sample_models"
SOURCES = HERE.parent / "src"
JUDGED = ("error", "warning")
"""Severities that need a reason; a note states a fact and asks for nothing."""
TOLERANCE = 1e-3
"""Relative; the checked numbers are written down with four digits or more."""
REST = "Others"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule says of one place of a model."""

    code: str
    severity: str
    numbers: Mapping[str, float]
    """Measured values by name; those that are no numbers are left out."""


@dataclass(frozen=True, slots=True)
class Model:
    """What the rules say of a model."""

    name: str
    """Of the file, without its ending."""
    folder: str
    """Name of the folder that the file is in."""
    state: str
    """``complete``, ``partial``, ``unavailable`` (no image to follow) or ``error``."""
    findings: tuple[Finding, ...]
    undecided: tuple[str, ...]
    """Codes of the rules that could not tell."""

    def judged(self) -> dict[str, list[Finding]]:
        """Return the findings that need a reason, by the code of their rule."""
        found: dict[str, list[Finding]] = {}
        for finding in self.findings:
            if finding.severity in JUDGED:
                found.setdefault(finding.code, []).append(finding)
        return found


@dataclass(frozen=True, slots=True)
class Reason:
    """Why what a rule says of some models is true."""

    models: tuple[str, ...]
    rule: str
    """Code."""
    because: str
    """One sentence."""
    checked: Mapping[str, float | Sequence[float]]
    """The numbers of the finding that were confirmed, by name; two are bounds."""
    how: str
    """By what they were confirmed."""


@dataclass(frozen=True, slots=True)
class Group:
    """Models that stand in one table."""

    title: str
    models: tuple[str, ...]
    """Globs over FOLDER/NAME."""
    about: str = ""


def light_models() -> Path:
    """Return the folder of the architectures that the onnx package ships.

    Raises
    ------
    SystemExit
        If onnx is not installed.
    """
    spec = find_spec("onnx")
    if spec is None or spec.origin is None:
        sys.exit("onnx is not installed")
    return Path(spec.origin).parent / "backend" / "test" / "data" / "light"


def model_files(folders: Sequence[Path]) -> list[Path]:
    """Return all model files below the folders, sorted by name.

    Raises
    ------
    SystemExit
        If a folder holds none, or two files have the same name.
    """
    files: dict[str, Path] = {}
    for folder in folders:
        found = sorted(folder.rglob("*.onnx"))
        if not found:
            sys.exit(f"no model in {folder}")
        for path in found:
            if path.stem in files:
                sys.exit(f"{path.name} is there twice; the tables go by the names of the files")
            files[path.stem] = path
    return [files[name] for name in sorted(files, key=str.lower)]


def lint(files: Sequence[Path]) -> tuple[dict[str, str], list[Model]]:
    """Run ``scotoma lint`` as a user without settings; return the rules' names by code, and all.

    Raises
    ------
    SystemExit
        If the program fails on any model.
    """
    command = [sys.executable, "-m", "scotoma", "lint", "--isolated", "--exit-zero"]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SCOTOMA_")}
    environment = kept | {"PYTHONPATH": str(SOURCES)}
    done = subprocess.run(
        [*command, "--format", "json", *map(str, files)],
        stdout=subprocess.PIPE,
        env=environment,
        check=False,
    )
    if done.returncode:
        sys.exit(f"scotoma lint ended with status {done.returncode}")
    document = json.loads(done.stdout)
    names = {rule["code"]: rule["name"] for rule in document["tool"]["rules"]}
    by_path = {Path(entry["path"]).resolve(): entry for entry in document["models"]}
    return names, [_model(file, by_path[file.resolve()]) for file in files]


def _model(file: Path, entry: Mapping[str, Any]) -> Model:
    findings = tuple(
        Finding(
            item["code"],
            item["severity"],
            {
                m["name"]: float(m["value"])
                for m in item["measurements"]
                if isinstance(m["value"], int | float)
            },
        )
        for item in entry["findings"]
    )
    undecided = tuple(sorted({item["code"] for item in entry["undecided"]}))
    return Model(file.stem, file.parent.name, entry["status"], findings, undecided)


def read_reasons(path: Path) -> tuple[list[Group], list[Reason]]:
    """Read the groups of models and the reasons.

    Raises
    ------
    SystemExit
        If two reasons are for the same model and rule.
    """
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    groups = [
        Group(item["title"], tuple(item["models"]), item.get("about", ""))
        for item in document["group"]
    ]
    reasons = [
        Reason(tuple(item["models"]), item["rule"], item["because"], item["checked"], item["how"])
        for item in document["reason"]
    ]
    seen: set[tuple[str, str]] = set()
    for model, reason in pairs(reasons):
        if (model, reason.rule) in seen:
            sys.exit(f"{path.name}: two reasons for {reason.rule} on {model}")
        seen.add((model, reason.rule))
    return groups, reasons


def pairs(reasons: Sequence[Reason]) -> Iterator[tuple[str, Reason]]:
    """Yield every model of every reason."""
    for reason in reasons:
        for model in reason.models:
            yield model, reason


def problems(models: Sequence[Model], reasons: Sequence[Reason]) -> list[str]:
    """Say where findings and reasons do not fit; reasons for absent models do not count.

    Returns
    -------
    list of str
        One line each, sorted by model.
    """
    by_name = {model.name: model for model in models}
    given = {(name, reason.rule): reason for name, reason in pairs(reasons)}
    lines = [f"{model.name}: not examined" for model in models if model.state == "error"]
    for model in models:
        for code, findings in model.judged().items():
            reason = given.get((model.name, code))
            if reason is None:
                lines.append(f"{model.name}: {worst_of(findings)} {code} has no reason")
            else:
                lines += _differences(model.name, findings, reason)
    for name, reason in pairs(reasons):
        if name in by_name and reason.rule not in by_name[name].judged():
            lines.append(f"{name}: a reason for {reason.rule}, but no error or warning")
    return sorted(lines)


def worst_of(findings: Sequence[Finding]) -> str:
    """Return the highest severity among findings that need a reason."""
    return min((finding.severity for finding in findings), key=JUDGED.index)


def _differences(name: str, findings: Sequence[Finding], reason: Reason) -> Iterator[str]:
    for measurement, checked in reason.checked.items():
        values = {f.numbers[measurement] for f in findings if measurement in f.numbers}
        if not any(_confirmed(value, checked) for value in values):
            said = " and ".join(f"{value:g}" for value in sorted(values)) or "not measured"
            yield f"{name}: {reason.rule} {measurement} is {said}; {checked} was checked"


def _confirmed(value: float, checked: float | Sequence[float]) -> bool:
    if isinstance(checked, int | float):
        return math.isclose(value, checked, rel_tol=TOLERANCE)
    low, high = checked
    return low <= value <= high


def grouped(models: Sequence[Model], groups: Sequence[Group]) -> list[tuple[Group, list[Model]]]:
    """Put every model into the first group that it fits; empty groups are left out."""
    rest = Group(REST, ("*",))
    found: dict[str, list[Model]] = {}
    for model in models:
        home = next(
            group
            for group in (*groups, rest)
            if any(fnmatchcase(f"{model.folder}/{model.name}", glob) for glob in group.models)
        )
        found.setdefault(home.title, []).append(model)
    return [(group, found[group.title]) for group in (*groups, rest) if group.title in found]


def main() -> int:
    """Lint, print, and return 1 where a finding and its reason do not fit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--models",
        type=Path,
        nargs="+",
        default=[],
        help="folders of further models",
        metavar="DIR",
    )
    parser.add_argument("--write", action="store_true", help=f"keep the text as {PAGE.name}")
    options = parser.parse_args()
    names, models = lint(model_files([light_models(), SAMPLES, *options.models]))
    groups, reasons = read_reasons(REASONS)
    text = page(names, grouped(models, groups), reasons)
    print(text, end="")
    wrong = problems(models, reasons)
    absent = sorted({name for name, _ in pairs(reasons)} - {model.name for model in models})
    if options.write and absent:
        wrong.append(f"not written: {absent[0]} and others are not among the models; see --models")
    elif options.write and not wrong:
        PAGE.write_text(text, encoding="utf-8")
    for line in wrong:
        print(line, file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
