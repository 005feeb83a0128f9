import asyncio
import struct
from typing import Any

import pytest

from trivet.serving.answering import recompute
from trivet.testing.memory_stores import MemoryLog

PREDICT = "/predict/late"
ROUTES = [
    ("POST", PREDICT),
    ("POST", "/labels"),
    ("GET", "/endpoints"),
    ("GET", "/metrics"),
    ("GET", "/v2"),
    ("GET", "/v2/models"),
    ("GET", "/v2/models/late"),
    ("GET", "/v2/models/late/ready"),
    ("GET", "/v2/models/late/versions/1"),
    ("GET", "/v2/models/late/versions/1/ready"),
    ("POST", "/v2/models/late/infer"),
    ("POST", "/v2/models/late/versions/1/infer"),
]


# ------------------------------------------------------------------ at the door


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_but_health_asks_for_a_token(served: Any, method: str, path: str) -> None:
    for token, code in ((None, "no-token"), ("trv_wrong", "bad-token")):
        answer = served.ask(method, path, token=token)
        assert (answer.status, answer.code) == (401, code)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("host", [b"evil.example", b"127.0.0.1:1"])
def test_every_route_turns_foreign_hosts_away(
    served: Any, method: str, path: str, host: bytes
) -> None:
    answer = served.ask(method, path, token="trv_admin", headers=((b"host", host),))
    assert (answer.status, answer.code) == (403, "bad-host")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_turns_foreign_pages_away(served: Any, method: str, path: str) -> None:
    for header in ((b"origin", b"http://evil.example"), (b"sec-fetch-site", b"cross-site")):
        answer = served.ask(method, path, token="trv_admin", headers=(header,))
        assert answer.status == 403


def test_the_list_of_guarded_routes_above_is_whole(served: Any) -> None:
    async def paths() -> set[tuple[str, str]]:
        async with served.running() as call:
            return {(route.method, route.path) for route in call.table.routes}

    tested = {
        (
            method,
            path.replace("late/versions/1", "{endpoint}/versions/{version}").replace(
                "late", "{endpoint}"
            ),
        )
        for method, path in ROUTES
    }
    public = {("GET", "/v2/health/live"), ("GET", "/v2/health/ready")}
    assert asyncio.run(paths()) == tested | public


@pytest.mark.parametrize(
    ("token", "method", "path"),
    [
        ("trv_viewer", "POST", PREDICT),
        ("trv_viewer", "POST", "/v2/models/late/infer"),
        ("trv_viewer", "POST", "/labels"),
        ("trv_app", "GET", "/endpoints"),
        ("trv_app", "GET", "/metrics"),
    ],
)
def test_a_role_that_lacks_the_permission_is_refused_before_its_body_is_read(
    served: Any, token: str, method: str, path: str
) -> None:
    answer = served.ask(method, path, b"no json", token=token)
    assert (answer.status, answer.code) == (403, "no-permission")


def test_health_is_told_to_anybody(served: Any) -> None:
    assert served.ask("GET", "/v2/health/live", token=None).json == {"live": True}
    ready = served.ask("GET", "/v2/health/ready", token=None)
    assert (ready.status, ready.json) == (200, {"ready": True, "live": True})


def test_a_server_is_not_ready_while_a_release_in_force_is_not_loaded(
    make: Any, champion: Any
) -> None:
    served = make()
    model = served.model(champion)
    broken = served.model(champion)
    served.releases.release("late", model, why="first")
    served.releases.release("other", broken, why="first")
    lost = champion.manifest.files["golden.json"].digest
    content = served.blobs.open(lost).read()
    served.blobs.delete(lost)
    try:
        answer = served.ask("GET", "/v2/health/ready", token=None)
    finally:
        served.blobs.put(content)
    assert (answer.status, answer.code) == (503, "not-ready")
    assert answer.headers[b"retry-after"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "no-route"),
        ("GET", "/predict/late/more", 404, "no-route"),
        ("GET", PREDICT, 405, "other-method"),
        ("DELETE", "/v2/models/late", 405, "other-method"),
        ("POST", "/predict/absent", 404, "no-endpoint"),
        ("POST", "/v2/models/absent/infer", 404, "no-endpoint"),
    ],
)
def test_unknown_paths_methods_and_endpoints_are_told_apart(
    served: Any, row: Any, method: str, path: str, status: int, code: str
) -> None:
    answer = served.ask(method, path, {"rows": [row]} if method == "POST" else b"")
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers[b"content-type"] == b"application/json"


def test_an_unknown_endpoint_is_told_which_there_are(served: Any, row: Any) -> None:
    assert "late" in served.ask("POST", "/predict/latte", {"rows": [row]}).json["hint"]


def test_a_body_over_the_limit_is_refused_by_its_declared_length_and_by_its_real_one(
    make: Any, champion: Any, rows: Any
) -> None:
    served = make(max_body_bytes=1000)
    served.releases.release("late", served.model(champion), why="first")
    answer = served.ask("POST", PREDICT, {"rows": rows(100)})
    assert (answer.status, answer.code) == (413, "too-large")

    async def in_parts() -> Any:
        async with served.running() as call:
            return await call("POST", PREDICT, parts=[b"x" * 600, b"x" * 600])

    answer = asyncio.run(in_parts())
    assert (answer.status, answer.code) == (413, "too-large")


def test_a_body_that_does_not_come_is_given_up(served: Any) -> None:
    served.patience_s = 0.05

    async def never_whole() -> Any:
        async with served.running() as call:
            return await call("POST", PREDICT, parts=[b"{", None])

    answer = asyncio.run(never_whole())
    assert (answer.status, answer.code) == (408, "too-slow")


# ------------------------------------------------------------------ what is asked


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"rows": 1}',
        b'{"rows": [1]}',
        b'{"rows": []}',
        b'{"row": []}',
        b'{"rows": [[1]], "extra": 1}',
        b'{"rows": [{"distance": NaN}]}',
        b'{"rows": ["\xff"]}',
        b'{"rows": ' + b"[" * 100_000,
    ],
)
def test_a_malformed_body_is_a_400_and_predicts_nothing(served: Any, body: bytes) -> None:
    answer = served.ask("POST", PREDICT, body)
    assert answer.status == 400
    assert answer.json["hint"]
    assert served.logged() == []


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"origin": "SFO"}, "unknown-category", "'origin' is a category that was not seen"),
        ({"stops": "two"}, "wrong-type", "'stops' is a str; expected a whole number"),
        ({"stops": 1.5}, "wrong-type", "'stops'"),
        ({"weekend": "yes"}, "wrong-type", "'weekend' is a str; expected true or false"),
        ({"distance": "far"}, "wrong-type", "'distance' is a str; expected a number"),
        ({"stops": None}, "missing-value", "'stops' is null"),
        ({"Stops": 1}, "unknown-field", "'Stops' is no input"),
        ({"distance": 1e39}, "out-of-range", "'distance' is infinite"),
    ],
)
def test_a_wrong_value_is_answered_by_its_field_and_what_was_expected(
    served: Any, row: Any, rows: Any, change: Any, code: str, message: str
) -> None:
    answer = served.ask("POST", PREDICT, {"rows": [row | change]})
    assert (answer.status, answer.code) == (400, code)
    assert message in answer.json["error"]
    assert answer.json["hint"]
    many = served.ask("POST", PREDICT, {"rows": [*rows(2), row | change]})
    assert "row 2" in many.json["error"]
    assert served.logged() == []


def test_a_bad_row_has_its_own_number_when_two_variants_share_the_request(
    served: Any, candidate: Any, rows: Any
) -> None:
    served.releases.shadow("late", served.model(candidate), why="try it")
    served.releases.canary("late", 0.5, why="try it on some")
    many = rows(40)
    many[33]["origin"] = "SFO"
    body = {"rows": many, "units": [f"N{number}" for number in range(40)]}
    answer = served.ask("POST", PREDICT, body)
    assert answer.json["error"].startswith("row 33: field 'origin'")
    assert answer.json["detail"]["row"] == 33
    assert served.logged() == []


@pytest.mark.parametrize("field", ["distance", "stops", "carrier"])
@pytest.mark.parametrize("value", [10**25, -(10**25)])
def test_a_whole_number_beyond_64_bits_is_an_error_of_the_client(
    served: Any, row: Any, field: str, value: int
) -> None:
    answer = served.ask("POST", PREDICT, {"rows": [row | {field: value}]})
    assert (answer.status, answer.code) == (400, "out-of-range")
    assert served.logged() == []


def test_a_message_never_repeats_a_value(served: Any, row: Any) -> None:
    answer = served.ask("POST", PREDICT, {"rows": [row | {"distance": "4111-1111-1111-1111"}]})
    assert b"4111" not in answer.body


def test_an_absent_field_is_named_with_what_was_probably_meant(served: Any, row: Any) -> None:
    row["distence"] = row.pop("distance")
    answer = served.ask("POST", PREDICT, {"rows": [row]})
    assert answer.code == "absent-field"
    assert "'distence'" in answer.json["hint"]


def test_an_unknown_category_that_may_be_missing_is_answered_with_a_warning(
    served: Any, row: Any
) -> None:
    answer = served.ask("POST", PREDICT, {"rows": [row | {"carrier": "ZZ"}, row]})
    first, second = answer.json["predictions"]
    assert first["warnings"] == ["carrier"]
    assert "warnings" not in second
    assert [item.warnings for item in served.logged()] == [("carrier",), ()]


def test_a_row_may_be_a_list_in_the_order_of_the_signature(served: Any, row: Any) -> None:
    answer = served.ask("POST", PREDICT, {"rows": [row, list(row.values())]})
    one, two = answer.json["predictions"]
    assert one["probability"] == two["probability"]


def test_an_event_time_without_a_zone_is_refused(served: Any, row: Any) -> None:
    body = {"rows": [row], "event_times": ["2013-03-01T10:00:00"]}
    assert served.ask("POST", PREDICT, body).code == "naive-time"


def test_units_and_event_times_come_one_for_each_row(served: Any, row: Any) -> None:
    for extra in ({"units": ["a", "b"]}, {"event_times": []}):
        assert served.ask("POST", PREDICT, {"rows": [row]} | extra).code == "bad-rows"


# ------------------------------------------------------------------ what is logged


def test_a_prediction_is_logged_as_it_was_received_and_answered(served: Any, row: Any) -> None:
    body = {"rows": [row], "units": ["N123"], "event_times": ["2013-03-01T10:00:00+01:00"]}
    answer = served.ask("POST", PREDICT, body)
    (shown,) = answer.json["predictions"]
    (kept,) = served.logged()
    release = served.releases.current("late")
    assert answer.json["release"] == kept.release == release.id
    assert (kept.id, kept.endpoint, kept.variant) == (shown["id"], "late", "champion")
    assert (kept.role, kept.assignment, kept.share) == ("live", "sticky", 1.0)
    assert (kept.unit, kept.event_us) == ("N123", 1_362_128_400_000_000)
    assert kept.inputs == tuple(row.values())
    assert shown["model"] == "late:1"
    assert struct.unpack("<f", kept.output)[0] == shown["probability"]
    assert kept.package == release.plan.variants[0].package


def test_a_logged_row_runs_again_to_the_same_bits_alone_or_among_others(
    served: Any, rows: Any, champion: Any
) -> None:
    served.ask("POST", PREDICT, {"rows": rows(50)})
    served.ask("POST", PREDICT, {"rows": rows(1, seed=9)})
    model = served.loaded(served.model(champion))
    kept = served.logged()
    assert len(kept) == 51
    assert all(recompute(model, item.inputs) == item.output for item in kept)


def test_identifiers_are_unique_and_in_the_order_of_the_rows(served: Any, rows: Any) -> None:
    answer = served.ask("POST", PREDICT, {"rows": rows(100)})
    ids = [item["id"] for item in answer.json["predictions"]]
    assert len(set(ids)) == 100
    assert [item.id for item in served.logged()] == ids
    assert [item.inputs for item in served.logged()] == [tuple(r.values()) for r in rows(100)]


def test_what_cannot_be_logged_in_mode_audit_is_not_answered(
    make: Any, champion: Any, row: Any
) -> None:
    class FullDisk(MemoryLog):
        def append(self, stream: str, records: Any) -> None:
            raise OSError(28, "No space left on device")

    served = make(log=FullDisk())
    served.releases.release("late", served.model(champion), why="first", log_mode="audit")
    answer = served.ask("POST", PREDICT, {"rows": [row]})
    assert (answer.status, answer.code) == (503, "log-failed")
    assert b"probability" not in answer.body


def test_what_does_not_fit_in_mode_monitor_is_answered_dropped_and_counted(
    make: Any, champion: Any, row: Any
) -> None:
    served = make(log=MemoryLog(buffer_bytes=1000))
    served.releases.release("late", served.model(champion), why="first", log_mode="monitor")

    async def many() -> str:
        async with served.running() as call:
            for _ in range(20):
                assert (await call("POST", PREDICT, {"rows": [row]})).status == 200
            text = (await call("GET", "/metrics", token="trv_admin")).body.decode()
            return next(line for line in text.splitlines() if line.startswith("trivet_predictions"))

    name, dropped = asyncio.run(many()).split()
    assert name == "trivet_predictions_dropped_total"
    assert 0 < int(dropped) == 20 - len(served.logged())


# ------------------------------------------------------------------ releases


def test_a_shadow_answers_a_copy_and_nobody_sees_it(served: Any, candidate: Any, rows: Any) -> None:
    shadow = served.model(candidate)
    served.releases.shadow("late", shadow, why="try it")
    answer = served.ask("POST", PREDICT, {"rows": rows(3), "units": ["a", "b", "c"]})
    kept = served.logged()
    live = [item for item in kept if item.role == "live"]
    doubles = [item for item in kept if item.role == "shadow"]
    assert [item["id"] for item in answer.json["predictions"]] == [item.id for item in live]
    assert {item["model"] for item in answer.json["predictions"]} == {"late:1"}
    assert [item.of for item in doubles] == [item.id for item in live]
    assert [item.inputs for item in doubles] == [item.inputs for item in live]
    assert [item.unit for item in doubles] == ["a", "b", "c"]
    assert {item.package for item in doubles} == {candidate.digest}
    assert {(item.assignment, item.share) for item in doubles} == {("shadow", 0.0)}
    model = served.loaded(shadow)
    assert all(recompute(model, item.inputs) == item.output for item in doubles)


def test_a_canary_answers_its_share_and_the_same_unit_meets_the_same_variant(
    served: Any, candidate: Any, rows: Any
) -> None:
    served.releases.shadow("late", served.model(candidate), why="try it")
    served.releases.canary("late", 0.5, why="try it on some")
    units = [f"N{number}" for number in range(200)]
    body = {"rows": rows(200), "units": units}
    answer = served.ask("POST", PREDICT, body)
    served.ask("POST", PREDICT, body)
    kept = served.logged()
    assert [item.variant for item in kept[:200]] == [item.variant for item in kept[200:]]
    assert 60 < sum(item.variant == "candidate" for item in kept[:200]) < 140
    models = {"champion": "late:1", "candidate": "late:2"}
    for item, shown in zip(kept, answer.json["predictions"], strict=False):
        assert shown["model"] == models[item.variant]
        assert item.inputs == tuple(rows(200)[kept.index(item)].values())


def test_a_tester_may_name_the_variant_but_not_a_shadow(
    served: Any, candidate: Any, row: Any
) -> None:
    served.releases.shadow("late", served.model(candidate), why="try it")
    body = {"rows": [row], "variant": "candidate"}
    assert served.ask("POST", PREDICT, body).code == "no-variant"
    served.releases.canary("late", 0.1, why="try it on some")
    answer = served.ask("POST", PREDICT, body)
    assert answer.json["predictions"][0]["model"] == "late:2"
    assert served.logged()[-1].assignment == "explicit"


@pytest.mark.parametrize("mode", ["audit", "monitor"])
def test_releases_change_under_flying_requests_without_a_failure_or_a_wrong_name(
    make: Any, champion: Any, candidate: Any, rows: Any, mode: str
) -> None:
    served = make(refresh_s=0.005, log=MemoryLog(buffer_bytes=1 << 24))
    one, two = served.model(champion), served.model(candidate)
    served.releases.release("late", one, why="first", log_mode=mode)
    models = {one.version.package: served.loaded(one), two.version.package: served.loaded(two)}
    plans = {}

    def change() -> None:
        for turn in range(12):
            current = served.releases.release("late", (two, one)[turn % 2], why="swap")
            plans[current.id] = current.plan

    async def fly() -> list[Any]:
        async with served.running() as call:
            plans[served.releases.current("late").id] = served.releases.current("late").plan
            answers = [await call("POST", PREDICT, {"rows": rows(1)})]
            changing = asyncio.create_task(asyncio.to_thread(change))
            turn, seen = 0, set[str]()
            while not changing.done() or turn < 40 or len(seen) < 2:
                turn += 1
                some = [{"rows": rows(1 + at % 3, seed=turn * 8 + at)} for at in range(8)]
                answers += await asyncio.gather(*(call("POST", PREDICT, body) for body in some))
                seen |= {answer.json["release"] for answer in answers[-8:] if answer.status == 200}
                await asyncio.sleep(0.001)
            await changing
            return answers

    answers = asyncio.run(asyncio.wait_for(fly(), 60))
    assert {answer.status for answer in answers} == {200}
    kept = {item.id: item for item in served.logged()}
    for answer in answers:
        plan = plans[answer.json["release"]]
        for shown in answer.json["predictions"]:
            record = kept[shown["id"]]
            assert record.release == answer.json["release"]
            assert record.package == plan.variants[0].package
            assert shown["model"] == f"late:{plan.variants[0].version}"
            assert recompute(models[record.package], record.inputs) == record.output
            assert struct.unpack("<f", record.output)[0] == shown["probability"]


def test_a_release_that_does_not_load_leaves_the_one_before_in_force(
    served: Any, candidate: Any, row: Any
) -> None:
    lost = candidate.manifest.files["golden.json"].digest
    content = served.blobs.open(lost).read()

    async def ask_around() -> tuple[Any, str]:
        async with served.running() as call:
            served.blobs.delete(lost)
            served.releases.release("late", served.model(candidate), why="second")
            await asyncio.to_thread(served.endpoints.refresh)
            assert served.endpoints.failures
            answer = await call("POST", PREDICT, {"rows": [row]})
            metrics = await call("GET", "/metrics", token="trv_admin")
            return answer, metrics.body.decode()

    try:
        answer, metrics = asyncio.run(ask_around())
    finally:
        served.blobs.put(content)
    assert answer.json["predictions"][0]["model"] == "late:1"
    assert 'trivet_release_not_loaded{endpoint="late"} 1' in metrics


def test_a_failing_look_for_releases_is_survived(
    make: Any, champion: Any, candidate: Any, row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = make(refresh_s=0.005)
    served.releases.release("late", served.model(champion), why="first", log_mode="audit")
    refresh = served.endpoints.refresh
    failures = iter([RuntimeError("the stores are away"), OSError("still away")])

    def unsteady() -> None:
        for error in failures:
            raise error
        refresh()

    async def wait_for_the_second() -> Any:
        async with served.running() as call:
            monkeypatch.setattr(served.endpoints, "refresh", unsteady)
            served.releases.release("late", served.model(candidate), why="second")
            while True:
                answer = await call("POST", PREDICT, {"rows": [row]})
                if answer.json["predictions"][0]["model"] == "late:2":
                    return answer
                await asyncio.sleep(0.005)

    assert asyncio.run(asyncio.wait_for(wait_for_the_second(), 30)).status == 200


# ------------------------------------------------------------------ labels and numbers


def test_labels_are_accepted_for_predictions_that_were_logged(served: Any, rows: Any) -> None:
    async def report() -> Any:
        async with served.running() as call:
            answer = await call("POST", PREDICT, {"rows": rows(2)})
            one, two = (item["id"] for item in answer.json["predictions"])
            labels = [{"prediction": one, "value": "yes"}, {"prediction": two, "value": 0}]
            return one, await call("POST", "/labels", {"labels": labels})

    identifier, answer = asyncio.run(report())
    assert (answer.status, answer.json["accepted"]) == (200, 2)
    assert served.serving.label_of(identifier).value == 1.0


def test_requests_are_counted_by_status_and_latency(served: Any, row: Any) -> None:
    async def some() -> str:
        async with served.running() as call:
            for body in ({"rows": [row]}, {"rows": [row]}, b"{"):
                await call("POST", PREDICT, body)
            return (await call("GET", "/metrics", token="trv_admin")).body.decode()

    lines = asyncio.run(some()).splitlines()
    assert 'trivet_requests_total{status="200"} 2' in lines
    assert 'trivet_requests_total{status="400"} 1' in lines
    assert "trivet_request_seconds_count 3" in lines
    assert 'trivet_request_seconds_bucket{le="+Inf"} 3' in lines


def test_an_error_that_nobody_foresaw_is_a_500_that_tells_its_type_alone(
    served: Any, row: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: str) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(served.endpoints, "get", broken)
    answer = served.ask("POST", PREDICT, {"rows": [row]})
    assert answer.status == 500
    assert "ZeroDivisionError" in answer.json["error"]
    assert b"secret" not in answer.body
    assert "ZeroDivisionError" in capsys.readouterr().err
