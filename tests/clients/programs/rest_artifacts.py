"""The artifact routes over the wire: bytes, ranges, listings, and ways out that are closed."""

import http.client
import os

from judging import check, fresh, judge, same
from speaking import JSON, ask, bad, connect, get, good, send

PLACE = "/api/2.0/mlflow-artifacts/artifacts"
INVALID = "INVALID_PARAMETER_VALUE"
MISSING = "RESOURCE_DOES_NOT_EXIST"
BYTES = {"Content-Type": "application/octet-stream"}


def a_folder() -> tuple[str, str]:
    """The folder of a new run, below the place of all artifacts, and the run."""
    experiment = good(send("experiments/create", {"name": fresh("artifacts")}))["experiment_id"]
    info = good(send("runs/create", {"experiment_id": experiment}))["run"]["info"]
    folder = info["artifact_uri"].removeprefix("mlflow-artifacts:/")
    same(folder, f"{experiment}/{info['run_id']}/artifacts")
    return folder, info["run_id"]


@check()
def bytes_come_back_with_their_kind() -> None:
    folder, _ = a_folder()
    for name, content in (
        ("a.txt", b"hello"),
        ("b%20c.json", b"{}"),
        ("deep/d.bin", os.urandom(5000)),
        ("e", b""),
    ):
        same(ask("PUT", f"{PLACE}/{folder}/{name}", content, BYTES).status, 200)
        found = ask("GET", f"{PLACE}/{folder}/{name}")
        same((found.status, found.body), (200, content))
        assert found.headers["content-disposition"].startswith("attachment"), found.headers
        same(found.headers["x-content-type-options"], "nosniff")
    assert "text/plain" in ask("GET", f"{PLACE}/{folder}/a.txt").headers["content-type"]


@check()
def a_part_of_a_file_can_be_asked_for() -> None:
    folder, _ = a_folder()
    ask("PUT", f"{PLACE}/{folder}/a", b"0123456789", BYTES)
    for part, body in (
        ("bytes=2-4", b"234"),
        ("bytes=7-", b"789"),
        ("bytes=-3", b"789"),
        ("bytes=0-0", b"0"),
    ):
        found = ask("GET", f"{PLACE}/{folder}/a", headers={"Range": part})
        same((part, found.status, found.body), (part, 206, body))
    same(ask("GET", f"{PLACE}/{folder}/a", headers={"Range": "bytes=50-"}).status, 416)


@check()
def a_body_may_come_in_chunks() -> None:
    folder, _ = a_folder()
    place = f"{PLACE}/{folder}/chunks"
    assert put_in_chunks(place, [b"x" * 1000] * 50) == 200
    same(ask("GET", place).body, b"x" * 50_000)


def put_in_chunks(place: str, chunks: list[bytes]) -> int:
    from speaking import SERVER, TOKEN

    connection: http.client.HTTPConnection = connect()
    headers = {**BYTES, **({"Authorization": f"Bearer {TOKEN}"} if TOKEN else {})}
    connection.request(
        "PUT", SERVER.path.rstrip("/") + place, iter(chunks), headers, encode_chunked=True
    )
    status = connection.getresponse().status
    connection.close()
    return status


@check()
def listings_have_names_alone() -> None:
    folder, run = a_folder()
    for name in ("a.txt", "f/b.txt", "f/g/c.txt"):
        ask("PUT", f"{PLACE}/{folder}/{name}", b"xy", BYTES)
    found = good(get(PLACE, path=f"{folder}/f"))["files"]
    same(
        [(each["path"], each["is_dir"], each.get("file_size")) for each in found],
        [("b.txt", False, 2), ("g", True, None)],
    )
    listed = good(get("artifacts/list", run_id=run, path="f"))
    same([each["path"] for each in listed["files"]], ["f/b.txt", "f/g"])
    same(listed["root_uri"], f"mlflow-artifacts:/{folder}")
    for nothing in (f"{folder}/none", f"{folder}/a.txt"):
        same(good(get(PLACE, path=nothing)).get("files", []), [])


@check()
def files_and_folders_are_deleted() -> None:
    folder, _ = a_folder()
    for name in ("a", "f/b", "f/g/c"):
        ask("PUT", f"{PLACE}/{folder}/{name}", b"x", BYTES)
    same(ask("DELETE", f"{PLACE}/{folder}/f").status, 200)
    bad(ask("GET", f"{PLACE}/{folder}/f/g/c"), 404, MISSING)
    same([each["path"] for each in good(get(PLACE, path=folder))["files"]], ["a"])


@check()
def what_is_not_there_is_not_found() -> None:
    folder, _ = a_folder()
    bad(ask("GET", f"{PLACE}/{folder}/none"), 404, MISSING)
    bad(ask("GET", f"{PLACE}/{folder}/none/deeper"), 404, MISSING)


@check()
def ways_out_are_closed() -> None:
    ways = (
        "../x",
        "%2e%2e/x",
        "%252e%252e/x",
        "%25252e%25252e/x",
        "..%2fx",
        "a/../../b",
        "C:%5cx",
        "a%23b",
        "%2fetc%2fpasswd",
    )
    for way in ways:
        bad(ask("PUT", f"{PLACE}/{way}", b"x", BYTES), 400, INVALID, "Invalid path")
        bad(ask("GET", f"{PLACE}/{way}"), 400, INVALID, "Invalid path")
        bad(ask("GET", f"{PLACE}?path={way}"), 400, INVALID, "Invalid path")
    _, run = a_folder()
    for way in ("../x", "a/../../b", "/etc", "%2e%2e/x"):
        bad(get("artifacts/list", run_id=run, path=way), 400, INVALID, "Invalid path")


@check()
def files_of_a_run_are_got_by_the_address_of_the_page() -> None:
    folder, run = a_folder()
    ask("PUT", f"{PLACE}/{folder}/f/a.txt", b"hello", BYTES)
    found = ask("GET", f"/get-artifact?run_id={run}&path=f/a.txt")
    same((found.status, found.body), (200, b"hello"))
    same(ask("GET", f"/get-artifact?run_id={run}&path=../x").status, 400)
    same(ask("GET", f"/get-artifact?run_id={'0' * 32}&path=a").status, 404)


@check()
def uploads_in_parts_are_had_or_declined() -> None:
    folder, _ = a_folder()
    answer = ask(
        "POST",
        f"/api/2.0/mlflow-artifacts/mpu/create/{folder}",
        b'{"path": "a", "num_parts": 1}',
        JSON,
    )
    assert answer.status in {200, 501}, answer
    assert answer.status == 200 or answer.code == "NOT_IMPLEMENTED", answer


if __name__ == "__main__":
    judge()
