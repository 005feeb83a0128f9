"""The artifact routes as clients meet them: a real server, real sockets, real stores."""

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import apsw
import pytest

SERVER = Path(__file__).with_name("artifact_server.py")
PROXY = "/api/2.0/mlflow-artifacts"
ROOT = f"{PROXY}/artifacts"
RUN = "0/ab12/artifacts"
BLOCK = random.Random(1).randbytes(1 << 20)
MANY = 300
PATIENCE_S = 20.0

needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return self.data["error_code"]


@dataclass(frozen=True)
class Server:
    port: int
    pid: int
    folder: Path

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "trv_developer",  # noqa: S107  # made up
        **headers: str,
    ) -> Answer:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            given.setdefault("Authorization", f"Bearer {token}")
        connection = self.connect()
        try:
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers.items()), answer.read())
        finally:
            connection.close()

    def put(self, path: str, body: Any = b"", **options: Any) -> Answer:
        return self.ask("PUT", f"{ROOT}/{RUN}/{quote(path)}", body, **options)

    def get(self, path: str, **options: Any) -> Answer:
        return self.ask("GET", f"{ROOT}/{RUN}/{quote(path)}", **options)

    def names(self, folder: str = "") -> list[str]:
        path = quote(f"{RUN}/{folder}")
        return [file["path"] for file in self.ask("GET", f"{ROOT}?path={path}").data["files"]]

    def half_a_put(self, path: str, size: int = 1 << 26) -> socket.socket:
        """Begin to put a large file, and send a tenth of it."""
        connection = self.begin_a_put(path, size)
        connection.sendall(bytes(size // 10))
        return connection

    def begin_a_put(self, path: str, size: int) -> socket.socket:
        """Send the head of a PUT alone."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        head = (
            f"PUT {ROOT}/{RUN}/{path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"
            f"authorization: Bearer trv_developer\r\ncontent-length: {size}\r\n\r\n"
        )
        connection.sendall(head.encode())
        return connection

    def staged(self) -> list[Path]:
        return list((self.folder / "blobs" / "tmp").iterdir())

    def open_blobs(self) -> int:
        """Count the blobs that the server has open."""
        found = 0
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found += str(self.folder / "blobs") in str(link.readlink())
        return found

    def most_memory_bytes(self) -> int:
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.split("VmHWM:")[1].split()[0]) << 10


@contextlib.contextmanager
def serving(folder: Path, patience_s: float) -> Iterator[Server]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    arguments = [sys.executable, str(SERVER), str(folder), str(patience_s)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield Server(int(process.stdout.readline()), process.pid, folder)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) in {0, -signal.SIGTERM}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server"), 30.0) as found:
        yield found


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits two seconds for its clients, for which hardly any is held up."""
    with serving(tmp_path_factory.mktemp("strict"), 2.0) as found:
        yield found


def eventually(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


# ------------------------------------------------------------------ files come and go


@pytest.mark.parametrize(
    "path", ["simple.txt", "a/b/c.bin", "räume/日本語 ☃.txt", "with space?&=+;.txt", "50%_done"]
)
def test_a_file_comes_back_under_its_own_name(server: Server, path: str) -> None:
    content = path.encode() * 100
    answer = server.put(path, content, Content_Type="text/plain")
    assert (answer.status, answer.data) == (200, {})
    found = server.get(path)
    assert (found.status, found.body) == (200, content)
    assert found.headers["content-type"] == "text/plain"
    assert found.headers["x-content-type-options"] == "nosniff"
    name = path.rpartition("/")[2]
    said = found.headers["content-disposition"]
    plain, quoted = f"attachment; filename={name}", f"filename*=UTF-8''{quote(name, safe='')}"
    assert said == plain or (said.startswith('attachment; filename="') and said.endswith(quoted))
    assert name in server.names(path.rpartition("/")[0])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("image/png", "image/png"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("application/octet-stream", "text/csv"),
        ("application/x-www-form-urlencoded", "text/csv"),
        ("text/html, evil", "text/csv"),
        ("", "text/csv"),
    ],
)
def test_a_file_s_type_is_the_client_s_word_or_follows_from_its_name(
    server: Server, given: str, kept: str
) -> None:
    server.put("typed.csv", b"a,b", Content_Type=given)
    assert server.get("typed.csv").headers["content-type"] == kept


def test_folders_are_listed_by_base_names(server: Server) -> None:
    for path in ("list/a.txt", "list/sub/b.txt"):
        server.put(path, b"12345")
    files = server.ask("GET", f"{ROOT}?path={RUN}/list").data["files"]
    assert files == [
        {"path": "a.txt", "is_dir": False, "file_size": 5},
        {"path": "sub", "is_dir": True},
    ]
    for path in ("missing", "list/a.txt", "list/a.txt/x"):
        assert server.names(path) == []
    assert server.ask("GET", ROOT).data == {"files": []}


def test_a_file_a_folder_and_everything_can_be_deleted(server: Server) -> None:
    root = f"{ROOT}/0/gone/artifacts"
    for path in ("a", "b/1", "b/2", "c"):
        assert server.ask("PUT", f"{root}/{path}", b"x").status == 200
    for path in ("a", "b"):
        assert server.ask("DELETE", f"{root}/{path}", b'{"x": 1}').data == {}
    assert server.ask("GET", f"{root}/b/1").status == 404
    missing = server.ask("DELETE", f"{root}/b")
    assert (missing.status, missing.code) == (404, "RESOURCE_DOES_NOT_EXIST")
    for _ in range(2):
        assert server.ask("DELETE", f"{root}/").status == 200
    assert server.ask("GET", f"{ROOT}?path=0/gone/artifacts").data == {"files": []}


def test_a_file_where_a_folder_is_is_refused_with_the_reason(server: Server) -> None:
    server.put("taken/inner", b"x")
    for path in ("taken", "taken/inner/more"):
        answer = server.put(path, b"y")
        assert (answer.status, answer.code) == (400, "INVALID_PARAMETER_VALUE")
        assert "is a f" in answer.data["message"]


def test_the_same_routes_answer_below_a_project(server: Server) -> None:
    path = f"/left{ROOT}/{RUN}/project.txt"
    assert server.ask("PUT", path, b"x").status == 200
    assert server.ask("GET", path).body == b"x"


# ------------------------------------------------------------------ parts of files


@pytest.fixture(scope="module")
def ranged(server: Server) -> str:
    server.put("ranged.bin", BLOCK)
    return server.get("ranged.bin").headers["etag"]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-9", 0, 9), ("bytes=1000-", 1000, len(BLOCK) - 1),
     ("bytes=-5", len(BLOCK) - 5, len(BLOCK) - 1), ("bytes=5-99999999", 5, len(BLOCK) - 1)],
)  # fmt: skip
def test_a_range_is_answered_with_206(
    server: Server, ranged: str, asked: str, first: int, last: int
) -> None:
    for given in ({}, {"If_Range": ranged}):
        answer = server.get("ranged.bin", Range=asked, **given)
        assert (answer.status, answer.body) == (206, BLOCK[first : last + 1])
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(BLOCK)}"


def test_a_range_of_what_has_changed_is_answered_with_all_of_it(
    server: Server, ranged: str
) -> None:
    answer = server.get("ranged.bin", Range="bytes=0-9", If_Range='"older"')
    assert (answer.status, answer.body) == (200, BLOCK)
    assert answer.headers["accept-ranges"] == "bytes"


def test_a_range_behind_the_end_is_answered_with_the_size(server: Server, ranged: str) -> None:
    answer = server.get("ranged.bin", Range=f"bytes={len(BLOCK)}-")
    assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{len(BLOCK)}")


def test_a_head_and_an_unchanged_file_send_no_bytes(server: Server, ranged: str) -> None:
    head = server.ask("HEAD", f"{ROOT}/{RUN}/ranged.bin")
    assert (head.status, head.headers["content-length"], head.body) == (200, str(len(BLOCK)), b"")
    unchanged = server.get("ranged.bin", If_None_Match=ranged)
    assert (unchanged.status, unchanged.body) == (304, b"")


def test_a_large_file_can_be_fetched_in_many_ranges_at_once(server: Server) -> None:
    content = BLOCK * 12
    server.put("split.bin", content)

    def fetch(first: int) -> bytes:
        return server.get("split.bin", Range=f"bytes={first}-{first + (1 << 20) - 1}").body

    with ThreadPoolExecutor(4) as pool:
        assert b"".join(pool.map(fetch, range(0, len(content), 1 << 20))) == content


# ------------------------------------------------------------------ who may do what


def test_permissions_are_asked_before_anything_is_done(server: Server) -> None:
    server.put("owned", b"mine")
    assert server.get("owned", token="trv_viewer").status == 200
    for method in ("PUT", "DELETE"):
        answer = server.ask(method, f"{ROOT}/{RUN}/owned", b"x", token="trv_viewer")
        assert (answer.status, answer.code) == (403, "PERMISSION_DENIED")
    for token in (None, "trv_wrong"):
        answer = server.get("owned", token=token)
        assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
    assert server.get("owned").body == b"mine"


def test_a_basic_password_is_as_good_as_a_bearer_token(server: Server) -> None:
    server.put("basic", b"x")
    for password, status in (("trv_viewer", 200), ("trv_wrong", 401)):
        credentials = b64encode(f"anybody:{password}".encode()).decode()
        answer = server.get("basic", token=None, Authorization=f"Basic {credentials}")
        assert answer.status == status


def test_what_belongs_to_nobody_is_not_stored(server: Server) -> None:
    for body in (b"x", BLOCK * 3):
        answer = server.ask("PUT", f"{ROOT}/0/unknown/artifacts/a", body)
        assert (answer.status, answer.code) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert "Run with id=unknown not found" in answer.data["message"]
    assert server.staged() == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", f"{PROXY}/nothing", 404, "ENDPOINT_NOT_FOUND"),
        ("POST", f"{ROOT}/a", 404, "ENDPOINT_NOT_FOUND"),
        ("GET", f"{PROXY}/presigned/{RUN}/a", 501, "NOT_IMPLEMENTED"),
        ("GET", f"{ROOT}/{RUN}/missing", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("PUT", f"{ROOT}/{RUN}/", 400, "INVALID_PARAMETER_VALUE"),
    ],
)
def test_what_cannot_be_done_is_said_as_clients_expect(
    server: Server, method: str, path: str, status: int, code: str
) -> None:
    answer = server.ask(method, path)
    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize(
    "path",
    [
        "../../../../etc/passwd", "..", "a/../../b", "%2e%2e/x", "%2e%2e%2fx", "%252e%252e%252fx",
        "%25252e%25252e%25252fx", "..%2f..%2fx", "..%5c..%5cx", "%5c%5chost%5cshare", "C:/x",
        "C%3a/x", "%2fetc%2fpasswd", "/etc/passwd", "a//b", "a/./b", "%00", "a%00b", "a%0d%0ab",
        "a%23b", "%c0%ae%c0%ae/x", "%ff%fe", "a%2f..%2f..%2fb", "%ed%a0%80", "x" * 256,
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_no_path_leads_out_of_an_owner_s_files(server: Server, method: str, path: str) -> None:
    before = server.names()
    # A double slash in front would be a host to a client that tidies addresses.
    answer = server.ask(method, f"{ROOT}/{RUN}/{path}", b"x" if method == "PUT" else None)
    assert (answer.status, answer.code) == (400, "INVALID_PARAMETER_VALUE")
    listed = server.ask("GET", f"{ROOT}?path={RUN}/{path}")
    assert listed.status in {200, 400}
    if path != "a/./b":  # where folders are listed, "." is the folder itself
        assert listed.data.get("files", []) == []
    assert server.names() == before


# ------------------------------------------------------------------ large files, many files


@needs_proc
def test_a_large_file_goes_up_and_down_and_little_of_it_is_ever_in_memory(server: Server) -> None:
    def blocks() -> Iterator[bytes]:
        for number in range(MANY):
            yield number.to_bytes(4, "big") + BLOCK[4:]

    server.put("warm", b"x")
    before = server.most_memory_bytes()
    assert server.put("large.bin", blocks()).status == 200
    connection = server.connect()
    connection.request(
        "GET", f"{ROOT}/{RUN}/large.bin", headers={"Authorization": "Bearer trv_viewer"}
    )
    answer = connection.getresponse()
    assert answer.headers["content-length"] == str(MANY << 20)
    for block in blocks():
        assert answer.read(1 << 20) == block
    assert answer.read() == b""
    connection.close()
    assert server.most_memory_bytes() - before < 64 << 20
    assert server.staged() == []
    end = server.get("large.bin", Range="bytes=-10")
    assert (end.status, end.body) == (206, BLOCK[-10:])


def test_more_than_the_limit_is_refused_before_it_is_sent(server: Server) -> None:
    with server.begin_a_put("huge", 2 << 40) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_many_small_files_share_the_disk_s_confirmations(tmp_path: Path) -> None:
    count = 200
    with serving(tmp_path, 30.0) as server, ThreadPoolExecutor(16) as pool:
        paths = [f"folder{number % 3}/{number}" for number in range(count)]
        answers = list(pool.map(lambda path: server.put(path, path.encode()).status, paths))
        assert answers == [200] * count
        assert sum(len(server.names(f"folder{i}")) for i in range(3)) == count
        assert all(server.get(path).body == path.encode() for path in paths[::10])
    ledger = next(path for path in (tmp_path / "ledger").iterdir() if path.suffix == ".db")
    with contextlib.closing(apsw.Connection(str(ledger))) as connection:
        commits = connection.execute("SELECT commits FROM counter").get
    assert commits < count


# ------------------------------------------------------------------ clients that go away or dawdle


def test_a_connection_that_is_cut_leaves_nothing(server: Server) -> None:
    connection = server.half_a_put("cut.bin")
    eventually(lambda: len(server.staged()) == 1)
    connection.close()
    eventually(lambda: server.staged() == [])
    assert "cut.bin" not in server.names()


def test_a_client_that_falls_silent_is_told_and_leaves_nothing(strict: Server) -> None:
    with strict.half_a_put("silent.bin") as connection:
        answer = connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in answer.lower()
    assert strict.staged() == []
    assert "silent.bin" not in strict.names()


def test_clients_that_dawdle_hold_up_nobody(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(50):
            stack.enter_context(server.half_a_put(f"slow{number}", 1 << 24))
        assert server.put("quick.txt", b"x").status == 200
        assert server.get("quick.txt").body == b"x"
    eventually(lambda: server.staged() == [])


@needs_proc
def test_a_download_that_nobody_takes_is_given_up(strict: Server) -> None:
    assert strict.put("untaken.bin", BLOCK * 32).status == 200
    connection = strict.connect()
    connection.request(
        "GET", f"{ROOT}/{RUN}/untaken.bin", headers={"Authorization": "Bearer trv_viewer"}
    )
    answer = connection.getresponse()
    eventually(lambda: strict.open_blobs() == 0)
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()


@needs_proc
def test_a_download_whose_client_went_away_is_given_up(server: Server) -> None:
    server.put("left.bin", BLOCK * 32)
    before = server.open_blobs()  # what was fetched in ranges stays open for a while
    connection = server.connect()
    connection.request(
        "GET", f"{ROOT}/{RUN}/left.bin", headers={"Authorization": "Bearer trv_viewer"}
    )
    connection.getresponse().read(10)
    connection.close()
    eventually(lambda: server.open_blobs() <= before)


# ------------------------------------------------------------------ uploads in parts


def create(server: Server, folder: str, name: str, parts: int, prefix: str = "") -> Any:
    answer = server.ask(
        "POST",
        f"{prefix}{PROXY}/mpu/create/{folder}",
        json.dumps({"path": name, "num_parts": parts}),
        Content_Type="application/json",
    )
    assert answer.status == 200, answer.body
    return answer.data


def send_part(server: Server, credential: Any, content: bytes) -> Answer:
    url = urlsplit(credential["url"])
    assert url.netloc == f"127.0.0.1:{server.port}"
    return server.ask(
        "PUT", f"{url.path}?{url.query}", content, token=None, **credential["headers"]
    )


@pytest.mark.parametrize(
    ("prefix", "local"), [("", "/home/ada/weights.bin"), ("/left", "C:\\ada\\weights.bin")]
)
def test_a_file_comes_in_parts_without_a_token_for_each(
    server: Server, prefix: str, local: str
) -> None:
    folder = f"{RUN}/parts{len(prefix)}"
    contents = [BLOCK + b"1", BLOCK * 2, b"end"]
    created = create(server, folder, local, 3, prefix)
    with ThreadPoolExecutor(3) as pool:
        answers = list(
            pool.map(lambda pair: send_part(server, *pair),
                     zip(created["credentials"], contents, strict=True))
        )  # fmt: skip
    assert [answer.status for answer in answers] == [200] * 3
    parts = [
        {"part_number": number, "etag": answer.headers["etag"], "url": "ignored"}
        for number, answer in enumerate(answers, 1)
    ]
    asked = {"path": local, "upload_id": created["upload_id"], "parts": parts}
    for _ in range(2):
        answer = server.ask("POST", f"{prefix}{PROXY}/mpu/complete/{folder}", json.dumps(asked))
        assert (answer.status, answer.data) == (200, {})
    found = server.ask("GET", f"{ROOT}/{folder}/weights.bin")
    assert found.body == b"".join(contents)
    assert send_part(server, created["credentials"][0], b"late").status == 409


def test_a_part_s_address_opens_nothing_else(server: Server) -> None:
    created = create(server, RUN, "keyed.bin", 2)
    url = urlsplit(created["credentials"][0]["url"])
    for path in (url.path, f"{url.path}?key=wrong", f"{url.path[:-1]}9?{url.query}"):
        assert server.ask("PUT", path, b"x", token=None).status in {400, 401}
    aborting = json.dumps({"path": "keyed.bin", "upload_id": created["upload_id"]})
    refused = server.ask("POST", f"{PROXY}/mpu/abort/{RUN}", aborting, token=None)
    assert refused.status == 401
    assert server.ask("POST", f"{PROXY}/mpu/abort/{RUN}", aborting).data == {}
    assert send_part(server, created["credentials"][0], b"x").status == 409
    assert server.staged() == []


@pytest.mark.parametrize(
    "body", ["", "{", "[]", '{"num_parts": 1}', '{"path": "a", "num_parts": 0}',
             '{"path": "..", "num_parts": 1}', '{"path": "", "num_parts": 1}',
             '{"path": "a/%2e%2e", "num_parts": 1}', '{"path": 1}',
             f'{{"other": {"[" * 50_000}{"]" * 50_000}}}'],
)  # fmt: skip
def test_an_upload_that_makes_no_sense_is_refused(server: Server, body: str) -> None:
    answer = server.ask("POST", f"{PROXY}/mpu/create/{RUN}", body)
    assert (answer.status, answer.code) == (400, "INVALID_PARAMETER_VALUE")
