import pytest

from trivet.core.gates import Finding, Severity
from trivet.models.contest import withheld
from trivet.models.rules import Champion

HIDDEN = Champion(figures="hidden")
ABOUT = {"p_value": 0.2, "detectable": 0.01234, "alpha": 0.025, "look": 1, "groups": 9}


def measured(check: str, *, ok: bool | None, severity: Severity = "block") -> Finding:
    return Finding(
        check=check,
        ok=ok,
        summary=f"{check} is {ok}",
        severity=severity,
        value=0.7,
        low=0.6,
        high=0.8,
        threshold=0.65,
        rows=17,
        evidence=dict(ABOUT),
    )


def test_figures_that_are_shown_stay() -> None:
    findings = (measured("champion", ok=False),)
    assert withheld(findings, Champion()) == findings


def test_which_part_of_the_held_out_answers_stood_in_the_way_is_hidden_too() -> None:
    names = ("no-telling-input", "quality", "baseline", "champion", "slices", "calibration")
    told = [
        withheld([measured(name, ok=name != culprit) for name in names], HIDDEN)
        for culprit in names
    ]
    assert all(findings == told[0] for findings in told)
    assert {finding.ok for finding in told[0]} == {False}
    assert "0.0123" not in str(told)


@pytest.mark.parametrize("ok", [True, False, None])
def test_where_another_check_refuses_nothing_is_told_of_the_answers(ok: bool | None) -> None:
    slow = Finding(check="latency", ok=False, summary="9 ms", value=9.0)
    first, second = withheld([measured("quality", ok=ok), slow], HIDDEN)
    assert second == slow
    assert (first.ok, first.value, first.rows) == (None, None, None)
    assert first == withheld([measured("quality", ok=True), slow], HIDDEN)[0]


def test_a_check_that_only_warns_does_not_tell_either() -> None:
    findings = [
        [measured("champion", ok=False), measured("slices", ok=ok, severity="warn")]
        for ok in (True, False)
    ]
    one, two = (withheld(item, HIDDEN) for item in findings)
    assert one == two
    assert one[1].ok is None
