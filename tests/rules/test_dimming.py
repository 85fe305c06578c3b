"""Average pools that dim the border: by how much, and whether onnxruntime bears it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort
import pytest
from packaging.version import Version
from rule_fixtures import RULES, measured, ones, only_finding, run, text_of

from scotoma.findings import Severity
from scotoma.testing import lint_text

if TYPE_CHECKING:
    pass


@pytest.mark.parametrize(
    ("name", "shape", "gain"),
    [
        ("counted", (1, 1, 8, 8), 4 / 9),
        ("two_pools", (1, 1, 8, 8), 4 / 9),
        ("pad_in_front", (1, 1, 8, 8), 4 / 9),
        ("pad_in_front_channels_last", (1, 8, 8, 2), 4 / 9),
        ("automatic", (1, 1, 8, 8), 4 / 9),
        ("signal", (1, 2, 24), 1 / 3),
    ],
)
def test_a_constant_image_comes_out_darker_by_the_gain(
    name: str, shape: tuple[int, ...], gain: float
) -> None:
    finding = only_finding("border-dimming-pool", name)
    assert measured(finding)["border_gain"] == pytest.approx(gain, abs=1e-6)
    text = text_of("border-dimming-pool", name)
    if name == "two_pools":  # the first of them
        text = "\n".join(line for line in text.splitlines() if "[second]" not in line)
        text = text.replace("[first] a", "[first] y")
    out = run(text, ones(*shape))
    assert out.min() == pytest.approx(gain, abs=1e-6)
    assert out.max() == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("not_counted", (1, 1, 8, 8)),
        ("no_padding", (1, 1, 8, 8)),
        ("padding_never_read", (1, 1, 8, 8)),
        ("pad_with_ones", (1, 1, 8, 8)),
        ("reflecting_pad", (1, 1, 8, 8)),
    ],
)
def test_traps_keep_a_constant_image(name: str, shape: tuple[int, ...]) -> None:
    text = text_of("border-dimming-pool", name)
    assert np.allclose(run(text, ones(*shape)), 1)


@pytest.mark.parametrize("name", ["counted", "two_pools", "pad_in_front"])
def test_lost_paths_are_those_of_a_perturbation(name: str) -> None:
    """The pools are linear, so that the answer to a pixel is its share of the walk."""
    text = text_of("border-dimming-pool", name)
    clear = text.replace(", count_include_pad = 1", "")
    if name == "pad_in_front":
        clear = clear.replace("a = Pad (x, pads)", "a = Identity (x)").replace(
            "kernel_shape = [3, 3]", "kernel_shape = [3, 3], pads = [1, 1, 1, 1]"
        )
    pixel = {"x": np.zeros((1, 1, 8, 8), np.float32)}
    pixel["x"][0, 0, 0, 0] = 1
    counted, left_out = run(text, pixel).sum(), run(clear, pixel).sum()
    finding = only_finding("border-dimming-pool", name)
    assert finding.severity is Severity.WARNING
    assert measured(finding)["lost_path_share"] == pytest.approx(1 - counted / left_out, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("one_of_four_branches", Severity.NOTE),
        ("fine_map", Severity.NOTE),
        ("quantised", Severity.WARNING),
        ("pad_in_front_read_twice", Severity.WARNING),
    ],
)
def test_dimming_is_a_warning_where_the_image_loses_much(name: str, severity: Severity) -> None:
    finding = only_finding("border-dimming-pool", name)
    assert finding.severity is severity
    assert (measured(finding)["lost_path_share"] is None) == (name == "pad_in_front_read_twice")


def test_dimming_message() -> None:
    finding = only_finding("border-dimming-pool", "counted")
    assert finding.message == (
        "1 average pool counts zeros beyond the border as cells, which leaves 0.444 of a constant "
        "image in the corners of 'pool'; the image's corners lose 36.0% of their paths by it"
    )
    assert finding.primary.note == (
        "28 cells of its 8x8 map dimmed, to 0.667 at the sides and 0.444 in the corners"
    )


def test_zeros_are_counted_on_their_own_side() -> None:
    out = run(text_of("border-dimming-pool", "pad_wider_at_the_end"), ones(1, 1, 9))
    assert np.allclose(out[0, 0] * 3, [2, 3, 3, 3, 3, 3, 3, 3, 2, 1])
    assert only_finding("border-dimming-pool", "pad_wider_at_the_end").primary.note == (
        "3 cells of its 10 map behind 'Pad:a' dimmed, to 0.333 at the sides and 0.333 in the "
        "corners"
    )


@pytest.mark.skipif(
    Version(ort.__version__) < Version("1.29"), reason="older versions divide otherwise"
)
def test_random_average_pools_dim_as_stated() -> None:
    random = np.random.default_rng(7)
    fired = 0
    for _ in range(60):
        size, kernel, stride = (int(v) for v in random.integers([2, 1, 1], [12, 5, 4]))
        begin, end = (int(v) for v in random.integers(0, kernel, 2))
        opset = int(random.choice([11, 17, 19, 22]))
        ceil = int(random.integers(0, 2))
        if size + begin + end < kernel:
            continue
        text = f"""<ir_version: 8, opset_import: ["" : {opset}]>
        model (float[1, 1, {size}, 9] x) => (float[1, 1, h, w] y) {{
            [pool] y = AveragePool <kernel_shape = [{kernel}, 3], strides = [{stride}, 1],
                pads = [{begin}, 1, {end}, 0], count_include_pad = 1, ceil_mode = {ceil}> (x)
        }}"""
        out = run(text, ones(1, 1, size, 9))
        report = lint_text(text, [RULES.get("border-dimming-pool")])
        assert len(report.findings) == int((out < 1 - 1e-6).any() and out.size > 1), text
        for finding in report.findings:
            assert measured(finding)["border_gain"] == pytest.approx(out.min(), abs=1e-5)
            assert finding.primary.note.startswith(f"{int((out < 1 - 1e-6).sum())} cells")
            fired += 1
    assert fired > 20
