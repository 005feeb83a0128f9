import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def log(wire: Any, run: str, key: str, value: Any, timestamp: int, step: int = 0) -> None:
    fields = {"key": key, "value": value, "timestamp": timestamp, "step": step}
    wire.post("runs/log-metric", run_id=run, **fields)


def history(wire: Any, run: str, key: str) -> list[tuple[int, int, Any]]:
    found = wire.get("metrics/get-history", run_id=run, metric_key=key)["metrics"]
    return [(item["timestamp"], item["step"], item["value"]) for item in found]


def test_the_latest_point_is_the_greatest_by_step_time_and_value(wire: Any) -> None:
    run = wire.run()
    for value, timestamp, step in ((9, 5, 1), (1, 9, 0), (2, 3, 2), (3, 3, 2), (1, 2, 2)):
        log(wire, run, "m", value, timestamp, step)
    (latest,) = wire.read(run)["data"]["metrics"]
    assert latest == {"key": "m", "value": 3.0, "timestamp": 3, "step": 2}


def test_a_history_is_ordered_by_time_and_keeps_equal_points_once(wire: Any) -> None:
    run = wire.run()
    for value, timestamp, step in ((1, 9, 0), (2, 5, 1), (1, 9, 0), (0.5, 9, 0), ("NaN", 9, 0)):
        log(wire, run, "a/b c", value, timestamp, step)
    assert history(wire, run, "a/b c") == [(5, 1, 2.0), (9, 0, 0.5), (9, 0, 1.0), (9, 0, "NaN")]
    assert history(wire, run, "unknown") == []


def test_a_history_comes_in_pages(wire: Any, refused: Any) -> None:
    run = wire.run()
    metrics = [{"key": "m", "value": v, "timestamp": v, "step": v} for v in range(10)]
    wire.post("runs/log-batch", run_id=run, metrics=metrics)
    values: list[float] = []
    token = ""
    while True:
        query = {"run_id": run, "metric_key": "m", "max_results": 5, "page_token": token}
        page = wire.get("metrics/get-history", **query)
        values += [item["value"] for item in page["metrics"]]
        token = page.get("next_page_token", "")
        if not token:
            break
    assert values == [float(value) for value in range(10)]
    with pytest.raises(refused, match="max_results"):
        wire.get("metrics/get-history", run_id=run, metric_key="m", max_results=0)


def test_numbers_that_are_not_finite_come_back_as_they_went(wire: Any) -> None:
    run = wire.run()
    for place, value in enumerate(("NaN", "Infinity", "-Infinity")):
        log(wire, run, f"m{place}", value, 1)
    found = {item["key"]: item["value"] for item in wire.read(run)["data"]["metrics"]}
    assert found == {"m0": "NaN", "m1": "Infinity", "m2": "-Infinity"}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"value": 1, "timestamp": 1}, "Missing value for required parameter 'key'"),
        ({"key": "m", "timestamp": 1}, "Missing value for required parameter 'value'"),
        ({"key": "m", "value": 1}, "Missing value for required parameter 'timestamp'"),
        ({"key": 5, "value": 1, "timestamp": 1}, "Invalid value 5 for parameter 'key' supplied"),
        ({"key": "m", "value": "x", "timestamp": 1}, "Invalid value \"x\" for parameter 'value'"),
        ({"key": "m", "value": True, "timestamp": 1}, "for parameter 'value'"),
        ({"key": "m", "value": 1, "timestamp": -1}, "for parameter 'timestamp'"),
        ({"key": "m", "value": 1, "timestamp": "a"}, "for parameter 'timestamp'"),
        ({"key": "m", "value": 1, "timestamp": 1, "step": 2**63}, "for parameter 'step'"),
        ({"key": "m", "value": 1, "timestamp": 1, "step": 1.5}, "for parameter 'step'"),
        ({"key": "m" * 251, "value": 1, "timestamp": 1}, "exceeds the maximum length"),
        ({"key": "/m", "value": 1, "timestamp": 1}, "Invalid value '/m'"),
        ({"key": "a//m", "value": 1, "timestamp": 1}, "Invalid value 'a//m'"),
        ({"key": "a;m", "value": 1, "timestamp": 1}, "Invalid value 'a;m'"),
    ],
)
def test_a_point_that_makes_no_sense_is_refused_by_its_parameter(
    wire: Any, refused: Any, fields: Any, told: str
) -> None:
    run = wire.run()
    with pytest.raises(refused) as caught:
        wire.post("runs/log-metric", run_id=run, **fields)
    assert told in caught.value.message
    assert (caught.value.status, caught.value.code) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    ("metrics", "params", "tags", "told"),
    [
        (1001, 0, 0, "can contain at most 1000 metrics. Got 1001 metrics"),
        (0, 101, 0, "can contain at most 100 params"),
        (0, 0, 101, "can contain at most 100 tags"),
        (900, 60, 60, "can contain at most 1000 metrics, params, and tags"),
    ],
)
def test_a_batch_that_is_too_large_says_how_to_split_it(
    wire: Any, refused: Any, metrics: int, params: int, tags: int, told: str
) -> None:
    run = wire.run()
    with pytest.raises(refused) as caught:
        wire.post(
            "runs/log-batch",
            run_id=run,
            metrics=[{"key": "m", "value": 1, "timestamp": n} for n in range(metrics)],
            params=[{"key": f"p{n}", "value": "1"} for n in range(params)],
            tags=[{"key": f"t{n}", "value": "1"} for n in range(tags)],
        )
    assert told in caught.value.message


def test_a_parameter_stands_in_a_batch_once(wire: Any, refused: Any) -> None:
    run = wire.run()
    params = [{"key": "p", "value": "1"}, {"key": "p", "value": "2"}]
    with pytest.raises(refused, match="Duplicate parameter keys"):
        wire.post("runs/log-batch", run_id=run, params=params)


def test_sampled_points_are_spread_evenly_with_both_ends(wire: Any, refused: Any) -> None:
    run = wire.run()
    metrics = [{"key": "m", "value": v, "timestamp": v, "step": v} for v in range(100)]
    wire.post("runs/log-batch", run_id=run, metrics=metrics)

    def steps(**query: Any) -> list[int]:
        path = "metrics/get-history-bulk-interval"
        found = wire.get(path, run_ids=[run], metric_key="m", **query)["metrics"]
        assert {item["run_id"] for item in found} <= {run}
        return [item["step"] for item in found]

    assert steps(max_results=4) == [0, 25, 50, 99]
    assert steps(start_step=10, end_step=12) == [10, 11, 12]
    for query in ({"start_step": 1}, {"start_step": 2, "end_step": 1}, {"max_results": 2501}):
        with pytest.raises(refused) as caught:
            steps(**query)
        assert caught.value.status == 400


POINTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b/c"]),
        st.floats(width=64),
        st.integers(0, 2**40),
        st.integers(-(2**40), 2**40),
    ),
    min_size=1,
    max_size=40,
)


def rank(value: float) -> tuple[bool, float]:
    return (math.isnan(value), 0.0 if math.isnan(value) else value)


def as_number(value: Any) -> float:
    return float(value.replace("Infinity", "inf")) if isinstance(value, str) else value


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(POINTS)
def test_whatever_is_logged_comes_back(wire: Any, points: Any) -> None:
    run = wire.run()
    metrics = [
        {
            "key": key,
            "value": value
            if math.isfinite(value)
            else str(value).replace("inf", "Infinity").replace("nan", "NaN"),
            "timestamp": timestamp,
            "step": step,
        }
        for key, value, timestamp, step in points
    ]
    wire.post("runs/log-batch", run_id=run, metrics=metrics)
    latest = {m["key"]: m for m in wire.read(run)["data"]["metrics"]}
    for key in {point[0] for point in points}:
        mine = [point[1:] for point in points if point[0] == key]
        expected = sorted(
            {(t, s, rank(v)): (t, s, v) for v, t, s in mine}.values(),
            key=lambda row: (row[0], row[1], rank(row[2])),
        )
        found = [(t, s, as_number(v)) for t, s, v in history(wire, run, key)]
        assert [repr(row) for row in found] == [repr(row) for row in expected]
        value, timestamp, step = max(mine, key=lambda row: (row[2], row[1], rank(row[0])))
        assert (latest[key]["timestamp"], latest[key]["step"]) == (timestamp, step)
        assert repr(as_number(latest[key]["value"])) == repr(value)
