"""What a strided layer reads at its own size is what it reads at that one of many."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from networks import examples
from text_models import facts_of

from scotoma.evidence.strided import strided_layers

POOL = """
g (float[1,1,{size},{size}] x) => (float[1,1,M,N] y) {{
  y = MaxPool <kernel_shape=[{kernel},{kernel}], strides=[{stride},{stride}],
    pads=[{begin},{begin},{end},{end}], ceil_mode={ceil}> (x)
}}
"""


@examples(80)
@given(
    st.integers(4, 12), st.integers(2, 4), st.integers(2, 4),
    st.integers(0, 1), st.integers(0, 1), st.integers(0, 1),
)  # fmt: skip
def test_the_padding_that_is_read_at_the_end(
    size: int, kernel: int, stride: int, begin: int, end: int, ceil: int
) -> None:
    text = POOL.format(size=size, kernel=kernel, stride=stride, begin=begin, end=end, ceil=ceil)
    layers = strided_layers(facts_of(text))
    assert [layer.label for layer in layers] == [0, 1]
    for layer in layers:
        assert layer.read_at_end == int(layer.read_at(np.array(size)))
