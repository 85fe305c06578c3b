"""Which shapes the inputs of a model are examined at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.errors import UsageError
from scotoma.resolve.layout import Layout, Readers, find_layout
from scotoma.resolve.resolution import InputShape
from scotoma.resolve.step import elements

if TYPE_CHECKING:
    from scotoma.loader.model import Graph, Value

Size = tuple[int, ...]
Declared = tuple["int | str | None", ...]

SIZES: dict[int, list[Size]] = {
    1: [(size,) for size in (1024, 16000, 4096, 2048, 8000, 3000, 1000, 512, 256, 224, 128, 64)],
    2: [
        (size, size)
        for size in (224, 256, 299, 384, 320, 448, 512, 640, 192, 160, 128, 112, 96, 64, 48, 32, 28)
    ],
    3: [
        (16, 112, 112), (64, 64, 64), (32, 32, 32), (16, 224, 224), (96, 96, 96),
        (128, 128, 128), (8, 112, 112), (32, 224, 224), (8, 224, 224),
    ],
}  # fmt: skip
"""Per number of spatial axes: the default for a dynamic size, then what is tried if an operator
refuses it."""
CHANNELS = 3
"""Where neither the input nor a convolution says how many."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An input with what is known of it before any size is chosen."""

    name: str
    declared: Declared | None
    layout: Layout | None

    @property
    def spatial(self) -> tuple[int, ...]:
        """Axes of the image grid; empty if it is not spatial."""
        return self.layout.spatial if self.layout else ()


def plans_of(graph: Graph) -> list[Plan]:
    """Look at the inputs of a graph: declared dimensions and layout."""
    readers = Readers.of(graph)
    return [plan_of(value, readers) for value in graph.inputs]


def plan_of(value: Value, readers: Readers) -> Plan:
    """Look at one input; an undeclared rank is taken from the convolution that reads it."""
    declared = value.shape
    if declared is not None:
        # A negative size is how some exporters write "dynamic".
        declared = tuple(None if isinstance(d, int) and d < 0 else d for d in declared)
    layout = find_layout(value, readers)
    if declared is None and layout is not None:
        declared = (None,) * layout.rank
    return Plan(value.name, declared, layout)


class Choice:
    """The inputs of a model, the examined one, and the shapes wanted by the caller."""

    def __init__(
        self,
        graph: Graph,
        size: Sequence[int] | None,
        input_shapes: Mapping[str, Sequence[int]] | None,
        input_name: str | None,
    ) -> None:
        self.plans = plans_of(graph)
        self.given = {name: tuple(shape) for name, shape in (input_shapes or {}).items()}
        self.size: Size | None = None
        if size is not None and min(size, default=0) <= 0:
            raise UsageError(f"{'x'.join(map(str, size))} is not a size")
        for name, shape in self.given.items():
            self._check(name, shape)
        self.examined = self._pick(input_name)
        if size is not None and self.examined is not None:
            self.size = tuple(size)
            axes = len(self.examined.spatial)
            if len(self.size) != axes:
                raise UsageError(
                    f"the size {'x'.join(map(str, self.size))} gives {len(self.size)} "
                    f"number{'s' * (len(self.size) != 1)}, input {self.examined.name!r} has "
                    f"{axes} spatial ax{'es' if axes != 1 else 'is'}"
                )

    def _names(self) -> str:
        names = ", ".join(repr(plan.name) for plan in self.plans)
        return f"the inputs are {names}" if names else "the model has no inputs"

    def _check(self, name: str, shape: Size) -> None:
        plan = next((plan for plan in self.plans if plan.name == name), None)
        if plan is None:
            raise UsageError(f"there is no input {name!r}; {self._names()}")
        if min(shape, default=0) < 0:
            raise UsageError(f"shape {'x'.join(map(str, shape))} of input {name!r} is not a shape")
        if plan.declared is not None and len(plan.declared) != len(shape):
            raise UsageError(
                f"shape {'x'.join(map(str, shape))} gives {len(shape)} numbers, "
                f"input {name!r} has {len(plan.declared)} axes"
            )

    def _pick(self, input_name: str | None) -> Plan | None:
        if input_name is not None:
            plan = next((plan for plan in self.plans if plan.name == input_name), None)
            if plan is None:
                raise UsageError(f"there is no input {input_name!r}; {self._names()}")
            if not plan.spatial:
                raise UsageError(f"input {input_name!r} has no spatial axes")
            return plan
        shapes = {item.name: item.shape for item in self.shapes(None)}
        best: tuple[int, Plan] | None = None
        for plan in self.plans:
            shape = shapes[plan.name]
            if plan.spatial and shape is not None:
                count = elements(shape)
                if best is None or count > best[0]:
                    best = (count, plan)
        return best[1] if best else None

    def sizes(self) -> Iterator[Size | None]:
        """Yield the defaults to try for dynamic spatial axes, the best first."""
        if self.examined is None:
            yield None
            return
        rank = len(self.examined.spatial)
        yield from SIZES.get(rank, [(16,) * rank])

    def shapes(self, default: Size | None) -> tuple[InputShape, ...]:
        """Return every input's shape with `default` for spatial sizes that nothing tells."""
        symbols: dict[str, int] = {}
        for plan in self.plans:
            if plan.name in self.given and plan.declared is not None:
                for wanted, declared in zip(self.given[plan.name], plan.declared, strict=True):
                    if isinstance(declared, str):
                        symbols.setdefault(declared, wanted)
        examined = getattr(self, "examined", None)
        assumed: set[str] = set()
        order = sorted(self.plans, key=lambda plan: (plan is not examined, not plan.spatial))
        done = {plan.name: self._shape(plan, examined, default, symbols, assumed) for plan in order}
        return tuple(done[plan.name] for plan in self.plans)

    def _shape(
        self,
        plan: Plan,
        examined: Plan | None,
        default: Size | None,
        symbols: dict[str, int],
        assumed: set[str],
    ) -> InputShape:
        if plan.name in self.given:
            shape = self.given[plan.name]
            spatial = tuple(axis for axis in plan.spatial if axis < len(shape))
            return InputShape(plan.name, shape, spatial, assumed=False)
        if plan.declared is None:
            return InputShape(plan.name, None, (), assumed=False)
        sized = self._sized(plan, examined)
        guessed = False
        result = []
        for axis, declared in enumerate(plan.declared):
            symbol = declared if isinstance(declared, str) else None
            if axis in sized:
                number = sized[axis]
                if symbol is not None:
                    symbols.setdefault(symbol, number)
            elif isinstance(declared, int):
                number = declared
            elif symbol is not None and symbol in symbols:
                number = symbols[symbol]
                guessed |= symbol in assumed
            else:
                number, counts = self._default(plan, axis, default)
                guessed |= counts
                if symbol is not None:
                    symbols[symbol] = number
                    if counts:
                        assumed.add(symbol)
            result.append(number)
        return InputShape(plan.name, tuple(result), plan.spatial, assumed=guessed)

    def _sized(self, plan: Plan, examined: Plan | None) -> dict[int, int]:
        """Return the spatial sizes that ``--size`` puts on an input, by axis.

        A second image input declared at the same size follows the examined one.
        """
        if self.size is None or examined is None or not plan.spatial:
            return {}
        if plan is not examined and _grid(plan) != _grid(examined):
            return {}
        return dict(zip(plan.spatial, self.size, strict=True))

    @staticmethod
    def _default(plan: Plan, axis: int, default: Size | None) -> tuple[int, bool]:
        """Return a stand-in for an unknown dimension, and whether it counts as assumed."""
        layout = plan.layout
        if layout is None:
            return 1, axis != 0
        if axis in layout.spatial:
            place = layout.spatial.index(axis)
            known = SIZES.get(len(layout.spatial), [(16,) * len(layout.spatial)])[0]
            if default is not None and len(default) == len(layout.spatial):
                known = default
            return known[place], True
        if axis == layout.channel:
            return layout.channels or CHANNELS, not layout.channels
        return 1, axis != 0


def _grid(plan: Plan) -> list[int | None]:
    """Return the declared spatial sizes; None where they are dynamic."""
    sizes = plan.declared or ()
    return [size if isinstance(size := sizes[axis], int) else None for axis in plan.spatial]
