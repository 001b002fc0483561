"""Four pictures that ship with scikit-image, with boxes set by hand around what one looks at.

All are in the public domain or CC0 (see `skimage.data`), and are inside the scikit-image wheel:
nothing is downloaded.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from rinrcodec.boxes import Box
from rinrcodec.errors import MissingExtraError
from rinrcodec.picture import Picture
from rinrcodec.sources.images import picture_from_array

__all__ = ["CLASS_NAMES", "sample_pictures"]

MAX_HEIGHT = 360
CLASS_NAMES = ("face", "badge", "eye", "spoon", "rocket")

# Boxes as (class, x, y, w, h) in pixels of the picture scaled to `MAX_HEIGHT`.
_BOXES: dict[str, tuple[tuple[str, float, float, float, float], ...]] = {
    "astronaut": (("face", 120, 34, 78, 98), ("badge", 92, 243, 58, 56)),
    "chelsea": (("eye", 133, 82, 76, 68), ("eye", 294, 104, 50, 64)),
    "coffee": (("spoon", 288, 200, 84, 98),),
    "rocket": (("rocket", 256, 102, 32, 246),),
}


def sample_pictures() -> list[Picture]:
    """Build the sample pictures, RGB and at most 360 pixels high, with their boxes.

    `source_bytes` is the size of the picture as a JPEG of quality 95, as a camera would send it.
    Raises `MissingExtraError` without scikit-image.
    """
    try:
        from skimage import data
    except ImportError as error:
        raise MissingExtraError("scikit-image", "demo") from error
    return [_sample(name, Image.fromarray(getattr(data, name)())) for name in _BOXES]


def _sample(name: str, image: Image.Image) -> Picture:
    if image.height > MAX_HEIGHT:
        width = round(image.width * MAX_HEIGHT / image.height)
        image = image.resize((width, MAX_HEIGHT), Image.Resampling.LANCZOS)
    jpeg = io.BytesIO()
    image.save(jpeg, format="JPEG", quality=95)
    return picture_from_array(
        np.asarray(image),
        name=f"{name}.jpg",
        boxes=[Box(CLASS_NAMES.index(kind), x, y, w, h) for kind, x, y, w, h in _BOXES[name]],
        source_bytes=jpeg.getbuffer().nbytes,
    )
