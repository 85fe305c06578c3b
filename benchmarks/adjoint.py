"""Measures what a whole influence map costs by the adjoint, beside PyTorch and perturbation.

``python benchmarks/adjoint.py`` makes well-known networks with seeded weights and runs each in
turn: the forward in onnxruntime, the forward with residuals, the adjoint, further cotangents, the
same operators and weights in PyTorch forward and backward (where it is installed), and single
perturbations, of which the whole map is extrapolated. Every way has a process of its own; the runs
of one round stand side by side in time, so that a ratio is the median of the ratios of the rounds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from run import MAXRSS_UNIT, MIB, table
from vision_models import DEPTHWISE, MODELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = 0.05
"""Seconds that one timing takes at least; quick steps are repeated."""
PAUSE = 0.3
"""Seconds between two ways: threads of the one before may still wait busily for work."""
BATCH = 8
COTANGENTS = 8
"""Further cotangents that are timed at once."""
SAME = 1e-3
"""Of the largest value: what the answers of onnxruntime and PyTorch may differ by."""
NAIVE_PIXELS = 224 * 224
"""The aim for perturbation is about maps of this many pixels."""


# What is timed, each in a process of its own. A way has steps, by name.

Steps = Mapping[str, Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a process is told."""

    model: str
    file: str
    """The model as ONNX; for the way that runs in batches, of that batch."""
    threads: int
    cpu: bool
    """Count processor time instead of the time on the wall."""


def image_of(model: Any) -> NDArray[Any]:
    """Return the input that all ways run on."""
    shape = [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def session_of(setting: Setting) -> Any:
    """Load the model in onnxruntime as anybody does, but let its threads rest between runs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = setting.threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(setting.file, options, providers=["CPUExecutionProvider"])


def by_forward(setting: Setting) -> Steps:
    """Return the model alone, and with one pixel changed."""
    import onnx

    session, image = session_of(setting), image_of(onnx.load(setting.file))
    answer = session.run(None, {"image": image})[0]
    places = np.random.default_rng(1)

    def probe() -> float:
        row, column = (int(places.integers(size)) for size in image.shape[2:])
        changed = image.copy()
        changed[:, :, row, column] += 1
        return float(np.linalg.norm(session.run(None, {"image": changed})[0] - answer))

    return {"forward": lambda: session.run(None, {"image": image}), "probe": probe}


def by_batches(setting: Setting) -> Steps:
    """Return the model on several images at once."""
    import onnx

    session, images = session_of(setting), image_of(onnx.load(setting.file))
    return {"batch": lambda: session.run(None, {"image": images})}


def by_adjoint(setting: Setting) -> Steps:
    """Return the forward with residuals, and the adjoint of one or several cotangents."""
    import onnx

    from scotoma.adjoint import Runner, build
    from scotoma.loader import load_model
    from scotoma.resolve import resolve

    image = image_of(onnx.load(setting.file))
    resolution = resolve(load_model(setting.file))
    target = resolution.model.main.outputs[0].name
    adjoint = build(resolution, [target], ["image"])
    if adjoint.missing:
        raise SystemExit(f"{setting.model}: {adjoint.missing}")
    runner = Runner(adjoint, threads=setting.threads)
    tape = runner.forward({"image": image})
    one = {target: cotangent_of(tape.targets[target])}
    many = {target: np.repeat(one[target], COTANGENTS, 0)}
    return {
        "with residuals": lambda: runner.forward({"image": image}),
        "adjoint": lambda: runner.backward(tape, one)["image"][0],
        "cotangents": lambda: runner.backward(tape, many),
        "residuals": lambda: adjoint.residual_bytes / MIB,
        "answer": lambda: runner.forward({"image": image}).targets[target],
    }


def by_torch(setting: Setting) -> Steps:
    """Return the same in PyTorch: without a tape, forward and backward, and backward alone."""
    import onnx
    import torch
    from torch_twin import Twin

    if setting.threads:
        torch.set_num_threads(setting.threads)
    model = onnx.load(setting.file)
    twin, image = Twin(model), torch.from_numpy(image_of(model))

    def forward() -> NDArray[Any]:
        with torch.no_grad():
            answer: NDArray[Any] = twin(image).numpy()
        return answer

    cotangent = torch.from_numpy(cotangent_of(forward())[0])

    def both() -> object:
        fed = image.clone().requires_grad_()
        return torch.autograd.grad(twin(fed), fed, cotangent)[0]

    held = image.clone().requires_grad_()
    answer = twin(held)

    def backward() -> object:
        return torch.autograd.grad(answer, held, cotangent, retain_graph=True)[0]

    return {"torch forward": forward, "torch": both, "torch backward": backward}


def cotangent_of(output: NDArray[Any]) -> NDArray[Any]:
    """Return one cotangent, with an axis before those of the output."""
    return np.random.default_rng(2).standard_normal((1, *output.shape), np.float32)


WAYS: dict[str, Callable[[Setting], Steps]] = {
    "forward": by_forward, "batches": by_batches, "adjoint": by_adjoint, "torch": by_torch,
}  # fmt: skip
TIMED = {
    "forward": ("forward", "probe"),
    "batches": ("batch",),
    "adjoint": ("with residuals", "adjoint", "cotangents"),
    "torch": ("torch forward", "torch", "torch backward"),
}
"""Steps of every way, in the order in which a round times them."""


# The processes.


def serve(way: str, setting: Setting, pipe: Any) -> None:
    """Time the steps that are asked for until None is."""
    steps = WAYS[way](setting)
    clock = time.process_time if setting.cpu else time.perf_counter
    while (asked := pipe.recv()) is not None:
        kind, name = asked
        if kind == "value":
            pipe.send(steps[name]())
        elif kind == "peak":
            pipe.send(peak())
        else:
            pipe.send(timing(steps[name], clock))


def peak() -> float:
    """Return the most resident memory of this process so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count what the parent had before this process began
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024 / MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_UNIT / MIB


def timing(step: Callable[[], object], clock: Callable[[], float]) -> float:
    """Return the seconds that a step takes."""
    begin, count = clock(), 0
    while True:
        step()
        count += 1
        spent = clock() - begin
        if spent >= LEAST:
            return spent / count


@contextmanager
def worker(way: str, setting: Setting) -> Iterator[Any]:
    """Start a process that serves a way; give what asks it."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(way, setting, there), daemon=True)
    process.start()
    there.close()

    def ask(kind: str, name: str = "") -> Any:
        try:
            here.send((kind, name))
            return here.recv()
        except (EOFError, BrokenPipeError):
            sys.exit(f"{setting.model}: the process of {way} ended")

    yield ask
    here.send(None)
    process.join()


# The comparison.


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured of one model."""

    model: str
    pixels: int
    times: Mapping[str, Sequence[float]]
    """Seconds of every step by round."""
    peaks: Mapping[str, float]
    """Most resident memory in MiB of the process of each way."""
    residuals: float
    """MiB."""

    def ms(self, step: str) -> float:
        """Return the median time of a step in milliseconds."""
        return 1000 * median(self.times[step])

    def rounds(self, *steps: str) -> list[float]:
        """Return by round the sum of steps."""
        return [sum(values) for values in zip(*(self.times[step] for step in steps), strict=True)]

    def ratio(self, one: Sequence[float], other: Sequence[float]) -> float:
        """Return the median of the ratios of the rounds."""
        return median(a / b for a, b in zip(one, other, strict=True))

    @property
    def map(self) -> list[float]:
        """By round, the seconds of a whole map."""
        return self.rounds("with residuals", "adjoint")

    @property
    def in_forwards(self) -> float:
        """A whole map in forwards of the same model."""
        return self.ratio(self.map, self.times["forward"])

    @property
    def to_torch(self) -> float | None:
        """A whole map over forward and backward in PyTorch."""
        return self.ratio(self.map, self.times["torch"]) if "torch" in self.times else None

    @property
    def to_backward(self) -> float | None:
        """The adjoint over PyTorch's backward, each behind a forward that is not counted."""
        if "torch backward" not in self.times:
            return None
        return self.ratio(self.times["adjoint"], self.times["torch backward"])

    @property
    def naive(self) -> float:
        """Perturbing every pixel alone, over a whole map."""
        return self.pixels * self.ratio(self.times["probe"], self.map)


def compare(name: str, folder: Path, options: argparse.Namespace) -> Result:
    """Run one model in all ways."""
    import onnx

    settings = {}
    for way in options.ways:
        batch = BATCH if way == "batches" else 1
        file = folder / f"{batch}.onnx"
        if not file.exists():
            onnx.save(MODELS[name](batch), file)
        settings[way] = Setting(name, str(file), options.threads, options.cpu)
    shape = image_of(onnx.load(str(folder / "1.onnx"))).shape
    times: dict[str, list[float]] = {step: [] for way in options.ways for step in TIMED[way]}
    with ExitStack() as stack:
        asks = {way: stack.enter_context(worker(way, settings[way])) for way in options.ways}
        for number in range(options.rounds + 1):
            for way, ask in asks.items():
                progress(f"{name}: round {number} of {options.rounds}, {way}")
                time.sleep(PAUSE)
                for step in TIMED[way]:
                    seconds = ask("time", step)
                    if number:  # the first round is not counted: it fills caches
                        times[step].append(seconds)
        progress("")
        peaks = {way: ask("peak") for way, ask in asks.items()}
        residuals = asks["adjoint"]("value", "residuals")
        if "torch" in asks:
            one = asks["adjoint"]("value", "answer")
            other = asks["torch"]("value", "torch forward")
            if not np.allclose(one, other, rtol=0, atol=SAME * float(np.abs(other).max())):
                sys.exit(f"{name}: PyTorch's answer is another one")
    return Result(name, prod(shape[2:]), times, peaks, residuals)


def progress(text: str) -> None:
    """Show what is being done."""
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)


def cost_table(results: Sequence[Result]) -> list[str]:
    """Return the table of the parts of a map."""
    header = [
        "ms", "forward", "with residuals", "adjoint", "further cotangent", "map in forwards",
        "PyTorch forward", "forward and backward", "map / PyTorch", "PyTorch backward",
        "adjoint / PyTorch",
    ]  # fmt: skip
    rows = []
    for result in results:
        torch = [""] * 5
        if result.to_torch is not None and result.to_backward is not None:
            torch = [
                f"{result.ms('torch forward'):,.1f}", f"{result.ms('torch'):,.1f}",
                f"{result.to_torch:.2f}", f"{result.ms('torch backward'):,.1f}",
                f"{result.to_backward:.2f}",
            ]  # fmt: skip
        rows.append([
            result.model, f"{result.ms('forward'):,.1f}", f"{result.ms('with residuals'):,.1f}",
            f"{result.ms('adjoint'):,.1f}", f"{result.ms('cotangents') / COTANGENTS:,.1f}",
            f"{result.in_forwards:.2f}", *torch,
        ])  # fmt: skip
    return table(header, rows)


def perturbation_table(results: Sequence[Result]) -> list[str]:
    """Return the table of what perturbation would take, and of memory."""
    header = [
        "whole map", "pixels", "adjoint, ms", "one at a time, s *", f"batches of {BATCH}, s *",
        "adjoint quicker", "than batches", "MiB: forward", "adjoint", "PyTorch", "residuals",
    ]  # fmt: skip
    rows = []
    for result in results:
        batch = [seconds / BATCH for seconds in result.times["batch"]]
        rows.append([
            result.model, f"{result.pixels:,}", f"{1000 * median(result.map):,.1f}",
            f"{result.pixels * median(result.times['probe']):,.0f}",
            f"{result.pixels * median(batch):,.0f}", f"{result.naive:,.0f}×",
            f"{result.pixels * result.ratio(batch, result.map):,.0f}×",
            *(f"{result.peaks[way]:,.0f}" if way in result.peaks else ""
              for way in ("forward", "adjoint", "torch")),
            f"{result.residuals:,.0f}",
        ])  # fmt: skip
    note = "* extrapolated: seconds of one perturbed input times the pixels"
    return [*table(header, rows), "", note]


def aims(results: Sequence[Result]) -> list[str]:
    """Return one line for each aim: met or not, with the figure."""
    checks: list[tuple[str, bool]] = []
    for result in results:
        most = 5 if result.model in DEPTHWISE else 3.5
        name = result.model
        said = f"{name}: map in forwards: {result.in_forwards:.2f}, at most {most:g}"
        checks.append((said, result.in_forwards <= most))
        if result.to_torch is not None:
            said = f"{name}: map / PyTorch forward and backward: {result.to_torch:.2f}, at most 1"
            checks.append((said, result.to_torch <= 1))
        if result.to_backward is not None:
            said = f"{name}: adjoint / PyTorch backward: {result.to_backward:.2f}, at most 1"
            checks.append((said, result.to_backward <= 1))
        if result.pixels == NAIVE_PIXELS:
            said = f"{name}: quicker than one pixel at a time: {result.naive:,.0f}×, at least 5,000"
            checks.append((said, result.naive >= 5000))
    return [f"- {'met' if met else 'NOT MET'}: {said}" for said, met in checks]


def main() -> int:
    """Measure, print, and return 1 where an aim is not met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(MODELS)} [all]")
    parser.add_argument("--rounds", type=int, default=5, help="of all ways in turn [5]")
    parser.add_argument("--threads", type=int, default=0, help="of each way [all cores]")
    parser.add_argument(
        "--cpu",
        action="store_true",
        help="count processor time, which a busy machine disturbs less; for --threads 1",
    )
    options = parser.parse_args()
    unknown = sorted(set(options.models) - MODELS.keys())
    if unknown:
        parser.error(f"no model '{unknown[0]}'")
    options.ways = [way for way in WAYS if way != "torch" or find_spec("torch")]
    results = []
    for name in options.models or MODELS:
        with tempfile.TemporaryDirectory() as folder:
            results.append(compare(name, Path(folder), options))
    verdicts = aims(results)
    print("\n".join([*cost_table(results), "", *perturbation_table(results), "", *verdicts]))
    if "torch" not in options.ways:
        print(
            "\nPyTorch is not installed: its columns are left out (pip install 'scotoma[torch]')."
        )
    return int(any(line.startswith("- NOT MET") for line in verdicts))


if __name__ == "__main__":
    sys.exit(main())
