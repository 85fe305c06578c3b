"""Measure in onnxruntime what README.md says of the sample models.

`python sample_models/check.py` needs numpy, onnx, onnxruntime and scikit-learn, no torch. It prints
the numbers, and ends with status 1 if a count of the golden models or an answer of the position
detector is wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

import digits
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

FOLDER = Path(__file__).resolve().parent
GOLDEN = {
    "one_layer_valid": (1, 3, 9),
    "one_layer_same": (4, 6, 9),
    "one_layer_full": (9, 9, 9),
    "five_layers_valid": (1, 243, 59049),
    "five_layers_same": (9216, 23328, 59049),
}
CANVAS = 29
Map = NDArray[np.float64]


def load(name: str) -> onnx.ModelProto:
    """Read one of the sample models."""
    return onnx.load(FOLDER / f"{name}.onnx")


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy to change."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def session(model: onnx.ModelProto, *, optimise: bool = True) -> onnxruntime.InferenceSession:
    """Open a model on one thread, with onnxruntime's default optimisations or with none."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def outputs(runner: onnxruntime.InferenceSession, image: NDArray[np.float32]) -> Map:
    """Return all outputs for one image, flattened into one vector."""
    found = runner.run(None, {"image": image})
    flat: Map = np.concatenate([np.ravel(o) for o in found]).astype(np.float64)
    return flat


def responses(
    runner: onnxruntime.InferenceSession, image: NDArray[np.float32], delta: float
) -> Map:
    """Return what adding `delta` to each pixel in turn does to the outputs: (H, W, outputs)."""
    base = outputs(runner, image)
    height, width = image.shape[2:]
    changes = np.empty((height, width, len(base)))
    for row in range(height):
        for col in range(width):
            probe = image.copy()
            probe[:, :, row, col] += np.float32(delta)
            changes[row, col] = outputs(runner, probe) - base
    return changes


def influence(runner: onnxruntime.InferenceSession, shape: tuple[int, ...], images: int) -> Map:
    """Return the mean L2 change of the outputs per pixel, over random images: (H, W).

    Every pixel is made 4 brighter and 4 darker, so that no maximum hides it.
    """
    rng = np.random.default_rng(0)
    total = np.zeros(shape[2:])
    for _ in range(images):
        image = rng.random(shape, np.float32)
        for delta in (-4.0, 4.0):
            total += np.linalg.norm(responses(runner, image, delta), axis=2)
    return total / (2 * images)


def equal_weights(model: onnx.ModelProto, side: int | None = None) -> onnx.ModelProto:
    """Return a twin that is linear: every tap of a layer has the same weight, 1 over their number.

    Biases are 0 and maxima become means (padding counted), so that the response to a white pixel
    is the share of the network's paths that start there. `side` replaces the input's size.
    """
    twin = copy_of(model)
    for tensor in twin.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if tensor.name.endswith(".weight") and array.ndim > 1:
            array = np.full_like(array, 1 / np.prod(array.shape[1:]))
        elif tensor.name.endswith(".bias"):
            array = np.zeros_like(array)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    for node in twin.graph.node:
        if node.op_type == "MaxPool":
            node.op_type = "AveragePool"
            kept = [a for a in node.attribute if a.name not in ("storage_order", "dilations")]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute("count_include_pad", 1)])
    if side:
        for dim in twin.graph.input[0].type.tensor_type.shape.dim[2:]:
            dim.dim_value = side
        del twin.graph.value_info[:]
    return twin


def paths(model: onnx.ModelProto, side: int, *, resize: bool = False) -> Map:
    """Return the share of paths that start at each pixel, scaled to 1 at the largest."""
    runner = session(equal_weights(model, side if resize else None))
    counts = responses(runner, np.zeros((1, 1, side, side), np.float32), 1.0).sum(2)
    scaled: Map = counts / counts.max()
    return scaled


def spots(values: Map) -> str:
    """Describe a map by its corner, the middle of its edge and its centre."""
    middle = values.shape[0] // 2
    corner, edge, centre = values[0, 0], values[0, middle], values[middle, middle]
    return f"corner {corner:.6g}, edge {edge:.6g}, centre {centre:.6g}"


def halves(values: Map) -> float:
    """Return the sum of the left half over the right half; a middle column counts for both."""
    width = values.shape[1]
    half = -(-width // 2)
    left, right = values[:, :half].sum(), values[:, width - half :].sum()
    if width % 2:
        middle = values[:, width // 2].sum() / 2
        left, right = left - middle, right - middle
    return float(left / right)


def dead(values: Map) -> str:
    """Say how many pixels have no influence at all, and which whole rows and columns."""
    none = values == 0
    rows, cols = np.flatnonzero(none.all(1)), np.flatnonzero(none.all(0))
    return f"{none.sum()} of {none.size} pixels dead, rows {rows.tolist()}, cols {cols.tolist()}"


def answers(
    runner: onnxruntime.InferenceSession, images: digits.Images, row: int, col: int, canvas: int
) -> digits.Numbers:
    """Name each digit with its top-left pixel at (row, col)."""
    rows = np.full(len(images), row, np.int64)
    drawn = digits.draw(images, canvas, rows, np.full(len(images), col, np.int64))
    return np.array([outputs(runner, image[None]).argmax() for image in drawn])


def accuracy(
    runner: onnxruntime.InferenceSession,
    places: list[tuple[int, int]],
    canvas: int = CANVAS,
    factor: int = 1,
) -> float:
    """Return the share of the test digits named rightly, mean over the places."""
    _, _, images, labels = digits.load()
    images = digits.enlarge(images, factor)
    right = [(answers(runner, images, *place, canvas) == labels).mean() for place in places]
    return float(np.mean(right))


def check_golden() -> bool:
    """Print the counts of the golden models; return whether they are right."""
    fine = True
    for name, expected in GOLDEN.items():
        side = 10 if name.startswith("one") else 28
        image = np.zeros((1, 1, side, side), np.float32)
        counts = responses(session(load(name)), image, 1.0).sum(2)
        full = (counts == counts.max()).mean()
        print(f"{name}: {spots(counts)}, sum {counts.sum():.0f}, {full:.1%} at the largest count")
        fine &= (counts[0, 0], counts[0, side // 2], counts[side // 2, side // 2]) == expected
    return bool(fine)


def check_position() -> bool:
    """Print what the position detector answers; return whether it is right everywhere."""
    model = load("position_detector")
    found = responses(session(model), np.zeros((1, 1, 10, 10), np.float32), 1.0)[:, :, 0]
    wanted = np.zeros((10, 10))
    wanted[0, 0] = 1
    error = np.abs(found - wanted).max()
    kernel = numpy_helper.to_array(model.graph.initializer[0])[0, 0]
    print(f"position_detector: largest error over 100 places {error:.1e}, corner {found[0, 0]:.6f}")
    print(f"  kernel {np.round(kernel, 4).tolist()}")
    return bool(error < 0.01)


def check_digits() -> None:
    """Print accuracies by place, influence and paths of the digit classifiers."""
    last = CANVAS - 8
    middle = last // 2
    corners = [(0, 0), (0, last), (last, 0), (last, last)]
    edges = [(0, middle), (middle, 0), (last, middle), (middle, last)]
    for name in ("good", "valid", "patches"):
        for exporter in ("torchscript", "dynamo"):
            model = load(f"digits_{name}_{exporter}")
            runner = session(model)
            by_place = {
                "centre": accuracy(runner, [(middle, middle)]),
                "edges": accuracy(runner, edges),
                "corners": accuracy(runner, corners),
                "top left": accuracy(runner, corners[:1]),
                "bottom right": accuracy(runner, corners[3:]),
            }
            told = ", ".join(f"{place} {share:.1%}" for place, share in by_place.items())
            print(f"digits_{name}_{exporter}: accuracy {told}")
            measured = influence(runner, (1, 1, CANVAS, CANVAS), 16)
            print(f"  influence: {spots(measured / measured.max())}; {dead(measured)}")
            counted = paths(model, CANVAS)
            print(f"  paths: {spots(counted)}; left/right {halves(counted):.4f}; {dead(counted)}")


def check_dropout() -> None:
    """Print how far two runs on the same image differ, with and without optimisations."""
    _, _, images, labels = digits.load()
    for name in ("dropout_torchscript", "dropout_dynamo", "dropout2d_dynamo"):
        model = load(f"digits_{name}")
        for optimise in (True, False):
            runner = session(model, optimise=optimise)
            image = digits.draw(images[:1], CANVAS, np.array([10]), np.array([10]))
            logits = np.array([outputs(runner, image) for _ in range(100)])
            different = len(np.unique(logits, axis=0))
            named = np.array([answers(runner, images, 10, 10, CANVAS) for _ in range(10)])
            unsteady = (named != named[0]).any(0).sum()
            print(
                f"digits_{name}, {'default' if optimise else 'no'} optimisation: {different} "
                f"different results in 100 runs, spread of a logit {np.ptp(logits, 0).max():.3g}, "
                f"answer changes for {unsteady} of {len(labels)} digits in 10 runs, "
                f"accuracy {(named == labels).mean():.1%}"
            )


def check_residual() -> None:
    """Print accuracy and evenness of the residual net, at its size and one pixel more."""
    model = load("residual_net")
    places = [(0, 0), (16, 16), (32, 32)]
    shares = [accuracy(session(model), [place], 64, 4) for place in places]
    told = ", ".join(f"{place} {share:.1%}" for place, share in zip(places, shares, strict=True))
    print(f"residual_net: accuracy with the digit's corner at {told}")
    print(f"  {dead(influence(session(model), (1, 1, 64, 64), 1))}")
    for side in (64, 65):
        counted = paths(model, side, resize=True)
        ends = f"first column {counted[:, 0].mean():.3g}, last {counted[:, -1].mean():.3g}"
        print(f"  paths at {side}: left/right {halves(counted):.4f}, mean of the {ends}")


def check_unet() -> None:
    """Print how the U-Net segments and how far its coarse paths lie from its outputs."""
    model = load("unet_misfit")
    runner = session(model)
    _, _, images, _ = digits.load()
    rng = np.random.default_rng(1)
    clean = digits.scatter(digits.enlarge(images, 4), 45, rng)
    noisy = clean + rng.normal(0, 0.4, clean.shape).astype(np.float32)
    found = np.array([outputs(runner, image[None]) > 0 for image in noisy])
    ink = clean.reshape(len(clean), -1) > 0.5
    overlap = (found & ink).sum() / (found | ink).sum()
    print(f"unet_misfit: intersection over union of the ink {overlap:.3f}")
    print(f"  {dead(influence(runner, (1, 1, 45, 45), 1))}")
    twin = equal_weights(model)
    for tensor in twin.graph.initializer:  # Cut the skips, which come first in the concatenations.
        if tensor.name in ("up1.conv.weight", "up2.conv.weight"):
            array = numpy_helper.to_array(tensor).copy()
            array[:, : array.shape[1] // 2] = 0
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    reach = responses(session(twin), np.zeros((1, 1, 45, 45), np.float32), 1.0)
    reach = reach.reshape(45, 45, 45, 45)
    rows = np.arange(45)
    block = range(20, 24)  # One period of the two 2x2 pools.
    drift = []
    for row in block:
        profile = reach[:, :, row, block.start : block.stop].sum((1, 2))
        drift.append((profile * rows).sum() / profile.sum() - row)
    print(f"  through the coarsest map, outputs of rows 20 to 23 look {np.mean(drift):+.3f} px off")


def check_detector() -> None:
    """Print the detector's outputs at some sizes."""
    runner = session(load("detector_head"))
    for size in ((64, 64), (65, 65), (96, 160), (97, 131)):
        found = runner.run(None, {"image": np.zeros((1, 3, *size), np.float32)})
        print(f"detector_head at {size}: {[o.shape for o in found]}")
    print(f"  at 64x64 {dead(influence(runner, (1, 3, 64, 64), 1))}")


def check_ceil() -> None:
    """Print the sizes of the pools that round up, and what the rounding changes."""
    model = load("ceil_pool")
    image = np.random.default_rng(0).random((1, 1, 34, 34), np.float32)
    before = outputs(session(model), image)
    tapped = copy_of(model)
    for name in ("partial", "phantom", "divisor"):
        tapped.graph.output.append(onnx.ValueInfoProto(name=name))
    shapes = [o.shape for o in session(tapped).run(None, {"image": image})[1:]]
    print(f"ceil_pool: pools give {shapes}; {dead(influence(session(model), (1, 1, 34, 34), 4))}")
    for target in ("pool_partial", "pool_phantom", "pool_divisor"):
        floor = copy_of(model)
        (pool,) = (node for node in floor.graph.node if node.name == target)
        next(a for a in pool.attribute if a.name == "ceil_mode").i = 0
        change = np.abs(outputs(session(floor), image) - before).max()
        print(f"  with {target} rounding down: largest change of a logit {change:.3g}")
    (last,) = (node for node in floor.graph.node if node.name == "pool_divisor")
    next(a for a in last.attribute if a.name == "pads").ints[:] = [1, 1, 2, 2]
    change = np.abs(outputs(session(floor), image) - before).max()
    print(f"  with nine as divisor everywhere: largest change of a logit {change:.3g}")
    ones = onnx.helper.make_graph(
        [node for node in model.graph.node if node.name == "pool_divisor"],
        "divisor",
        [onnx.helper.make_tensor_value_info("phantom", 1, [1, 1, 6, 6])],
        [onnx.helper.make_tensor_value_info("divisor", 1, None)],
    )
    alone = onnx.helper.make_model(ones, opset_imports=model.opset_import, ir_version=8)
    (mean,) = session(alone).run(None, {"phantom": np.ones((1, 1, 6, 6), np.float32)})
    first, final = mean[0, 0, 0, 0], mean[0, 0, -1, -1]
    print(f"  pool_divisor on ones: first corner {first:.4f}, last {final:.4f}")


def main() -> int:
    """Measure everything."""
    print(f"onnxruntime {onnxruntime.__version__}, numpy {np.__version__}, onnx {onnx.__version__}")
    fine = check_golden()
    fine &= check_position()
    check_digits()
    check_dropout()
    check_residual()
    check_unet()
    check_detector()
    check_ceil()
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
