"""``scotoma.sizes``: at which input sizes a model loses least."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from scotoma.api.models import ModelSource, brief, examined, sizes_of
from scotoma.loader.source import STDIN
from scotoma.report.notebook import text_html
from scotoma.report.sizes import render_sizes
from scotoma.report.sizes_document import sizes_document
from scotoma.report.text import counted
from scotoma.sizes.ranges import times
from scotoma.sizes.survey import survey

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.report.contract.sizes import SizesDocument
    from scotoma.sizes.candidates import Candidate
    from scotoma.sizes.survey import Deployed, Survey


@dataclass(frozen=True, slots=True, eq=False)
class SizesResult:
    """The input sizes of a model that were compared."""

    facts: Facts = field(repr=False)
    """The model at its current size."""
    survey: Survey = field(repr=False)

    @property
    def best(self) -> tuple[Candidate, ...]:
        """The sizes, the best first; the current one is among them."""
        return self.survey.candidates

    @property
    def deployed(self) -> tuple[Deployed, ...]:
        """The sizes that the model is to run at, each with its problems and a better one."""
        return self.survey.deployed

    @property
    def document(self) -> SizesDocument:
        """The JSON document of ``scotoma sizes``."""
        return sizes_document(self.facts, self.survey)

    def render(self, top: int | None = None) -> str:
        """Return the best sizes as text, so many of them."""
        return click.unstyle(render_sizes(self.document, top))

    def __repr__(self) -> str:
        if not self.best:
            return brief(self, "no image", self.facts.model.path)
        compared = f"{counted(len(self.best), 'size')} compared"
        best, now = times(self.best[0].size), times(self.survey.current)
        said = f"{compared}, {best} is the best, {now} the current one"
        return brief(self, said, self.facts.model.path)

    def _repr_html_(self) -> str:
        return text_html(self.render())


def sizes(  # noqa: PLR0913  one for each option of the command
    model: ModelSource,
    *,
    around: int | Sequence[int] | None = None,
    limits: Sequence[tuple[int, int]] | None = None,
    deploy: Iterable[Sequence[int]] = (),
    name: str = STDIN,
    size: Sequence[int] | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    input_name: str | None = None,
) -> SizesResult:
    """Compare input sizes of a model, the best first.

    Parameters
    ----------
    model
        A path, bytes or an ``onnx.ModelProto``.
    around
        The wanted size: of equally good ones the nearest comes first; None: the current one.
    limits
        Smallest and largest size, once or for each axis: ``[(160, 320)]``; None: 64 below and
        above the wanted size.
    deploy
        Sizes that the model is to run at: what is wrong with each, and which nearby is better.
        No configuration is read for them.
    name, size, input_shapes, input_name
        As of `scotoma.trace`.

    Raises
    ------
    scotoma.errors.ModelError
        If the model cannot be read.
    scotoma.errors.UsageError
        If an argument does not fit the model.

    Examples
    --------
    >>> import onnx.parser, scotoma
    >>> model = onnx.parser.parse_model('''
    ...     <ir_version: 8, opset_import: ["" : 17]>
    ...     agraph (float[1, 1, H, W] x) => (float[1, 1, h, w] y) {
    ...         y = MaxPool <kernel_shape = [4, 4], strides = [4, 4]> (x)
    ...     }''')
    >>> result = scotoma.sizes(model, size=(10, 10), limits=[(8, 13)])
    >>> [(candidate.size, candidate.dead) for candidate in result.best[:2]]
    [((8, 8), 0), ((12, 12), 0)]
    """
    facts = examined(model, name=name, size=size, input_shapes=input_shapes, input_name=input_name)
    wanted = (around,) if isinstance(around, int) else around
    found = survey(
        facts,
        around=None if wanted is None else sizes_of("around", wanted),
        limits=limits,
        deploy=[sizes_of("deploy", item) for item in deploy],
        input_shapes=input_shapes,
    )
    return SizesResult(facts, found)
