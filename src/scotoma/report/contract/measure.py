"""The document of ``scotoma measure``; ``docs/measure.md`` says what each figure means."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from scotoma.report.contract.common import InputDocument, ModelIdentity, SchemaVersion


class StrippedDocument(TypedDict):
    """An operator at the end that was taken off, so that what is before it is measured."""

    node: str
    op_type: str


class BaselineDocument(TypedDict):
    """An input whose pixels were changed one at a time."""

    label: str
    seed: int | None
    """Null: it was not drawn."""


class ResolutionDocument(TypedDict):
    """Which pixels were probed."""

    full: bool
    """All of them."""
    samples: list[int]
    """Probed places along each axis."""
    tile: NotRequired[int]
    """Pixels along each axis that share a cell of the map; counts are then of cells, places and
    lengths still in pixels. Absent: 1."""
    probed: int
    pixels: int


class BudgetDocument(TypedDict):
    """What the measurement was allowed; null: no limit."""

    seconds: float | None
    passes: int | None


class FigureDocument(TypedDict):
    """A number that sums up a map, with what it rests on."""

    value: float | None
    """Null: it is not defined."""
    standard_error: float | None
    """In the unit of the value; 0: exact for this input; null: not known."""
    probes: int
    reason: str | None
    """Why there is no value."""


class RingDocument(FigureDocument):
    """The mean of a ring of pixels over that of the interior."""

    distance: int
    """Pixels from the border."""


class RippleDocument(TypedDict):
    """The strongest pattern that repeats itself along an axis."""

    period: int
    """In pixels."""
    share: float
    """Of the variance, 0 to 1."""
    amplitude: float
    """Over the local mean, from 0."""


class PositionDocument(TypedDict):
    """How much the response to the same stimulus depends on its place."""

    sensitivity: FigureDocument
    phase: FigureDocument
    """The part that depends on the place within a stride."""
    spread: FigureDocument
    reason: str | None
    """Why there is none."""


class PairDocument(TypedDict):
    """The same figure of two maps."""

    reference: float | None
    """The graph's."""
    measured: float | None


class AgreementDocument(TypedDict):
    """How the measured map compares with that of the graph."""

    compared_pixels: int
    correlation: float | None
    rank_correlation: float | None
    max_relative_error: float | None
    relative_error: float | None
    contradictions: int
    """Pixels without a path that moved the target; must be 0."""
    contradicting_pixels: list[list[int]]
    """The first of them."""
    unmoved: int
    """Pixels with a path that moved nothing."""
    unmoved_pixels: list[list[int]]
    """The first of them."""
    figures: dict[str, PairDocument]


class InfluenceDocument(TypedDict):
    """The figures of the map as plain numbers; null: not defined, or not known."""

    max: float
    min: float
    argmax: list[int]
    """The first pixel of the largest influence."""
    dead_pixel_fraction: float | None
    """Of the probed pixels."""
    dead_rows: list[list[int]]
    """Rows of which every pixel was probed and moved nothing, as pairs of first and last."""
    dead_cols: list[list[int]]
    corner_over_centre: float | None
    edge_over_centre: float | None
    left_right_ratio: float | None
    top_bottom_ratio: float | None


class UnitDocument(TypedDict):
    """The only place of the target that was looked at."""

    place: list[int]
    """On the target's grid, by axis of the image."""
    receptive_field: list[list[int]] | None
    """Theoretical: first and last pixel with a path to it, by axis of the image; null: unknown."""


class PixelsDocument(TypedDict):
    """How many pixels do something."""

    structurally_dead: int | None
    """Without a path to the target; null: the graph could not be followed."""
    locally_dead: int
    """With a path, but nothing moved on any input (with gradients alone: without a gradient)."""
    live: int
    """With a gradient, or moved the target. Pixels that were not tried are none of the three."""


class GradientsDocument(TypedDict):
    """Where a map from gradients comes from."""

    inputs: int
    """Forward passes; the map is the mean over them."""
    cotangents: int
    """Backward passes for each input."""
    random: bool
    """The cotangents are random, and the map an estimate."""
    relative_error: float
    """What random cotangents leave, root mean square over the pixels; 0: exact."""
    residual_bytes: int
    """Memory of what the backward reads of the forward."""
    seconds: float


class ConfirmationDocument(TypedDict):
    """What perturbed pixels say of a map from gradients."""

    perturbed_pixels: int
    """Alone, or together with others."""
    compared_pixels: int
    """Those with an influence above 0 by both methods."""
    correlation: float | None
    """Of the logarithms."""
    median_relative_error: float | None
    """Of the difference over the larger of both; null: nothing was compared."""
    max_relative_error: float | None
    scale: float | None
    """Mean by perturbation over mean by gradients."""
    moved_without_gradient: int
    """Pixels without a gradient that moved the target."""
    moved_without_gradient_pixels: list[list[int]]
    """The first of them."""
    unmoved_with_gradient: int
    """Pixels with a gradient that moved no bit."""
    unmoved_with_gradient_pixels: list[list[int]]
    """The first of them."""


class PreviewDocument(TypedDict):
    """A map for a large step: exact up to a tensor, linear from there on."""

    cut: str
    """The tensor."""
    passes: int
    """Of the part before it, over all inputs."""
    cotangents: int
    """Backward passes of the part behind it, for each input."""
    random: bool
    """The cotangents are random, and the map an estimate."""
    sampled_pixels: int
    """Perturbed through the whole model, to tell the error."""
    relative_error: float | None
    """Norm of the difference over that of the true influence, on these; null: nothing moved."""
    correlation: float | None
    """Pearson's of both, on these; null: a side is constant."""
    seconds: float
    """Without the sample."""


class ProfilesDocument(TypedDict):
    """Files with the profiles along the axes, where whole rows and columns were probed."""

    rows: NotRequired[str]
    columns: NotRequired[str]


class MeasureDocument(TypedDict):
    """What ``scotoma measure --format json`` writes."""

    schema_version: SchemaVersion
    """Raised when a meaning changes; keys may be added without."""
    model: ModelIdentity
    examined: InputDocument | None
    """The input whose pixels are changed; null: there is none."""
    method: str
    """How the map was made: `adjoint` (gradients), `perturb` (moved pixels) or `hybrid`."""
    method_reason: NotRequired[str | None]
    """Why gradients were not used though they were allowed; null: they were, or were not asked."""
    functional: str
    """What is made of the target to one number."""
    output: str
    """The first of `outputs`."""
    outputs: list[str]
    """The tensors that are the target."""
    target: str
    """Why they are."""
    unit: NotRequired[UnitDocument | None]
    """Null: all places of the target count."""
    stripped: list[StrippedDocument]
    input: str
    """The kinds of `inputs`."""
    inputs: list[BaselineDocument]
    seed: int | None
    """Of the first input."""
    delta: float | None
    """By how much a pixel is changed, in the first input; null: none was changed."""
    difference: str | None
    """How two answers become one response; null: no pixel was changed."""
    patch: int
    """Side of the patches that are changed, in pixels."""
    channels: str
    resolution: ResolutionDocument
    budget: BudgetDocument
    passes: int
    """Runs of the model."""
    planned_passes: int
    passes_by_kind: dict[str, int]
    multiplexed: bool
    """One pass probed several pixels at once, whose effects do not meet."""
    batch: int
    jobs: int
    seconds: float
    complete: bool
    """Everything that was planned was done."""
    influence: InfluenceDocument
    pixels: NotRequired[PixelsDocument]
    gradients: NotRequired[GradientsDocument | None]
    """Null: the map is from perturbation alone."""
    confirmation: NotRequired[ConfirmationDocument | None]
    """Null: the map is from one method alone."""
    preview: NotRequired[PreviewDocument | None]
    """Null: the map is no preview."""
    figures: dict[str, FigureDocument]
    rings: list[RingDocument]
    """From the border inwards."""
    ripple: dict[str, RippleDocument | None]
    """By axis; null: none, or not known."""
    position: PositionDocument | None
    """Null: nothing was probed, or one place of the target alone is looked at."""
    agreement: AgreementDocument | None
    """Null: the graph could not be followed."""
    map: str
    """The file of the map, in the folder of the measurement."""
    profiles: ProfilesDocument
    notes: list[str]
