"""How the examined input is laid out, and how a picture or an array gets into it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scotoma.errors import MeasurementError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from scotoma.facts import Facts


@dataclass(frozen=True, slots=True)
class Canvas:
    """The examined input: its shape, where its image lies, and what its elements are."""

    name: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    """Axes of the image, in order."""
    dtype: np.dtype[Any]

    @property
    def size(self) -> tuple[int, ...]:
        """Lengths of the image's axes in pixels."""
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def channel(self) -> int | None:
        """Axis of the channels, None where a pixel is one number."""
        others = [axis for axis in range(len(self.shape)) if axis not in self.axes]
        if len(others) > 1 or (others and self.shape[others[0]] > 1):
            return others[-1]
        return None

    @property
    def channels(self) -> int:
        """Numbers per pixel."""
        return 1 if self.channel is None else self.shape[self.channel]

    @property
    def nbytes(self) -> int:
        """Bytes that an array of this shape takes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def fill(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return an array of the input's shape that shows some pixels, in their own type.

        Parameters
        ----------
        pixels
            The image's axes in order, then the channels. Repeated along the other axes of the
            input, such as a batch of a fixed size.
        """
        own = self.axes if self.channel is None else (*self.axes, self.channel)
        whole = pixels[..., 0] if self.channel is None else pixels
        order = np.argsort(own)
        places = tuple(
            1 if axis not in own else self.shape[axis] for axis in range(len(self.shape))
        )
        return np.broadcast_to(whole.transpose(order).reshape(places), self.shape)

    def fit(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
        """Return a stored array in the input's shape, None if it does not fit.

        It may lack axes of size 1, the channels among them, and have its channels first or last;
        where both fit, they are where those of the input are.
        """
        if stored.shape == self.shape:
            return stored
        size, channels = self.size, self.channels
        last, first = ((*size, channels), len(size)), ((channels, *size), 0)
        is_first = self.channel is not None and self.channel < min(self.axes)
        layouts = [first, last] if is_first else [last, first]
        for shape, channel in layouts:
            if stored.shape == shape:
                return self.fill(np.moveaxis(stored, channel, -1))
        if stored.shape == size and channels == 1:
            return self.fill(stored[..., None])
        if stored.ndim > len(size) and stored.shape[0] == 1:
            return self.fit(stored[0])
        return None


def canvas_of(facts: Facts, dtypes: Mapping[str, np.dtype[Any]]) -> Canvas:
    """Return the layout of the examined input.

    Parameters
    ----------
    dtypes
        Element type by input, of every input that onnxruntime asks for.

    Raises
    ------
    MeasurementError
        If the model has no spatial input, or onnxruntime does not ask for it.
    """
    examined = facts.resolution.examined
    if examined is None or not examined.shape or not examined.spatial_axes:
        raise MeasurementError("the model has no spatial input whose pixels could be perturbed")
    if examined.name not in dtypes:
        raise MeasurementError(f"onnxruntime does not know an input '{examined.name}'")
    return Canvas(examined.name, examined.shape, examined.spatial_axes, dtypes[examined.name])


def times(shape: tuple[int, ...]) -> str:
    """Return a shape as it is written in messages.

    Examples
    --------
    >>> times((1, 3, 8)), times(())
    ('1x3x8', 'a single number')
    """
    return "x".join(map(str, shape)) or "a single number"
