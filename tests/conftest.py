"""Settings of all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# A build must not fail by the luck of the draw; SCOTOMA_EXAMPLES makes every run look at new ones.
settings.register_profile("always-the-same", derandomize=True, deadline=None)
if "SCOTOMA_EXAMPLES" not in os.environ:
    settings.load_profile("always-the-same")
