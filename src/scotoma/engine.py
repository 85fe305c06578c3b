"""Runs rules over model files: load, examine, check, and sort what the rules say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from scotoma.errors import MeasurementError, ModelError, UnfitError, UsageError
from scotoma.findings import Finding, Undecided
from scotoma.places import numbered, places_of
from scotoma.results import Failure, ModelReport, Report, RuleFailure

if TYPE_CHECKING:
    from scotoma.facts import Facts
    from scotoma.rule import Rule
    from scotoma.task import TaskTaken


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the models are examined."""

    size: tuple[int, ...] | None = None
    """One number per spatial axis of the examined input."""
    input_shapes: Mapping[str, tuple[int, ...]] | None = None
    input_name: str | None = None
    """The input whose pixels are followed; None: the largest spatial one."""
    weights: bool = True
    """False forbids every look at a weight payload."""
    hash_files: bool = False
    """Compute the SHA-256 of the whole file, which reads all of it."""
    data: bytes | None = field(default=None, repr=False)
    """The bytes of the one model that is examined, where they were read already."""
    debug: bool = False
    """Let unexpected exceptions through."""
    rule_options: Mapping[type, object] = field(default_factory=dict)
    """What `Facts.options` answers, by the class of the options."""
    task: TaskTaken | None = None
    """What the models are for; None: what their graphs tell."""
    keep: Callable[[Facts], object] | None = None
    """Returns what `ModelReport.kept` is to hold; a function of a module, to reach a process."""


OWN_SUPPRESSIONS = "scotoma.suppress"
"""Key of a model's metadata under which it says what should not be reported of it."""


def lint(paths: Iterable[str], rules: Iterable[Rule], options: Options) -> Report:
    """Run the rules over the models; a failing model or rule does not stop the others."""
    chosen = tuple(rules)
    return Report(chosen, tuple(lint_model(path, chosen, options) for path in paths))


def lint_model(path: str, rules: Iterable[Rule], options: Options) -> ModelReport:
    """Run the rules over one model file."""
    try:
        facts = examine(path, options)
        status, unanalysed = facts.status, tuple(facts.unanalysed)
        sha256 = _hash_file(path) if options.hash_files else None
        task = options.task or _task_of(facts)
    except (ModelError, UsageError) as error:
        return ModelReport(path=path, status="error", failure=describe_failure(error))
    except Exception as error:
        if options.debug:
            raise
        return ModelReport(path=path, status="error", failure=describe_failure(error))
    findings, undecided, failures = _check(facts, rules, options, task)
    model, resolution = facts.model, facts.resolution
    return ModelReport(
        path=path,
        status=status,
        graph_sha256=model.graph_sha256,
        sha256=sha256,
        producer=model.producer,
        opsets=model.opsets,
        examined=resolution.examined,
        inputs=resolution.inputs,
        unanalysed=unanalysed,
        refusal=refusal(facts, options),
        task=task,
        findings=findings,
        undecided=undecided,
        rule_failures=failures,
        own_suppressions=model.metadata.get(OWN_SUPPRESSIONS),
        kept=_kept(facts, options),
    )


def _kept(facts: Facts, options: Options) -> object:
    """Return what a format asked to keep of the facts, or the failure to work it out."""
    if options.keep is None:
        return None
    try:
        return options.keep(facts)
    except Exception as error:
        if options.debug:
            raise
        return describe_failure(error)


def refusal(facts: Facts, options: Options) -> str | None:
    """Say which operator cannot run at the size that was asked for; None if all can."""
    if options.size is None and not options.input_shapes:
        return None
    for refused in facts.resolution.refused_at:
        operator = refused.operator
        return f"'{operator.name}' ({operator.op_type}) cannot run at this size: {refused.reason}"
    return None


def examine(path: str, options: Options) -> Facts:
    """Load a model and derive what rules may know of it.

    Raises
    ------
    scotoma.errors.ModelError
        If the file cannot be read as an ONNX model.
    scotoma.errors.UsageError
        If the options do not fit its inputs.
    """
    from scotoma.facts import Facts  # noqa: PLC0415  slow to import
    from scotoma.loader import load_model  # noqa: PLC0415

    model = load_model(path, weights=options.weights, data=options.data)
    return Facts.of(
        model,
        size=options.size,
        input_shapes=options.input_shapes,
        input_name=options.input_name,
    )


def examine_one(path: str, options: Options) -> Facts:
    """Examine a model as `examine` does; what goes wrong names the file."""
    try:
        return examine(path, options)
    except ModelError as error:
        raise ModelError(error.kind, f"{path}: {error}") from error
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Name the model in what goes wrong with it when it is run; not in what is wrong otherwise."""
    try:
        yield
    except UnfitError as error:
        raise UnfitError(f"{path}: {error}") from error
    except MeasurementError as error:
        raise MeasurementError(f"{path}: {error}") from error


def describe_failure(error: Exception) -> Failure:
    """Return the kind and the line that a failed model is reported with."""
    if isinstance(error, ModelError):
        return Failure(error.kind, str(error))
    if isinstance(error, UsageError):
        return Failure("usage", str(error))
    return Failure("internal", _describe(error))


def _task_of(facts: Facts) -> TaskTaken | None:
    from scotoma.evidence.task import task_of  # noqa: PLC0415  slow to import

    return task_of(facts)


def _check(
    facts: Facts, rules: Iterable[Rule], options: Options, task: TaskTaken | None
) -> tuple[tuple[Finding, ...], tuple[Undecided, ...], tuple[RuleFailure, ...]]:
    findings: list[Finding] = []
    undecided: list[Undecided] = []
    failures: list[RuleFailure] = []
    if options.rule_options:
        facts = replace(facts, given=options.rule_options)
    for rule in rules:
        try:
            for answer in rule.check(facts):
                if isinstance(answer, Finding):
                    findings.append(_rated(answer, rule, task))
                else:
                    undecided.append(_as_undecided(answer))
        except (Exception, SystemExit) as error:  # a rule that exits must not pass a model
            if options.debug and not isinstance(error, SystemExit):
                raise
            failures.append(RuleFailure(rule.meta.code, _describe(error)))
    place = graph_positions(facts)
    findings.sort(key=lambda f: (place(f.primary.node), f.code, f.primary.tensor or "", f.message))
    undecided.sort(key=lambda u: (place(u.node), u.code, u.reason))
    return _placed(facts, findings), tuple(undecided), tuple(failures)


def _rated(finding: Finding, rule: Rule, task: TaskTaken | None) -> Finding:
    """Give a finding the severity that its rule declares for what the model is for."""
    severity = rule.meta.rated(finding.severity, task.value if task is not None else None)
    return finding if severity is finding.severity else replace(finding, severity=severity)


def _placed(facts: Facts, findings: list[Finding]) -> tuple[Finding, ...]:
    """Give every finding its place in the graph."""
    if not findings:
        return ()
    places = places_of(facts)
    found = numbered((f.code, places.of(f.primary)) for f in findings)
    return tuple(replace(f, place=place) for f, place in zip(findings, found, strict=True))


def _as_undecided(answer: object) -> Undecided:
    if not isinstance(answer, Undecided):
        raise TypeError(f"a rule yields findings and undecided ones, not {answer!r:.80}")
    return answer


def graph_positions(facts: Facts) -> Callable[[str | None], tuple[int, str]]:
    """Return a sort key for node names.

    The graph as a whole comes first, then the operators in topological order, the body of an If,
    Loop or Scan after its node's graph; names that are not in the graph come last.
    """
    positions: dict[str, int] = {}
    for operator in facts.resolution.operators:
        positions.setdefault(operator.name, len(positions))
    for _, operator in facts.model.walk():
        positions.setdefault(operator.name, len(positions))

    def key(node: str | None) -> tuple[int, str]:
        return (-1, "") if node is None else (positions.get(node, len(positions)), node)

    return key


def _describe(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _hash_file(path: str) -> str | None:
    """Return the SHA-256 of a file; None for standard input, which is gone once it is read."""
    if path == "-":
        return None
    with open(path, "rb") as file:  # noqa: PTH123
        return hashlib.file_digest(file, "sha256").hexdigest()
