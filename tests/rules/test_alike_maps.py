"""Of maps that read the image alike one is looked at, the first."""

from __future__ import annotations

from text_models import facts_of

from scotoma.evidence.gridding import reading_unlike

HEADS = """
g (float[1,4,16,16] x) => (float[1,M,N,K] p, float[1,M,N,K] q, float[1,M,N,K] r, float[1,M,N,K] s,
                           float[1,M,N,K] t)
<float[4,4,3,3] w, float[4,4,3,3] v, float[4,4,1,1] u, int64[4] flat = {1,8,16,8},
 int64[4] turned = {1,16,16,4}> {
  a = Conv <pads = [1,1,1,1], dilations = [1,1]> (x, w)
  b = Conv <pads = [1,1,1,1]> (a, w)
  c = Relu (b)
  p = Conv (c, u)
  d = Conv <pads = [1,1,1,1]> (a, v)
  q = Sigmoid (d)
  r = Conv <pads = [2,2,2,2], dilations = [2,2]> (a, w)
  s = Reshape (b, flat)
  t = Reshape (b, turned)
}
"""


def test_the_first_of_alike_maps_is_kept() -> None:
    facts = facts_of(HEADS)
    assert facts.geometry is not None
    tensors = ["q", "p", "r", "s", "t"]
    assert reading_unlike(facts.geometry, tensors) == ["q", "r", "s", "t"]
    assert reading_unlike(facts.geometry, ["p", "q", "d"]) == ["p"]
    assert reading_unlike(facts.geometry, ["p"]) == ["p"]
