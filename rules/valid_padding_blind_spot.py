"""A border that hardly counts, because windows overlap and are not padded.

What it finds
-------------
Without padding a pixel at the border is read by fewer kernel positions than a central one, and
each unpadded layer multiplies the loss: after five 3x3 layers a corner pixel of a 28x28 image has
one path to the output where a central one has 59,049. The rule counts the kernel-tap paths of
every pixel and compares with the same graph in which every overlapping window is padded to half
its extent: what is missing is lost for want of padding, not for being near the border.

Why it matters
--------------
A detail near the border can decide the answer, and the model hardly sees it.

What to do
----------
Pad the named layers to (kernel - 1) / 2, or pad the image before it goes in so that what matters
stays clear of the starved band.

Limits
------
Paths are counted with all weights equal; what a trained model makes of them is for a measurement to
say. Windows that do not overlap (pools with kernel 2 and stride 2, patch embeddings) lose nothing.
The limit (option ``limit``) is a loss of nine tenths in the corners: one unpadded 3x3 layer loses
three quarters of the paths there, two lose 96 %. Corners and sides are blocks of 1/32 of the image,
the centre is at least one effective stride wide, so that strides, which read neighbouring pixels
unequally often, do not decide. Where padding would keep branches from joining (a U-Net that crops),
the shares are those of the maps before the joins. Undecided where an operator that is not known, or
one that samples where the data say, reads the image itself.

References
----------
https://arxiv.org/abs/2010.02178 (Mind the Pad: CNNs can develop blind spots)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from scotoma.evidence.border_paths import starved_band
from scotoma.evidence.hidden import hidden, slide
from scotoma.evidence.padded import bypass, padded_paths, paths_to_heads, unpadded
from scotoma.findings import Finding, Location, Measurement, Severity, Undecided
from scotoma.rule import Rule, RuleMeta, RuleOptions, option

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.loader.model import Operator


@dataclass(frozen=True, slots=True)
class Options(RuleOptions):
    """What a user can set."""

    limit: float = option(0.9, "share of the paths in the corners that may be lost", 0, 1)


class ValidPaddingBlindSpot(Rule):
    """Unpadded overlapping windows starve the border."""

    meta: ClassVar[RuleMeta] = RuleMeta(
        code="SC102", name="valid-padding-blind-spot", severity=Severity.WARNING, since="0.1.0",
        references=("https://arxiv.org/abs/2010.02178",),
    )  # fmt: skip

    options = Options

    def check(self, facts: Facts) -> Iterator[Finding | Undecided]:
        """Yield one finding for the whole graph."""
        layers = unpadded(facts) if facts.geometry is not None else []
        other = bypass(facts) if layers else None
        if other is None and (unseen := hidden(facts, lacks_padding)) is not None:
            yield self.undecided(unseen.reason, unseen.cause)
        if not layers:
            return
        if other is not None:
            reason = f"'{other.name}' ({other.op_type}) reads the image itself; where is not known"
            yield self.undecided(reason, layers[0])
            return
        paths = padded_paths(facts, layers)
        if paths is None or paths.here.empty or paths.padded.empty:
            reason = "the same graph with padding, to compare with, has no feature map in common"
            yield self.undecided(reason, layers[0])
            return
        limit = facts.options(Options).limit
        corner = lost(paths.here.corners, paths.padded.corners)
        side = lost(paths.here.sides, paths.padded.sides)
        if corner is None or side is None or corner <= limit:
            return
        band = starved_band(paths.here, paths.padded)
        whole = paths.here if paths.heads == facts.heads else paths_to_heads(facts)
        ratio = whole.corner_over_centre if whole is not None else None
        yield self.finding(
            [
                Location(op.name, op.op_type, op.inputs[0], "overlapping windows without padding")
                for op in layers
            ],
            f"the corners of the image lose {corner:.2%} of their paths to the output for want of "
            f"padding, the middles of its sides {side:.1%}, in {named(layers)}; the starved band "
            f"is {band} px wide, and a corner pixel has {described(ratio)} paths of a central one",
            Measurement("lost_path_share", corner, "1", limit=limit),
            Measurement("lost_path_share_at_side", side, "1"),
            Measurement("band_width", band, "px"),
            Measurement("corner_over_centre_paths", ratio, "1"),
            remedy="pad these layers to (kernel - 1) / 2, or pad the image before the model",
        )


def lost(real: float, full: float) -> float | None:
    """Return the share of paths lost, None where the padded graph has none.

    Examples
    --------
    >>> lost(0.25, 1.0), lost(1.5, 1.0), lost(0.5, 0.0)
    (0.75, 0.0, None)
    """
    return max(0.0, 1.0 - real / full) if full > 0 else None


def named(layers: Sequence[Operator]) -> str:
    """Say how many layers there are and name the first."""
    if len(layers) == 1:
        return f"the unpadded '{layers[0].name}'"
    return f"{len(layers)} unpadded layers, first '{layers[0].name}'"


def described(ratio: float | None) -> str:
    """Write a ratio as a share.

    Examples
    --------
    >>> described(1 / 59049), described(0.0), described(None)
    ('1/59,049 of the', 'none of the', 'an unknown share of the')
    """
    if ratio is None:
        return "an unknown share of the"
    return f"1/{round(1 / ratio):,} of the" if ratio > 0 else "none of the"


def lacks_padding(facts: Facts, operator: Operator) -> bool:
    """Tell whether a layer declares overlapping windows without padding."""
    found = slide(facts, operator)
    return found is not None and found.lacks_padding
