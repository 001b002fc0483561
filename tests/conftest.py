"""Settings of the whole suite: pytest-xdist fills the cores, so torch must not do it again."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
# A busy machine is no defect of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
