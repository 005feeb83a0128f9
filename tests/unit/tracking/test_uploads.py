import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from trivet.core.errors import Conflict, Forbidden, Invalid, NotFound
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.tracking.artifacts import Artifacts, Total
from trivet.tracking.uploads import KEPT, MAX_PARTS, PARTS, UPLOADS, Upload, Uploads

RUN = "run:1"
PATH = "model/weights.bin"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def artifacts(stores: Stores, scope: Scope) -> Artifacts:
    return Artifacts(stores, scope)


@pytest.fixture
def uploads(stores: Stores, scope: Scope, artifacts: Artifacts, clock: Clock) -> Uploads:
    return Uploads(stores, artifacts, scope.project, clock)


def send(uploads: Uploads, upload: Upload, number: int, content: bytes) -> str:
    with uploads.begin_part(upload.id, number, upload.key) as writer:
        writer.write(content)
        return writer.finish()


def blob_count(stores: Stores) -> int:
    return len(list(stores.blobs.list()))


def test_parts_in_any_order_become_one_file_and_are_let_go(
    uploads: Uploads, artifacts: Artifacts, stores: Stores
) -> None:
    contents = {number: random.Random(number).randbytes(1000 * number) for number in range(1, 9)}
    upload = uploads.create(RUN, PATH, 8)
    with ThreadPoolExecutor(4) as pool:
        order = sorted(contents, reverse=True)
        tags = dict(zip(order, pool.map(lambda n: send(uploads, upload, n, contents[n]), order),
                        strict=True))  # fmt: skip
    assert artifacts.total(RUN) == Total(0, 0)
    stored = uploads.complete(RUN, PATH, upload.id, tags)
    with artifacts.open(RUN, PATH)[1] as file:
        assert file.read() == b"".join(contents[number] for number in range(1, 9))
    assert blob_count(stores) == 1
    assert stores.views.find(PARTS.name) == ()
    assert stored == artifacts.get(RUN, PATH)


def test_completing_again_changes_nothing(
    uploads: Uploads, artifacts: Artifacts, stores: Stores
) -> None:
    upload = uploads.create(RUN, PATH, 1)
    tags = {1: send(uploads, upload, 1, b"x")}
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: uploads.complete(RUN, PATH, upload.id, tags), range(4)))
    assert done == [artifacts.get(RUN, PATH)] * 4
    assert len(stores.ledger.since(0)) == 1
    uploads.abort(RUN, PATH, upload.id)
    assert artifacts.get(RUN, PATH)
    with pytest.raises(Conflict):
        send(uploads, upload, 1, b"late")


def test_a_part_that_is_sent_again_replaces_the_first(
    uploads: Uploads, artifacts: Artifacts, stores: Stores
) -> None:
    upload = uploads.create(RUN, PATH, 1)
    first, second = send(uploads, upload, 1, b"torn"), send(uploads, upload, 1, b"whole")
    assert blob_count(stores) == 1
    with pytest.raises(Invalid):
        uploads.complete(RUN, PATH, upload.id, {1: first})
    uploads.complete(RUN, PATH, upload.id, {1: f'"{second}"'})
    with artifacts.open(RUN, PATH)[1] as file:
        assert file.read() == b"whole"


def test_equal_bytes_elsewhere_are_not_taken_away_with_a_part(
    uploads: Uploads, artifacts: Artifacts
) -> None:
    artifacts.put("run:2", "same", b"the same bytes")
    upload = uploads.create(RUN, PATH, 2)
    for number in (1, 2):
        send(uploads, upload, number, b"the same bytes")
    uploads.abort(RUN, PATH, upload.id)
    with artifacts.open("run:2", "same")[1] as file:
        assert file.read() == b"the same bytes"


def test_an_upload_that_is_given_up_leaves_no_bytes(uploads: Uploads, stores: Stores) -> None:
    upload = uploads.create(RUN, PATH, 2)
    send(uploads, upload, 1, b"x")
    half = uploads.begin_part(upload.id, 2, upload.key)
    half.write(b"half of")
    half.discard()
    uploads.abort(RUN, PATH, upload.id)
    uploads.abort(RUN, PATH, upload.id)
    assert blob_count(stores) == 0
    with pytest.raises(Conflict):
        uploads.complete(RUN, PATH, upload.id, {})


@pytest.mark.parametrize("numbers", [[], [1], [2], [1, 2, 3], [0, 1], [1, 3]])
def test_an_upload_is_completed_with_all_its_parts_or_not_at_all(
    uploads: Uploads, artifacts: Artifacts, numbers: list[int]
) -> None:
    upload = uploads.create(RUN, PATH, 2)
    tag = {number: send(uploads, upload, number, b"x") for number in (1, 2)}[1]
    with pytest.raises(Invalid):
        uploads.complete(RUN, PATH, upload.id, dict.fromkeys(numbers, tag))
    assert artifacts.total(RUN) == Total(0, 0)


def test_only_the_key_lets_send_a_part(uploads: Uploads) -> None:
    upload, other = uploads.create(RUN, PATH, 2), uploads.create(RUN, PATH, 2)
    for identifier, key in ((upload.id, other.key), (upload.id, ""), ("0" * 32, upload.key)):
        with pytest.raises(Forbidden):
            uploads.begin_part(identifier, 1, key)
    for number in (0, 3):
        with pytest.raises(Invalid):
            uploads.begin_part(upload.id, number, upload.key)


def test_an_upload_belongs_to_its_path_owner_and_project(
    uploads: Uploads, stores: Stores, artifacts: Artifacts, clock: Clock
) -> None:
    upload = uploads.create(RUN, PATH, 1)
    tags = {1: send(uploads, upload, 1, b"x")}
    elsewhere = Uploads(stores, artifacts, "other", clock)
    for service, owner, path in (
        (uploads, "run:2", PATH),
        (uploads, RUN, "other"),
        (elsewhere, RUN, PATH),
    ):
        with pytest.raises(NotFound):
            service.complete(owner, path, upload.id, tags)
        with pytest.raises(NotFound):
            service.abort(owner, path, upload.id)


@pytest.mark.parametrize(
    ("path", "parts"), [("../x", 1), ("a/b", 1), (PATH, 0), (PATH, MAX_PARTS + 1)]
)
def test_what_could_never_be_completed_is_not_begun(
    uploads: Uploads, artifacts: Artifacts, path: str, parts: int
) -> None:
    artifacts.put(RUN, "a", b"a file")
    with pytest.raises(Invalid):
        uploads.create(RUN, path, parts)


def test_uploads_that_nobody_completes_are_swept_away_after_a_week(
    uploads: Uploads, stores: Stores, clock: Clock
) -> None:
    old = uploads.create(RUN, "old", 1)
    send(uploads, old, 1, b"x")
    done = uploads.create(RUN, "done", 1)
    uploads.complete(RUN, "done", done.id, {1: send(uploads, done, 1, b"y")})
    clock.time += timedelta(days=1)
    young = uploads.create(RUN, "young", 1)
    send(uploads, young, 1, b"z")
    clock.time += KEPT - timedelta(hours=1)
    uploads.create(RUN, "new", 1)
    rows = stores.views.find(UPLOADS.name)
    assert sorted(row["path"] for row in rows) == ["new", "young"]
    assert blob_count(stores) == 2


def test_the_file_is_recorded_in_the_name_of_whoever_completes_it(
    uploads: Uploads, stores: Stores
) -> None:
    upload = uploads.create(RUN, PATH, 1)
    tags = {1: send(uploads, upload, 1, b"x")}
    stored = uploads.acting_for("grace").complete(RUN, PATH, upload.id, tags)
    entry = stores.ledger.get(stored.fact)
    assert entry is not None
    assert entry.actor == "grace"
