"""Runs from the outside: how they end, what they leave, and what they say when they fail."""

import sys
from typing import Any

import msgspec
import pytest

from trivet.core.errors import Conflict, Invalid, NotFound, TrivetError, Unavailable
from trivet.core.facts import TaskNew
from trivet.core.ports import Task
from trivet.pipelines.authoring import flow
from trivet.pipelines.materialisers import Materialiser
from trivet.pipelines.requests import RunRequest, new_task
from trivet.pipelines.tenure import new_owner
from trivet.tracking.facts import RunFinished


def test_numbers_become_metrics_and_everything_else_outputs(project: Any) -> None:
    project.write(
        "import math\nimport numpy as np\n"
        "@flow\ndef main():\n"
        "    return {'auc': 0.75, 'rows': 3, 'loss': np.float32(0.5), 'on': True,\n"
        "            'bad': math.nan, 'text': 'fine', 'table': [1, (2,)]}\n"
    )
    run = project.run()
    assert run.status == "succeeded"
    assert run.finished.metrics == {"auc": 0.75, "rows": 3.0, "loss": 0.5}
    assert [output.name for output in run.finished.outputs] == ["on", "bad", "text", "table"]
    assert project.pipelines.value(run.id, "table") == [1, (2,)]
    assert project.pipelines.value(run.id, "on") is True
    assert repr(project.pipelines.value(run.id, "bad")) == "nan"
    assert project.pipelines.value(run.id, "auc") == 0.75
    with pytest.raises(NotFound) as refused:
        project.pipelines.value(run.id, "acu")
    assert "'auc'" in refused.value.hint


@pytest.mark.parametrize(
    ("returned", "names"), [("None", []), ("[1]", ["result"]), ("'x'", ["result"])]
)
def test_a_flow_may_return_nothing_or_one_thing(
    project: Any, returned: str, names: list[str]
) -> None:
    project.write(f"@flow\ndef main():\n    return {returned}\n")
    assert [output.name for output in project.run().finished.outputs] == names


def test_results_need_names(project: Any) -> None:
    project.write("@flow\ndef main():\n    return {1: 'a'}\n")
    with pytest.raises(Invalid, match="a int as a key"):
        project.run()
    assert project.tracking.runs()[0].status == "failed"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("", "'' (0 characters)"),
        ("\ud800", r"'\ud800'"),
        ("a\nb", r"'a\nb'"),
        ("\x1b[31mred", r"'\x1b[31mred'"),
        ("zero\u200bwidth", r"'zero\u200bwidth'"),
        ("x@1", "'x@1'"),
        ("n" * 5000, f"'{'n' * 40}'... (5000 characters)"),
        ("n" * 129, f"'{'n' * 40}'... (129 characters)"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("value", ["'text'", "1.5"])
def test_a_name_that_no_output_can_have_is_refused_and_shown_safely(
    project: Any, name: str, shown: str, value: str
) -> None:
    project.write(f"@flow\ndef main():\n    return {{{name!a}: {value}}}\n")
    with pytest.raises(Invalid) as refused:
        project.run()
    assert f"flow 'main' returned an output named {shown}" in refused.value.message
    assert "expected 1 to 128 printable characters without @" in refused.value.message
    assert refused.value.message.isprintable()
    assert project.tracking.runs()[0].status == "failed"


@pytest.mark.parametrize("name", ["n" * 128, "Umsatz 2024 (€)", "a/b.c-d:e", "図"])
def test_other_names_are_taken_as_they_are(project: Any, name: str) -> None:
    project.write(f"@flow\ndef main():\n    return {{{name!r}: 'text'}}\n")
    assert [output.name for output in project.run().finished.outputs] == [name]


FAILING = """
def helper(value):
    return 1 / value

@step
def divide(value: int) -> float:
    return helper(value)

@flow
def main(value: int = 0):
    return {"x": divide(value)}
"""


def test_a_failing_step_fails_the_run_and_its_own_error_comes_out(project: Any) -> None:
    project.write(FAILING)
    with pytest.raises(ZeroDivisionError) as raised:
        project.run()
    run = project.tracking.runs()[0]
    assert raised.value.__notes__ == [f"in step 'divide' of run {run.id}"]
    assert run.status == "failed"
    assert (
        run.finished.error.splitlines()[0] == "step 'divide': ZeroDivisionError: division by zero"
    )
    assert "pipeline.py:4 in helper: return 1 / value" in run.finished.error
    assert str(project.folder) not in run.finished.error
    assert "running.py" not in run.finished.error


def test_a_failing_flow_says_so_of_itself(project: Any) -> None:
    project.write("@flow\ndef main():\n    raise LookupError('no luck')\n")
    with pytest.raises(LookupError) as raised:
        project.run()
    run = project.tracking.runs()[0]
    assert raised.value.__notes__ == [f"in flow 'main' of run {run.id}"]
    assert run.finished.error.startswith("the flow: LookupError: no luck")


def test_a_flow_may_go_on_after_a_step_that_failed(project: Any) -> None:
    project.write(
        FAILING.replace(
            '    return {"x": divide(value)}',
            "    try:\n        return {'x': divide(value)}\n"
            "    except ZeroDivisionError:\n        return {'x': divide(1)}",
        )
    )
    assert project.run().finished.metrics == {"x": 1.0}


def test_the_steps_that_ended_well_are_remembered_after_a_failure(project: Any) -> None:
    text = (
        "@step\ndef load() -> int:\n    return 3\n"
        "@step\ndef use(n: int) -> float:\n    return n / 0\n"
        "@flow\ndef main():\n    return {'x': use(load())}\n"
    )
    project.write(text)
    with pytest.raises(ZeroDivisionError):
        project.run()
    project.write(text.replace("n / 0", "n / 1"))
    assert project.statuses(project.run()) == [("load", "remembered"), ("use", "run")]


def test_an_interrupted_run_is_cancelled(project: Any) -> None:
    project.write(
        "@step\ndef wait() -> int:\n    raise KeyboardInterrupt\n@flow\ndef main():\n    wait()\n"
    )
    with pytest.raises(KeyboardInterrupt):
        project.run()
    assert project.tracking.runs()[0].status == "cancelled"


def test_the_user_s_error_comes_out_even_when_the_end_cannot_be_recorded(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(FAILING)
    commit = project.stores.ledger.commit

    def full(batch: Any, **options: Any) -> Any:
        if any(fact.kind == RunFinished.KIND for fact in batch.facts):
            raise Unavailable("the disk is full")
        return commit(batch, **options)

    monkeypatch.setattr(project.stores.ledger, "commit", full)
    with pytest.raises(ZeroDivisionError) as raised:
        project.run()
    assert any("the disk is full" in note for note in raised.value.__notes__)
    assert project.tracking.runs()[0].status == "running"


def test_a_run_knows_its_entry_and_who_asked(project: Any) -> None:
    project.write("@flow\ndef main(): ...\n")
    first = project.run()
    second = project.run(asked_by=first.id)
    assert first.started.code.entry == "pipeline:main"
    assert (first.started.name, second.started.asked_by) == ("main", first.id)
    assert project.stores.ledger.get(second.id).parents == (first.id,)


def test_a_flow_function_runs_as_well_as_its_name(project: Any) -> None:
    project.write("@flow\ndef main(a: int):\n    return {'a': a}\n")
    main = project.pipelines.load_flow("pipeline:main")
    assert project.run(main, a=2).finished.metrics == {"a": 2.0}
    assert main(2) == {"a": 2}


@pytest.mark.parametrize(
    ("name", "error", "hint"),
    [
        ("pipeline:mian", NotFound, "Did you mean 'main'?"),
        ("pipelin:main", NotFound, "pipelin.py"),
        ("pipeline", Invalid, "pipeline:train"),
        ("pipeline:helper", Invalid, "Write @flow above it. There are: 'main'."),
        ("pipe line:main", Invalid, "pipeline:train"),
    ],
)
def test_a_flow_that_is_not_there_says_what_is(
    project: Any, name: str, error: type[TrivetError], hint: str
) -> None:
    project.write("def helper(): ...\n@flow\ndef main(): ...\n")
    with pytest.raises(error) as refused:
        project.run(name)
    assert hint in refused.value.hint


def test_a_plain_function_is_no_flow(project: Any) -> None:
    with pytest.raises(Invalid, match="'<lambda>' is no flow"):
        project.run(lambda: None)


def test_a_module_that_fails_to_import_fails_with_its_own_error(project: Any) -> None:
    project.write("import there_is_no_such_library\n")
    with pytest.raises(ModuleNotFoundError, match="there_is_no_such_library"):
        project.run()


def test_a_module_of_another_project_is_not_taken_for_this_one(
    project: Any, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "pipeline.py").write_text("")
    project.write("@flow\ndef main(): ...\n")
    monkeypatch.syspath_prepend(str(elsewhere))
    __import__("pipeline")
    with pytest.raises(Conflict, match="from another place"):
        project.run()


def claimed(project: Any, new: TaskNew) -> Task:
    project.stores.ledger.commit(project.scope.batch("ask", tasks=[new]))
    (task,) = project.stores.journal.claim("runs", owner=new_owner(), lease_s=60)
    return task


def test_a_request_is_run_as_it_was_asked(project: Any) -> None:
    project.write("@flow\ndef main(rate: float):\n    return {'rate': rate}\n")
    asking = project.tracking.start("ask", entry="a:b", folder=project.folder)
    request = RunRequest(flow="pipeline:main", parameters={"rate": 0.5}, asked_by=asking.id)
    task = claimed(project, new_task(request))
    assert task.queue == "runs"
    run = project.pipelines.execute(task)
    assert run.finished.metrics == {"rate": 0.5}
    assert run.started.asked_by == asking.id
    with pytest.raises(Invalid, match="no request"):
        project.pipelines.execute(msgspec.structs.replace(task, body=b"[]"))
    with pytest.raises(Invalid, match="not JSON-ready"):
        new_task(RunRequest(flow="pipeline:main", parameters={"x": object()}))


def test_a_room_s_own_materialiser_carries_its_type_from_step_to_step(project: Any) -> None:
    project.write(
        "class Model:\n    def __init__(self, weight):\n        self.weight = weight\n"
        "@step\ndef fit() -> Model:\n    return Model(3)\n"
        "@step\ndef score(model: Model) -> int:\n    return model.weight * 2\n"
        "@flow\ndef main():\n"
        "    model = fit()\n    return {'model': model, 'score': score(model)}\n"
    )
    model = Materialiser(
        format="model",
        accepts=lambda value: type(value).__name__ == "Model",
        save=lambda value: {"weight.txt": str(value.weight).encode()},
        load=lambda files: sys.modules["pipeline"].Model(int(files["weight.txt"])),
    )
    pipelines = project.service(materialisers=(model,))
    run = pipelines.run("pipeline:main")
    assert run.finished.metrics == {"score": 6.0}
    assert run.output("model").format == "model"
    assert pipelines.value(run.id, "model").weight == 3
    again = pipelines.run("pipeline:main")
    assert {step.status for step in pipelines.steps(again.id)} == {"remembered"}


def test_a_removed_result_says_that_it_was_removed(project: Any) -> None:
    project.write("@flow\ndef main():\n    return {'text': 'x'}\n")
    run = project.run()
    project.stores.blobs.delete(run.output("text").digest)
    with pytest.raises(NotFound, match="were removed"):
        project.pipelines.value(run.id, "text")


def test_a_flow_inside_a_flow_is_part_of_the_same_run(project: Any) -> None:
    project.write(
        "@step\ndef one() -> int:\n    return 1\n"
        "@flow\ndef inner():\n    return one() + 1\n"
        "@flow\ndef main():\n    return {'n': inner()}\n"
    )
    run = project.run()
    assert run.finished.metrics == {"n": 2.0}
    assert project.statuses(run) == [("one", "run")]
    assert len(project.tracking.runs()) == 1


def test_a_loop_runs_until_its_gate_passes_and_leaves_its_rounds(project: Any) -> None:
    project.write(
        "from trivet.core.gates import Gate, check\n"
        "from trivet.pipelines.looping.until import until\n"
        "@check('enough')\ndef enough(evidence):\n    return evidence['score'] >= 2\n"
        "@step\ndef train(round: int) -> dict:\n    return {'score': round}\n"
        "@flow\ndef main():\n"
        "    rounds = until(train, Gate(name='quality', checks=(enough,)), rounds=5)\n"
        "    return {'rounds': len(rounds.rounds), 'score': rounds.last.candidate['score']}\n"
    )
    run = project.run()
    assert run.finished.metrics == {"rounds": 2.0, "score": 2.0}
    assert list(project.tracking.metric(run.id, "until/quality").values) == [0.0, 1.0]
    assert {status for _, status in project.statuses(project.run())} == {"remembered"}


def test_the_flow_s_name_is_a_valid_run_name(project: Any) -> None:
    @flow
    def _TrainAll() -> None: ...  # noqa: N802

    assert project.pipelines.run(_TrainAll).started.name == "trainall"
