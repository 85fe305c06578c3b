"""Prints how long all rules take beside the analysis under them, as a Markdown table.

``python benchmarks/rules_share.py [FOLDER...]`` takes every ``.onnx`` file of the folders, without
any the networks that the onnx package ships. Processor time of one process, the least of many runs
of the analysis and the rules in turn; the models with the dearest rules come first.
"""

from __future__ import annotations

import gc
import sys
import time
from pathlib import Path

import onnx
from phases import ANALYSIS, RULES, once

from scotoma.cli import GARBAGE
from scotoma.errors import UsageError
from scotoma.registry import load_rules

SHIPPED = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
SECONDS = 1.5
"""No new run of a model is begun after so long."""
MOST_RUNS = 40


def least(path: Path) -> dict[str, float] | None:
    """Return the least seconds of every step, None for a model that shows no image."""
    rules = load_rules().select()
    begin, runs = time.perf_counter(), list[dict[str, float]]()
    while len(runs) < MOST_RUNS and (not runs or time.perf_counter() - begin < SECONDS):
        try:
            runs.append(once(str(path), rules))
        except UsageError:
            return None
    return {step: min(run[step] for run in runs) for step in runs[0]}


def main(folders: list[str]) -> None:
    """Measure all models and print the table."""
    gc.set_threshold(GARBAGE, 10, 10)  # as the command line does
    rows = []
    for folder in folders or [str(SHIPPED)]:
        for path in sorted(Path(folder).glob("**/*.onnx")):
            if (steps := least(path)) is not None:
                analysis = sum(steps[step] for step in ANALYSIS)
                rows.append((steps[RULES] / analysis, path.stem, analysis, steps[RULES]))
    print("| model | analysis, ms | rules, ms | rules / analysis |")
    print("| --- | ---: | ---: | ---: |")
    for ratio, name, analysis, rules in sorted(rows, reverse=True):
        print(f"| {name} | {1000 * analysis:.1f} | {1000 * rules:.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
