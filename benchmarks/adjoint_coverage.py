"""Says of which models the adjoint covers all, a part or nothing, and whether it is sound there.

``python benchmarks/adjoint_coverage.py DIR...`` builds the adjoint of every model below the
folders, each in a process of its own. Of those that onnxruntime runs it compares the gradient with
the static sweep: no pixel that is structurally dead may have one, and every live pixel must have
one on one of a few random inputs, or there is a reason. It prints Markdown tables; the status is 1
where a gradient is not sound.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from run import table

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent / "src"
STATES = ("whole", "part", "none", "by nature", "no image", "error")
"""How far the gradient of the outputs reaches; see `adjoint_check.examine`."""
GROUPED = ("whole", "part", "none")
"""The states of models that have a gradient."""


@dataclass(frozen=True, slots=True)
class Model:
    """What was seen of one model."""

    folder: str
    name: str
    found: Mapping[str, Any]

    @property
    def state(self) -> str:
        """One of `STATES`."""
        return str(self.found["state"])

    @property
    def runs(self) -> bool:
        """Whether onnxruntime runs the file and there is a gradient to ask for."""
        return self.state in GROUPED and "runtime" not in self.found

    @property
    def problem(self) -> str | None:
        """What is wrong with the gradient; None where it is sound."""
        seen = self.found.get("soundness", {})
        if self.state == "error":
            return str(self.found["reason"])
        if self.state == "whole" and "failure" in seen:
            return str(seen["failure"])
        if seen.get("dead_with_gradient"):
            return f"{seen['dead_with_gradient']:,} structurally dead pixels have a gradient"
        if not seen.get("explained", True):
            return f"{seen['silent']:,} of {seen['live']:,} live pixels: {seen['reason']}"
        if not seen.get("forward", True):
            return "the forward does not say what the file says"
        return None


def examine(folder: Path, path: Path, limit: float) -> Model:
    """Examine one model in a process of its own."""
    command = [sys.executable, str(HERE / "adjoint_check.py"), str(path)]
    environment = os.environ | {"PYTHONPATH": str(SOURCES)}
    name = path.relative_to(folder).with_suffix("").as_posix()
    try:
        done = subprocess.run(
            command, capture_output=True, env=environment, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return Model(folder.name, name, {"state": "error", "reason": f"longer than {limit:g} s"})
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        reason = f"status {done.returncode}: {' '.join(last)}"
        return Model(folder.name, name, {"state": "error", "reason": reason})
    return Model(folder.name, name, json.loads(done.stdout))


def folders_table(models: Sequence[Model]) -> list[str]:
    """Return how many models of each folder are covered."""
    rows = []
    for folder in dict.fromkeys(model.folder for model in models):
        inside = [model for model in models if model.folder == folder]
        states = Counter(model.state for model in inside)
        running = [model for model in inside if model.runs]
        whole = sum(model.state == "whole" for model in running)
        share = f"{whole / len(running):.1%}" if running else ""
        counts = [str(states[state] or "") for state in STATES]
        rows.append([folder, str(len(inside)), *counts, str(len(running)), str(whole), share])
    return table(["folder", "models", *STATES, "onnxruntime runs", "of these whole", ""], rows)


def stops_table(models: Iterable[Model]) -> list[str]:
    """Return which operators stop gradients, those of the most models first."""
    counts: Counter[tuple[str, str]] = Counter()
    example: dict[tuple[str, str], str] = {}
    for model in models:
        for op_type, reason, _ in model.found.get("stops", ()):
            counts[op_type, reason] += 1
            example.setdefault((op_type, reason), f"{model.folder}/{model.name}")
    order = sorted(counts, key=lambda key: (-counts[key], key))
    rows = [
        [op_type, str(counts[op_type, reason]), example[op_type, reason], reason]
        for op_type, reason in order
    ]
    return table(["operator", "models", "such as", "why"], rows) if rows else ["Nothing stops one."]


def models_list(models: Iterable[Model]) -> list[str]:
    """Return the models whose gradient is not whole, with what stops it."""
    lines = []
    for model in models:
        if model.state not in GROUPED[1:]:
            continue
        stops = ", ".join(f"{count} {op}" for op, _, count in model.found["stops"])
        share = model.found["share"]
        lines.append(
            f"- {model.folder}/{model.name}: {model.state}, {share:.0%} of its operators are"
            f" passed; {stops}"
        )
    return ["Stopped on the way:", *lines] if lines else ["Every gradient is whole."]


def others_list(models: Iterable[Model]) -> list[str]:
    """Return the models that there is nothing to run of."""
    said = {
        "by nature": "nothing that has a gradient leads to an output",
        "no image": "it has no image",
    }
    lines = []
    for model in models:
        reason = said.get(model.state) or model.found.get("runtime")
        if reason:
            lines.append(f"- {model.folder}/{model.name}: {reason}")
    return ["Nothing to run:", *lines] if lines else ["Every model runs."]


def soundness_table(models: Sequence[Model]) -> list[str]:
    """Return per folder on how many pixels the two claims were tried."""
    rows = []
    for folder in dict.fromkeys(model.folder for model in models):
        seen = [
            model.found["soundness"]
            for model in models
            if model.folder == folder and "live" in model.found.get("soundness", {})
        ]
        sums = Counter[str]()
        for entry in seen:
            sums.update({key: entry[key] for key in ("dead", "dead_with_gradient", "live")})
            sums["silent"] += entry["silent"]
        speaking = sum(entry["silent"] == 0 for entry in seen)
        rows.append([folder, str(len(seen)), *(f"{sums[key]:,}" for key in
            ("dead", "dead_with_gradient", "live", "silent")), str(speaking)])  # fmt: skip
    header = [
        "folder", "models run", "dead pixels", "of these with a gradient", "live pixels",
        "of these without one", "models without such",
    ]  # fmt: skip
    return table(header, rows)


def silent_list(models: Iterable[Model]) -> list[str]:
    """Return the models some of whose live pixels have no gradient, with the reason."""
    lines = [
        f"- {model.folder}/{model.name}: {seen['silent']:,} of {seen['live']:,}; {seen['reason']}"
        for model in models
        if (seen := model.found.get("soundness", {})).get("silent")
    ]
    if not lines:
        return ["Every live pixel has a gradient."]
    return ["Live pixels without a gradient:", *lines]


def main() -> int:
    """Examine, print, and return 1 where something is not sound."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--jobs", type=int, default=1, help="models at once [1]")
    parser.add_argument("--limit", type=float, default=300, help="seconds a model may take [300]")
    parser.add_argument("--json", type=Path, help="also write what was seen of each model")
    options = parser.parse_args()
    jobs = []
    for folder in options.folders:
        paths = sorted(folder.rglob("*.onnx"), key=lambda path: str(path).lower())
        if not paths:
            parser.error(f"no model in {folder}")
        jobs += [(folder.resolve(), path.resolve()) for path in paths]
    models: list[Model] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for model in pool.map(lambda job: examine(job[0], job[1], options.limit), jobs):
            models.append(model)
            if sys.stderr.isatty():
                print(f"\r\x1b[2K{len(models)} of {len(jobs)}", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print("\r\x1b[2K", end="", file=sys.stderr)
    if options.json:
        document = [{"folder": m.folder, "model": m.name, **m.found} for m in models]
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    problems = [f"- {m.folder}/{m.name}: {m.problem}" for m in models if m.problem]
    parts = [folders_table, stops_table, models_list, others_list, soundness_table, silent_list]
    print("\n\n".join("\n".join(part(models)) for part in parts))
    print("\n" + "\n".join(["Not sound:", *problems] if problems else ["All gradients are sound."]))
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
