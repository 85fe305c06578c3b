"""The ways to perturb pixels that are compared: each a function from pixels to their influence.

All look at the same tensors of the same image, take the same step and have one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.measure.setup import Setup

TOGETHER = 8
"""Perturbed inputs per run of the ways that take several."""
NAIVE, BATCHED, SCOTOMA = "one pixel at a time", f"batches of {TOGETHER}", "scotoma, one at a time"
CAPTUM = {1: "Captum", TOGETHER: f"Captum, {TOGETHER} per run"}
MORE_INPUTS = dict.fromkeys(CAPTUM.values(), 2)
"""Inputs that a way runs beside the places: Captum's image as it is, and all other pixels."""

Places = Sequence[tuple[int, ...]]
Step = Callable[[Places], "NDArray[np.float64]"]
"""Perturbs pixels and returns the influence of each, per unit of input."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A model with what all ways share."""

    path: Path
    facts: Facts
    setup: Setup
    """As `measure` makes it, with one input and a forward difference."""

    @property
    def tensors(self) -> list[str]:
        """The tensors that are looked at."""
        return list(self.setup.target.tensors)

    @property
    def feed(self) -> dict[str, NDArray[Any]]:
        """The input, and what the others are fed."""
        return dict(self.setup.subject.baselines[0].feed)

    @property
    def name(self) -> str:
        """The examined input."""
        return self.setup.subject.name

    @property
    def pixels(self) -> int:
        """Pixels of the map."""
        return prod(self.facts.image_size)

    def perturbed(self, places: Places) -> NDArray[Any]:
        """Return the inputs with one place perturbed each, along the batch axis."""
        image = self.feed[self.name]
        rows = np.repeat(image, len(places), axis=0)
        for row, place in enumerate(places):
            index: list[slice | int] = [slice(None)] * image.ndim
            index[0] = row
            for axis, at in zip(self.setup.subject.examined.spatial_axes, place, strict=True):
                index[axis] = at
            rows[tuple(index)] = self.stepped[(0, *index[1:])]
        return rows

    @property
    def stepped(self) -> NDArray[Any]:
        """The input with every pixel perturbed."""
        return self.setup.subject.extremes[0].high

    @property
    def span(self) -> float:
        """The step that was taken, in the unit of the input."""
        return abs(self.setup.subject.extremes[0].span)

    def sample(self, count: int, number: int) -> list[tuple[int, ...]]:
        """Return so many pixels, others in every round."""
        flat = np.random.default_rng(number).choice(self.pixels, count, replace=False)
        found = np.stack(np.unravel_index(flat, self.facts.image_size), axis=-1)
        return [tuple(place) for place in found.tolist()]


def bench_of(path: Path) -> Bench:
    """Examine a model and choose what all ways feed it and look at."""
    from scotoma.facts import Facts
    from scotoma.loader import load_model
    from scotoma.measure import MeasureOptions
    from scotoma.measure.setup import prepare

    facts = Facts.of(load_model(path))
    return Bench(path, facts, prepare(facts, MeasureOptions(random_inputs=1, difference="forward")))


def session_of(bench: Bench, *, free: bool = False) -> Any:
    """Load the model in onnxruntime as anybody does, with the target as an output."""
    import onnxruntime

    from scotoma.measure import edit

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(bench.path.resolve().parent)
    )
    data = edit.tap(bench.path.read_bytes(), sorted(bench.setup.target.tapped))
    if free:
        data = edit.free(data, {name: array.ndim for name, array in bench.feed.items()})
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def naive(bench: Bench, together: int = 1) -> Step:
    """Return a loop over pixels: copy the image, change it, run, take the norm of the change."""
    session = session_of(bench, free=together > 1)
    feed, tensors, span = bench.feed, bench.tensors, bench.span
    before = session.run(tensors, feed)

    def step(places: Places) -> NDArray[np.float64]:
        found = []
        for start in range(0, len(places), together):
            part = places[start : start + together]
            answers = session.run(tensors, {**feed, bench.name: bench.perturbed(part)})
            for row in range(len(part)):
                pairs = zip(answers, before, strict=True)
                found.append(float(np.sqrt(sum(squares(a[row] - b[0]) for a, b in pairs))) / span)
        return np.array(found)

    return step


def squares(change: NDArray[Any]) -> float:
    """Return the sum of the squares."""
    return float(np.square(change, dtype=np.float64).sum())


def batched(bench: Bench) -> Step | str:
    """Return the loop in batches, or why the model does not run in any."""
    feed = bench.feed
    if len(feed) > 1 or feed[bench.name].shape[0] != 1:
        return "the model has several inputs, or no batch axis of size 1"
    step = naive(bench, TOGETHER)
    try:
        step(bench.sample(TOGETHER, 0))
    except Exception as error:  # noqa: BLE001  onnxruntime's errors share no other base
        return f"the model does not run in batches ({str(error).splitlines()[0]})"
    return step


def captum(bench: Bench, together: int) -> Step | str:
    """Return Captum's FeatureAblation on the same operators and weights, or why it cannot run."""
    if not (find_spec("captum") and find_spec("torch")):
        return "not installed (pip install 'scotoma[captum]')"
    if len(bench.tensors) > 1:
        return "the model has several target tensors"
    import onnx
    import torch
    from captum.attr import FeatureAblation
    from torch_twin import Twin

    torch.set_num_threads(1)
    model = onnx.load(bench.path)
    del model.graph.output[:]
    model.graph.output.add().name = bench.tensors[0]
    twin, image = Twin(model), torch.from_numpy(bench.feed[bench.name])
    try:
        with torch.no_grad():
            before = twin(image)
    except Exception as error:  # noqa: BLE001  the twin knows some operators only
        return f"the PyTorch twin cannot run it ({type(error).__name__}: {str(error)[:60]})"

    def moved(images: Any) -> Any:
        with torch.no_grad():
            change = (twin(images) - before).double()
            return change.flatten(1).square().sum(1).sqrt()

    axes = bench.setup.subject.examined.spatial_axes
    shape = [image.shape[axis] if axis in axes else 1 for axis in range(image.ndim)]
    ablation, stepped = FeatureAblation(moved), torch.from_numpy(bench.stepped)

    def step(places: Places) -> NDArray[np.float64]:
        # All other pixels are the first feature.
        mask = np.zeros(bench.facts.image_size, np.int64)
        mask[tuple(np.array(places).T)] = np.arange(len(places)) + 1
        features = torch.from_numpy(mask.reshape(shape))
        found = ablation.attribute(
            image, baselines=stepped, feature_mask=features, perturbations_per_eval=together
        )
        index = [slice(None) if axis in axes else 0 for axis in range(image.ndim)]
        influence: NDArray[np.float64] = -found.numpy()[tuple(index)][mask > 0] / bench.span
        return influence[np.argsort(mask[mask > 0])]

    return step


def scotoma(bench: Bench) -> Step:
    """Return what `measure` does for each unit of a plan of all pixels, one at a time."""
    from scotoma.measure import planning
    from scotoma.measure.plan import Variants
    from scotoma.measure.prober import Prober

    lattice = bench.setup.subject.lattice
    variants = Variants(1, 1, bench.setup.signs)
    everything = planning.make(
        lattice, resolution="full", reaches=None, walk=None, skipped=None, variants=variants, seed=0
    )
    unit_of = np.argsort(everything.keys)
    prober = Prober(bench.setup.subject, None)

    def step(places: Places) -> NDArray[np.float64]:
        flat = np.ravel_multi_index(tuple(np.array(places).T), lattice.shape)
        answers = [prober.respond(everything, [unit]) for unit in unit_of[flat].tolist()]
        return np.array([float(answer[0].values[0, 0]) for answer in answers])

    return step


def ways_of(bench: Bench) -> Mapping[str, Step | str]:
    """Return all ways that perturb single pixels."""
    return {
        NAIVE: naive(bench),
        BATCHED: batched(bench),
        **{name: captum(bench, together) for together, name in CAPTUM.items()},
        SCOTOMA: scotoma(bench),
    }
