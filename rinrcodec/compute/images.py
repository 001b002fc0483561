"""The images that a call of the decoder gives, in one array or tensor where they are alike."""

from __future__ import annotations

import math
from collections.abc import Callable

from rinrcodec.compute.arrays import Array, empty

__all__ = ["Images", "each"]


class Images:
    """The images of a call, written into one array or tensor while all shapes agree.

    Args:
        count: How many there will be.
        most: Bytes of all together at most.
    """

    def __init__(self, count: int, most: int) -> None:
        self._count = count
        self._most = most
        self._together: Array = None
        self.all: list[Array] = []

    def add(self, image: Array) -> None:
        """Take the next image, of any shape."""
        number = len(self.all)
        if number == 0 and 1 < self._count <= self._most // math.prod(image.shape):
            self._together = empty(image, (self._count, *image.shape))
        if self._together is not None and image.shape == self._together.shape[1:]:
            self._together[number] = image
            self.all.append(self._together[number])
        else:
            self._together = None
            self.all.append(image)

    def stacked(self) -> Array | list[Array]:
        """Return all images: one array or tensor if all shapes are equal, else the list."""
        if self._together is not None and len(self.all) == self._count:
            return self._together
        return self.all[0][None] if len(self.all) == 1 else self.all


def each(convert: Callable[[Array], Array], images: Array | list[Array]) -> Array | list[Array]:
    """Return one image, or a list of images, converted."""
    return [convert(image) for image in images] if isinstance(images, list) else convert(images)
