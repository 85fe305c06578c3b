"""One call over models: which they are, with which rules and settings, and what it comes to."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scotoma.api.models import opened
from scotoma.api.settings import layer
from scotoma.errors import ModelError, ScotomaError, UsageError
from scotoma.loader import find_models
from scotoma.registry import load_rules
from scotoma.settings.chooser import choose
from scotoma.settings.layers import Layer
from scotoma.settings.plan import make_plan
from scotoma.settings.settle import read_baselines, settle

if TYPE_CHECKING:
    from scotoma.registry import Registry
    from scotoma.results import ModelReport
    from scotoma.settings.baseline import Baseline
    from scotoma.settings.plan import Plan
    from scotoma.settings.settle import Settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Models that are to be examined, each with its plan."""

    data: bytes | None
    """The only model, where it is no file."""
    folders: list[str]
    """Of more rules."""
    registry: Registry
    plans: Mapping[str, Plan]
    """By path of the model."""
    known: Mapping[str, Baseline]
    """Baselines by path."""

    def settle(self, reports: Sequence[ModelReport], plans: Mapping[str, Plan]) -> Settled:
        """Return what the reports come to.

        Raises
        ------
        scotoma.errors.UsageError, scotoma.errors.ModelError
            If the only model could not be examined.
        """
        if len(reports) == 1 and (failure := reports[0].failure):
            raise failure_error(reports[0].path, failure.kind, failure.message)
        return settle(reports, plans, self.registry, self.known)


def prepared(
    models: Sequence[Any],
    *,
    name: str,
    config: str | os.PathLike[str] | None,
    isolated: bool,
    rules: Iterable[str | os.PathLike[str]],
    settings: Mapping[str, Any],
    hash_files: bool = False,
) -> Call:
    """Return what a call of `scotoma.lint` or `scotoma.audit` is about.

    Raises
    ------
    scotoma.errors.UsageError
        If an argument is wrong.
    """
    paths, data = _given(models, name)
    chosen = choose(
        paths,
        environment=Layer("the environment", {}),
        command_line=layer(settings),
        configs=[] if config is None else [os.fspath(config)],
        isolated=isolated,
    )
    folders = [os.fspath(folder) for folder in rules]
    registry = load_rules(folders)
    plans = {
        path: make_plan(setting, registry, hash_files=hash_files)
        for path, setting in chosen.items()
    }
    known = read_baselines(plans.values())
    return Call(data=data, folders=folders, registry=registry, plans=plans, known=known)


def _given(models: Sequence[Any], name: str) -> tuple[list[str], bytes | None]:
    """Return the paths of the models, and the bytes of the only one where it is no file."""
    if not models:
        raise UsageError("no model is given")
    found = [opened(model, name) for model in models]
    if len(found) == 1 and found[0][1] is not None:
        return [found[0][0]], found[0][1]
    if any(data is not None for _, data in found):
        raise UsageError("of several models each is a path; lint others one by one")
    return find_models(path for path, _ in found), None


def failure_error(path: str, kind: str, message: str) -> ScotomaError:
    """Return the error of a model that could not be examined."""
    text = f"{path}: {message}"
    return UsageError(text) if kind == "usage" else ModelError(kind, text)
