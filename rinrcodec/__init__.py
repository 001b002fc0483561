"""rinrcodec: images as small quantised neural networks, for detection data on slow links."""

from __future__ import annotations
