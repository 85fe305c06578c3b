"""Answers with the settings of one model, from the command line, the environment and files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from scotoma.errors import UsageError
from scotoma.settings.files import (
    Configuration,
    find_configurations,
    read_configuration,
    read_inline,
)
from scotoma.settings.layers import Layer, Settings, merge


def choose(
    models: Iterable[str],
    *,
    environment: Layer,
    command_line: Layer,
    configs: Sequence[str] = (),
    isolated: bool = False,
) -> dict[str, Settings]:
    """Return the settings of each model.

    The strongest source is the command line, its options before its inline settings; then come
    the environment, the parts of a configuration for some files, and its other parts.

    Parameters
    ----------
    models
        Paths.
    configs
        A file that is used instead of the closest one of each model, and settings in TOML.
    isolated
        Look for no file.

    Raises
    ------
    UsageError
        If a configuration is wrong.
    """
    paths = list(models)
    # A text with an equals sign is a setting, unless there is a file of this name.
    inline = [text for text in configs if "=" in text and not Path(text).is_file()]
    files = [text for text in configs if text not in inline]
    if "" in files:
        raise UsageError("--config: a file, or KEY=VALUE, is missing")
    if len(files) > 1:
        raise UsageError(f"--config: only one file can be used, not {' and '.join(files)}")
    strong = [environment, *map(read_inline, inline), command_line]
    if files:
        found: dict[str, str | None] = dict.fromkeys(paths, files[0])
    elif isolated:
        found = dict.fromkeys(paths)
    else:
        found = find_configurations(paths)
    read: dict[str, Configuration] = {}
    chosen: dict[str, Settings] = {}
    for model in paths:
        file = found[model]
        if file is None:
            chosen[model] = merge(strong)
            continue
        if file not in read:
            read[file] = read_configuration(file)
        layers = [*read[file].layers(model), *strong]
        chosen[model] = merge(layers, configuration=read[file].path)
    return chosen
