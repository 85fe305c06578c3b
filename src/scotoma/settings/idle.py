"""Finds the parts of a configuration for some files only that are for no file at all."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from scotoma.settings.files import fits_file, read_configuration

if TYPE_CHECKING:
    from scotoma.settings.files import Configuration
    from scotoma.settings.layers import Settings


def idle_tables(
    arguments: Iterable[str | os.PathLike[str]], chosen: Collection[tuple[str, Settings]]
) -> list[str]:
    """Return a line for every table of a configuration whose globs fit no model of the run.

    Only of configurations whose whole folder was linted, because it, or one above it, was an
    argument: globs that do not fit the single models of a call may be for others.

    Parameters
    ----------
    chosen
        Path and settings of every model.
    """
    folders = [Path(os.path.abspath(a)) for a in arguments if Path(a).is_dir()]  # noqa: PTH100
    files = dict.fromkeys(s.configuration for _, s in chosen if s.configuration is not None)
    said = []
    for file in sorted(files) if folders else ():
        configuration = read_configuration(file)
        if not any(Path(configuration.folder).is_relative_to(folder) for folder in folders):
            continue
        models = [path for path, settings in chosen if settings.configuration == file]
        said += [
            f"{file}: {name}: no model here fits {', '.join(map(repr, globs))}"
            for name, globs in _tables(configuration)
            if not any(fits_file(model, globs, configuration.folder) for model in models)
        ]
    return said


def _tables(configuration: Configuration) -> list[tuple[str, tuple[str, ...]]]:
    """Return the tables that are for some files only: name and globs."""
    overrides = enumerate(configuration.overrides)
    suppressions = enumerate(configuration.values.get("suppress", ()))
    return [
        *((f"per-file[{number}]", item.files) for number, item in overrides),
        *((f"suppress[{number}]", item.files) for number, item in suppressions if item.files),
    ]
