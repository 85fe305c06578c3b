"""``scotoma.measure``: what each input pixel really does to the output."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scotoma import engine
from scotoma.api.models import ModelSource, brief, examined, opened
from scotoma.errors import UsageError
from scotoma.loader.source import STDIN
from scotoma.measure.method import measure as measure_influence
from scotoma.measure.options import MeasureOptions
from scotoma.measure.output import document, write
from scotoma.measure.summary import Summary, summarise
from scotoma.report.measure import render_measure
from scotoma.report.notebook import measure_html

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from scotoma.measure.influence import Influence
    from scotoma.metrics import Figure


@dataclass(frozen=True, slots=True, eq=False)
class MeasureResult:
    """A measured map with its figures."""

    influence: Influence = field(repr=False)
    """Everything that was measured, and how."""
    summary: Summary = field(repr=False)

    @property
    def map(self) -> npt.NDArray[np.float64]:
        """Influence of each pixel, at least 0, at the resolution of the input."""
        return self.influence.values

    @property
    def figures(self) -> Mapping[str, Figure]:
        """Figures by key, each with its standard error; ``docs/measure.md`` explains them."""
        return self.summary.figures

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for was measured, within the limits."""
        return self.influence.complete

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document of ``scotoma measure``."""
        return document(self.influence, self.summary)

    def write(
        self,
        directory: str | os.PathLike[str],
        *,
        pictures: Sequence[str] = ("png",),
        theme: str = "light",
    ) -> tuple[Path, ...]:
        """Write the map and its pictures into a folder, which is made if it is not there.

        Raises
        ------
        scotoma.errors.UsageError
            If it cannot be written.
        """
        return write(
            self.influence, directory, summary=self.summary, pictures=pictures, theme=theme
        )

    def picture(self, kind: str = "png", theme: str = "light") -> bytes | None:
        """Return the picture of the map, as ``png``, ``svg`` or ``pdf``; None: there is none."""
        from scotoma.measure import picture  # noqa: PLC0415  matplotlib is slow to import

        return picture.render(picture.sheet_of(self.influence, self.summary), kind, theme)

    def render(self) -> str:
        """Return the figures as text."""
        return click.unstyle(render_measure(self.document, ()))

    def __repr__(self) -> str:
        dead = self.figures["dead_pixel_fraction"].value
        known = "dead pixels unknown" if dead is None else f"{dead:.2%} dead pixels"
        extent = "complete" if self.complete else "incomplete"
        return brief(self, f"{extent}, {known}", self.influence.resolution.model.path)

    def _repr_html_(self) -> str:
        return measure_html(self.render(), self.picture())


def measure(
    model: ModelSource,
    options: MeasureOptions | None = None,
    *,
    name: str = STDIN,
    size: Sequence[int] | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    input_name: str | None = None,
    **settings: Any,
) -> MeasureResult:
    """Map what each input pixel does to the output, by running the model.

    Parameters
    ----------
    model
        A path, bytes or an ``onnx.ModelProto``.
    options
        How to measure; None: the defaults of the command line.
    name, size, input_shapes, input_name
        As of `scotoma.trace`.
    settings
        Single fields of `scotoma.measure.options.MeasureOptions`, such as ``budget=10``.

    Raises
    ------
    scotoma.errors.ModelError
        If the model cannot be read.
    scotoma.errors.MeasurementError
        If onnxruntime cannot run it, or its answer is not finite.
    scotoma.errors.UsageError
        If an argument is wrong or does not fit the model.

    Examples
    --------
    >>> import onnx.parser, scotoma
    >>> model = onnx.parser.parse_model('''
    ...     <ir_version: 8, opset_import: ["" : 17]>
    ...     agraph (float[1, 1, 4, 4] x) => (float[1, 1, 2, 2] y) {
    ...         y = MaxPool <kernel_shape = [1, 1], strides = [2, 2]> (x)
    ...     }''')
    >>> scotoma.measure(model, functional="sum", resolution="full").map.round(3)
    array([[1., 0., 1., 0.],
           [0., 0., 0., 0.],
           [1., 0., 1., 0.],
           [0., 0., 0., 0.]])
    """
    path, data = opened(model, name)
    facts = examined(
        model if data is None else data, name=path, size=size, input_shapes=input_shapes,
        input_name=input_name,
    )  # fmt: skip
    asked = replaced(options or MeasureOptions(), settings)
    with engine.naming(path):
        influence = measure_influence(facts, asked if data is None else replace(asked, data=data))
    return MeasureResult(influence, summarise(influence))


def replaced(options: MeasureOptions, settings: Mapping[str, Any]) -> MeasureOptions:
    """Return options with some fields replaced.

    Raises
    ------
    UsageError
        If there is no such field.
    """
    unknown = sorted(set(settings) - set(MeasureOptions.__slots__))
    if unknown:
        raise UsageError(f"a measurement has no option '{unknown[0]}'")
    found = dict(settings)
    if isinstance(found.get("journal"), str):
        found["journal"] = Path(found["journal"])
    if isinstance(found.get("inputs"), str):
        found["inputs"] = (found["inputs"],)
    return replace(options, **found)
