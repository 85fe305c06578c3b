"""Measures what Scotoma costs, beside what else a person could run, and prints Markdown tables.

``python benchmarks/run.py`` (Linux or macOS; a few minutes) makes the models in a temporary
folder, runs every command in turn in several rounds, each run a process of its own, and says
which aims are met. The runs of one round stand side by side in time, so that a ratio is the
median of the ratios of the rounds: noise of a busy machine hits both sides alike.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent / "src"
MIB = 1 << 20
SHOWN = 2000
"""Last characters of the output of a command that failed."""
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024

IMPORTS = "imports"
BARE = ("-c", "import onnx, networkx, numpy")
SCOTOMA = "import sys; from scotoma.cli import main; sys.exit(main())"
CHECKER = (
    "import sys, onnx; onnx.checker.check_model(sys.argv[1]);"
    "onnx.shape_inference.infer_shapes(onnx.load(sys.argv[1]))"
)
RESNET, DENSENET = "light_resnet50", "light_densenet121"
HEAVY, LIGHT = "vgg19", "vgg19_without_weights"
THOUSAND, TEN_THOUSAND, LARGEST = "nodes_1e3", "nodes_1e4", "nodes_1e5"
MADE = (HEAVY, LIGHT, THOUSAND, TEN_THOUSAND, LARGEST)
COLUMNS = ("scotoma lint", "scotoma trace", "onnx checker + shape inference")


@dataclass(frozen=True, slots=True)
class Run:
    """One process, from its start to its end."""

    seconds: float
    peak: float
    """Most resident memory in MiB; pages of mapped files count once they are touched."""


@dataclass(frozen=True, slots=True)
class Case:
    """A command whose runs are compared."""

    model: str
    what: str
    arguments: tuple[str, ...]
    statuses: tuple[int, ...] = (0,)


Environment = dict[str, str]
Runs = dict[tuple[str, str], dict[int, Run]]
"""By model and command, then by round."""


def run_once(case: Case, environment: Environment) -> Run:
    """Run a command in a process of its own.

    Raises
    ------
    SystemExit
        If it ends with a status that is not one of the case's: what it did then is not comparable.
    """
    command = [sys.executable, *case.arguments]
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in case.statuses:
            output.seek(0)
            text = output.read().decode(errors="replace")
            sys.exit(
                f"{case.what} of {case.model} ended with {process.returncode}:\n{text[-SHOWN:]}"
            )
    return Run(seconds, usage.ru_maxrss * MAXRSS_UNIT / MIB)


def environment_of(bytecode: Path) -> dict[str, str]:
    """Return the environment of the runs: this checkout's program, with compiled modules kept."""
    dropped = {"PYTHONDONTWRITEBYTECODE"}
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return kept | {"PYTHONPATH": str(SOURCES), "PYTHONPYCACHEPREFIX": str(bytecode)}


def cases_of(models: dict[str, Path]) -> list[Case]:
    """Return what is measured, in the order in which a round runs it."""
    cases = [
        Case("", IMPORTS, BARE),
        Case("", "scotoma --help", ("-c", SCOTOMA, "--help")),
    ]
    for model, path in models.items():
        lint, trace, checker = COLUMNS
        cases += [
            Case(model, lint, ("-c", SCOTOMA, "lint", str(path)), (0, 1)),
            Case(model, trace, ("-c", SCOTOMA, "trace", str(path))),
            Case(model, checker, ("-c", CHECKER, str(path))),
        ]
    return cases


def measure(cases: Sequence[Case], environment: Environment, rounds: int, budget: float) -> Runs:
    """Run all cases in turn; a slow one sits out the later rounds once its budget is used up."""
    for case in cases:
        if case.model in {"", RESNET}:
            run_once(case, environment)  # not counted: compiles the modules, fills the disk's cache
    runs: Runs = {(case.model, case.what): {} for case in cases}
    for number in range(rounds):
        for case in cases:
            done = runs[case.model, case.what]
            if number > 0 and sum(run.seconds for run in done.values()) > budget:
                continue
            _progress(f"round {number + 1} of {rounds}: {case.what} {case.model}")
            done[number] = run_once(case, environment)
    _progress("")
    return runs


def steps_of(path: Path, environment: Environment) -> dict[str, float]:
    """Return the median seconds of each step of the analysis, without imports and process."""
    arguments = [sys.executable, str(HERE / "phases.py"), str(path)]
    found = subprocess.run(arguments, stdout=subprocess.PIPE, env=environment, check=True)
    runs: list[dict[str, float]] = json.loads(found.stdout)
    return {step: median(run[step] for run in runs) for step in runs[0]}


def ratio(runs: Runs, one: tuple[str, str], other: tuple[str, str]) -> float:
    """Return how many times longer one command takes than another: the median over the rounds."""
    common = runs[one].keys() & runs[other].keys()
    return median(runs[one][i].seconds / runs[other][i].seconds for i in common)


def seconds_of(runs: Runs, model: str, what: str) -> float:
    """Return the median duration of a command."""
    return median(run.seconds for run in runs[model, what].values())


def peak_of(runs: Runs, model: str, what: str) -> float:
    """Return the median of the peak memory of a command in MiB."""
    return median(run.peak for run in runs[model, what].values())


def process_table(runs: Runs, models: dict[str, Path]) -> list[str]:
    """Return the table of whole processes."""
    rows = []
    for what in (IMPORTS, "scotoma --help"):
        title = "`import onnx, networkx, numpy`" if what == IMPORTS else f"`{what}`"
        rows.append([title, "", _time_and_memory(runs, "", what), "", ""])
    for model, path in models.items():
        size = f"{path.stat().st_size / MIB:,.1f}"
        rows.append([model, size, *(_time_and_memory(runs, model, what) for what in COLUMNS)])
    return table(["whole process: s (peak MiB)", "file MiB", *COLUMNS], rows)


def _time_and_memory(runs: Runs, model: str, what: str) -> str:
    return f"{seconds_of(runs, model, what):.2f} ({peak_of(runs, model, what):,.0f})"


def analysis_table(models: dict[str, Path], environment: Environment) -> list[str]:
    """Measure the steps of the analysis and return their table."""
    rows, header = [], ["analysis alone: ms"]
    for model, path in models.items():
        _progress(f"steps of {model}")
        steps = steps_of(path, environment)
        header = [header[0], *steps]
        rows.append([model, *(f"{1000 * seconds:,.1f}" for seconds in steps.values())])
    _progress("")
    return table(header, rows)


def aims(runs: Runs) -> list[str]:
    """Return one line for each aim: met or not, with the figure."""
    lint = COLUMNS[0]
    imports = ("", IMPORTS)
    checks = [
        ("lint of light_resnet50 / bare imports", ratio(runs, (RESNET, lint), imports), 2, "×"),
        (
            "lint of light_densenet121 / bare imports",
            ratio(runs, (DENSENET, lint), imports),
            3,
            "×",
        ),
        ("lint of 10⁵ / 10⁴ nodes", ratio(runs, (LARGEST, lint), (TEN_THOUSAND, lint)), 15, "×"),
        ("scotoma --help", seconds_of(runs, "", "scotoma --help"), 0.15, " s"),
        (
            "lint with 548 MiB / without weights",
            ratio(runs, (HEAVY, lint), (LIGHT, lint)),
            1.2,
            "×",
        ),
        ("peak memory of lint with 548 MiB", peak_of(runs, HEAVY, lint), 250, " MiB"),
    ]
    return [
        f"- {'met' if value <= most else 'NOT MET'}: {title}: {value:.3g}{unit}, "
        f"at most {most}{unit}"
        for title, value, most, unit in checks
    ]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table with aligned columns."""
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines.insert(1, rule)
    return [
        "| "
        + " | ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in lines
    ]


def collect_models(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Return the paths of the models: those of the onnx package, and those made here."""
    spec = find_spec("onnx")
    if spec is None or spec.origin is None:
        sys.exit("onnx is not installed")
    light = Path(spec.origin).parent / "backend" / "test" / "data" / "light"
    models = {name: light / f"{name}.onnx" for name in (RESNET, DENSENET)}
    # In a process of its own: a child's peak memory is never less than this process's.
    subprocess.run(
        [sys.executable, str(HERE / "models.py"), str(folder), *names],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return models | {name: folder / f"{name}.onnx" for name in names}


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print, and return 1 where an aim is not met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="runs of each command [7]")
    parser.add_argument("--budget", type=float, default=30, help="seconds per slow command [30]")
    parser.add_argument("--models", type=Path, help="folder to keep the made models in")
    parser.add_argument("--2gb", dest="huge", action="store_true", help="add a VGG of 2 GB")
    options = parser.parse_args()
    names = (*MADE, "vgg19_2gb") if options.huge else MADE
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.models or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        _progress("making the models")
        models = collect_models(folder, names)
        environment = environment_of(Path(temporary) / "bytecode")
        runs = measure(cases_of(models), environment, options.rounds, options.budget)
        verdicts = aims(runs)
        steps = analysis_table(models, environment)
        print("\n".join([*process_table(runs, models), "", *steps, "", *verdicts]))
    return int(any(line.startswith("- NOT MET") for line in verdicts))


if __name__ == "__main__":
    sys.exit(main())
