"""A tracking server that trusts its owner's programs: a real server, and another user's process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel is asked by netlink")

SEARCH = "/api/2.0/mlflow/experiments/search?max_results=5"


@pytest.fixture(params=[True, False], ids=["trusting", "plain"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, int, bool]]:
    words = [sys.executable, "-m", "trivet", "tracking", "serve", "--port", "0", "--json"]
    if request.param:
        words.append("--trust-own-user")
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        url = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")["url"]
        host, _, port = url.removeprefix("http://").partition(":")
        yield host, int(port), request.param
        process.terminate()


def status(server: tuple[str, int, bool], headers: dict[str, str]) -> int:
    connection = HTTPConnection(server[0], server[1], timeout=20)
    try:
        connection.request("GET", SEARCH, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_programs_of_the_owner_need_no_token_and_all_others_do(
    server: tuple[str, int, bool], tmp_path: Path
) -> None:
    host, port, trusts = server
    assert (tmp_path / "trivet.toml").is_file()  # it began in a folder that was no project
    assert status(server, {}) == (200 if trusts else 401)
    for name, value in (
        ("Origin", f"http://{host}:{port}"),
        ("Sec-Fetch-Site", "none"),
        ("Cookie", "a=b"),
        ("Referer", f"http://{host}:{port}/"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("Forwarded", "for=10.0.0.1"),
        ("Via", "1.1 proxy"),
        ("Authorization", "Bearer wrong"),
    ):
        assert status(server, {name: value}) in {401, 403}, name
    assert status(server, {"Host": "evil.example"}) in {401, 403}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_another_user_of_the_machine_needs_one(server: tuple[str, int, bool]) -> None:
    host, port, _ = server
    ask = (
        f"exec 3<>/dev/tcp/{host}/{port}; "
        f"printf 'GET {SEARCH} HTTP/1.1\\r\\nHost: {host}:{port}\\r\\n\\r\\n' >&3; "
        'read -r line <&3; echo "$line"'
    )
    answer = subprocess.run(
        ["/bin/bash", "-c", ask], user=65534, cwd="/", capture_output=True, text=True, check=True
    )
    assert " 401 " in answer.stdout
