"""Steps inside a run: known by content, made once, kept before they are handed on."""

import sys
from pathlib import Path
from typing import Any

import pytest

from trivet.core.errors import Invalid, NotFound, Unavailable
from trivet.core.facts import Scope
from trivet.pipelines.facts import EffectBegun, StepDone
from trivet.pipelines.materialisers import Materialiser
from trivet.pipelines.running import StepEvent
from trivet.pipelines.service import PipelinesService
from trivet.tracking.service import TrackingService

TWO_STEPS = """
@step
def load(rows: int) -> list[int]:
    return list(range(rows))

@step
def total(values: list[int], weight: float = 1.0) -> float:
    return sum(values) * weight

@flow
def main(rows: int = 3, weight: float = 1.0):
    return {"total": total(load(rows), weight)}
"""


def test_the_second_run_remembers_every_step_and_comes_to_the_same(project: Any) -> None:
    project.write(TWO_STEPS)
    first, second = project.run(), project.run()
    assert project.statuses(first) == [("load", "run"), ("total", "run")]
    assert project.statuses(second) == [("load", "remembered"), ("total", "remembered")]
    assert first.finished.metrics == second.finished.metrics == {"total": 3.0}


def test_only_what_an_edit_or_an_argument_reaches_is_run_again(project: Any) -> None:
    project.write(TWO_STEPS)
    project.run()
    assert project.statuses(project.run(weight=2.0)) == [("load", "remembered"), ("total", "run")]
    project.write(TWO_STEPS.replace("sum(values)", "max(values)"))
    assert project.statuses(project.run()) == [("load", "remembered"), ("total", "run")]


def test_a_changed_input_that_comes_to_the_same_value_stops_the_change_there(project: Any) -> None:
    project.write(TWO_STEPS)
    project.run()
    project.write(TWO_STEPS.replace("list(range(rows))", "[*range(rows)]"))
    assert project.statuses(project.run()) == [("load", "run"), ("total", "remembered")]


def test_what_a_step_remembered_names_the_step_that_made_it(project: Any) -> None:
    project.write(TWO_STEPS)
    first, second = project.run(), project.run()
    ledger = project.stores.ledger
    made = ledger.find(StepDone.KIND, where={"run": first.id}, newest_first=False).entries
    kept = ledger.find(StepDone.KIND, where={"run": second.id}, newest_first=False).entries
    load = made[0].id
    assert [entry.parents for entry in made] == [(first.id,), (first.id, load)]
    assert [entry.parents for entry in kept] == [(second.id, old.id) for old in made]


def test_a_result_whose_bytes_are_gone_is_made_again(project: Any) -> None:
    project.write(
        "@step\ndef load(rows: int) -> bytes:\n    return bytes(rows)\n"
        "@step\ndef size(data: bytes) -> int:\n    return len(data)\n"
        "@flow\ndef main():\n    return {'size': size(load(10_000))}\n"
    )
    (load, _) = project.pipelines.steps(project.run().id)
    for _ in range(2):
        project.stores.blobs.delete(load.output.digest)
        again = project.run()
        assert project.statuses(again) == [("load", "run"), ("size", "remembered")]
        assert again.finished.metrics == {"size": 10_000.0}
    assert project.statuses(project.run()) == [("load", "remembered"), ("size", "remembered")]


def test_a_step_is_made_again_when_that_is_asked_for(project: Any) -> None:
    project.write(TWO_STEPS)
    project.run()
    assert project.statuses(project.run(again=["load"])) == [
        ("load", "run"),
        ("total", "remembered"),
    ]


def test_another_project_remembers_nothing_of_this_one(project: Any) -> None:
    project.write(TWO_STEPS)
    project.run()
    other = PipelinesService(
        project.stores,
        Scope(project="churn", actor="ada"),
        TrackingService(project.stores, Scope(project="churn", actor="ada")),
        project.data,
        project.folder,
    )
    run = other.run("pipeline:main")
    assert [step.status for step in other.steps(run.id)] == ["run", "run"]


def test_what_the_flow_gets_is_the_stored_value_in_every_run(project: Any) -> None:
    project.write(
        "held = []\n"
        "@step\ndef make():\n    value = {'a': [1, (2, 3)]}\n    held.append(value)\n"
        "    return value\n"
        "@flow\ndef main():\n"
        "    value = make()\n    held[0]['a'].append('changed behind its back')\n"
        "    return {'value': value}\n"
    )
    first = project.run()
    second = project.run()
    expected = {"a": [1, (2, 3)]}
    assert project.pipelines.value(first.id, "value") == expected
    assert project.pipelines.value(second.id, "value") == expected


def test_a_step_inside_a_step_is_kept_as_well(project: Any) -> None:
    text = (
        "@step\ndef inner(x: int) -> int:\n    return x + 1\n"
        "@step\ndef outer(x: int) -> int:\n    return inner(x) * 2\n"
        "@flow\ndef main():\n    return {'y': outer(1)}\n"
    )
    project.write(text)
    assert project.statuses(project.run()) == [("inner", "run"), ("outer", "run")]
    project.write(text.replace("* 2", "* 3"))
    assert project.statuses(project.run()) == [("inner", "remembered"), ("outer", "run")]
    project.write(text.replace("* 2", "* 3").replace("x + 1", "x + 2"))
    assert project.statuses(project.run()) == [("inner", "run"), ("outer", "run")]


def test_map_makes_only_the_items_that_are_new(project: Any) -> None:
    project.write(
        "@step\ndef square(x: int, plus: int = 0) -> int:\n    return x * x + plus\n"
        "def plain(x: int) -> int:\n    return -x\n"
        "@flow\ndef main(n: int = 3):\n"
        "    return {'all': map(square, range(n), plus=1), 'plain': map(plain, [1])}\n"
    )
    run = project.run()
    assert project.pipelines.value(run.id, "all") == [1, 2, 5]
    again = project.run(n=5)
    assert project.pipelines.value(again.id, "all") == [1, 2, 5, 10, 17]
    statuses = [status for name, status in project.statuses(again) if name == "square"]
    assert statuses == ["remembered"] * 3 + ["run"] * 2
    assert ("plain", "remembered") in project.statuses(again)


def test_an_effect_happens_in_every_run_and_leaves_its_intention_first(project: Any) -> None:
    project.write(
        "from trivet.pipelines.context import current\n"
        "sent = []\n"
        "@effect\ndef send(text: str) -> None:\n    sent.append(current().effect_key)\n"
        "@flow\ndef main():\n    send('a')\n    send('a')\n    send('b')\n"
    )
    project.run()
    project.run()
    keys = sys.modules["pipeline"].sent
    assert len(keys) == len(set(keys)) == 6
    begun = project.stores.ledger.find(EffectBegun.KIND, newest_first=False).entries
    done = project.stores.ledger.find(StepDone.KIND, newest_first=False).entries
    assert [a.seq < b.seq for a, b in zip(begun, done, strict=True)] == [True] * 6


def test_an_effect_that_was_done_is_not_repeated_for_the_same_request(project: Any) -> None:
    project.write(
        "sent, broken = [], [True]\n"
        "@effect\ndef first() -> str:\n    sent.append('first')\n    return 'sent'\n"
        "@effect\ndef second() -> None:\n    sent.append('second')\n"
        "    if broken:\n        broken.clear()\n        raise OSError('line is dead')\n"
        "@flow\ndef main():\n    answer = first()\n    second()\n    return {'answer': answer}\n"
    )
    with pytest.raises(OSError, match="line is dead"):
        project.run(request="task-1")
    again = project.run(request="task-1")
    assert sys.modules["pipeline"].sent == ["first", "second", "second"]
    assert project.pipelines.value(again.id, "answer") == "sent"
    begun = project.stores.ledger.find(EffectBegun.KIND, newest_first=False).entries
    assert len(begun) == 3


def test_an_effect_inside_a_step_is_refused(project: Any) -> None:
    project.write(
        "@effect\ndef send() -> None: ...\n"
        "@step\ndef train() -> int:\n    send()\n    return 1\n"
        "@flow\ndef main():\n    train()\n"
    )
    with pytest.raises(Invalid, match="effect 'send' is called inside step 'train'"):
        project.run()


def test_a_step_is_tried_again_as_often_as_it_says(project: Any) -> None:
    text = (
        "tries = []\n"
        "@step(retries=2)\ndef shaky() -> int:\n"
        "    tries.append(1)\n    if len(tries) < 3:\n        raise OSError('again')\n"
        "    return 1\n"
        "@flow\ndef main():\n    return {'n': shaky()}\n"
    )
    events: list[StepEvent] = []
    project.write(text)
    assert project.run(on_event=events.append).status == "succeeded"
    assert [event.kind for event in events] == ["started", "retried", "retried", "done"]
    project.write(text.replace("retries=2", "retries=1"))
    assert project.statuses(project.run()) == [("shaky", "remembered")]  # retries are no code


def test_what_trivet_refuses_is_not_tried_again(project: Any) -> None:
    project.write(
        "from trivet.core.errors import Invalid\ntries = []\n"
        "@step(retries=3)\ndef wrong() -> int:\n    tries.append(1)\n    raise Invalid('no')\n"
        "@flow\ndef main():\n    wrong()\n"
    )
    with pytest.raises(Invalid):
        project.run()
    assert len(sys.modules["pipeline"].tries) == 1


def test_a_step_that_takes_too_long_fails(project: Any) -> None:
    project.write(
        "import time\n"
        "@step(timeout_s=0.05)\ndef slow() -> int:\n    time.sleep(30)\n    return 1\n"
        "@flow\ndef main():\n    slow()\n"
    )
    with pytest.raises(Unavailable, match="took longer") as refused:
        project.run()
    assert refused.value.code == "step-timeout"


def test_a_value_that_nothing_can_store_is_refused_by_type_and_step(project: Any) -> None:
    project.write(
        "class Odd: ...\n@step\ndef make():\n    return {'x': [Odd()]}\n"
        "@flow\ndef main():\n    make()\n"
    )
    with pytest.raises(Invalid, match=r"what step 'make' returned .* pipeline.Odd") as refused:
        project.run()
    assert refused.value.code == "no-materialiser"
    assert "@step(pickle=True)" in refused.value.hint


def test_state_that_a_step_changes_in_its_module_is_taken_for_code_not_for_memory(
    project: Any,
) -> None:
    project.write(
        "seen = []\n"
        "@step\ndef make() -> int:\n    seen.append(1)\n    return len(seen)\n"
        "@flow\ndef main():\n    return {'n': make()}\n"
    )
    assert [project.run().finished.metrics["n"] for _ in range(2)] == [1.0, 2.0]


def test_an_argument_without_content_is_refused_by_name(project: Any) -> None:
    project.write("@step\ndef use(thing):\n    return 1\n@flow\ndef main():\n    use(iter([1]))\n")
    with pytest.raises(Invalid, match="argument 'thing' of step 'use'"):
        project.run()


def test_a_call_that_does_not_fit_the_signature_says_what_the_signature_is(project: Any) -> None:
    project.write("@step\ndef use(a: int):\n    return 1\n@flow\ndef main():\n    use(b=1)\n")
    with pytest.raises(Invalid) as refused:
        project.run()
    assert "use(a: int)" in refused.value.hint


def test_functions_among_the_arguments_count_by_their_code(project: Any) -> None:
    text = (
        "def double(x):\n    return 2 * x\n"
        "@step\ndef apply(function, x):\n    return function(x)\n"
        "@flow\ndef main():\n    return {'y': apply(double, 3)}\n"
    )
    project.write(text)
    project.run()
    assert project.statuses(project.run()) == [("apply", "remembered")]
    project.write(text.replace("2 * x", "3 * x"))
    run = project.run()
    assert run.finished.metrics == {"y": 9.0}


def test_paths_among_the_arguments_count_by_what_is_in_the_file(project: Any) -> None:
    project.write(
        "from pathlib import Path\n"
        "@step\ndef read(path: Path) -> str:\n    return path.read_text()\n"
        f"FOLDER = Path({str(project.folder)!r})\n"
        "@flow\ndef main():\n    return {'text': read(FOLDER / 'a.txt')}\n"
    )
    with pytest.raises(NotFound, match="no file or folder 'a"):
        project.run()
    (project.folder / "a.txt").write_text("one")
    project.run()
    assert project.statuses(project.run()) == [("read", "remembered")]
    (project.folder / "a.txt").write_text("two")
    assert project.pipelines.value(project.run().id, "text") == "two"


def test_figures_logged_in_a_step_become_series_of_the_run(project: Any) -> None:
    project.write(
        "from trivet.pipelines.context import current\n"
        "@step\ndef train() -> int:\n"
        "    for epoch in range(3):\n        current().log(loss=1 / (epoch + 1), step=epoch)\n"
        "    return 1\n"
        "@flow\ndef main():\n    train()\n    current().log({'done': 1.0})\n"
    )
    run = project.run()
    assert list(project.tracking.metric(run.id, "loss").values) == [1.0, 0.5, 1 / 3]
    assert project.tracking.metrics(run.id) == ("done", "loss")


def test_progress_is_told_step_by_step(project: Any) -> None:
    project.write(TWO_STEPS)
    events: list[StepEvent] = []
    run = project.run(on_event=events.append)
    project.run(on_event=events.append)
    assert [(event.kind, event.step) for event in events] == [
        *[("started", "load"), ("done", "load"), ("started", "total"), ("done", "total")],
        *[("remembered", "load"), ("remembered", "total")],
    ]
    assert {event.run for event in events[:4]} == {run.id}


def test_a_result_that_nothing_reads_any_more_is_made_again(project: Any) -> None:
    project.write(
        "class Model:\n    pass\n"
        "@step\ndef fit() -> Model:\n    return Model()\n"
        "@flow\ndef main():\n    fit()\n"
    )

    def named(format: str) -> Materialiser:
        return Materialiser(
            format=format,
            accepts=lambda value: type(value).__name__ == "Model",
            save=lambda value: {"model": b""},
            load=lambda files: sys.modules["pipeline"].Model(),
        )

    project.service(materialisers=[named("one")]).run("pipeline:main")
    later = project.service(materialisers=[named("two")])
    assert project.statuses(later.run("pipeline:main")) == [("fit", "run")]


def test_steps_in_threads_belong_to_the_run_when_the_context_is_handed_on(project: Any) -> None:
    project.write(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from contextvars import copy_context\n"
        "@step\ndef square(x: int) -> int:\n    return x * x\n"
        "@flow\ndef main():\n"
        "    with ThreadPoolExecutor(4) as pool:\n"
        "        jobs = [pool.submit(copy_context().run, square, n) for n in range(20)]\n"
        "        lost = pool.submit(square, 3).result()\n"
        "    return {'all': [job.result() for job in jobs], 'lost': lost}\n"
    )
    run = project.run()
    assert project.pipelines.value(run.id, "all") == [n * n for n in range(20)]
    assert len(project.statuses(run)) == 20
    assert {status for _, status in project.statuses(project.run())} == {"remembered"}


def test_a_path_among_a_module_s_constants_is_a_place_and_not_its_content(
    project: Any, tmp_path: Path
) -> None:
    place = tmp_path / "much"
    place.mkdir()
    project.write(
        f"from pathlib import Path\nPLACE = Path({str(place)!r})\n"
        "@step\ndef where() -> str:\n    return PLACE.name\n"
        "@flow\ndef main():\n    where()\n"
    )
    project.run()
    (place / "file").write_text("new")
    assert project.statuses(project.run()) == [("where", "remembered")]


def test_what_the_flow_changes_between_two_calls_counts(project: Any) -> None:
    project.write(
        "SETTINGS = {'rates': [1]}\nRATE = 1\nclass Config:\n    rate = 1\nCONFIG = Config()\n"
        "@step\ndef deep() -> int:\n    return SETTINGS['rates'][0]\n"
        "@step\ndef name() -> int:\n    return RATE\n"
        "@step\ndef kind() -> int:\n    return Config.rate\n"
        "@step\ndef thing() -> int:\n    return CONFIG.rate\n"
        "@flow\ndef main():\n"
        "    global RATE\n    found = []\n"
        "    for n in (1, 2, 3):\n"
        "        SETTINGS['rates'][0] = RATE = Config.rate = n\n"
        "        found.append([deep(), name(), kind(), thing()])\n"
        "        CONFIG.rate = 10 + n\n"
        "        found.append([thing()])\n"
        "    return {'found': found}\n"
    )
    expected = [[1, 1, 1, 1], [11], [2, 2, 2, 11], [12], [3, 3, 3, 12], [13]]
    assert project.pipelines.value(project.run().id, "found") == expected


def test_what_the_flow_changes_inside_arrays_frames_and_models_counts(project: Any) -> None:
    project.write(
        "import array\nimport numpy as np\nimport pandas as pd\n"
        "WEIGHTS = np.array([1])\nFRAME = pd.DataFrame({'a': [1]})\nBYTES = bytearray(b'a')\n"
        "ROW = array.array('d', [1])\nclass Kept:\n    weights = [np.array([1])]\n"
        "@step\ndef seen() -> list[int]:\n"
        "    return [int(one) for one in (WEIGHTS[0], FRAME['a'][0], BYTES[0], ROW[0],\n"
        "                                 Kept.weights[0][0])]\n"
        "@flow\ndef main():\n"
        "    found = [seen()]\n"
        "    WEIGHTS[0] = 7\n    found.append(seen())\n"
        "    FRAME.loc[0, 'a'] = 8\n    found.append(seen())\n"
        "    BYTES[0] = 9\n    found.append(seen())\n"
        "    ROW[0] = 10\n    found.append(seen())\n"
        "    Kept.weights[0][0] = 11\n    found.append(seen())\n"
        "    found.append(seen())\n"
        "    return {'found': found}\n"
    )
    expected = [
        *([1, 1, 97, 1, 1], [7, 1, 97, 1, 1], [7, 8, 97, 1, 1], [7, 8, 9, 1, 1]),
        *([7, 8, 9, 10, 1], [7, 8, 9, 10, 11], [7, 8, 9, 10, 11]),
    ]
    run = project.run()
    assert project.pipelines.value(run.id, "found") == expected
    statuses = [status for _, status in project.statuses(run)]
    assert statuses == ["run"] * 6 + ["remembered"]


def test_a_path_in_depends_where_nothing_is_is_refused_at_the_first_call(project: Any) -> None:
    project.write(
        "from pathlib import Path\n@step(depends=[Path('rates.csv')])\ndef rate() -> int:\n"
        "    return 1\n@flow\ndef main():\n    rate()\n"
    )
    with pytest.raises(NotFound, match=r"depends= of rate names the path 'rates\.csv'") as refused:
        project.run()
    assert refused.value.code == "no-dependency"
    assert "project's folder" in refused.value.hint


def test_a_file_in_depends_that_a_step_before_writes_counts_as_it_is(project: Any) -> None:
    project.write(
        "from pathlib import Path\nFILE = Path(__file__).with_name('rates.csv')\n"
        "@step(depends=[Path('rates.csv')])\ndef rate() -> str:\n    return FILE.read_text()\n"
        "@flow\ndef main():\n    found = []\n"
        "    for text in ('one', 'other', 'other'):\n"
        "        if not FILE.exists() or FILE.read_text() != text:\n"
        "            FILE.write_text(text)\n"
        "        found.append(rate())\n"
        "    return {'found': found}\n"
    )
    run = project.run()
    assert project.pipelines.value(run.id, "found") == ["one", "other", "other"]
    assert [status for _, status in project.statuses(run)] == ["run", "run", "remembered"]


def test_a_text_in_depends_that_names_a_file_is_told_of(project: Any) -> None:
    project.write(
        "@step(depends=['rates.csv', 'of the supplier'])\ndef rate() -> int:\n    return 1\n"
        "@flow\ndef main():\n    rate()\n"
    )
    (project.folder / "rates.csv").write_text("1")
    (step,) = project.pipelines.plan("pipeline:main").steps
    said = "depends= of rate holds the text 'rates.csv', not the file of that name: "
    assert step.limits == (f"{said}write Path('rates.csv')",)
