"""Runs Scotoma as ``python -m scotoma``."""

from __future__ import annotations

import sys

from scotoma.cli import main

sys.exit(main())
