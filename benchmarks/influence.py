"""Measures what an influence map costs by perturbation, each way beside one forward.

    python benchmarks/influence.py [MODEL] [--rounds 5] [--sample 24] [--budget 20]

runs one model (without MODEL a ResNet-18 at 224x224 with seeded weights) in one process: one
forward; a loop over pixels as anybody writes it; the same in batches; Captum's FeatureAblation on
the PyTorch twin of the model (where both are installed); Scotoma one pixel at a time; its default
plan. Several pixels in one pass are measured on a second model, whose receptive field is small.

All ways have one thread, look at the same tensors of the same image and take the same step, and
their answers are compared. Counted is processor time, which a busy machine disturbs least; the ways
take turns, and a ratio is the median of the ratios of the rounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from influence_ways import (
    MORE_INPUTS,
    NAIVE,
    SCOTOMA,
    Bench,
    Step,
    bench_of,
    naive,
    scotoma,
    session_of,
    ways_of,
)
from run import table
from vision_models import MODELS, Graph

from scotoma.errors import ScotomaError

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.measure import Influence

DEFAULT = "ResNet-18"
FORWARD, EXACT = "one forward", "one forward, roundings kept"
SAME = 0.05
"""Of the largest influence: what two ways may differ by, in roundings of float32."""
MOST_OVERHEAD = 0.1
"""The aim: time beside onnxruntime's own, over that."""


@contextmanager
def inside_onnxruntime() -> Iterator[list[float]]:
    """Collect the processor time of every run of onnxruntime."""
    from onnxruntime import InferenceSession

    seconds: list[float] = []
    run = InferenceSession.run

    def clocked(*arguments: Any) -> Any:
        start = time.process_time()
        try:
            return run(*arguments)
        finally:
            seconds.append(time.process_time() - start)

    InferenceSession.run = clocked
    try:
        yield seconds
    finally:
        InferenceSession.run = run


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of processor time per input of every way, by round."""

    seconds: Mapping[str, Sequence[float]]
    overhead: Sequence[float]
    """Of Scotoma's probes: time beside onnxruntime's own, over that."""

    def ratio(self, way: str, other: str) -> float:
        """Return how many times longer one way takes than another: the median over the rounds."""
        pairs = zip(self.seconds[way], self.seconds[other], strict=True)
        return median(a / b for a, b in pairs)


def compare(bench: Bench, ways: Mapping[str, Step | str], rounds: int, count: int) -> Timing:
    """Run all ways in turn, on the same pixels in a round.

    Raises
    ------
    SystemExit
        If two ways give different influences: then they are not comparable.
    """
    steps = {name: way for name, way in ways.items() if not isinstance(way, str)}
    plain, exact = session_of(bench), bench.setup.subject.session
    forwards: dict[str, Callable[[], object]] = {
        FORWARD: lambda: plain.run(bench.tensors, bench.feed),
        EXACT: lambda: exact.run(bench.feed),
    }
    seconds: dict[str, list[float]] = {name: [] for name in (*forwards, *steps)}
    overhead = []
    for number in range(rounds + 1):  # the first is not counted: it allocates
        places = bench.sample(count, number)
        found = {}
        for name, forward in forwards.items():
            start = time.process_time()
            for _ in range(count):
                forward()
            seconds[name].append((time.process_time() - start) / count)
        for name, step in steps.items():
            with inside_onnxruntime() as own:
                start = time.process_time()
                found[name] = step(places)
                spent = time.process_time() - start
            seconds[name].append(spent / (count + MORE_INPUTS.get(name, 0)))
            if name == SCOTOMA:
                overhead.append((spent - sum(own)) / sum(own))
        require_same(found)
    return Timing({name: times[1:] for name, times in seconds.items()}, overhead[1:])


def require_same(found: Mapping[str, NDArray[np.float64]]) -> None:
    """End the run where the ways do not measure the same."""
    first = found[NAIVE]
    for name, influence in found.items():
        off = float(np.abs(influence - first).max() / first.max())
        if not off <= SAME:
            sys.exit(f"'{name}' and '{NAIVE}' differ by {off:.2g} of the largest influence")


def cost_table(bench: Bench, ways: Mapping[str, Step | str], timing: Timing) -> list[str]:
    """Return what one perturbed input costs each way, and a whole map on one input."""
    head = ["way", "ms per input", "÷ one forward", f"map of {bench.pixels:,} pixels: s *"]
    rows: list[list[str]] = []
    reasons: list[str] = []
    for name in (FORWARD, EXACT, *ways):
        if isinstance(reason := ways.get(name), str):
            rows.append([name, "", "", "not run"])
            reasons.append(f"- {name}: {reason}")
            continue
        each = median(timing.seconds[name])
        whole = short(each * bench.pixels) if name in ways else ""
        rows.append([name, short(1000 * each), f"{timing.ratio(name, FORWARD):.2f}", whole])
    return [*table(head, rows), *(["", *reasons] if reasons else [])]


def short(value: float) -> str:
    """Return a number of three digits, or of all before the point.

    Examples
    --------
    >>> short(1254.6), short(18.812), short(0.03456)
    ('1,255', '18.8', '0.0346')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole measurement by `measure`."""

    influence: Influence
    seconds: float
    inside: float
    """Of these in onnxruntime."""


def measured(facts: Facts, **asked: Any) -> Whole:
    """Measure as the command does with ``--method perturb``."""
    from scotoma.measure import MeasureOptions, measure

    with inside_onnxruntime() as own:
        start = time.process_time()
        influence = measure(facts, MeasureOptions(method="perturb", **asked))
        spent = time.process_time() - start
    return Whole(influence, spent, sum(own))


def small_field(path: Path, size: int = 96, layers: int = 6) -> None:
    """Write a network of 3x3 layers that keep the size, as denoisers have; receptive field 13."""
    import onnx

    net = Graph(1, size)
    tensor = "image"
    for _ in range(layers):
        tensor = net.conv_relu(tensor, 32, 3)
    onnx.save(net.model(tensor), path)


def whole_table(rows: Mapping[str, tuple[Whole, float]]) -> list[str]:
    """Return what whole measurements cost, with the seconds of one pixel at a time for each."""
    head = [
        "whole measurement", "s", "passes", "inputs", "pixels", "border / interior",
        "every pixel alone: s *", "÷ this", "beside onnxruntime",
    ]  # fmt: skip
    return table(head, [_whole_row(name, *row) for name, row in rows.items()])


def _whole_row(name: str, whole: Whole, naive_seconds: float) -> list[str]:
    from scotoma.measure.summary import summarise

    influence = whole.influence
    inputs, directions = len(influence.baselines), 2 if influence.difference == "central" else 1
    alone = naive_seconds * influence.values.size * inputs * directions
    found = summarise(influence).figures["border_over_interior"]
    ratio = "unknown" if found.value is None else f"{found.value:.2f}"
    if found.error:
        ratio += f" ± {found.error:.2g}"
    return [
        name, f"{whole.seconds:.2f}", f"{influence.work.passes:,}", str(inputs),
        f"{int(influence.probed.sum()):,} of {influence.values.size:,}", ratio, short(alone),
        f"{short(alone / whole.seconds)}×", f"{whole.seconds / whole.inside - 1:.1%}",
    ]  # fmt: skip


def together(bench: Bench, rounds: int, count: int) -> tuple[Whole, float]:
    """Measure a whole map with several pixels in one pass; give also the seconds of one alone.

    Raises
    ------
    SystemExit
        If a pixel has another influence than alone, in any bit.
    """
    timing = compare(bench, {NAIVE: naive(bench), SCOTOMA: scotoma(bench)}, rounds, count)
    whole = measured(bench.facts, resolution="full", random_inputs=1, difference="forward")
    places = bench.sample(count, 0)
    alone = scotoma(bench)(places)
    if not np.array_equal(whole.influence.values[tuple(np.array(places).T)], alone):
        sys.exit("pixels that are perturbed together do not answer as they do alone")
    return whole, median(timing.seconds[NAIVE])


def aims(timing: Timing) -> list[str]:
    """Return one line for each aim: met or not, with the figure."""
    overhead = median(timing.overhead)
    met = "met" if overhead <= MOST_OVERHEAD else "NOT MET"
    said = f"a probe's time beside onnxruntime's own: {overhead:.1%}, at most {MOST_OVERHEAD:.0%}"
    return [f"- {met}: {said}"]


def made(name: str, folder: Path) -> Path:
    """Write one of the well-known networks."""
    import onnx

    model: onnx.ModelProto = MODELS[name](1)
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 where an aim is not met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", nargs="?", type=Path, metavar="MODEL", help=f"file [{DEFAULT}]")
    parser.add_argument("--rounds", type=int, default=5, help="of all ways in turn [5]")
    parser.add_argument("--sample", type=int, default=24, help="pixels of a round [24]")
    parser.add_argument("--budget", type=float, default=20, help="of the default plan, seconds")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        try:
            bench = bench_of(options.model or made(DEFAULT, folder))
        except ScotomaError as error:
            parser.error(f"{options.model}: {error}")
        ways = ways_of(bench)
        timing = compare(bench, ways, options.rounds, options.sample)
        small = folder / "small.onnx"
        small_field(small)
        plan = measured(bench.facts, budget=options.budget)
        wholes = {
            f"default plan, {options.budget:g} s": (plan, median(timing.seconds[NAIVE])),
            "small field, several pixels in a pass": together(
                bench_of(small), options.rounds, options.sample
            ),
        }
        note = f"\\* extrapolated from {options.rounds} rounds of {options.sample} pixels"
        lines = [*cost_table(bench, ways, timing), "", *whole_table(wholes), "", note, ""]
    verdicts = aims(timing)
    print("\n".join([*lines, *verdicts]))
    return int(any(line.startswith("- NOT MET") for line in verdicts))


if __name__ == "__main__":
    sys.exit(main())
