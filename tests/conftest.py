"""Settings of the whole suite: pytest-xdist fills the cores, so torch must not do it again."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
