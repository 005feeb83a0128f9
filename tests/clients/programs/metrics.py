"""Metrics: what is kept, what counts as the latest, histories in order and by pages."""

import math
import time

from judging import check, fresh, judge, refused, same
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

client = MlflowClient()
INVALID = "INVALID_PARAMETER_VALUE"
Point = tuple[int, int, float]


def make() -> str:
    return client.create_run(client.create_experiment(fresh("metrics"))).info.run_id


def log(run: str, points: list[Point], key: str = "m") -> None:
    client.log_batch(run, [Metric(key, value, stamp, step) for stamp, step, value in points])


def history(run: str, key: str = "m") -> list[Point]:
    return [(each.timestamp, each.step, each.value) for each in client.get_metric_history(run, key)]


@check()
def a_point_is_kept_as_it_was_sent() -> None:
    run = make()
    for value in (0.0, -1.5, 1e-300, 1e300, 1 / 3, 2**53, 5e-324, True):
        client.log_metric(run, "m", value, timestamp=1000, step=7)
        assert (1000, 7, float(value)) in history(run)
    same(len(history(run)), 8)


@check()
def a_point_has_a_time_and_step_nought_by_itself() -> None:
    run = make()
    before = int(time.time() * 1000)
    client.log_metric(run, "m", 1.0)
    ((stamp, step, value),) = history(run)
    assert before <= stamp <= before + 600_000
    same((step, value), (0, 1.0))


@check()
def the_same_point_twice_is_one() -> None:
    run = make()
    log(run, [(1, 1, 0.5), (1, 1, 0.5)])
    log(run, [(1, 1, 0.5), (2, 1, 0.5)])
    client.log_metric(run, "m", 0.5, timestamp=1, step=1)
    log(run, [(1, 1, math.nan)])
    log(run, [(1, 1, math.nan)])
    found = history(run)
    same(len(found), 3)
    same(sum(math.isnan(value) for _, _, value in found), 1)


@check()
def other_values_at_the_same_step_are_all_kept() -> None:
    run = make()
    log(run, [(1, 1, 0.5), (1, 1, 0.25), (1, 2, 0.5), (2, 1, 0.5)])
    same(history(run), [(1, 1, 0.25), (1, 1, 0.5), (1, 2, 0.5), (2, 1, 0.5)])


@check()
def the_latest_point_is_the_greatest_step_then_time_then_value() -> None:
    cases: list[tuple[list[Point], float]] = [
        ([(9, 1, 0.1), (1, 2, 0.2)], 0.2),
        ([(1, 2, 0.2), (9, 1, 0.1)], 0.2),
        ([(2, 1, 0.1), (1, 1, 0.9)], 0.1),
        ([(1, 1, 0.1), (1, 1, 0.9)], 0.9),
        ([(1, 1, 0.9), (1, 1, 0.1)], 0.9),
        ([(1, -5, 0.5), (0, -6, 0.6)], 0.5),
        ([(1, -5, 0.5), (0, 0, 0.6)], 0.6),
    ]
    for points, latest in cases:
        at_once, one_by_one = make(), make()
        log(at_once, points)
        for point in points:
            log(one_by_one, [point])
        same((points, client.get_run(at_once).data.metrics["m"]), (points, latest))
        same((points, client.get_run(one_by_one).data.metrics["m"]), (points, latest))


@check()
def not_a_number_is_kept() -> None:
    run = make()
    log(run, [(1, 1, 1.0), (1, 2, math.nan)])
    assert math.isnan(client.get_run(run).data.metrics["m"])
    values = [value for _, _, value in history(run)]
    same(values[0], 1.0)
    assert math.isnan(values[1])
    log(run, [(1, 3, 2.0)])
    same(client.get_run(run).data.metrics["m"], 2.0)


@check()
def infinities_come_back_huge() -> None:
    run = make()
    log(run, [(1, 1, math.inf)], "up")
    log(run, [(1, 1, -math.inf)], "down")
    found = client.get_run(run).data.metrics
    huge = 1.7976931348623157e308
    assert found["up"] >= huge, found
    assert found["down"] <= -huge, found
    assert history(run, "up")[0][2] >= huge


@check()
def a_history_is_in_order_of_time_step_and_value() -> None:
    run = make()
    points = [
        (stamp, step, value) for stamp in (3, 1, 2) for step in (0, -1, 5) for value in (0.5, -0.5)
    ]
    log(run, points)
    same(history(run), sorted(points))


@check()
def a_history_comes_by_pages() -> None:
    run = make()
    for part in range(3):
        log(
            run, [(number, number, number / 2) for number in range(part * 1000, part * 1000 + 1000)]
        )
    same(history(run), [(number, number, number / 2) for number in range(3000)])
    store = client._tracking_client.store
    found, token, pages = [], None, 0
    while True:
        page = store.get_metric_history(run, "m", max_results=1000, page_token=token)
        found += [(each.timestamp, each.step, each.value) for each in page]
        pages, token = pages + 1, page.token
        if not token:
            break
    same((found, pages), ([(number, number, number / 2) for number in range(3000)], 3))
    page = store.get_metric_history(run, "m", max_results=2999)
    same((len(page), bool(page.token)), (2999, True))


@check()
def pages_that_make_no_sense_are_refused() -> None:
    run = make()
    log(run, [(1, 1, 1.0), (2, 2, 2.0)])
    store = client._tracking_client.store
    with refused(INVALID):
        list(store.get_metric_history(run, "m", max_results=0))
    with refused(INVALID):
        list(store.get_metric_history(run, "m", max_results=-1))
    with refused(INVALID):
        list(store.get_metric_history(run, "m", max_results=1, page_token="no token"))


@check()
def an_unknown_key_has_an_empty_history() -> None:
    same(history(make(), "never"), [])


@check()
def a_missing_run_has_an_empty_history() -> None:
    same(history("f" * 32), [])


@check()
def keys_are_strangers_to_each_other() -> None:
    run = make()
    log(run, [(1, 1, 1.0)], "a")
    log(run, [(1, 1, 2.0)], "A")
    log(run, [(1, 1, 3.0)], "a/b")
    log(run, [(1, 1, 4.0)], "a b")
    same(client.get_run(run).data.metrics, {"a": 1.0, "A": 2.0, "a/b": 3.0, "a b": 4.0})
    same([history(run, key) for key in ("a", "A")], [[(1, 1, 1.0)], [(1, 1, 2.0)]])


@check()
def times_before_1970_are_refused() -> None:
    run = make()
    with refused(INVALID):
        client.log_metric(run, "m", 1.0, timestamp=-1)
    with refused(INVALID):
        client.log_batch(run, [Metric("m", 1.0, -1, 0)])
    same(client.get_run(run).data.metrics, {})


@check()
def times_and_steps_may_be_large() -> None:
    run = make()
    log(run, [(2**53, 2**53, 1.0), (2**62, 2**62, 2.0), (0, -(2**62), 3.0)])
    same(history(run), [(0, -(2**62), 3.0), (2**53, 2**53, 1.0), (2**62, 2**62, 2.0)])
    same(client.get_run(run).data.metrics["m"], 2.0)


@check()
def threads_log_at_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    run = make()
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda n: client.log_metric(run, f"m{n % 3}", n, timestamp=n, step=n), range(60)
            )
        )
    same(client.get_run(run).data.metrics, {"m0": 57.0, "m1": 58.0, "m2": 59.0})
    same(sum(len(history(run, f"m{n}")) for n in range(3)), 60)


@check()
def many_keys_are_kept() -> None:
    run = make()
    for part in range(3):
        client.log_batch(run, [Metric(f"k{part}/{n}", n, 1, 1) for n in range(1000)])
    same(len(client.get_run(run).data.metrics), 3000)


@check(since=3)
def a_point_can_speak_of_a_model() -> None:
    experiment = client.create_experiment(fresh("models"))
    run = client.create_run(experiment).info.run_id
    model = client.create_logged_model(experiment, name="m", source_run_id=run)
    client.log_metric(run, "loss", 0.5, timestamp=9, step=1, model_id=model.model_id)
    client.log_metric(run, "loss", 0.4, timestamp=9, step=2, model_id=model.model_id)
    found = client.get_logged_model(model.model_id).metrics
    points = {(each.key, each.value, each.timestamp, each.step, each.run_id) for each in found}
    same(points, {("loss", 0.5, 9, 1, run), ("loss", 0.4, 9, 2, run)})
    same(client.get_run(run).data.metrics, {"loss": 0.4})


if __name__ == "__main__":
    judge()
