"""`why` says what changed for a step, with the text that changed."""

from typing import Any

import pytest

from trivet.cli.why import describe_step
from trivet.core.errors import Invalid, NotFound
from trivet.pipelines.explaining.why import Change, StepWhy

HELPERS = """
FLOOR = 1
BASE = 2
LIMIT = BASE * 2

class Scaler:
    by = 2

    def scale(self, x):
        return x * self.by

def ratio(x):
    # how much
    return max(Scaler().scale(x), FLOOR)
"""
PIPELINE = """
import helpers
from helpers import LIMIT

@step
def load(rows: int) -> list[int]:
    return list(range(rows))

@step(version="1")
def fit(values: list[int], power: int = 1) -> float:
    return helpers.ratio(sum(values)) * power + LIMIT

@flow
def main(rows: int = 3, power: int = 1):
    return {"model": [fit(load(rows), power)]}
"""


@pytest.fixture
def ran(project: Any) -> Any:
    project.texts = {"helpers": HELPERS, "pipeline": PIPELINE}
    write_all(project)
    project.run()
    return project


def write_all(project: Any) -> None:
    for name, text in project.texts.items():
        project.write(text, name)


def edit(project: Any, name: str, before: str, after: str) -> None:
    assert project.texts[name].count(before) == 1
    project.texts[name] = project.texts[name].replace(before, after)
    write_all(project)


def named(why: StepWhy) -> dict[str, Change]:
    return {change.name: change for change in why.changes}


def lines(change: Change) -> list[str]:
    return [line for line in change.diff.splitlines() if line[:1] in "+-" and line[1:2] not in "+-"]


def test_a_step_that_was_called_once_has_nothing_to_compare(ran: Any) -> None:
    why = ran.pipelines.why("main.fit")
    assert (why.between, why.changes, why.status) == (None, (), "run")
    assert "nothing has changed since its only call" in describe_step(why)
    assert {"pipeline.fit", "helpers.ratio", "helpers.FLOOR", "pipeline.LIMIT"} <= {*why.watched}
    assert why.limits == ()


def test_when_nothing_changed_it_says_so_and_who_made_the_result(ran: Any) -> None:
    (first,) = ran.tracking.runs("main")
    ran.run()
    ran.run()
    why = ran.pipelines.why("main.fit")
    assert (why.between, why.changes, why.status) == ("calls", (), "remembered")
    assert why.made_by == first.id
    said = describe_step(why)
    assert f"nothing changed: remembered; key {why.key[:12]}…; made by run {first.id}" in said


@pytest.mark.parametrize(
    ("place", "before", "after", "part", "kind", "diff"),
    [
        (
            *("helpers", "Scaler().scale(x), FLOOR", "Scaler().scale(x) + 1, FLOOR"),
            *("helpers.ratio", "function"),
            [
                "-    return max(Scaler().scale(x), FLOOR)",
                "+    return max(Scaler().scale(x) + 1, FLOOR)",
            ],
        ),
        ("helpers", "FLOOR = 1", "FLOOR = 9", "helpers.FLOOR", "constant", ["-FLOOR = 1"]),
        ("helpers", "by = 2", "by = 3", "helpers.Scaler", "class", ["-    by = 2"]),
        (
            *("helpers", "x * self.by", "x + self.by", "helpers.Scaler.scale", "function"),
            ["-    return x * self.by"],
        ),
        (
            *("pipeline", "* power + LIMIT", "* power", "pipeline.fit", "function"),
            ["-    return helpers.ratio(sum(values)) * power + LIMIT"],
        ),
        # Imported from another module, where it is computed from a third name.
        ("helpers", "BASE = 2", "BASE = 5", "pipeline.LIMIT", "constant", ["-BASE = 2"]),
    ],
)
def test_code_that_was_edited_is_shown_before_and_after_the_next_run(
    ran: Any, place: str, before: str, after: str, part: str, kind: str, diff: list[str]
) -> None:
    edit(ran, place, before, after)
    now = ran.pipelines.why("main.fit")
    ran.run()
    then = ran.pipelines.why("main.fit")
    assert (now.between, then.between) == ("now", "calls")
    assert now.after is None
    assert then.before == now.before
    for why in (now, then):
        change = named(why)[part]
        assert change.kind == kind
        assert lines(change)[: len(diff)] == diff
    assert "the next run makes it again" in describe_step(now)


def test_a_function_that_is_reached_now_or_no_more_is_said_to_be(ran: Any) -> None:
    edit(ran, "pipeline", "helpers.ratio(sum(values))", "helpers.other(sum(values))")
    edit(ran, "helpers", "def ratio", "def other(x):\n    return x\n\ndef ratio")
    changes = named(ran.pipelines.why("main.fit"))
    assert changes["helpers.other"].note == "it is reached now"
    assert lines(changes["helpers.other"]) == ["+def other(x):", "+    return x"]
    assert changes["helpers.ratio"].note == "it is not reached any more"
    assert changes["helpers.ratio"].diff == ""


def test_an_argument_is_shown_with_both_values(ran: Any) -> None:
    ran.run(power=2)
    (change,) = ran.pipelines.why("main.fit").changes
    assert (change.kind, change.name, change.before, change.after) == (
        "argument",
        "power",
        "1",
        "2",
    )
    assert "argument power: 1 -> 2" in describe_step(ran.pipelines.why("main.fit"))


def test_a_data_set_is_shown_by_both_versions(project: Any) -> None:
    file = project.folder / "sales.csv"
    project.write(
        "@step\ndef fit(sales):\n    return 1\n"
        "@flow\ndef main(sales: Data = 'sales.csv'):\n    fit(sales)\n"
    )
    for text in ("a\n1\n", "a\n2\n"):
        file.write_text(text)
        project.run()
    (change,) = project.pipelines.why("main.fit").changes
    assert str(change.before).startswith("sales@")
    assert str(change.after).startswith("sales@")
    assert change.before != change.after


def test_values_that_look_the_same_are_told_apart_by_their_content(project: Any) -> None:
    project.write(
        "import numpy as np\n@step\ndef fit(values, token):\n    return 1\n"
        "@flow\ndef main(add: int = 0):\n    fit(np.arange(3) + add, token=str(add))\n"
    )
    project.run()
    project.run(add=1)
    changes = named(project.pipelines.why("main.fit"))
    assert str(changes["values"].before).startswith("numpy.ndarray (3,) (content ")
    assert str(changes["token"].before).startswith("(hidden) (content ")
    assert changes["values"].before != changes["values"].after


def test_declared_versions_and_dependencies_are_named(ran: Any) -> None:
    edit(ran, "pipeline", 'version="1"', 'version="2", depends=[{"a": 1}]')
    changes = named(ran.pipelines.why("main.fit"))
    assert (changes["version"].before, changes["version"].after) == ("1", "2")
    assert changes["depends[0]"].before is None
    assert "  version: 1 -> 2" in describe_step(ran.pipelines.why("main.fit"))


def test_a_package_and_python_are_named_with_their_versions(
    ran: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trivet.core.fingerprints.walk as module

    edit(ran, "pipeline", "import helpers\n", "import helpers, numpy\n")
    edit(ran, "pipeline", "list(range(rows))", "list(range(int(numpy.int64(rows))))")
    ran.run()
    monkeypatch.setattr(module, "distribution_of", lambda top: (top, "9.9"))
    (change,) = ran.pipelines.why("main.load").changes
    assert (change.kind, change.name, change.after) == ("package", "numpy", "9.9")


def test_a_map_is_explained_by_the_call_with_the_most_equal_arguments(project: Any) -> None:
    text = (
        "def square(x, by=1):\n    return x * x\n@flow\ndef main():\n    map(square, [1, 2, 3])\n"
    )
    project.write(text)
    project.run()
    project.write(text.replace("x * x", "x * x * 1"))
    assert named(project.pipelines.why("main.square")).keys() == {"pipeline.square"}
    project.run()
    assert named(project.pipelines.why("main.square")).keys() == {"pipeline.square"}
    project.write(text.replace("x * x", "x * x * 1").replace("2, 3", "2, 3, 4"))
    project.run()
    changes = named(project.pipelines.why("main.square"))
    assert (changes["x"].before, changes["x"].after) == ("3", "4")


def test_limits_and_files_that_were_read_are_named(project: Any) -> None:
    import time

    (project.folder / "data.csv").write_text("1")
    time.sleep(0.02)
    project.write(
        "from pathlib import Path\n@step\ndef load():\n"
        f"    return eval('1'), Path(r'{project.folder}', 'data.csv').read_text()\n"
        "@flow\ndef main():\n    load()\n"
    )
    project.run()
    why = project.pipelines.why("main.load")
    assert why.limits == (
        "pipeline.load runs text as code (eval) (line 5)",
        (
            "step 'load' read data.csv, which is not one of its inputs; "
            "pass it as File or name it in depends="
        ),
    )
    assert "not covered by its key" in describe_step(why)


def test_code_that_cannot_be_imported_now_is_no_obstacle(ran: Any) -> None:
    ran.run(power=2)
    ran.write("def broken(:\n")
    why = ran.pipelines.why("main.fit")
    assert [change.name for change in why.changes] == ["power"]
    assert "cannot be looked at now: Invalid" in why.note


def test_a_step_that_the_flow_lost_is_explained_by_its_calls(ran: Any) -> None:
    ran.write("@flow\ndef main():\n    pass\n")
    assert ran.pipelines.why("main.fit").note == "pipeline:main has no step 'fit' now"


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("fit", Invalid, "names no step"),
        ("main.", Invalid, "names no step"),
        ("other.fit", NotFound, "was never run"),
        ("main.fitt", NotFound, "never finished a step 'fitt'"),
    ],
)
def test_a_name_that_means_nothing_is_refused(
    ran: Any, name: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        ran.pipelines.why(name)


def test_the_flow_may_be_named_with_its_module(ran: Any) -> None:
    assert ran.pipelines.why("pipeline:main.fit") == ran.pipelines.why("main.fit")


def test_a_difference_is_coloured_only_where_colours_are_welcome(ran: Any) -> None:
    edit(ran, "helpers", "FLOOR = 1", "FLOOR = 9")
    why = ran.pipelines.why("main.fit")
    assert "\033[" not in describe_step(why)
    assert "\033[31m-FLOOR = 1\033[0m" in describe_step(why, colours=True)
