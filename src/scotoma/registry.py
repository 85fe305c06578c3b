"""Finds the rules: the built-in folder, plug-ins and a user's own folders; and picks among them."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from scotoma.errors import RuleLoadError, UsageError
from scotoma.rule import Rule, RuleMeta

ENTRY_POINT_GROUP = "scotoma.rules"
ALL = "ALL"

OWN_PACKAGE = "scotoma_rules_"
"""How the package begins that a folder of a user's own rules becomes."""

_LIMIT = re.compile(r"SC9(0[1-4]?)?|measured-m(ax|in)-.*", re.IGNORECASE)
"""Codes and names of the limits of measured figures, which are no rules to choose."""
_CODE = re.compile(r"[A-Z]+[0-9]+")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Registry:
    """All rules that were found, sorted by code."""

    rules: tuple[Rule, ...]

    def get(self, code_or_name: str) -> Rule:
        """Return the rule with this code or name.

        Raises
        ------
        UsageError
            If there is none.
        """
        for rule in self.rules:
            if code_or_name.upper() == rule.meta.code or code_or_name.lower() == rule.meta.name:
                return rule
        family = self.family(code_or_name)
        if family:
            codes = ", ".join(rule.meta.code for rule in family)
            raise UsageError(f"'{code_or_name}' is a family of rules ({codes}); name one of them")
        raise UsageError(self._unknown(code_or_name))

    def select(
        self,
        select: Iterable[str] = (),
        ignore: Iterable[str] = (),
        extend: Iterable[str] = (),
    ) -> tuple[Rule, ...]:
        """Return the rules to run.

        Parameters
        ----------
        select
            Codes, beginnings of codes, names or ``ALL``; nothing: the rules that are on by default.
        ignore
            The same; taken away from the selection.
        extend
            The same; added to the selection.

        Raises
        ------
        UsageError
            If one of them fits no rule.
        """
        wanted = [rule for selector in select for rule in self.matching(selector)]
        if not wanted:
            wanted = [rule for rule in self.rules if rule.meta.default]
        wanted += [rule for selector in extend for rule in self.matching(selector)]
        unwanted = [rule for selector in ignore for rule in self.matching(selector)]
        return tuple(rule for rule in self.rules if rule in wanted and rule not in unwanted)

    def matching(self, selector: str) -> list[Rule]:
        """Return the rules that a selector fits.

        Raises
        ------
        UsageError
            If it fits none.
        """
        if selector.upper() == ALL:
            return list(self.rules)
        found = [
            rule
            for rule in self.rules
            if selector
            and (rule.meta.code.startswith(selector.upper()) or selector.lower() == rule.meta.name)
        ]
        if not found:
            raise UsageError(self._unknown(selector))
        return found

    def family(self, beginning: str) -> list[Rule]:
        """Return the rules whose codes begin like this, if it is the code of none itself."""
        found = [rule for rule in self.rules if rule.meta.code.startswith(beginning.upper())]
        is_code = any(rule.meta.code == beginning.upper() for rule in found)
        return found if beginning and not is_code else []

    def _unknown(self, selector: str) -> str:
        if _LIMIT.fullmatch(selector):
            on = "each is on where it is set, as by `scotoma audit --max-dead-pixels 0`"
            return f"'{selector}' stands for limits of measured figures, not for rules; {on}"
        words = [word for rule in self.rules for word in (rule.meta.code, rule.meta.name)]
        near = difflib.get_close_matches(selector, words, n=1)
        hint = f"did you mean '{near[0]}'?" if near else "`scotoma rules` lists them"
        return f"no rule has the code or name '{selector}'; {hint}"


def load_rules(directories: Iterable[str] = ()) -> Registry:
    """Find the built-in rules, those of installed plug-ins and those in the given folders.

    Raises
    ------
    RuleLoadError
        If a rule module fails to import or holds no rule, or two rules share a code or a name.
    UsageError
        If a given folder does not exist or holds no module.
    """
    rules = list(_rules_of(builtin_package()))
    for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: entry.name):
        rules.extend(_rules_of(_load_plugin(entry)))
    for directory in {Path(given).resolve(): given for given in directories}.values():
        rules.extend(_rules_of(_folder_package(directory)))
    _check_distinct(rules)
    return Registry(tuple(sorted(rules, key=lambda rule: rule.meta.code)))


def builtin_package() -> ModuleType:
    """Return the package of the built-in rules, from the repository's folder if not installed.

    Raises
    ------
    RuleLoadError
        If it is neither installed nor in the repository.
    """
    name = "scotoma.rules"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
    folder = Path(__file__).parents[2] / "rules"
    if not (folder / "__init__.py").is_file():
        raise RuleLoadError(
            "the built-in rules are not there; install Scotoma with `pip install .`"
        )
    return _package(name, folder)


def _package(name: str, folder: Path) -> ModuleType:
    """Make a package of a folder under the given name; a folder needs no ``__init__.py`` for it."""
    init = folder / "__init__.py"
    if not init.is_file():
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
        return package
    spec = importlib.util.spec_from_file_location(
        name, init, submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    with _blaming(str(init)):
        spec.loader.exec_module(package)
    return package


def _folder_package(directory: str) -> ModuleType:
    folder = Path(directory)
    if not folder.is_dir():
        raise UsageError(f"--rules {directory}: no such folder")
    if not any(path.suffix == ".py" and path.stem[0] != "_" for path in folder.iterdir()):
        raise UsageError(f"--rules {directory}: the folder holds no rule module (*.py)")
    digest = hashlib.sha256(str(folder.resolve()).encode(errors="surrogateescape")).hexdigest()
    name = f"{OWN_PACKAGE}{digest[:16]}"
    for loaded in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        del sys.modules[loaded]
    return _package(name, folder.absolute())


def _load_plugin(entry: EntryPoint) -> ModuleType:
    distribution = entry.dist.name if entry.dist else entry.value
    with _blaming(f"the plug-in '{distribution}'"):
        module = entry.load()
    if not isinstance(module, ModuleType):
        raise RuleLoadError(f"the plug-in '{distribution}' names {entry.value}, which is no module")
    return module


def _rules_of(package: ModuleType) -> Iterator[Rule]:
    """Import the modules of a package, one level deep, and make one object of each rule in them.

    A module whose name begins with an underscore is a helper, not a rule. A module that is no
    package is searched itself.
    """
    if not hasattr(package, "__path__"):
        yield from _rules_in(package)
        return
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        if info.name.startswith("_"):
            continue
        with _blaming(f"the rule module '{info.name}'"):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
        yield from _rules_in(module)


def _rules_in(module: ModuleType) -> Iterator[Rule]:
    classes = [
        item
        for item in vars(module).values()
        if inspect.isclass(item)
        and issubclass(item, Rule)
        and not inspect.isabstract(item)
        and item.__module__ == module.__name__
    ]
    title = module.__name__.rpartition(".")[2]
    if not classes:
        raise RuleLoadError(
            f"the rule module '{title}' defines no rule (a subclass of scotoma.rule.Rule)"
        )
    for rule_class in classes:
        _check_meta(title, rule_class)
        with _blaming(f"the rule module '{title}'"):
            rule = rule_class()
        yield rule


def _check_meta(title: str, rule_class: type[Rule]) -> None:
    meta = getattr(rule_class, "meta", None)
    if not isinstance(meta, RuleMeta):
        raise RuleLoadError(
            f"the rule module '{title}': {rule_class.__name__} has no 'meta' (a RuleMeta)"
        )
    if not _CODE.fullmatch(meta.code):
        raise RuleLoadError(
            f"the rule module '{title}': '{meta.code}' is no code (letters and digits: SC101)"
        )
    declared = rule_class.options
    if declared is not None and not all("what" in f.metadata for f in _fields(title, declared)):
        raise RuleLoadError(
            f"the rule module '{title}': make the fields of its options with scotoma.rule.option"
        )
    if not _NAME.fullmatch(meta.name) or meta.name.upper() == ALL:
        raise RuleLoadError(
            f"the rule module '{title}': '{meta.name}' is no name (lower case with hyphens)"
        )


def _fields(title: str, options: type) -> tuple[dataclasses.Field[object], ...]:
    if not dataclasses.is_dataclass(options):
        raise RuleLoadError(f"the rule module '{title}': its options are no dataclass")
    return dataclasses.fields(options)


def _check_distinct(rules: Iterable[Rule]) -> None:
    seen: dict[str, Rule] = {}
    for rule in rules:
        for word in (rule.meta.code, rule.meta.name):
            if word in seen:
                raise RuleLoadError(
                    f"two rules are called '{word}': in {_home(seen[word])} and in {_home(rule)}"
                )
            seen[word] = rule


def _home(rule: Rule) -> str:
    """Return where a person finds a rule: its module, or its file in a folder of their own."""
    module = type(rule).__module__
    if not module.startswith(OWN_PACKAGE):
        return module
    file, here = Path(inspect.getfile(type(rule))), Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


@contextmanager
def _blaming(title: str) -> Iterator[None]:
    """Turn any exception of somebody else's module into a `RuleLoadError` that names the module."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise RuleLoadError(
            f"{title} could not be loaded: {type(error).__name__}: {error}"
        ) from error
