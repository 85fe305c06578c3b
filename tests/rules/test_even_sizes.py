"""Input sizes that the rule on uneven padding recommends are ones at which nothing is uneven."""

from __future__ import annotations

import pytest

from scotoma.registry import load_rules
from scotoma.testing import lint_text

RULE = load_rules().get("uneven-padding")
BY_HAND = "pad by hand, as much before as after"

STEM = """
<ir_version: 8, opset_import: ["" : 17]>
model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y)
<float[1, 1, 3, 3] w>
{
    y = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w)
}
"""
ONE_SIZE = """
<ir_version: 8, opset_import: ["" : 17]>
model (float[1, 1, 8, 8] x) => (float[1, 1, 4, 4] y)
<float[1, 1, 3, 3] w, float[1, 1, 8, 8] places>
{
    a = Add (x, places)
    y = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (a, w)
}
"""
REFUSED = (
    "exported for an input of 7x7 or 9x9 it would be even in all strided layers; this graph "
    f"refuses that size, so else {BY_HAND}"
)
COMPUTED = """
<ir_version: 8, opset_import: ["" : 17]>
model (float[1, 1, 8, 8] x) => (float[1, 1, n, n] y)
<float[1, 1, 3, 3] w, int64[1] axis = {{2}}, int64[1] two = {{2}}, int64[1] one = {{1}},
 int64[2] none = {{0, 0}}, int64[1] zero = {{0}}>
{{
    sizes = Shape (x)
    n = Gather (sizes, axis)
    rest = Mod (n, two)
    more = Add (rest, one)
    pads = Concat <axis = 0> (none, {begin}, {begin}, none, {end}, {end})
    a = Pad (x, pads)
    y = Conv <strides = [2, 2]> (a, w)
}}
"""
DEEP = """
<ir_version: 8, opset_import: ["" : 17]>
model (float[1, 1, 4, 4] x) => (float[1, 1, 1, 1] y)
<float[1, 1, 3, 3] w>
{
    a = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w)
    y = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (a, w)
}
"""


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (STEM, "an input of 7x7 or 9x9 would be even in all strided layers"),
        (ONE_SIZE, REFUSED),
        # 0 and 1 cells at even sizes, 1 and 1 at odd ones.
        (
            COMPUTED.format(begin="rest", end="one"),
            "an input of 7x7 or 9x9 would be even in all strided layers",
        ),
        # 0 and 1 cells at even sizes, 0 and 2 at odd ones.
        (COMPUTED.format(begin="zero", end="more"), BY_HAND),
        # One pixel would be even as well, but is no image.
        (DEEP, "an input of 5x5 would be even in all strided layers"),
    ],
)
def test_remedy_holds(text: str, remedy: str) -> None:
    (finding,) = lint_text(text, [RULE]).findings
    assert finding.remedy == remedy
