"""A step that changes what it is given is told of, and the next run sees what the first one saw."""

from typing import Any

import pytest

from trivet.core.errors import Invalid

FLOW = """
import pandas as pd

@step
def load():
    return {"frame": pd.DataFrame({"price": [100.0, None, 300.0]}), "list": [1.0]}

@step
def clean(data):
    CHANGE
    return 7

@step
def count(data):
    return [int(data["frame"]["price"].notna().sum()), len(data["list"])]

@flow
def main():
    data = load()
    clean(data)
    return {"answer": count(data)}
"""
CHANGES = {
    "a column": 'data["frame"]["price"] = data["frame"]["price"].fillna(0)',
    "a list inside": 'data["list"].append(2.0)',
    "a key": 'data["list"] = [1.0, 2.0]',
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_run_sees_the_change(project: Any, change: str) -> None:
    project.write(FLOW.replace("CHANGE", CHANGES[change]))
    told: list[str] = []
    answers: list[Any] = []
    for _ in range(3):
        run = project.run(on_event=lambda event: event.kind == "warned" and told.append(event.text))
        answers.append(project.pipelines.value(run.id, "answer"))
    assert answers[0] in ([3, 1], [2, 2])
    assert answers == [answers[0]] * 3
    assert told == [told[0]] * 3
    assert "changed its argument 'data' in place, so it is not remembered" in told[0]
    assert dict(project.statuses(run)) == {
        "load": "remembered",
        "clean": "run",
        "count": "remembered",
    }
    plan = project.pipelines.plan("pipeline:main").to_run[0]
    assert plan.step == "clean"
    assert plan.reasons == ("it changed an argument in place, and is never remembered",)
    why = project.pipelines.why("main.clean")
    assert not why.changes
    assert not why.is_repeatable


def test_a_step_that_works_on_a_copy_is_remembered(project: Any) -> None:
    copying = "data = {**data, 'frame': data['frame'].fillna(0)}"
    project.write(FLOW.replace("CHANGE", copying))
    project.run()
    assert {status for _, status in project.statuses(project.run())} == {"remembered"}


def test_a_step_may_write_the_file_whose_path_it_is_given(project: Any) -> None:
    project.write(
        "from pathlib import Path\n"
        "@step\ndef report(path: Path, text: str) -> int:\n    return path.write_text(text)\n"
        f"@flow\ndef main():\n    report(Path({str(project.folder)!r}, 'report.txt'), 'fine')\n"
    )
    (project.folder / "report.txt").write_text("")
    told: list[str] = []
    project.run(on_event=lambda event: event.kind == "warned" and told.append(event.text))
    assert not [text for text in told if "in place" in text]


def test_an_effect_that_changes_its_argument_is_told_of_and_still_done_once(project: Any) -> None:
    project.write(
        "@effect\ndef send(rows) -> int:\n    rows.append(1)\n    return len(rows)\n"
        "@flow\ndef main():\n    return {'sent': send([0])}\n"
    )
    told: list[str] = []
    run = project.run(
        request="order-1",
        on_event=lambda event: event.kind == "warned" and told.append(event.text),
    )
    (text,) = told
    assert text.startswith("effect 'send' changed its argument 'rows' in place; when the run is")
    assert run.finished.metrics == {"sent": 2.0}
    again = project.run(request="order-1")
    assert project.statuses(again) == [("send", "remembered")]


RETURNING = """
import pandas as pd

@step
def load():
    return pd.DataFrame({"price": [100.0, None, 300.0]})

@step
def clean(table):
    table["price"] = table["price"].fillna(0)
    return RETURNED

@step
def count(table) -> int:
    return int(table["price"].notna().sum())

@flow
def main():
    table = load()
    CALL
    return {"n": count(USED)}
"""


@pytest.mark.parametrize("returned", ["table", "(1.5, table)", "{'table': table}"])
def test_a_step_that_returns_what_it_changed_is_remembered(project: Any, returned: str) -> None:
    used = {"table": "new", "(1.5, table)": "new[1]", "{'table': table}": "new['table']"}[returned]
    source = RETURNING.replace("RETURNED", returned).replace("CALL", "new = clean(table)")
    project.write(source.replace("USED", used))
    told: list[str] = []
    for _ in range(2):
        run = project.run(on_event=lambda event: event.kind == "warned" and told.append(event.text))
        assert run.finished.metrics == {"n": 3.0}
    assert {status for _, status in project.statuses(run)} == {"remembered"}
    assert told == []


@pytest.mark.parametrize("last", ["count(table)", "[count(new), table]", "count([table][0])"])
def test_the_old_value_is_refused_by_the_first_run_and_by_later_ones(
    project: Any, last: str
) -> None:
    good = RETURNING.replace("RETURNED", "table").replace("CALL", "new = clean(table)")
    project.write(good.replace("count(USED)", last))
    for _ in range(2):
        with pytest.raises(Invalid) as refused:
            project.run()
        assert refused.value.code == "old-value"
        assert "is what step 'clean' changed in place; expected what" in refused.value.message
        assert "Write x = clean(x)" in refused.value.hint
    project.write(good.replace("USED", "new"))
    assert project.run().finished.metrics == {"n": 3.0}
