"""The empirical exam: onnxruntime shows what each input pixel really does to the output."""

from __future__ import annotations

from scotoma.measure.influence import Influence
from scotoma.measure.method import measure
from scotoma.measure.options import MeasureOptions
from scotoma.measure.output import document, write

__all__ = ["Influence", "MeasureOptions", "document", "measure", "write"]
