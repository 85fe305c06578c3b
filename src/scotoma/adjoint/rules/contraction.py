"""Einsum."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.adjoint.registry import NoAdjointError, rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scotoma.adjoint.registry import Gradients
    from scotoma.adjoint.site import Shape, Site


@dataclass(frozen=True, slots=True)
class Term:
    """An operand or the output: one label per axis that is longer than 1."""

    labels: str
    shape: tuple[int, ...]
    """As declared, with the axes of length 1."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The lengths of the labelled axes."""
        return tuple(size for size in self.shape if size != 1)


@rule("Einsum")
def einsum(site: Site) -> Gradients:
    """Contract the gradient with all other operands, and repeat it along what is summed away.

    Axes of length 1 are left out before: what is broadcast then simply lacks the label.
    """
    shapes = [site.shape(slot) for slot in range(len(site.op.inputs))]
    operands, output = terms(site.text("equation", ""), shapes, site.out_shape())
    if 0 in output.shape or any(0 in term.shape for term in operands):
        raise NoAdjointError("a tensor of it is empty")
    for term in operands:
        if len(set(term.labels)) < len(term.labels):
            raise NoAdjointError("it takes a diagonal")
    grad = _squeezed(site, site.grad(), output)
    found: list[str | None] = []
    for slot, term in enumerate(operands):
        if not site.wants(slot):
            found.append(None)
            continue
        others = [(grad, output)]
        others += [
            (_squeezed(site, site.input(at), other), other)
            for at, other in enumerate(operands)
            if at != slot
        ]
        found.append(_contracted(site, others, term))
    return found


def _squeezed(site: Site, tensor: str, term: Term) -> str:
    return tensor if term.sizes == term.shape else site.reshape(tensor, term.sizes)


def _contracted(site: Site, factors: Sequence[tuple[str, Term]], wanted: Term) -> str:
    """Return the product of tensors, summed and repeated to the labels that are wanted."""
    held = {label for _, term in factors for label in term.labels}
    kept = "".join(label for label in wanted.labels if label in held)
    scalars = [tensor for tensor, term in factors if not term.labels]
    others = [(tensor, term) for tensor, term in factors if term.labels]
    if [term.labels for _, term in others] == [kept]:
        product: str | None = others[0][0]
    elif others:
        equation = ",".join(term.labels for _, term in others) + "->" + kept
        product = site.emit("Einsum", *(tensor for tensor, _ in others), equation=equation)
    else:
        product = None
    for scalar in scalars:
        product = scalar if product is None else site.emit("Mul", product, scalar)
    if product is None:
        raise NoAdjointError("it has no operands")
    labels = iter(wanted.labels)
    apart = [size if size == 1 or next(labels) in held else 1 for size in wanted.shape]
    product = site.reshape(product, apart)
    return product if tuple(apart) == wanted.shape else site.expand(product, wanted.shape)


def terms(equation: str, shapes: Sequence[Shape], made: Shape) -> tuple[list[Term], Term]:
    """Read an equation; axes under an ellipsis get labels of their own.

    Examples
    --------
    >>> operands, output = terms("...ij,jk", [(2, 3, 4), (4, 1)], (2, 3, 1))
    >>> [term.labels for term in operands], output.labels
    (['Zij', 'j'], 'Zi')
    """
    left, arrow, right = equation.replace(" ", "").partition("->")
    written = left.split(",")
    if len(written) != len(shapes):
        raise NoAdjointError("its equation does not fit its operands")
    spare = [label for label in reversed(string.ascii_letters) if label not in equation]
    pairs = list(zip(written, shapes, strict=True))
    covered = [len(shape) - len(text) + 3 for text, shape in pairs if "..." in text]
    hidden = max(covered, default=0)
    if hidden > len(spare):
        raise NoAdjointError("its equation needs more letters than there are")
    ellipsis = "".join(reversed(spare[:hidden]))
    if not arrow:
        plain = left.replace("...", "").replace(",", "")
        right = "..." if "..." in left else ""
        right += "".join(sorted(label for label in set(plain) if plain.count(label) == 1))
    sizes: dict[str, int] = {}
    operands = [_term(text, shape, ellipsis, sizes) for text, shape in pairs]
    return operands, _term(right, made, ellipsis, sizes)


def _term(text: str, shape: Shape, ellipsis: str, sizes: dict[str, int]) -> Term:
    before, dots, behind = text.partition("...")
    hidden = len(shape) - len(before) - len(behind)
    labels = before + (ellipsis[len(ellipsis) - hidden :] if dots and hidden else "") + behind
    if len(labels) != len(shape) or not set(labels) <= set(string.ascii_letters):
        raise NoAdjointError("its equation does not fit its operands")
    for label, size in zip(labels, shape, strict=True):
        if size != 1 and sizes.setdefault(label, size) != size:
            raise NoAdjointError("its equation does not fit its operands")
    long = [label for label, size in zip(labels, shape, strict=True) if size != 1]
    return Term("".join(long), shape)
