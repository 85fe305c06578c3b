"""Compares a model at many input sizes."""

from __future__ import annotations

from scotoma.sizes.survey import survey

__all__ = ["survey"]
