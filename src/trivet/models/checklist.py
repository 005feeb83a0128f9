"""The standard gate: a project's rules, made into checks over an exam."""

from collections import Counter
from collections.abc import Callable, Iterator

from trivet.core.gates import Check, Evidence, Finding, Gate
from trivet.models.checks import behaviour, data, fitness, lineage, quality
from trivet.models.exam import Exam, exam_of
from trivet.models.rules import ChecklistSpec

_Question = Callable[[Exam], Finding]


def build_gate(spec: ChecklistSpec) -> Gate:
    """Make a gate of a checklist. Its evidence is `{"exam": Exam}`.

    Example:
        >>> [check.name for check in build_gate(ChecklistSpec(calibration=None)).checks][:3]
        ['schema', 'contract', 'target-not-an-input']
    """
    used: Counter[str] = Counter()
    checks: list[Check] = []
    for name, title, question in _questions(spec):
        used[name] += 1
        numbered = name if used[name] == 1 else f"{name}-{used[name]}"
        checks.append(
            Check(
                name=numbered,
                ask=_asking(question),
                severity="warn" if name in spec.warn else "block",
                title=title,
            )
        )
    return Gate(name=spec.name, checks=tuple(checks))


def _asking(question: _Question) -> Callable[[Evidence], Finding]:
    return lambda evidence: question(exam_of(evidence))


def _questions(spec: ChecklistSpec) -> Iterator[tuple[str, str, _Question]]:
    """Yield each check's name, its title for people, and its question."""
    yield "schema", "Inputs are columns of the data", data.schema
    yield "contract", "The contract takes the rows of today", data.contract
    yield "target-not-an-input", "The target is no input", data.target_not_an_input
    yield "no-identifiers", "No input names its rows", data.no_identifiers
    yield (
        "no-telling-input",
        "No input gives the answer away",
        lambda exam: data.no_telling_input(exam, spec.leakage),
    )
    yield (
        "rows-apart",
        "Held-out rows are not training rows",
        lambda exam: data.rows_apart(exam, spec.leakage),
    )
    yield "time-order", "Held-out rows come later", data.time_order
    yield "quality", "Good enough on held-out rows", quality.quality
    if spec.quality.baseline:
        yield "baseline", "Better than a simple forecast", quality.baseline
    yield (
        "champion",
        "Holds its own against the champion",
        lambda exam: quality.champion(exam, spec.champion),
    )
    yield from _optional_questions(spec)
    yield "latency", "Quick enough", lambda exam: fitness.latency(exam, spec.latency)
    yield "size", "Small enough", lambda exam: fitness.size(exam, spec.size)
    yield "no-pickle", "Nothing behind it was pickled", lineage.no_pickle


def _optional_questions(spec: ChecklistSpec) -> Iterator[tuple[str, str, _Question]]:
    by, limits = spec.slices, spec.calibration
    if by is not None:
        yield "slices", "No part is left behind", lambda exam: quality.slices(exam, by)
    if limits is not None:
        yield (
            "calibration",
            "Promises come true",
            lambda exam: quality.calibration(exam, limits),
        )
    if spec.must_hold:
        yield (
            "must-hold",
            "Examples beyond doubt",
            lambda exam: behaviour.must_hold(exam, spec.must_hold),
        )
    for still in spec.invariances:
        yield (
            "invariance",
            f"{still.input} does not matter",
            lambda exam, rule=still: behaviour.invariance(exam, rule),
        )
    for way in spec.directions:
        yield (
            "direction",
            f"more {way.input}, answer {way.answer}",
            lambda exam, rule=way: behaviour.direction(exam, rule),
        )
