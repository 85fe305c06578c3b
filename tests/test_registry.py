from __future__ import annotations

import importlib
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import example_rules
import pytest

from scotoma import registry
from scotoma.cli import main
from scotoma.errors import RuleLoadError, UsageError
from scotoma.registry import Registry, load_rules
from scotoma.rule import REQUIRED_SECTIONS, Rule

RULE = '''"""A pattern.

What it finds
-------------
{code}.
"""
from scotoma.findings import Severity
from scotoma.rule import Rule, RuleMeta


class {name}(Rule):
    meta = RuleMeta(code="{code}", name="{kebab}", severity=Severity.NOTE, since="0.1.0")

    def check(self, facts):
        yield from ()
'''


def write_rule(folder: Path, code: str, kebab: str, *, module: str | None = None) -> None:
    folder.mkdir(exist_ok=True)
    text = RULE.format(code=code, kebab=kebab, name=kebab.title().replace("-", ""))
    (folder / f"{module or kebab.replace('-', '_')}.py").write_text(text)


@pytest.fixture
def no_builtin(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = ModuleType("no_rules")
    empty.__path__ = []
    monkeypatch.setattr(registry, "builtin_package", lambda: empty)
    monkeypatch.setattr(registry, "entry_points", lambda group: [])


def codes(rules: Registry | tuple[Rule, ...]) -> list[str]:
    found = rules.rules if isinstance(rules, Registry) else rules
    return [rule.meta.code for rule in found]


@pytest.fixture
def three(tmp_path: Path, no_builtin: None) -> Registry:
    write_rule(tmp_path, "XX201", "second-thing")
    write_rule(tmp_path, "XX101", "first-thing")
    write_rule(tmp_path, "YY101", "third-thing")
    return load_rules([str(tmp_path)])


@pytest.mark.usefixtures("no_builtin")
def test_rules_of_a_folder_are_sorted_by_code(tmp_path: Path) -> None:
    write_rule(tmp_path, "XX201", "b-rule")
    write_rule(tmp_path, "XX101", "z-rule")
    (tmp_path / "_helper.py").write_text("raise RuntimeError('a helper is not imported')")
    (tmp_path / "notes.txt").write_text("no module")
    found = load_rules([str(tmp_path)])
    assert [(r.meta.code, r.meta.name, r.summary) for r in found.rules] == [
        ("XX101", "z-rule", "A pattern"),
        ("XX201", "b-rule", "A pattern"),
    ]
    assert found.rules[0].documentation.sections == {"What it finds": "XX101."}


@pytest.mark.usefixtures("no_builtin")
def test_rules_of_a_folder_may_share_a_helper(tmp_path: Path) -> None:
    write_rule(tmp_path, "XX101", "a-rule")
    (tmp_path / "_helper.py").write_text("CODE = 'XX101'")
    path = tmp_path / "a_rule.py"
    with path.open("a") as file:
        file.write("from ._helper import CODE\nassert ARule.meta.code == CODE\n")
    assert codes(load_rules([str(tmp_path)])) == ["XX101"]


@pytest.mark.usefixtures("no_builtin")
def test_a_folder_that_changed_is_read_again(tmp_path: Path) -> None:
    write_rule(tmp_path, "XX101", "a-rule")
    assert codes(load_rules([str(tmp_path)])) == ["XX101"]
    write_rule(tmp_path, "XX9001", "a-rule")
    assert codes(load_rules([str(tmp_path)])) == ["XX9001"]


@pytest.mark.usefixtures("no_builtin")
@pytest.mark.parametrize(
    ("second", "message"),
    [
        (("XX101", "other-rule"), "two rules are called 'XX101'"),
        (("XX102", "a-rule"), "two rules are called 'a-rule'"),
    ],
)
def test_two_rules_of_one_code_or_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second: tuple[str, str], message: str
) -> None:
    write_rule(tmp_path / "one", "XX101", "a-rule")
    write_rule(tmp_path / "two", *second, module="other")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuleLoadError) as caught:
        load_rules(["one", "two"])
    places = [str(Path("one", "a_rule.py")), str(Path("two", "other.py"))]
    assert str(caught.value) == f"{message}: in {places[0]} and in {places[1]}"


def test_a_rule_that_is_built_in_already_names_both_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rule(tmp_path, "SC101", "a-rule")
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(RuleLoadError) as caught:
        load_rules([str(tmp_path)])
    own = Path(tmp_path.name, "a_rule.py")
    assert str(caught.value) == (
        f"two rules are called 'SC101': in scotoma.rules.unread_pixels and in {own}"
    )


@pytest.mark.usefixtures("no_builtin")
def test_a_folder_that_is_given_twice_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rule(tmp_path / "one", "XX101", "a-rule")
    monkeypatch.chdir(tmp_path)
    assert codes(load_rules(["one", "./one/", str(tmp_path / "one")])) == ["XX101"]


@pytest.mark.parametrize(("text", "summary"), [('"""Only a line."""', "Only a line"), ("", "")])
def test_a_rule_without_sections_can_be_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, summary: str
) -> None:
    rule = RULE.format(code="XX101", kebab="a-rule", name="A").split('"""')[2]
    (tmp_path / "plain.py").write_text(f"{text}{rule}")
    loaded = load_rules([str(tmp_path)]).get("XX101")
    assert (loaded.summary, loaded.documentation.sections) == (summary, {})
    assert main(["explain", "XX101", "--rules", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("XX101 a-rule\nnote, confidence high, on by default")


@pytest.mark.usefixtures("no_builtin")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nowhere_to_be_found", "'bad' could not be loaded: ModuleNotFoundError"),
        ("1/0", "'bad' could not be loaded: ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)", "'bad' could not be loaded: SystemExit"),
        ("def (", "'bad' could not be loaded: SyntaxError"),
        ("x = 1", "'bad' defines no rule"),
        (RULE.format(code="xx", kebab="a-rule", name="A"), "'xx' is no code"),
        (RULE.format(code="XX1", kebab="A_Rule", name="A"), "'A_Rule' is no name"),
        (RULE.format(code="XX1", kebab="all", name="A"), "'all' is no name"),
        (
            "from scotoma.rule import Rule\nclass A(Rule):\n    def check(self, facts): ...",
            "A has no 'meta'",
        ),
    ],
)
def test_a_broken_rule_module_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(RuleLoadError, match=message):
        load_rules([str(tmp_path)])


@pytest.mark.usefixtures("no_builtin")
def test_a_folder_without_rules_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        load_rules([str(tmp_path / "missing")])
    with pytest.raises(UsageError, match="holds no rule module"):
        load_rules([str(tmp_path)])


@pytest.mark.usefixtures("no_builtin")
def test_plugins_bring_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("example", "example_rules", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    assert codes(load_rules()) == ["XX101", "XX201"]
    missing = EntryPoint("example", "not_there", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [missing])
    with pytest.raises(RuleLoadError, match="the plug-in 'not_there' could not be loaded"):
        load_rules()


@pytest.mark.parametrize(
    ("select", "ignore", "expected"),
    [
        ([], [], ["XX101", "XX201", "YY101"]),
        (["XX101"], [], ["XX101"]),
        (["YY", "XX101"], [], ["XX101", "YY101"]),
        (["XX2"], [], ["XX201"]),
        (["xx2"], [], ["XX201"]),
        (["Second-Thing"], [], ["XX201"]),
        (["ALL"], ["XX"], ["YY101"]),
        ([], ["third-thing"], ["XX101", "XX201"]),
        (["XX101"], ["XX"], []),
        ([], ["all"], []),
    ],
)
def test_selection(
    three: Registry, select: list[str], ignore: list[str], expected: list[str]
) -> None:
    assert codes(three.select(select, ignore)) == expected


def test_a_rule_that_is_off_by_default_runs_where_it_is_selected() -> None:
    both = Registry((example_rules.LostPixels(), example_rules.OtherRule()))
    assert codes(both.select()) == ["XX101"]
    assert codes(both.select(["ALL"])) == ["XX101", "XX201"]
    assert codes(both.select(["other-rule"])) == ["XX201"]


@pytest.mark.parametrize("selector", ["XX3", "second", "", "thing", "XX1011"])
def test_what_fits_no_rule_is_a_wrong_call(three: Registry, selector: str) -> None:
    with pytest.raises(UsageError, match=f"no rule has the code or name '{selector}'"):
        three.select([selector])
    with pytest.raises(UsageError, match=f"no rule has the code or name '{selector}'"):
        three.select([], [selector])


def test_a_rule_is_got_by_code_or_name(three: Registry) -> None:
    assert three.get("yy101") is three.get("third-thing") is three.rules[2]
    with pytest.raises(UsageError, match="did you mean 'second-thing'"):
        three.get("secnd-thing")
    with pytest.raises(UsageError, match=r"'XX' is a family of rules \(XX101, XX201\)"):
        three.get("XX")
    assert [rule.meta.code for rule in three.family("xx")] == ["XX101", "XX201"]
    assert three.family("XX101") == three.family("lost") == three.family("") == []


def test_a_bare_clone_has_the_built_in_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def not_installed(name: str) -> ModuleType:
        if name == "scotoma.rules":
            raise ModuleNotFoundError(name, name=name)
        return real(name)

    monkeypatch.setattr(importlib, "import_module", not_installed)
    monkeypatch.delitem(sys.modules, "scotoma.rules", raising=False)
    package = registry.builtin_package()
    folder = Path(registry.__file__).parents[2] / "rules"
    assert list(package.__path__) == [str(folder)]


def test_built_in_rules_follow_the_house_rules() -> None:
    found = load_rules().rules
    for rule in found:
        module = type(rule).__module__
        assert module == f"scotoma.rules.{rule.meta.name.replace('-', '_')}"
        assert rule.meta.code.startswith("SC")
        assert len(rule.meta.code) == 5
        assert len(rule.documentation.summary) <= 100
        assert [h for h in rule.documentation.sections if h in REQUIRED_SECTIONS] == list(
            REQUIRED_SECTIONS
        )
    modules = {path.stem for path in (Path(__file__).parents[1] / "rules").glob("[!_]*.py")}
    assert {rule.meta.name.replace("-", "_") for rule in found} == modules
