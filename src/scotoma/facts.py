"""What a rule may know of a model: the graph, its geometry, its coverage, its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np

from scotoma import sweep
from scotoma.errors import UsageError, WeightsUnavailableError
from scotoma.loader.tensors import StoredTensor
from scotoma.resolve import resolve
from scotoma.sweep.support import Support, support
from scotoma.trace import layers, trace
from scotoma.trace.heads import feature_maps, heads_among, padding_in_front
from scotoma.trace.sizes import sizes_at
from scotoma.unanalysed import Unanalysed, not_analysed, obstacle

if TYPE_CHECKING:
    from fractions import Fraction

    from numpy.typing import NDArray

    from scotoma.loader.model import Graph, Model, Operator
    from scotoma.resolve.resolution import Resolution
    from scotoma.resolve.window import Window
    from scotoma.trace import Geometry
    from scotoma.trace.reading import Flow


T = TypeVar("T")


@dataclass(frozen=True)
class Facts:
    """Everything that is known of a model at one input size; computed when first asked for."""

    model: Model
    resolution: Resolution
    geometry: Geometry | None
    """None where the model has no spatial input to follow."""
    _kept: dict[tuple[object, ...], object] = field(default_factory=dict, repr=False)
    given: Mapping[type, object] = field(default_factory=dict, repr=False)
    """The options of rules that differ from their defaults, by their class."""

    @classmethod
    def of(
        cls,
        model: Model,
        *,
        size: Sequence[int] | None = None,
        input_shapes: Mapping[str, Sequence[int]] | None = None,
        input_name: str | None = None,
    ) -> Facts:
        """Resolve and trace a model.

        Parameters
        ----------
        size
            One number per spatial axis of the examined input.
        input_shapes
            Whole shapes by input name.
        input_name
            The input whose pixels are followed; None: the largest spatial one.

        Raises
        ------
        UsageError
            If the sizes or names do not fit the model's inputs.
        """
        shapes = None if input_shapes is None else {k: tuple(v) for k, v in input_shapes.items()}
        resolution = resolve(
            model,
            size=None if size is None else tuple(size),
            input_shapes=shapes,
            input_name=input_name,
        )
        return cls(model, resolution, trace(resolution) if not obstacle(resolution) else None)

    def options(self, kind: type[T]) -> T:
        """Return a rule's options as they are set, by the class that the rule declares."""
        return cast("T", self.given[kind]) if kind in self.given else kind()

    def once(self, make: Callable[[Facts], T]) -> T:
        """Return what a function makes of these facts; it is called the first time only.

        For evidence that several rules share. The answer must depend on the facts alone, not on
        options, and nobody may change it.
        """
        key = ("once", make)
        if key not in self._kept:
            self._kept[key] = make(self)
        return cast("T", self._kept[key])

    @property
    def status(self) -> str:
        """``complete``, ``partial`` (something was not analysed) or ``unavailable`` (no image)."""
        if self.geometry is None:
            return "unavailable"
        return "partial" if self.unanalysed else "complete"

    @cached_property
    def unanalysed(self) -> tuple[Unanalysed, ...]:
        """Operators of which something is not known; each is taken to read everything."""
        return not_analysed(self.resolution, self.geometry)

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The operators of the main graph in topological order, constant If branches spliced in."""
        return self.resolution.operators

    def walk(self) -> Iterator[tuple[Graph, Operator]]:
        """Yield every operator with its graph, the bodies of If, Loop and Scan included."""
        return self.model.walk()

    def windows(self, operator: Operator) -> tuple[Window, ...] | None:
        """Return the window of a convolution or pool along every spatial axis, None if unknown."""
        return self.resolution.windows.get(operator.name)

    @cached_property
    def windowed(self) -> tuple[tuple[Operator, tuple[Window, ...]], ...]:
        """The convolutions and pools of the main graph whose windows are known, with these."""
        known = self.resolution.windows
        return tuple((op, found) for op in self.operators if (found := known.get(op.name)))

    def shape(self, tensor: str) -> tuple[int, ...] | None:
        """Return the shape of a tensor of the main graph, None if unknown."""
        return self.resolution.shapes.get(tensor)

    def value(self, tensor: str) -> NDArray[np.generic] | None:
        """Return the value of a small constant tensor of the main graph, None if it is not one."""
        return self.resolution.values.get(tensor)

    def weights(self, tensor: str) -> NDArray[np.generic]:
        """Return a stored or folded constant of any size; large ones are mapped, not copied.

        Raises
        ------
        WeightsUnavailableError
            If the tensor is not constant, or its data are missing or must not be read.
        """
        value = self.resolution.values.get(tensor)
        if value is not None:
            return value
        stored = self.model.main.initializers.get(tensor)
        maker = self.producers.get(tensor)
        if maker is not None and maker.op_type == "Constant" and not maker.domain:
            held = maker.attributes.get("value")
            stored = held if isinstance(held, StoredTensor) else None
        if stored is None:
            raise WeightsUnavailableError(f"'{tensor}' is not a stored tensor")
        return stored.array()

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Operator, ...]]:
        """The operators of the main graph that read a tensor, by its name."""
        found: dict[str, list[Operator]] = {}
        for operator in self.operators:
            for name in operator.inputs:
                readers = found.setdefault(name, [])
                if not readers or readers[-1] is not operator:
                    readers.append(operator)
        found.pop("", None)
        return {name: tuple(operators) for name, operators in found.items()}

    @cached_property
    def producers(self) -> Mapping[str, Operator]:
        """The operator of the main graph that makes a tensor, by its name."""
        return {name: op for op in self.operators for name in op.outputs if name}

    def flow(self, tensor: str) -> Flow | None:
        """Return how a tensor depends on the examined input, None if it does not."""
        return self.geometry.flows.get(tensor) if self.geometry is not None else None

    def functional(self, tensor: str | None = None) -> tuple[str, ...]:
        """Return the tensors that a coverage looks back from: the graph outputs, or the one named.

        Raises
        ------
        UsageError
            If the model has no such tensor, or it does not depend on the examined input.
        """
        if self.geometry is None:
            return ()
        if tensor is None:
            return self.geometry.outputs()
        if tensor not in self.geometry.flows:
            tensor = self._output_of(tensor)
        return (tensor,)

    def _output_of(self, name: str) -> str:
        """Return the first output of an operator that depends on the examined input."""
        flows = self.geometry.flows if self.geometry is not None else {}
        for operator in self.operators:
            if operator.name == name and operator.outputs[0] in flows:
                return operator.outputs[0]
        known = name in self.resolution.shapes or name in self.producers
        if known or any(operator.name == name for operator in self.operators):
            raise UsageError(f"'{name}' does not depend on the examined input")
        near = get_close_matches(name, [n for n in flows if "\0" not in n], n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise UsageError(f"the model has no tensor or node '{name}'{hint}")

    def covers(self, tensor: str | None = None) -> bool:
        """Tell whether coverage is known: nothing that cannot run stands before the outputs."""
        if not self.resolution.refused_at:
            return True
        return all(self.shape(name) is not None for name in self.functional(tensor))

    def dead(self, tensor: str | None = None, *, local: bool = False) -> sweep.Dead | None:
        """Return the pixels without any path to the outputs (or to a tensor), None if unknown.

        With `local`, paths through whole-map gates do not count, unless there is no other path:
        a class token has nothing but what attention brings to it.
        """
        found = self._reached(tensor, local=local)
        if local and found is not None and found.mask.all():
            return self._reached(tensor, local=False)
        return found

    def _reached(self, tensor: str | None, *, local: bool) -> sweep.Dead | None:
        """Return the pixels without any path, or without any local one."""
        local = self._is_gated(local=local)
        key = ("dead", tensor, local)
        if key not in self._kept:
            tensors = self.functional(tensor)
            self._kept[key] = (
                sweep.dead_pixels(self.geometry, tensors, local=local)
                if self.geometry is not None and tensors
                else None
            )
        return cast("sweep.Dead | None", self._kept[key])

    def coverage(self, tensor: str | None = None, *, local: bool = False) -> sweep.Coverage | None:
        """Return dead pixels and the random walk from the outputs (or a tensor)."""
        local = self._is_gated(local=local)
        key = ("coverage", tensor, local)
        if key not in self._kept:
            tensors, dead = self.functional(tensor), self._reached(tensor, local=local)
            self._kept[key] = (
                sweep.coverage(self.geometry, tensors, local=local, dead=dead)
                if self.geometry is not None and tensors
                else None
            )
        return cast("sweep.Coverage | None", self._kept[key])

    def _is_gated(self, *, local: bool) -> bool:
        """Tell whether local paths are asked for and are not just all paths."""
        return local and self.geometry is not None and self.geometry.gated

    def counts(self, tensors: Sequence[str]) -> sweep.Map | None:
        """Return the kernel-tap paths from every pixel to some tensors, gates left out.

        The values of a map that is scaled down share its exponent.
        """
        if self.geometry is None or not tensors:
            return None
        return sweep.sweep(self.geometry, tensors, sweep.Semiring.COUNT, local=True)

    def losses(self) -> list[sweep.Loss]:
        """Return the operators that lose pixels: those that no local path connects to an output."""
        dead = self.dead(local=True)
        if self.geometry is None or dead is None or not dead.mask.any():
            return []
        if ("losses",) not in self._kept:
            tensors = self.functional()
            found = sweep.losses(self.geometry, tensors, dead.mask, local=True)
            self._kept["losses",] = found
        return cast("list[sweep.Loss]", self._kept["losses",])

    def support(self, tensor: str, cell: Sequence[int] | None = None) -> Support | None:
        """Return the pixels that one unit of a feature map reads, the central one if not named."""
        return support(self.geometry, tensor, cell) if self.geometry is not None else None

    def receptive_field(self, tensor: str) -> tuple[int, ...] | None:
        """Return the local receptive field of a tensor in pixels, per image axis, None if unknown.

        Of an interior cell, not cut off at the image's borders.
        """
        grids = self.geometry.local_grids(tensor) if self.geometry is not None else None
        sizes = [g.field.size for g in grids or () if g.field is not None]
        known = tuple(size for size in sizes if size is not None)
        return known if grids and len(known) == len(grids) else None

    @property
    def image_size(self) -> tuple[int, ...]:
        """The spatial sizes of the examined input in pixels; empty where there is none."""
        examined = self.resolution.examined
        if examined is None or examined.shape is None:
            return ()
        return tuple(examined.shape[axis] for axis in examined.spatial_axes)

    @property
    def image_rank(self) -> int:
        """How many spatial axes the examined input has."""
        return len(self.image_size)

    def multiply_adds(self, operator: Operator) -> int | None:
        """Return the multiply-adds of a convolution or matrix product for one run, else None."""
        return layers.multiply_adds(self.resolution, operator)

    def parameters(self, operator: Operator) -> int | None:
        """Return how many stored numbers a layer multiplies or adds, None where it has none."""
        return layers.parameters(self.resolution, operator)

    def at(self, size: Sequence[int]) -> Facts | None:
        """Return the facts of the same model at another input size, None if it refuses it."""
        examined = self.resolution.examined
        try:
            facts = Facts.of(
                self.model, size=size, input_name=examined.name if examined is not None else None
            )
        except UsageError:
            return None
        refused = {u.operator.name for u in self.resolution.refused_at}
        fresh = any(u.operator.name not in refused for u in facts.resolution.refused_at)
        return None if fresh else facts

    def sizes_at(
        self, label: int, candidates: NDArray[np.int64], wanted: Iterable[str] | None = None
    ) -> dict[str, NDArray[np.int64]]:
        """Return the sizes of the tensors along one axis of the image at other sizes of it.

        Parameters
        ----------
        wanted
            Tensors of which it is asked, so that no more than these need be there; None: all.
        """
        if self.geometry is None:
            return {}
        return sizes_at(self.geometry, label, candidates, wanted)

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """The last feature maps: local tensors of several cells that no other such tensor reads.

        Only those that lead to a graph output. What comes behind them sums the image up.
        """
        return heads_among(self.geometry, self.feature_maps) if self.geometry is not None else ()

    @cached_property
    def feature_maps(self) -> frozenset[str]:
        """The tensors that are feature maps: local, of several cells, the image's axes in place."""
        return feature_maps(self.geometry) if self.geometry is not None else frozenset()

    def with_operators(self, changed: Mapping[str, Operator]) -> Facts:
        """Return the facts of the same graph at the same size with some operators replaced.

        Parameters
        ----------
        changed
            The operators to put in, by the name of the one that each replaces.
        """
        examined = self.resolution.examined
        return Facts.of(
            replace(self.model, main=self.model.main.with_operators(changed)),
            input_shapes={v.name: v.shape for v in self.resolution.inputs if v.shape is not None},
            input_name=examined.name if examined is not None else None,
        )

    def is_local(self, operator: Operator) -> bool:
        """Tell whether an operator's first output has a local path from the image."""
        flow = self.flow(operator.outputs[0]) if operator.outputs else None
        return flow is not None and flow.local

    def strides(self, tensor: str) -> tuple[Fraction, ...] | None:
        """Return the effective stride of a tensor along every image axis, None if unknown."""
        return self.geometry.strides(tensor) if self.geometry is not None else None

    def padding_in_front(self, tensor: str, label: int) -> tuple[int, int]:
        """Return the padding, begin and end, that a Pad or a Concat adds just before a layer.

        Parameters
        ----------
        tensor
            Input of the layer.
        label
            Axis of the image, 0 for H.
        """
        if self.geometry is None:
            return 0, 0
        return padding_in_front(self.geometry, tensor, label)
