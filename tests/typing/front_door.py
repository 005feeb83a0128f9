"""What a type checker must accept of the front door, and what it must not.

Checked by two readers: pyright (strict) and mypy (strict). A line that must not pass carries the
comment of each; an unneeded comment is itself an error.
"""

from typing import assert_type

import trivet as tv
from trivet.core.gates import Check, Evidence, Finding, Verdict


@tv.check("enough-rows")
def enough_rows(evidence: Evidence) -> bool:
    return bool(evidence["rows"] >= 100)


def a_check_is_made_from_a_question() -> None:
    assert_type(enough_rows, Check)
    gate = tv.Gate(name="data", checks=(enough_rows,))
    assert_type(gate.judge({"rows": 10}), Verdict)
    assert_type(gate.judge({"rows": 10}).reasons, tuple[Finding, ...])


def a_gate_has_checks_not_names() -> None:
    tv.Gate(name="data", checks=("enough-rows",))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_check_knows_two_severities() -> None:
    tv.check("rows", severity="fatal")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def an_error_has_one_message_and_keywords() -> None:
    error = tv.TrivetError("it rained", code="rain", hint="Take an umbrella.")
    assert_type(error.hint, str)
    tv.TrivetError("it rained", "rain")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def a_workspace_is_opened_from_a_folder_and_closed_by_with() -> None:
    with tv.open("./churn", actor="anna") as workspace:
        assert_type(workspace, tv.Workspace)
    tv.open(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_name_that_is_not_promised_is_not_there() -> None:
    tv.sesame()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


@tv.step
def clean(path: str, *, least_rows: int = 10) -> list[float]:
    return [float(least_rows)] if path else []


@tv.effect
def announce(words: str) -> None:
    print(words)


@tv.flow
def train(path: str) -> list[float]:
    rows = clean(path, least_rows=3)
    announce("trained")
    return rows


def decorated_functions_keep_their_signatures() -> None:
    assert_type(clean("raw.csv", least_rows=3), list[float])
    assert_type(train("raw.csv"), list[float])
    clean(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    train()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
