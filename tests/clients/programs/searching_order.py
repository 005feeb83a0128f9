"""Orders and pages of searches for runs: missing values, not-a-number, ties, exact ends."""

import math

from judging import check, fresh, judge, refused, same
from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

client = MlflowClient()
INVALID = "INVALID_PARAMETER_VALUE"


def filled(runs: dict[str, dict[str, object]]) -> tuple[str, dict[str, str]]:
    """An experiment with these runs; the second is the name of each run by its id."""
    experiment = client.create_experiment(fresh("order"))
    names = {}
    for name, has in runs.items():
        start = has.get("start", 0)
        run = client.create_run(experiment, start_time=start, run_name=name).info.run_id
        client.log_batch(
            run,
            [Metric("m", has["m"], 1, 1)] if "m" in has else [],
            [Param("p", has["p"])] if "p" in has else [],
            [RunTag("t", has["t"])] if "t" in has else [],
        )
        if "end" in has:
            client.set_terminated(run, has.get("status", "FINISHED"), has["end"])
        names[run] = name
    return experiment, names


def order_of(experiment: str, names: dict[str, str], *order: str) -> str:
    return "".join(
        names[run.info.run_id] for run in client.search_runs([experiment], order_by=list(order))
    )


@check()
def metrics_are_sorted_with_the_odd_ones_last() -> None:
    experiment, names = filled(
        {
            "a": {"m": 2.0, "start": 1},
            "b": {"m": math.nan, "start": 2},
            "c": {"start": 3},
            "d": {"m": -1.0, "start": 4},
            "e": {"m": math.inf, "start": 5},
            "f": {"m": -math.inf, "start": 6},
        }
    )
    same(order_of(experiment, names, "metrics.m"), "fdaebc")
    same(order_of(experiment, names, "metrics.m ASC"), "fdaebc")
    same(order_of(experiment, names, "metrics.m asc"), "fdaebc")
    same(order_of(experiment, names, "metrics.m DESC"), "eadfbc")
    same(order_of(experiment, names, "metric.`m` desc"), "eadfbc")


@check()
def texts_are_sorted_with_the_missing_last() -> None:
    experiment, names = filled(
        {
            "a": {"p": "b", "t": "2", "start": 1},
            "b": {"start": 2},
            "c": {"p": "a", "t": "10", "start": 3},
            "d": {"p": "B", "start": 4},
        }
    )
    same(order_of(experiment, names, "params.p"), "dcab")
    same(order_of(experiment, names, "params.p DESC"), "acdb")
    same(order_of(experiment, names, "tags.t"), "cadb")
    same(order_of(experiment, names, "tag.t DESC"), "acdb")


@check()
def what_a_run_is_can_be_sorted_by() -> None:
    experiment, names = filled(
        {
            "b": {"start": 1, "end": 9, "status": "KILLED"},
            "a": {"start": 3},
            "c": {"start": 2, "end": 5, "status": "FAILED"},
        }
    )
    same(order_of(experiment, names, "start_time"), "bca")
    same(order_of(experiment, names, "attributes.start_time DESC"), "acb")
    same(order_of(experiment, names, "created DESC"), "acb")
    same(order_of(experiment, names, "end_time"), "cba")
    same(order_of(experiment, names, "attribute.end_time DESC"), "bca")
    same(order_of(experiment, names, "run_name"), "abc")
    same(order_of(experiment, names, "attributes.run_name DESC"), "cba")
    same(order_of(experiment, names, "status"), "cba")
    by_id = "".join(names[run] for run in sorted(names))
    same(order_of(experiment, names, "run_id"), by_id)
    same(order_of(experiment, names, "attributes.run_id DESC"), by_id[::-1])


@check()
def the_newest_is_first_by_itself() -> None:
    experiment, names = filled({"a": {"start": 1}, "b": {"start": 3}, "c": {"start": 2}})
    same(order_of(experiment, names), "bca")


@check()
def ties_are_broken_by_start_then_id() -> None:
    experiment, names = filled(
        {
            "a": {"m": 1.0, "start": 1},
            "b": {"m": 1.0, "start": 2},
            "c": {"m": 0.0, "start": 0},
        }
    )
    same(order_of(experiment, names, "metrics.m"), "cba")
    same(order_of(experiment, names, "metrics.m DESC"), "bac")
    experiment, names = filled({name: {"start": 7} for name in "abcdef"})
    by_id = "".join(names[run] for run in sorted(names))
    same(order_of(experiment, names), by_id)
    same(order_of(experiment, names, "metrics.m DESC"), by_id)


@check()
def several_orders_are_taken_in_turn() -> None:
    experiment, names = filled(
        {
            "a": {"m": 1.0, "p": "x", "start": 1},
            "b": {"m": 2.0, "p": "x", "start": 2},
            "c": {"m": 1.0, "p": "y", "start": 3},
            "d": {"m": 3.0, "start": 4},
        }
    )
    same(order_of(experiment, names, "params.p", "metrics.m DESC"), "bacd")
    same(order_of(experiment, names, "params.p DESC", "metrics.m"), "cabd")
    same(order_of(experiment, names, "metrics.m", "start_time"), "acbd")


@check()
def orders_that_make_no_sense_are_refused() -> None:
    experiment, _ = filled({"a": {}})
    for order in (
        ["m"],
        ["nothing.m"],
        ["metrics.m UP"],
        ["attributes.nothing"],
        ["metrics.m DESC x"],
        ["dataset.name"],
    ):
        with refused(INVALID):
            client.search_runs([experiment], order_by=order)


def pages(experiment: str, size: int, **asked: object) -> list[list[str]]:
    found, token = [], None
    while True:
        page = client.search_runs([experiment], max_results=size, page_token=token, **asked)
        found.append([run.info.run_id for run in page])
        token = page.token
        if not token:
            return found


@check()
def pages_are_exact() -> None:
    experiment, names = filled({f"r{n}": {"m": n % 3, "start": n} for n in range(12)})
    everything = [run.info.run_id for run in client.search_runs([experiment])]
    same(len(everything), 12)
    same([len(page) for page in pages(experiment, 5)], [5, 5, 2])
    same([len(page) for page in pages(experiment, 4)], [4, 4, 4])
    same([len(page) for page in pages(experiment, 12)], [12])
    same([len(page) for page in pages(experiment, 100)], [12])
    for size in (1, 5, 7):
        same(sum(pages(experiment, size), []), everything)
        by_metric = sum(pages(experiment, size, order_by=["metrics.m DESC"]), [])
        same(
            by_metric,
            [
                run.info.run_id
                for run in client.search_runs([experiment], order_by=["metrics.m DESC"])
            ],
        )
    filtered = sum(pages(experiment, 2, filter_string="metrics.m = 1", order_by=["start_time"]), [])
    same([names[run] for run in filtered], ["r1", "r4", "r7", "r10"])


@check()
def pages_pass_through_the_odd_values() -> None:
    runs = {
        "a": {"m": 1.0},
        "b": {"m": math.nan},
        "c": {},
        "d": {"m": math.nan},
        "e": {},
        "f": {"m": 0.0},
    }
    experiment, names = filled({name: {**has, "start": 1} for name, has in runs.items()})
    for order in ("metrics.m", "metrics.m DESC", "params.p", "end_time", "end_time DESC"):
        whole = [run.info.run_id for run in client.search_runs([experiment], order_by=[order])]
        for size in (1, 2, 5):
            same(
                (order, size, sum(pages(experiment, size, order_by=[order]), [])),
                (order, size, whole),
            )
    same(sorted(names), sorted(sum(pages(experiment, 1), [])))


@check()
def pages_that_make_no_sense_are_refused() -> None:
    experiment, _ = filled({"a": {}})
    for size in (-1, 50_001):
        with refused(INVALID, "max_results"):
            client.search_runs([experiment], max_results=size)
    with refused(INVALID, "page token"):
        client.search_runs([experiment], page_token="no token")


if __name__ == "__main__":
    judge()
