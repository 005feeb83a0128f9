"""The words of a pipeline, as type checkers see them: a step keeps its function's signature.

Checked by two readers: pyright (strict) and mypy (strict). A line that must not pass carries the
comment of each; an unneeded comment is itself an error.
"""

from collections.abc import Callable
from typing import Any, assert_type

import polars as pl

from trivet.core.gates import Gate, Verdict
from trivet.pipelines.authoring import Data, File, effect, flow, map, step
from trivet.pipelines.context import current
from trivet.pipelines.looping.budget import Budget
from trivet.pipelines.looping.searching import log_uniform, search
from trivet.pipelines.looping.until import Rounds, until


@step
def load(path: str, *, rows: int = 10) -> list[float]:
    return [float(len(path))] * rows


@step(retries=2, timeout_s=60.0, version="2", depends=[load])
def fit(values: list[float], rate: float = 0.1) -> dict[str, float]:
    return {"weight": sum(values) * rate}


@effect
def announce(text: str) -> None:
    print(text)


@effect(retries=1)
def deploy(model: dict[str, float]) -> str:
    return f"{model} is live"


@flow
def train(
    path: File = "data.csv", history: Data = "history", *, rate: float = 0.5
) -> dict[str, Any]:
    values = load(path, rows=3)
    assert_type(values, list[float])
    model = fit(values, rate)
    assert_type(model, dict[str, float])
    assert_type(deploy(model), str)
    announce("done")
    frame = pl.DataFrame(history["orders"])
    current().log(rows=frame.height)
    return {"model": model}


@step(pickle=True)
def tokenise(words: str) -> object:
    return iter(words)


@flow(pickle=True)
def explore(words: str = "a") -> dict[str, object]:
    return {"tokens": tokenise(words)}


assert_type(explore("b"), dict[str, object])


def make(number: int) -> dict[str, float]:
    return fit([float(number)])


def judge(model: dict[str, float]) -> Verdict:
    return Verdict(gate="positive", passed=model["weight"] > 0, findings=())


def a_flow_takes_files_as_paths_and_data_as_anything() -> None:
    assert_type(train("data.csv", rate=0.1), dict[str, Any])
    assert_type(train(history=pl.DataFrame()), dict[str, Any])
    train(rate="high")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_step_refuses_what_its_function_refuses() -> None:
    load(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    load("a", 3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    fit([1.0], speed=1.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def an_option_that_is_misspelt_is_noticed() -> None:
    step(retry=2)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


def a_library_s_function_becomes_a_step_of_its_own_signature() -> None:
    count: Callable[[str], int] = step(len)
    assert_type(count("abc"), int)


def map_knows_what_each_item_becomes() -> None:
    assert_type(map(load, ["a", "b"], rows=3), list[list[float]])
    assert_type(map(fit, [[1.0]], 0.2), list[dict[str, float]])
    map(load, [1])  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    map(load, ["a"], lines=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def a_loop_knows_what_its_candidates_are(gate: Gate) -> None:
    assert_type(until(make, judge, rounds=3), Rounds[dict[str, float]])
    assert_type(until(make, gate).last.candidate, dict[str, float])
    until(make, make)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_search_knows_its_parameters(loss: Callable[[float], float]) -> None:
    found = search(loss, {"x": log_uniform(0.1, 1)}, minimize="loss", budget=Budget(trials=3))
    assert_type(found.best.value, float | None)
    search(loss, {"x": 0.1}, minimize="loss", budget=3)  # type: ignore[dict-item, arg-type]  # pyright: ignore[reportArgumentType]
