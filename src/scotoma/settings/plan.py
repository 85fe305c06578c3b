"""From settings to what is run on a model: rules, their severities and options, suppressions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scotoma.engine import Options
from scotoma.errors import UsageError
from scotoma.findings import Severity
from scotoma.results import Gate
from scotoma.task import Task, TaskTaken

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from scotoma.registry import Registry
    from scotoma.rule import Rule
    from scotoma.settings.layers import Settings, Suppression


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run on a model and how its findings count."""

    settings: Settings
    rules: tuple[Rule, ...]
    severities: Mapping[str, Severity]
    """By code, where it is set."""
    suppressions: tuple[tuple[Suppression, frozenset[str]], ...]
    """With the codes that they are about."""
    options: Options
    runtime: Requirement | None = None
    """The runtime that the model is meant for."""

    def severity(self, rule: Rule) -> Severity | None:
        """Return how severe a rule's findings are; None where it depends on the graph's task."""
        if rule.meta.code in self.severities:
            return self.severities[rule.meta.code]
        if self.options.task is not None:
            return rule.meta.rated(rule.meta.severity, self.options.task.value)
        return None if rule.meta.severity_by_task else rule.meta.severity

    @property
    def gate(self) -> Gate:
        """What of the model's findings fails the run."""
        level = self.settings.fail_on
        fail_on = None if level == "never" else Severity[level.upper()]
        return Gate(fail_on, self.settings.fail_on_undecided)


def make_plan(
    settings: Settings, registry: Registry, *, hash_files: bool = False, debug: bool = False
) -> Plan:
    """Return what the settings mean for the rules that there are.

    Raises
    ------
    UsageError
        If a selector fits no rule, or an option is unknown or has a wrong value; names the source.
    """
    for key in ("select", "extend_select", "ignore"):
        with _blaming(settings, key):
            for selector in getattr(settings, key):
                registry.matching(selector)
    rules = registry.select(settings.select, settings.ignore, settings.extend_select)
    severities: dict[str, Severity] = {}
    with _blaming(settings, "severity"):
        for selector, level in settings.severity.items():
            for rule in registry.matching(selector):
                severities[rule.meta.code] = Severity[level.upper()]
    suppressions = []
    for suppression in settings.suppress:
        with _blaming(settings, "suppress"):
            codes = frozenset(rule.meta.code for rule in registry.matching(suppression.rule))
        suppressions.append((suppression, codes))
    runtime = None
    if settings.runtime is not None:
        from scotoma.settings.runtime import read_runtime  # noqa: PLC0415  only where it is set

        known = {name for rule in registry.rules for name in rule.meta.runtimes}
        with _blaming(settings, "runtime"):
            runtime = read_runtime(settings.runtime, known)
    return Plan(
        settings,
        rules,
        severities,
        tuple(suppressions),
        Options(
            size=settings.size,
            input_shapes=settings.input_shapes or None,
            input_name=settings.input_name,
            weights=settings.weights,
            hash_files=hash_files,
            debug=debug,
            rule_options=_rule_options(settings, registry),
            task=_task(settings),
        ),
        runtime,
    )


def _task(settings: Settings) -> TaskTaken | None:
    """Return what the model is said to be for; None: its graph is to tell."""
    if settings.task == "auto":
        return None
    because = f"set by {settings.origins['task']}"
    return TaskTaken(Task(settings.task), assumed=False, because=because)


def _rule_options(settings: Settings, registry: Registry) -> dict[type, object]:
    found: dict[type, object] = {}
    if not settings.options:
        return found
    from scotoma.settings.schema import read_options  # noqa: PLC0415  only with a configuration

    origin = settings.origins.get("options", "")
    names: dict[Rule, str] = {}
    for name, table in settings.options.items():
        with _blaming(settings, "options"):
            rule = registry.get(name)
        if (other := names.setdefault(rule, name)) != name:
            raise UsageError(
                f"{origin}: rules.{other} and rules.{name} are the same rule; keep one of them"
            )
        if rule.options is None:
            raise UsageError(f"{origin}: rules.{name}: the rule {rule.meta.name} has no options")
        found[rule.options] = read_options(rule.options, table, origin, f"rules.{name}")
    return found


@contextmanager
def _blaming(settings: Settings, key: str) -> Iterator[None]:
    """Say in the message of an error where the setting comes from."""
    try:
        yield
    except UsageError as error:
        name = "rules" if key == "options" else key.replace("_", "-")
        raise UsageError(f"{settings.origins[key]}: {name}: {error}") from error
