"""Holds the graph's claims against onnxruntime: dead pixels move nothing, live ones something.

For each model all structurally dead pixels are perturbed together, on several random inputs and
both ways: the target must stay the same, bit for bit. Of the live pixels a seeded sample is
perturbed one by one, with growing steps, until something moves. Where nothing does, the operator
is named at which the change is lost: units that are dead behind it, or saturated.

    python benchmarks/soundness.py MODEL|FOLDER... [--live 64] [--seconds 120]

prints a Markdown table and exits with 1 where a claim is contradicted or a pixel unexplained.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from scotoma.errors import ScotomaError
from scotoma.facts import Facts
from scotoma.loader import find_models, load_model
from scotoma.measure import MeasureOptions
from scotoma.measure.boxes import same_bits
from scotoma.measure.plan import PIXELS, Unit
from scotoma.measure.session import Session
from scotoma.measure.setup import Setup, prepare
from scotoma.measure.target import Target, reachable
from scotoma.measure.trials import moves_together

STEPS = (1, 64, 4096)
"""Steps that are tried, in multiples of the one that the measurement would choose."""


@dataclass
class Verdict:
    """What onnxruntime says of one model."""

    pixels: int = 0
    dead: int = 0
    """Structurally dead pixels."""
    contradicted: bool = False
    """They moved something."""
    live: int = 0
    """Live pixels that were tried."""
    moved: dict[int, int] = field(default_factory=dict)
    """How many moved something, by the step that it took."""
    explained: Counter[str] = field(default_factory=Counter)
    """Why the others did not."""
    unexplained: list[tuple[int, ...]] = field(default_factory=list)
    note: str = ""
    """Why the model was not measured."""
    seconds: float = 0.0

    @property
    def sound(self) -> bool:
        """Nothing is contradicted, and every difference has a name."""
        return not self.contradicted and not self.unexplained


def examine(facts: Facts, live: int = 64, seconds: float = 120.0, seed: int = 0) -> Verdict:
    """Hold the claims on one model against onnxruntime."""
    start = perf_counter()
    verdict = Verdict(pixels=int(np.prod(facts.image_size)))
    try:
        setup = prepare(facts, MeasureOptions(seed=seed))
    except ScotomaError as error:
        verdict.note = str(error)
        return verdict
    if setup.structural is None:
        verdict.note = "the target cannot be followed in the graph"
        return verdict
    dead = setup.structural.dead
    verdict.dead = int(dead.sum())
    if verdict.dead:
        verdict.contradicted = moves_together(setup.subject, setup.signs, dead)
    generator = np.random.default_rng(seed)
    places = np.argwhere(~dead)
    chosen = generator.permutation(len(places))[:live]
    names: _Names | None = None
    for place in places[chosen].tolist():
        if perf_counter() - start > seconds:
            break
        verdict.live += 1
        step = next((step for step in STEPS if _moves(setup, place, step)), None)
        if step is not None:
            verdict.moved[step] = verdict.moved.get(step, 0) + 1
            continue
        names = names or _Names(facts, setup)
        reason = names.where_lost(place)
        if reason is None:
            verdict.unexplained.append(tuple(place))
        else:
            verdict.explained[reason] += 1
    verdict.seconds = perf_counter() - start
    return verdict


def _moves(setup: Setup, place: list[int], factor: int) -> bool:
    """Tell whether a pixel moves the target on some input, one way or the other."""
    subject = setup.subject
    return any(
        not same_bits(subject.answer(number), subject.session.run(feed))
        for number, feed in _perturbed(setup, place, factor)
    )


def _perturbed(setup: Setup, place: list[int], factor: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of an input and the input with one pixel moved."""
    subject = setup.subject
    unit = Unit(PIXELS, tuple(np.array([position]) for position in place))
    region = subject.region(unit, None)
    for number, baseline in enumerate(subject.baselines):
        original = subject.baseline(number)
        for sign in (1, -1):
            array = original.copy()
            moved = original[region].astype(np.float64) + sign * factor * setup.step
            if array.dtype.kind in "iu":
                limits = np.iinfo(array.dtype)
                moved = np.clip(moved, limits.min, limits.max)
            array[region] = moved.astype(array.dtype)
            yield number, {**baseline.feed, subject.name: array}


class _Names:
    """Finds where the change of a pixel is lost, with every feature map of the model at hand."""

    def __init__(self, facts: Facts, setup: Setup) -> None:
        self._setup = setup
        self._facts = facts
        outputs = {value.name for value in facts.model.main.outputs}
        before = self._before(setup.target.tensors)
        known = reachable(facts)
        self._tensors = tuple(name for name in facts.producers if name in before and name in known)
        aim = Target(self._tensors, frozenset(self._tensors) - outputs, "every map")
        self._session = Session(facts.resolution, aim, None)
        self._answers = [self._session.run(item.feed) for item in setup.subject.baselines]

    def _before(self, tensors: tuple[str, ...]) -> set[str]:
        flows = self._facts.geometry.flows if self._facts.geometry is not None else {}
        found = set(tensors)
        for name in reversed(tuple(flows)):
            if name in found:
                found.update(reading.tensor for reading in flows[name].readings)
        return found

    def where_lost(self, place: list[int]) -> str | None:
        """Return the operators behind which a change is gone; None: it does not even begin."""
        changed: set[str] = set()
        for number, feed in _perturbed(self._setup, place, STEPS[-1]):
            answers = zip(
                self._tensors, self._answers[number], self._session.run(feed), strict=True
            )
            changed |= {name for name, old, new in answers if not same_bits([old], [new])}
        name = self._setup.subject.name
        if not changed:
            readers = list(self._facts.consumers.get(name, ()))
            return f"lost at once: {_kinds(readers)}" if readers else None
        ends = [
            operator
            for tensor in changed
            for operator in self._facts.consumers.get(tensor, ())
            if not changed.intersection(operator.outputs)
            and any(made in self._tensors for made in operator.outputs)
        ]
        return f"lost at {_kinds(ends)}" if ends else None


def _kinds(operators: list[Any]) -> str:
    first = min(operators, key=lambda op: op.name)
    more = f" and {len(operators) - 1} more" if len(operators) > 1 else ""
    return f"'{first.name}' ({first.op_type}){more}"


def row(name: str, verdict: Verdict) -> str:
    """Return the line of a model in the table."""
    if verdict.note:
        return f"| {name} | – | – | – | not measured: {verdict.note} |"
    fate = "MOVED" if verdict.contradicted else "still" if verdict.dead else ""
    moved = sum(verdict.moved.values())
    steps = [f"{count} at {step}x" for step, count in sorted(verdict.moved.items()) if step > 1]
    parts = [", ".join(steps)] if steps else []
    parts += [f"{count} {reason}" for reason, count in verdict.explained.most_common(3)]
    if verdict.unexplained:
        parts.append(f"{len(verdict.unexplained)} UNEXPLAINED {verdict.unexplained[:3]}")
    cells = [
        name,
        f"{verdict.pixels:,}",
        f"{verdict.dead:,} {fate}".strip(),
        f"{moved} of {verdict.live}",
        "; ".join(parts),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--live", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=120.0, help="for each model")
    options = parser.parse_args()
    print("| model | pixels | structurally dead | live that moved | the others |")
    print("|---|---|---|---|---|")
    sound = True
    for path in find_models(options.paths):
        try:
            verdict = examine(Facts.of(load_model(path)), options.live, options.seconds)
        except ScotomaError as error:
            verdict = Verdict(note=str(error))
        sound = sound and verdict.sound
        print(row(Path(path).stem, verdict), flush=True)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
