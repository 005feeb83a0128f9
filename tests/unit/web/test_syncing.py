"""The routes by which Trivet's own clients bring runs: what they take, and what they never do."""

import base64
import struct
from typing import Any

import pytest
from blake3 import blake3

from trivet.access.permissions import Permission

RUN = "0" * 31 + "1"
OTHER = "0" * 31 + "2"


def begun(run: str = RUN, **more: Any) -> dict[str, Any]:
    fields = {"experiment": "digits", "name": "first", "user": "ada", "began_ms": 1}
    return {"type": "run-begun", "id": run, "run": run, **fields, **more}


def told(number: int, run: str = RUN, **more: Any) -> dict[str, Any]:
    return {"type": "run-told", "id": f"{number:032x}", "run": run, **more}


def kept(number: int, content: bytes, path: str = "x.bin", **more: Any) -> dict[str, Any]:
    found = {"digest": digest_of(content), "size_bytes": len(content), "media_type": "text/plain"}
    return {"type": "file-kept", "id": f"{number:032x}", "run": RUN, "path": path, **found, **more}


def series(points: list[tuple[int, int, float]], run: str = RUN, name: str = "loss") -> Any:
    steps, times, values = zip(*points, strict=True) if points else ((), (), ())
    return {
        "run": run,
        "name": name,
        "steps": packed("q", steps),
        "times": packed("q", times),
        "values": packed("d", values),
    }


def packed(kind: str, numbers: Any) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}{kind}", *numbers)).decode()


def digest_of(content: bytes) -> str:
    return f"b3:{blake3(content).hexdigest()}"


def states(answer: Any) -> list[str]:
    return [outcome["code"] or outcome["state"] for outcome in answer.data["entries"]]


def send(api: Any, *entries: Any, **more: Any) -> Any:
    return api.post("/sync", {"entries": entries, **more}, role="developer")


def test_who_answers_says_which_project_it_is(api: Any) -> None:
    assert api.get("/sync", role="developer").data == {"project": "left", "format": 1}


def test_a_token_that_may_log_and_register_nothing_is_enough(api: Any, workspace: Any) -> None:
    only = [Permission.READ, Permission.LOG]
    token = workspace.access.issue("training", "developer", only=only)
    assert states(api.post("/sync", {"entries": [begun()]}, token=token)) == ["new"]
    assert api.post("/sync/missing", {"digests": []}, token=token).status == 200
    address = f"/sync/files/{digest_of(b'x')}"
    assert api.call("PUT", address, body=b"x", token=token).status == 200


def test_what_comes_twice_counts_once(api: Any, workspace: Any) -> None:
    points = [(0, 1000, 0.5), (1, 1001, 0.25)]
    for expected in ("new", "known"):
        answer = send(
            api, begun(), told(7, tags={"k": "v"}), told(8, status="succeeded", ended_ms=9)
        )
        assert states(answer) == [expected] * 3
        assert api.post("/sync", {"points": [series(points)]}).data["refused"] == {}
    run = workspace.tracking.reported.get(RUN)
    assert (run.name, run.status, run.ended_ms, run.tags) == ("first", "succeeded", 9, {"k": "v"})
    history = workspace.tracking.reported.metrics.history(RUN, "loss")
    assert [(p.step, p.time_ms, p.value) for p in history] == points
    opened = workspace.stores.ledger.find("run.reported", where={"run": RUN}).entries
    assert [entry.actor for entry in opened] == ["developer", "developer"]


def test_each_entry_has_an_outcome_of_its_own(api: Any, workspace: Any) -> None:
    answer = send(
        api,
        begun(),
        told(1, parameters={"lr": "1"}),
        told(2, parameters={"lr": "2"}),
        told(3, run=OTHER, tags={"k": "v"}),
        told(4, tags={"": "v"}),
        told(5, tags={"k": "v"}),
    )
    assert states(answer)[:2] == ["new", "new"]
    assert states(answer)[2:4] == ["other-parameter", "no-run"]
    assert states(answer)[4] != "new"
    assert states(answer)[5] == "new"
    assert workspace.tracking.reported.get(RUN).parameters == {"lr": "1"}


def test_a_file_must_have_been_sent_to_this_project(api: Any, workspace: Any) -> None:
    content, secret = b"hello", b"rows of a data set"
    workspace.stores.blobs.put(secret)
    question = {"digests": [digest_of(content), digest_of(secret)]}
    assert api.post("/sync/missing", question).data == question
    assert states(send(api, begun(), kept(1, content), kept(2, secret))) == [
        "new",
        "no-file",
        "no-file",
    ]
    files = [base64.b64encode(content).decode()]
    assert states(send(api, kept(3, content), files=files)) == ["new"]
    assert api.post("/sync/missing", question).data == {"digests": [digest_of(secret)]}
    artifact, stream = workspace.tracking.artifacts.open(f"run:{RUN}", "x.bin")
    assert (stream.read(), artifact.media_type) == (content, "text/plain")


def test_a_file_comes_in_pieces_and_has_the_digest_it_is_said_to_have(api: Any) -> None:
    content = b"z" * 3_000_000
    path = f"/sync/files/{digest_of(content)}"
    wrong = api.call("PUT", path, body=content[:-1])
    assert (wrong.status, wrong.data["code"]) == (400, "other-bytes")
    assert api.post("/sync/missing", {"digests": [digest_of(content)]}).data["digests"]
    assert api.call("PUT", path, body=content).data["size_bytes"] == 3_000_000
    assert api.post("/sync/missing", {"digests": [digest_of(content)]}).data == {"digests": []}
    lie = kept(1, content, size_bytes=5)
    assert states(send(api, begun(), lie)) == ["new", "other-bytes"]


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b", "", "a/../../b", "a\\b", "."])
def test_no_path_leads_out_of_a_run(api: Any, path: str) -> None:
    content = b"hello"
    files = [base64.b64encode(content).decode()]
    assert states(send(api, begun(), kept(1, content, path=path), files=files))[1] not in {
        "new",
        "known",
    }


def test_code_that_names_files_which_were_not_sent_is_refused(api: Any, workspace: Any) -> None:
    tree = workspace.stores.blobs.put(b"no tree")
    seen = {
        "type": "run-seen",
        "id": OTHER,
        "run": RUN,
        "code": {"tree": tree, "entry": "a:b"},
        "environment": {
            "lock": tree,
            "packages": 1,
            "python": "3",
            "platform": "x",
            "processors": 1,
            "memory_bytes": 1,
        },
    }
    assert states(send(api, begun(), seen)) == ["new", "no-file"]
    files = [base64.b64encode(b"no tree").decode()]
    assert states(send(api, seen, files=files)) == ["bad-tree"]
    assert workspace.tracking.reported.observed(RUN) is None


def test_points_of_a_run_that_is_not_there_are_refused_and_others_taken(
    api: Any, workspace: Any
) -> None:
    send(api, begun())
    both = [series([(0, 1, 0.5)]), series([(0, 1, 0.5)], run=OTHER)]
    assert list(api.post("/sync", {"points": both}).data["refused"]) == [OTHER]
    assert workspace.tracking.reported.get(RUN).metrics["loss"].value == 0.5
    assert workspace.stores.series.summaries(OTHER) == {}


@pytest.mark.parametrize(
    "broken",
    [
        {"steps": packed("q", [1, 2])},
        {"values": base64.b64encode(b"1234567").decode()},
        {"times": packed("q", [-1])},
        {"steps": packed("q", [-(2**63)])},
        {"name": ""},
        {"name": "a\x00b"},
        {"name": "x" * 251},
        {"name": "../x"},
    ],
)
def test_points_that_are_none_change_nothing(
    api: Any, workspace: Any, broken: dict[str, Any]
) -> None:
    send(api, begun())
    answer = api.post("/sync", {"points": [{**series([(0, 1, 0.5)]), **broken}]})
    assert list(answer.data["refused"]) == [RUN]
    assert workspace.stores.series.summaries(RUN) == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"entries": [{"type": "nothing"}]}',
        b'{"entries": [{"type": "run-begun"}]}',
        b'{"bogus": 1}',
        b'{"points": [{"run": "x"}]}',
        b'{"files": ["%%%"]}',
        b'{"signs": [{"run": "' + b"0" * 32 + b'", "age_ms": -1}]}',
        b"\xff\xfe",
    ],
)
def test_a_body_that_is_no_delivery_is_said(api: Any, body: bytes) -> None:
    answer = api.call("POST", "/sync", body=body)
    assert (answer.status, answer.data["code"]) == (400, "bad-body")


def test_too_many_of_anything_is_refused(api: Any) -> None:
    entries = [told(number) for number in range(501)]
    assert send(api, *entries).data["code"] == "bad-body"
    digests = [digest_of(b"")] * 5001
    assert api.post("/sync/missing", {"digests": digests}).data["code"] == "bad-body"
    assert api.call("POST", "/sync", body=b" " * ((16 << 20) + 1)).status == 413


def test_a_run_of_another_project_is_out_of_reach(api: Any, workspace: Any) -> None:
    from trivet.core.facts import Scope
    from trivet.tracking.service import TrackingService

    other = TrackingService(workspace.stores, Scope(project="right", actor="eve"))
    with other.begin(system=False) as run:
        assert states(send(api, begun(run.id), told(1, run=run.id, tags={"k": "v"}))) == [
            "id-taken",
            "no-run",
        ]
        assert (
            run.id in api.post("/sync", {"points": [series([(0, 1, 1.0)], run.id)]}).data["refused"]
        )
        assert states(send(api, kept(1, b"") | {"run": run.id})) == ["no-run"]
    assert other.reported.get(run.id).tags == {}


def test_an_identifier_of_something_else_makes_no_run(api: Any, workspace: Any) -> None:
    fact = workspace.stores.ledger.since(0, 1)[0].id
    assert states(send(api, begun(fact))) == ["id-taken"]


def test_signs_of_life_come_with_their_age(api: Any, workspace: Any) -> None:
    send(api, begun(), begun(OTHER), signs=[{"run": RUN, "age_ms": 600_000}])
    reported = workspace.tracking.reported
    assert reported.get(RUN).status == "lost"
    assert reported.get(OTHER).status == "running"
    wire = api.get(f"/api/2.0/mlflow/runs/get?run_id={RUN}").data["run"]["info"]
    assert wire["status"] == "FAILED"
    search = {"experiment_ids": [str(reported.get(RUN).experiment)]}
    for status, expected in (("FAILED", RUN), ("RUNNING", OTHER), ("lost", RUN)):
        found = api.post(
            "/api/2.0/mlflow/runs/search", {**search, "filter": f"status = '{status}'"}
        ).data["runs"]
        assert [run["info"]["run_id"] for run in found] == [expected]
    send(api, signs=[{"run": RUN, "age_ms": 10}, {"run": "f" * 32, "age_ms": 1}])
    assert reported.get(RUN).status == "running"
    send(api, told(9, status="failed", ended_ms=5))
    send(api, signs=[{"run": RUN, "age_ms": 600_000}])
    assert reported.get(RUN).status == "failed"
