"""Builds the adjoint of one model, runs it beside the model, and prints what was seen as JSON.

``python benchmarks/adjoint_check.py MODEL``; ``adjoint_coverage.py`` runs it for whole folders.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scotoma.adjoint import Adjoint, Runner, build, registry
from scotoma.errors import MeasurementError, ScotomaError
from scotoma.facts import Facts
from scotoma.loader import load_model
from scotoma.measure import inputs, target
from scotoma.measure.freeze import suspects
from scotoma.measure.options import MeasureOptions
from scotoma.measure.session import Session
from scotoma.sweep import dead_pixels

INPUTS = 8
"""Random inputs after which a live pixel without a gradient needs a reason."""
LARGE, SMALL, LEAST = 2.0, 1e-3, 1e-4
"""Steps of floating-point pixels that ask whether a pixel moves anything; integers step by 1."""
ALONE = 24
"""So many pixels are moved one by one where small steps of all together do move something."""
AGREE = 1e-3
"""Of the largest value: what the forward may differ by from the file's own answer."""

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Feed = Mapping[str, Array]


def examine(path: Path) -> dict[str, Any]:
    """Return how far the adjoint of a model reaches, and whether its gradients are sound.

    Returns
    -------
    dict
        ``state``: ``whole``, ``part`` or ``none``; ``by nature`` where nothing but operators that
        stop gradients leads to the outputs; ``no image``; ``error`` with the ``reason``.
        ``share`` of the operators between image and outputs that the gradient gets through,
        ``stops``: operator, reason and number; ``runtime``: None, or why onnxruntime does not
        run the model; ``soundness``, where it does.
    """
    facts = Facts.of(load_model(path))
    if facts.resolution.examined is None:
        return {"state": "no image"}
    found = coverage(facts)
    if found["state"] == "by nature":
        return found
    try:
        found["soundness"] = soundness(facts)
    except RuntimeRefusesError as error:
        found["runtime"] = str(error)
    except ScotomaError as error:
        found["soundness"] = {"failure": str(error)}
    return found


# Coverage: from the graph alone.


def coverage(facts: Facts) -> dict[str, Any]:
    """Return which operators between the image and the outputs the gradient gets through."""
    resolution = facts.resolution
    assert resolution.examined is not None
    image = resolution.examined.name
    ahead = {image}
    for operator in resolution.operators:
        if not registry.is_stop(operator.domain, operator.op_type) and ahead.intersection(
            operator.inputs
        ):
            ahead.update(operator.outputs)
    reached = [value.name for value in facts.model.main.outputs if value.name in ahead]
    outputs = [name for name in reached if resolution.shapes.get(name) is not None]
    if not reached:
        return {"state": "by nature", "stops": []}
    if not outputs:
        causes = [[item.operator.op_type, item.reason, 1] for item in resolution.unresolved[:1]]
        return {"state": "none", "share": 0.0, "stops": causes}
    missing = build(resolution, outputs, [image]).missing
    stuck = {item.node for item in missing}
    between, through = 0, 0
    towards, blocked = set(outputs), set[str]()
    for operator in reversed(resolution.operators):
        if not (towards.intersection(operator.outputs) and ahead.intersection(operator.inputs)):
            continue
        if registry.is_stop(operator.domain, operator.op_type):
            continue
        between += 1
        towards.update(operator.inputs)
        if operator.name in stuck or blocked.intersection(operator.outputs):
            blocked.update(operator.inputs)
        else:
            through += 1
    kinds = Counter((item.op_type, item.reason) for item in missing)
    return {
        "state": "whole" if not missing else "part" if through else "none",
        "share": through / between if between else 1.0,
        "stops": [[op_type, reason, count] for (op_type, reason), count in kinds.items()],
    }


# Soundness: gradients against the static sweep and against the model itself.


class RuntimeRefusesError(Exception):
    """onnxruntime does not run the file; the text is its reason."""


def soundness(facts: Facts) -> dict[str, Any]:
    """Return where gradients of the last maps are, beside where the graph says they may be.

    Returns
    -------
    dict
        ``dead``: structurally dead pixels; ``dead_with_gradient``; ``live``; ``silent``: live
        pixels without a gradient on any input, with their ``reason`` and whether it is a good
        one (``explained``); ``inputs`` that were used; ``forward``: it says what the
        file says, or the file is random.

    Raises
    ------
    RuntimeRefusesError
        If onnxruntime does not run the file.
    """
    resolution = facts.resolution
    examined = resolution.examined
    assert examined is not None
    options = MeasureOptions(random_inputs=INPUTS)
    chosen = target.choose(facts, options)
    try:
        session = Session(resolution, chosen, None)
        feeds = [entry.feed for entry in inputs.baselines(facts, session.dtypes(), options)]
        answers = session.run(feeds[0])
    except MeasurementError as error:
        raise RuntimeRefusesError(str(error)) from error
    adjoint = build(resolution, chosen.tensors, [examined.name])
    if adjoint.incomplete:
        return {"failure": "no whole gradient of the last maps"}
    check = Check(facts, adjoint, feeds)
    structural = dead_pixels(facts.geometry, chosen.tensors).mask if facts.geometry else None
    if structural is None:
        return {"failure": "the input cannot be followed"}
    alive, used = check.alive(~structural)
    silent = ~structural & ~alive
    found: dict[str, Any] = {
        "dead": int(structural.sum()),
        "dead_with_gradient": int((structural & alive).sum()),
        "live": int((~structural).sum()),
        "silent": int(silent.sum()),
        "inputs": used,
        # What is random in the file is inert, or drawn anew, in the forward.
        "forward": bool(suspects(facts.model))
        or check.agrees(dict(zip(chosen.tensors, answers, strict=True))),
    }
    if silent.any():
        found["reason"], found["explained"] = check.why(silent)
    return found


class Check:
    """The adjoint of a model's last maps, run on a few inputs."""

    def __init__(self, facts: Facts, adjoint: Adjoint, feeds: Sequence[Feed]) -> None:
        examined = facts.resolution.examined
        assert examined is not None
        self.name, self.axes = examined.name, examined.spatial_axes
        self.adjoint, self.feeds = adjoint, feeds
        self.runner = Runner(adjoint, threads=1)
        self.first: Mapping[str, Array] = {}
        self.finite = True

    def alive(self, wanted: Mask) -> tuple[Mask, int]:
        """Return the pixels with a gradient on some input, and how many inputs were used.

        It ends when all that are wanted have one.
        """
        found = np.zeros(wanted.shape, bool)
        roll = np.random.default_rng(0)
        for index, feed in enumerate(self.feeds):
            tape = self.runner.forward(feed)
            self.first = self.first or tape.targets
            self.finite &= all(np.isfinite(value).all() for value in tape.targets.values())
            cotangents = {
                name: roll.standard_normal((1, *value.shape)).astype(np.float32)
                for name, value in tape.targets.items()
            }
            gradient = self.runner.backward(tape, cotangents)[self.name][0]
            found |= self.pixels(gradient != 0)
            if not (wanted & ~found).any():
                return found, index + 1
        return found, len(self.feeds)

    def pixels(self, cells: Mask) -> Mask:
        """Return the pixels of which some channel is marked."""
        rest = tuple(axis for axis in range(cells.ndim) if axis not in self.axes)
        order = sorted(self.axes)
        marked: Mask = np.asarray(cells.any(axis=rest))
        return marked.transpose([order.index(axis) for axis in self.axes])

    def agrees(self, answers: Mapping[str, Array]) -> bool:
        """Tell whether the forward says what the file says."""
        return all(
            np.allclose(
                self.first[name],
                answers[name],
                rtol=0,
                atol=AGREE * float(np.abs(answers[name].astype(np.float64)).max(initial=0)),
                equal_nan=True,
            )
            for name in answers
        )

    def why(self, silent: Mask) -> tuple[str, bool]:
        """Return why live pixels have no gradient, and whether that is a good reason."""
        if not self.finite:
            return "values are not finite", True
        if not self.repeats():
            return "the model is random", True
        if not self.moves(silent, LARGE):
            return "all of them together move nothing: dead units or saturation", True
        if not self.moves(silent, SMALL):
            return "only large steps move anything: units are off, or lose in a pool", True
        places = np.argwhere(silent)
        chosen = np.random.default_rng(2).permutation(len(places))[:ALONE]
        for place in places[chosen]:
            one = np.zeros_like(silent)
            one[tuple(place)] = True
            steps = (SMALL, -SMALL, LEAST, -LEAST)
            if any(all(self.moves(one, step, [feed]) for step in steps) for feed in self.feeds[:2]):
                where = ", ".join(map(str, place))
                return f"the pixel at ({where}) moves the maps, but has no gradient", False
        return f"none of {len(chosen)} moves anything alone at small steps: a kink is between", True

    def repeats(self) -> bool:
        """Tell whether the forward gives the same answer again."""
        again = self.runner.forward(self.feeds[0]).targets
        return all(again[name].tobytes() == self.first[name].tobytes() for name in again)

    def moves(self, pixels: Mask, step: float, feeds: Sequence[Feed] = ()) -> bool:
        """Tell whether a step of all these pixels changes a bit of the maps on some input."""
        roll = np.random.default_rng(1)
        for feed in feeds or self.feeds:
            image = feed[self.name]
            shape = [size if axis in self.axes else 1 for axis, size in enumerate(image.shape)]
            order = sorted(self.axes)
            where = pixels.transpose([self.axes.index(axis) for axis in order]).reshape(shape)
            signs = roll.choice([-1, 1], image.shape)
            size = step if image.dtype.kind == "f" else np.sign(step)
            changed = np.where(where, image + signs * size, image).astype(image.dtype)
            before = self.runner.forward(feed).targets
            after = self.runner.forward({**feed, self.name: changed}).targets
            if any(before[name].tobytes() != after[name].tobytes() for name in before):
                return True
        return False


def main(path: str) -> None:
    """Examine one model."""
    try:
        found = examine(Path(path))
    except ScotomaError as error:
        found = {"state": "error", "reason": str(error)}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
