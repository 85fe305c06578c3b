"""Times the steps of the analysis of one model inside one process, and prints all runs as JSON.

``python benchmarks/phases.py MODEL``; processor time, imports are not counted. As in a run of the
program the rules find what the analysis worked out, and what else they need is theirs.
"""

from __future__ import annotations

import gc
import json
import sys
import time

from scotoma.cli import GARBAGE
from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.registry import load_rules
from scotoma.resolve import resolve
from scotoma.rule import Rule
from scotoma.trace import trace

ANALYSIS = ("load", "resolve", "trace", "sweep (dead)", "sweep (walk)")
RULES = "rules"
SECONDS = 3.0
"""No new run is begun after so long."""
MOST_RUNS = 7


def once(path: str, rules: tuple[Rule, ...]) -> dict[str, float]:
    """Analyse a model once, from the file to the findings; return seconds by step."""
    clock = [time.process_time()]
    model = load_model(path)
    clock.append(time.process_time())
    resolution = resolve(model)
    clock.append(time.process_time())
    facts = Facts(model, resolution, trace(resolution))
    clock.append(time.process_time())
    facts.dead()
    clock.append(time.process_time())
    facts.coverage()
    clock.append(time.process_time())
    for rule in rules:
        list(rule.check(facts))
    clock.append(time.process_time())
    return {step: clock[i + 1] - clock[i] for i, step in enumerate((*ANALYSIS, RULES))}


def main(path: str) -> None:
    """Run until the time is up."""
    gc.set_threshold(GARBAGE, 10, 10)  # as the command line does
    rules = load_rules().select()
    begin = time.perf_counter()
    runs: list[dict[str, float]] = []
    while len(runs) < MOST_RUNS and (not runs or time.perf_counter() - begin < SECONDS):
        runs.append(once(path, rules))
    json.dump(runs, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
