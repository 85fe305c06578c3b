"""Whether what follows a Resize shows that it moves its map."""

from __future__ import annotations

from fractions import Fraction

import pytest
from text_models import facts_of

from scotoma.evidence.resizes import resized_axes, shows

POOL = "GlobalAveragePool"
HALF = 'Resize <coordinate_transformation_mode = "asymmetric", mode = "linear"> (x, , half)'
MODEL = """
g (float[1,1,8,8] x) => (float[N,C,H,W] y)
<float[4] half = {1, 1, 0.5, 0.5}, float[1,1,1,1] w, float[1,1,2,2] v> {
  r = %s
  %s
}"""


@pytest.mark.parametrize(
    ("rest", "shown"),
    [
        ("y = Relu (r)", True),
        ("y = GlobalAveragePool (r)", False),
        # A meeting that it has no part in.
        (f"a = Neg (x)  b = Add (x, a)  p = {POOL} (b)  q = {POOL} (r)  y = Max (p, q)", False),
        # Both operands came through it, and moved alike.
        ("a = Relu (r)  b = Conv (r, w)  c = Add (a, b)  y = GlobalAveragePool (c)", False),
        ("a = Conv <strides = [2, 2]> (x, v)  c = Add (a, r)  y = GlobalAveragePool (c)", True),
        ("a = Conv <strides = [2, 2]> (x, v)  c = Add (r, a)  y = GlobalAveragePool (c)", True),
    ],
)
def test_a_shift_shows_where_the_map_meets_one_that_did_not_move(rest: str, shown: bool) -> None:
    facts = facts_of(MODEL % (HALF, rest))
    assert facts.unanalysed == ()
    resize = next(operator for operator in facts.operators if operator.op_type == "Resize")
    assert [(r.operator, r.label) for r in resized_axes(facts)] == [(resize, 0), (resize, 1)]
    assert shows(facts, resize) is shown


@pytest.mark.parametrize(
    "odd",
    [
        'Resize <coordinate_transformation_mode = "tf_crop_and_resize"> (x, roi, half)',
        'Resize <coordinate_transformation_mode = "odd", mode = "linear"> (x, , half)',
        'Resize <mode = "odd"> (x, , half)',
    ],
)
def test_a_resize_that_is_not_understood_hides_no_other(odd: str) -> None:
    facts = facts_of(f"""
    g (float[1,1,8,8] x) => (float[N,C,H,W] y, float[N,C,H,W] z)
    <float[4] half = {{1, 1, 0.5, 0.5}}, float[8] roi = {{0, 0, 0, 0, 1, 1, 1, 1}}> {{
      y = {odd}
      z = {HALF}
    }}""")
    found = [(r.operator.outputs[0], r.label, r.shift) for r in resized_axes(facts)]
    assert found == [("z", 0, Fraction(-1, 2)), ("z", 1, Fraction(-1, 2))]
