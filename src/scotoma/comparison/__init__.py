"""Compares two models, or two reports: what was gained and lost between exports of one network."""
