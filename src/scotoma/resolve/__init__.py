"""From a loaded model and chosen input shapes to concrete shapes, constants and windows."""

from __future__ import annotations

from scotoma.resolve.resolution import InputShape, Resolution, Unresolved
from scotoma.resolve.resolve import resolve
from scotoma.resolve.window import Window

__all__ = ["InputShape", "Resolution", "Unresolved", "Window", "resolve"]
