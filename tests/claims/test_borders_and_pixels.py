"""Dead pixels, dimmed borders, windows of padding and sizes in dispute, on every fixture."""

from __future__ import annotations

import re
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from runtimes import (
    concerns,
    examined,
    expecting,
    feeds,
    findings,
    name_of,
    part,
    session,
    silent,
    with_outputs,
)  # fmt: skip

from scotoma.evidence.borders import pool_kind
from scotoma.findings import Finding, Severity
from scotoma.resolve.window import Window
from scotoma.testing import Fixture, read_text_model
from scotoma.trace.index_map import WindowMap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scotoma.facts import Facts
    from scotoma.loader.model import Operator

    Array = NDArray[Any]

MOST_PIXELS = 1024
"""Larger images are not perturbed pixel by pixel."""


def operator_of(facts: Facts, finding: Finding, place: int = 0) -> Operator:
    name = finding.locations[place].node
    return next(op for op in facts.operators if op.name == name)


# -- pixels that no path connects to an output -----------------------------------------------------


SCALES = (1, 1, 0.01)
"""Of the images that are tried: in the last one, no softmax is so sure that it hides a change."""


def reacts(proto: onnx.ModelProto, facts: Facts, pixels: Array) -> bool:
    """Tell whether some output changes with some pixels, by changes large and small."""
    whole = facts.resolution.examined
    assert whole is not None
    shape = [1] * len(whole.shape or ())
    for axis in whole.spatial_axes:
        shape[axis] = (whole.shape or ())[axis]
    mask = pixels.transpose(np.argsort(whole.spatial_axes)).reshape(shape)
    loaded = session(proto)
    for seed, scale in enumerate(SCALES):
        given = feeds(facts, seed)
        kind = given[whole.name].dtype
        image = given[whole.name] * (1 if kind.kind in "iu" else scale)
        before = loaded.run(None, {**given, whole.name: image.astype(kind)})
        for change in (40, -40, 1, -1):
            changed = np.where(mask, image + change, image).astype(kind)
            after = loaded.run(None, {**given, whole.name: changed})
            if any((a != b).any() for a, b in zip(before, after, strict=True)):
                return True
    return False


@pytest.mark.parametrize("fixture", expecting("SC101", "SC107"), ids=name_of)
def test_dead_pixels_are_those_that_nothing_reacts_to(fixture: Fixture, tmp_path: Path) -> None:
    proto, facts = examined(fixture, tmp_path)
    dead, local = facts.dead(), facts.dead(local=True)
    assert dead is not None
    assert local is not None
    (finding,) = findings(fixture, "SC101")
    assert finding.measurements[0].value == local.mask.sum()
    assert ("but through whole-map gates" in finding.message) == (not dead.mask.any())
    assert not reacts(proto, facts, dead.mask)
    if dead.mask.size <= MOST_PIXELS:
        for place in np.argwhere(~dead.mask):
            one = np.zeros(dead.mask.shape, bool)
            one[tuple(place)] = True
            assert reacts(proto, facts, one)


NOT_RUN = {"unread-pixels/unknown_operator_reads_everything": "onnxruntime does not know it"}


@pytest.mark.parametrize(
    "fixture",
    [f for f in silent("unread-pixels", "SC101") if name_of(f) not in NOT_RUN],
    ids=name_of,
)
def test_where_nothing_is_called_dead_every_pixel_counts(fixture: Fixture, tmp_path: Path) -> None:
    proto, facts = examined(fixture, tmp_path)
    dead = facts.dead(local=True)
    assert dead is not None
    assert not dead.mask.any()
    for place in np.ndindex(dead.mask.shape):
        one = np.zeros(dead.mask.shape, bool)
        one[place] = True
        assert reacts(proto, facts, one)


# -- means over zeros that are not there -----------------------------------------------------------


def source_of(facts: Facts, pool: Operator) -> str:
    """Return the tensor that a pool sees beyond the casts, transpositions and the Pad in front."""
    tensor = pool.inputs[0]
    while (maker := facts.producers.get(tensor)) is not None and maker.op_type in {
        "Cast", "DequantizeLinear", "Identity", "Pad", "QuantizeLinear", "Transpose",
    }:  # fmt: skip
        tensor = maker.inputs[0]
    return tensor


def gains(proto: onnx.ModelProto, facts: Facts, pool: Operator) -> Array:
    """Return what a pool makes of a constant image, in units of the image."""
    source, target = source_of(facts, pool), pool.outputs[0]
    kind = facts.resolution.dtypes[source]
    image = np.full(facts.shape(source) or (), 200 if kind.kind == "u" else 1).astype(kind)
    cut = part(proto, facts, source, target)
    made = session(cut).run(None, {source: image})[0].astype(np.float64)
    return np.asarray(made / float(image.flat[0]))  # the quantised pools keep scale and zero


@pytest.mark.parametrize("fixture", expecting("SC301"), ids=name_of)
def test_a_constant_image_is_dimmed_as_stated(fixture: Fixture, tmp_path: Path) -> None:
    proto, facts = examined(fixture, tmp_path)
    (finding,) = findings(fixture, "SC301")
    lowest = []
    for place, location in enumerate(finding.locations):
        said = re.match(r"([\d,]+) cells .* to (\S+) at the sides and (\S+) in", location.note)
        assert said is not None
        pool = operator_of(facts, finding, place)
        made = gains(proto, facts, pool)
        coarse = 0.01 if facts.resolution.dtypes[pool.inputs[0]].kind == "u" else 1e-3
        dimmed = made[(made > 0) & ~np.isclose(made, 1)]  # a window of zeros alone is empty
        maps = made.size // prod(window.size_out for window in facts.windows(pool) or ())
        assert dimmed.min() == pytest.approx(float(said[3]), abs=coarse)
        assert dimmed.size == maps * int(said[1].replace(",", ""))
        lowest.append(dimmed.min())
    assert min(lowest) == pytest.approx(float(finding.measurements[0].value or 0), abs=0.01)


NO_CLAIM = {
    "border-dimming-pool/old_opset",  # onnxruntime has no count_include_pad in that opset
    "border-dimming-pool/whole_map",  # a single cell is no darker than the rest
}


@pytest.mark.parametrize("fixture", silent("border-dimming-pool", "SC301"), ids=name_of)
def test_no_other_mean_is_dimmed(fixture: Fixture, tmp_path: Path) -> None:
    proto, facts = examined(fixture, tmp_path)
    for pool in facts.operators:
        windows = facts.windows(pool)
        if pool_kind(pool) != "average" or windows is None or name_of(fixture) in NO_CLAIM:
            continue
        made = gains(proto, facts, pool)
        assert np.allclose(made[made > 0], 1)


# -- windows that hold padding only ----------------------------------------------------------------


@pytest.mark.parametrize("fixture", expecting("SC303"), ids=name_of)
def test_windows_of_padding_hold_nothing_of_the_image(fixture: Fixture, tmp_path: Path) -> None:
    proto, facts = examined(fixture, tmp_path)
    for finding in findings(fixture, "SC303"):
        layer = operator_of(facts, finding)
        loaded = session(with_outputs(proto, layer.outputs[:1]))
        names = [value.name for value in loaded.get_outputs()]
        runs = np.array([
            loaded.run([layer.outputs[0]], feeds(facts, seed))[0] for seed in range(4)
        ])  # fmt: skip
        assert layer.outputs[0] in names
        same = (runs == runs[0]).all(axis=(0, 1, 2))
        assert int(same.sum()) == finding.measurements[0].value
        held = np.unique(runs[..., same])
        if pool_kind(layer) == "max":
            kind = runs.dtype
            lowest = np.iinfo(kind).min if kind.kind in "iu" else np.finfo(kind).min
            assert held.tolist() == [lowest]
            assert (finding.severity is Severity.ERROR) == (kind.kind == "f")
        elif pool_kind(layer):
            assert held.tolist() == [0]
        else:
            bias = facts.weights(layer.inputs[2]) if len(layer.inputs) > 2 else np.zeros(1)
            assert held.tolist() == np.unique(bias).tolist()


# -- ceil mode -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fixture", expecting("SC401"), ids=name_of)
def test_a_phantom_window_is_there_in_the_versions_that_are_named(
    fixture: Fixture, tmp_path: Path
) -> None:
    proto, facts = examined(fixture, tmp_path)
    for finding in findings(fixture, "SC401"):
        if finding.severity is Severity.ERROR:
            continue  # refused: test_refusals
        pool = operator_of(facts, finding)
        loaded = session(with_outputs(proto, pool.outputs[:1]))
        made = loaded.run([pool.outputs[0]], feeds(facts))[0]
        size = finding.measurements[0]
        shown = "x".join(map(str, made.shape[2:]))
        assert shown == (size.value if concerns(finding) else size.limit)


def divisors(window: Window, real: Array) -> tuple[Array, Array]:
    """Return the sums of the windows along one axis, and the cells that exist in each."""
    mapped = WindowMap.of(window)
    sums = np.array([
        sum(real[i] for i in mapped.reads(o) if 0 <= i < window.size_in)
        for o in range(window.size_out)
    ])  # fmt: skip
    return sums, mapped.padded_taps()


@pytest.mark.parametrize("fixture", expecting("SC402"), ids=name_of)
def test_the_last_window_is_divided_as_stated(fixture: Fixture, tmp_path: Path) -> None:
    proto, facts = examined(fixture, tmp_path)
    for finding in findings(fixture, "SC402"):
        pool = operator_of(facts, finding)
        windows = facts.windows(pool) or ()
        made = gains(proto, facts, pool)[0, 0]
        for axis, window in enumerate(windows):
            made = np.moveaxis(made, axis, -1)
            real, exist = divisors(window, np.ones(window.size_in))
            divisor = np.full(window.size_out, window.kernel) if concerns(finding) else exist
            made = made / (real / divisor)
            made = np.moveaxis(made, -1, axis)
        coarse = 0.02 if facts.resolution.dtypes[pool.inputs[0]].kind == "u" else 1e-6
        assert np.allclose(made, 1, atol=coarse)
        full = [
            1 - (window.extent - WindowMap.of(window).padded_taps()[-1]) / window.extent
            for window in windows
        ]
        assert [float(m.value or 0) for m in finding.measurements] == [
            pytest.approx(min(full)), pytest.approx(prod(full)),
        ]  # fmt: skip


@pytest.mark.parametrize(
    "fixture", [f for f in expecting("SC301", "SC402") if "QLinear" in f.text], ids=name_of
)
def test_quantised_pools_of_the_fixtures_keep_their_scale(fixture: Fixture) -> None:
    proto = read_text_model(fixture.text)
    (pool,) = [node for node in proto.graph.node if node.op_type.startswith("QLinear")]
    values = {t.name: numpy_helper.to_array(t).item() for t in proto.graph.initializer}
    names = [*pool.input]
    assert [values[name] for name in names[1:3]] == [values[name] for name in names[3:5]]
