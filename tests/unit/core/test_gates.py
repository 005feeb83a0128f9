from typing import Any

import numpy as np
import pytest

from trivet.core.errors import Invalid, Refused
from trivet.core.gates import Check, Evidence, Finding, Gate, check


@check("enough-rows", title="at least 100 rows")
def enough_rows(evidence: Evidence) -> bool:
    return evidence["rows"] >= 100


@check("pretty", severity="warn")
def pretty(evidence: Evidence) -> Finding:
    return Finding(check="", ok=evidence["pretty"], summary="how it looks", value=1.0)


def undecided(_: Evidence) -> Finding:
    return Finding(check="undecided", ok=None, summary="too few rows to say")


GATE = Gate(name="data", checks=(enough_rows, pretty))


def test_a_gate_passes_when_no_blocking_finding_is_against_it() -> None:
    verdict = GATE.judge({"rows": 100, "pretty": False})
    assert verdict.passed
    assert [f.ok for f in verdict.findings] == [True, False]


def test_a_refusal_carries_every_reason_at_once() -> None:
    both = Gate(
        name="two", checks=(enough_rows, Check(name="no", ask=lambda _: False, title="never"))
    )
    with pytest.raises(Refused) as caught:
        both.demand({"rows": 1})
    assert [f["check"] for f in caught.value.detail["findings"]] == ["enough-rows", "no"]


def test_what_cannot_be_decided_does_not_pass() -> None:
    assert not Gate(name="g", checks=(Check(name="u", ask=undecided),)).judge({}).passed


def test_a_check_without_its_evidence_counts_against_and_the_others_are_still_asked() -> None:
    verdict = GATE.judge({"pretty": True})
    assert not verdict.passed
    assert verdict.findings[0].ok is None
    assert "KeyError" in verdict.findings[0].summary
    assert verdict.findings[1].ok is True


def test_a_finding_bears_the_name_of_its_check() -> None:
    assert GATE.judge({"rows": 1, "pretty": True}).findings[1].check == "pretty"


@pytest.mark.parametrize("checks", [(), (enough_rows, enough_rows)])
def test_a_gate_without_checks_or_with_twins_is_refused(checks: tuple[Check, ...]) -> None:
    with pytest.raises(Invalid):
        Gate(name="g", checks=checks)


@pytest.mark.parametrize("score", [1.0, 3.0])
def test_a_check_may_answer_with_numpys_truth(score: float) -> None:
    gate = Gate(name="g", checks=(Check(name="c", ask=lambda e: np.float64(e["score"]) > 2),))
    assert gate.judge({"score": score}).passed is (score > 2)


@pytest.mark.parametrize("answer", [None, 1, "yes", np.array([True])])
def test_an_answer_that_is_neither_yes_nor_no_does_not_pass(answer: Any) -> None:
    verdict = Gate(name="g", checks=(Check(name="c", ask=lambda _: answer),)).judge({})
    assert not verdict.passed
    assert "expected yes or no" in verdict.findings[0].summary
