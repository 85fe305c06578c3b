"""Writes the two models behind a map from gradients, and which of their tensors is what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scotoma import __version__
from scotoma.adjoint.result import BACKWARD_FILE, FORWARD_FILE
from scotoma.adjoint.weights import FILE as WEIGHTS_FILE
from scotoma.errors import MeasurementError, UsageError
from scotoma.measure import target
from scotoma.measure.gradients import build

if TYPE_CHECKING:
    from os import PathLike

    from scotoma.adjoint import Adjoint
    from scotoma.facts import Facts
    from scotoma.measure.options import MeasureOptions

INDEX_FILE, README_FILE = "adjoint.json", "README.txt"

README = """\
Two ONNX models that give the gradient of any functional of a model's target tensors.

{forward}   the model itself at fixed shapes; its outputs are the targets and the residuals
{backward}  from the residuals and one cotangent for each target to the gradients
{index}   which tensor of the two models is what
{weights}    large weights of both, which refer to it by name (not there if there are none)

Both run in any runtime for ONNX. To get the gradient of F(targets): run the forward, feed its
residuals (and inputs of the same name) to the backward under their own names, and dF/dtarget as
the cotangents. The backward is linear in the cotangents; one forward serves any number of them.

    import json, numpy as np, onnxruntime as ort
    # feed: the inputs of the model by name, as arrays
    index = json.load(open("{index}"))
    forward = ort.InferenceSession("{forward}")
    backward = ort.InferenceSession("{backward}")
    names = [output.name for output in forward.get_outputs()]
    values = {{**feed, **dict(zip(names, forward.run(names, feed)))}}
    given = {{name: values[name] for name in index["residuals"]}}
    for entry in index["cotangents"]:
        given[entry["input"]] = np.ones(entry["shape"], entry["type"])  # F: the sum
    gradients = backward.run([entry["output"] for entry in index["gradients"]], given)
"""


def emit(facts: Facts, options: MeasureOptions, folder: str | PathLike[str]) -> tuple[Path, ...]:
    """Write forward and backward of the model between the image and the target.

    Parameters
    ----------
    folder
        Receives ``forward.onnx``, ``backward.onnx``, ``weights.bin``, ``adjoint.json`` and
        ``README.txt``; made if it is not there.

    Returns
    -------
    tuple
        The files written.

    Raises
    ------
    UsageError
        If the folder cannot be written.
    MeasurementError
        If there is no gradient, or an operator stands in its way.
    """
    examined = facts.resolution.examined
    if examined is None:
        raise MeasurementError("the model has no spatial input to take gradients of")
    made = build(facts, target.choose(facts, options).tensors, examined.name)
    if made.backward is None:
        raise MeasurementError("no gradient passes between the image and the target")
    path = Path(folder)
    names = {
        "forward": FORWARD_FILE,
        "backward": BACKWARD_FILE,
        "weights": WEIGHTS_FILE,
        "index": INDEX_FILE,
    }
    try:
        made.save(path)
        text = json.dumps(_index(facts, made), indent=2, ensure_ascii=False) + "\n"
        (path / INDEX_FILE).write_text(text, "utf-8")
        (path / README_FILE).write_text(README.format(**names), "utf-8")
    except OSError as error:
        raise UsageError(f"cannot write into '{folder}': {error.strerror}") from error
    files = [FORWARD_FILE, BACKWARD_FILE, INDEX_FILE, README_FILE]
    if len(made.weights):
        files.insert(2, WEIGHTS_FILE)
    return tuple(path / name for name in files)


def _index(facts: Facts, made: Adjoint) -> dict[str, Any]:
    """Return which tensor of the two models is what, as JSON types."""

    def described(name: str) -> dict[str, Any]:
        shape, dtype = facts.shape(name), facts.resolution.dtypes.get(name)
        # Gradients and cotangents are float64 where the tensor is, else float32.
        kind = "float64" if dtype == "float64" else "float32"
        return {"shape": None if shape is None else list(shape), "type": kind}

    return {
        "scotoma": __version__,
        "graph_sha256": facts.model.graph_sha256,
        "forward": FORWARD_FILE,
        "backward": BACKWARD_FILE,
        "weights": WEIGHTS_FILE if len(made.weights) else None,
        "inputs": [value.name for value in facts.model.main.inputs],
        "targets": list(made.targets),
        "residuals": list(made.residuals),
        "residual_bytes": made.residual_bytes,
        "cotangents": [
            {"target": name, "input": fed, **described(name)}
            for name, fed in made.cotangents.items()
        ],
        "gradients": [
            {"tensor": name, "output": output, **described(name)}
            for name, output in made.gradients.items()
        ],
    }
