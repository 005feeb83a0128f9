import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from trivet.adapters.files.listing import FileListing
from trivet.adapters.objectstore.listing import ObjectListing
from trivet.core.errors import Invalid, Unavailable
from trivet.core.ports import Listing
from trivet.testing.contracts.listing import ListingContract

MOTO = shutil.which(os.environ.get("TRIVET_MOTO_SERVER", "moto_server"))
PATIENCE_S = 60.0
BUCKETS = count()
TICKS = count(1)


class TestFileListing(ListingContract):
    malformed = ("/etc", "../", "incoming/../..", "/")

    @pytest.fixture
    def listing(self, tmp_path: Path) -> Listing:
        self.root = tmp_path / "project"
        (self.root / "incoming").mkdir(parents=True)
        return FileListing(self.root)

    @pytest.fixture
    def place(self, listing: Listing) -> str:
        return "incoming"

    @pytest.fixture
    def missing(self, listing: Listing) -> str:
        return "elsewhere"

    def put(self, place: str, name: str, content: bytes) -> None:
        path = self.root / place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        # A clock that is coarser than two writes in a row must not hide the second.
        moment = time.time_ns() + next(TICKS) * 1_000_000
        os.utime(path, ns=(moment, moment))

    def remove(self, place: str, name: str) -> None:
        (self.root / place / name).unlink()

    def test_a_link_leads_nowhere(self, listing: Listing, place: str, tmp_path: Path) -> None:
        (tmp_path / "secret").mkdir()
        (tmp_path / "secret" / "a.csv").write_bytes(b"1")
        (self.root / "incoming" / "link").symlink_to(tmp_path / "secret")
        (self.root / "incoming" / "file.csv").symlink_to(tmp_path / "secret" / "a.csv")
        assert list(listing.list("incoming")) == []
        with pytest.raises(Invalid, match="outside the project"):
            list(listing.list("incoming/link"))

    def test_a_folder_that_the_settings_allow_is_listed(
        self, listing: Listing, tmp_path: Path
    ) -> None:
        feed = tmp_path / "feed"
        feed.mkdir()
        (feed / "a.csv").write_bytes(b"1")
        with pytest.raises(Invalid, match="outside the project"):
            list(listing.list(str(feed)))
        allowed = FileListing(self.root, [feed])
        assert [item.name for item in allowed.list(str(feed))] == ["a.csv"]

    def test_a_place_may_be_one_file(self, listing: Listing, place: str) -> None:
        self.fill(place)
        assert [item.name for item in listing.list("incoming/a.csv")] == ["a.csv"]

    def test_a_name_of_any_bytes_is_text(self, listing: Listing, place: str) -> None:
        (self.root / os.fsdecode(b"incoming/\xff.csv")).write_bytes(b"1")
        assert [item.name for item in listing.list(place)] == ["\\xff.csv"]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A server that speaks S3 on this machine; its address."""
    if MOTO is None:
        pytest.skip("moto_server is not installed: dependency group `objects`")
    url = f"http://127.0.0.1:{free_port()}"
    command = [MOTO, "-H", "127.0.0.1", "-p", url.rpartition(":")[2]]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, stdout=quiet, stderr=quiet)
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            break
        except OSError:
            assert time.monotonic() < end, "the S3 server never answered"
            time.sleep(0.1)
    yield url
    server.send_signal(signal.SIGTERM)
    server.wait(PATIENCE_S)


class TestObjectListing(ListingContract):
    malformed = (
        "incoming",
        "s3://",
        "file:///etc",
        "http://169.254.169.254/",
        "s3://key:secret@bucket/a",
        "s3://bucket/a?x=1",
        "memory:///",
    )

    @pytest.fixture
    def listing(self, s3: str, monkeypatch: pytest.MonkeyPatch) -> Listing:
        self.url = s3
        given = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": s3,
            "AWS_ALLOW_HTTP": "true",
        }
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        return ObjectListing()

    @pytest.fixture
    def place(self, listing: Listing) -> str:
        bucket = f"bucket-{next(BUCKETS)}"
        self.ask("PUT", bucket)
        return f"s3://{bucket}/in"

    @pytest.fixture
    def missing(self, listing: Listing) -> str:
        return "s3://nobody-made-this/in"

    def ask(self, method: str, path: str, content: bytes | None = None) -> None:
        url = f"{self.url}/{urllib.parse.quote(path)}"
        words = {"content-type": "application/octet-stream", "authorization": "AWS test:test"}
        request = urllib.request.Request(url, data=content, method=method, headers=words)  # noqa: S310  # ours
        urllib.request.urlopen(request, timeout=PATIENCE_S).close()  # noqa: S310  # the same

    def put(self, place: str, name: str, content: bytes) -> None:
        self.ask("PUT", f"{place.removeprefix('s3://')}/{name}", content)

    def remove(self, place: str, name: str) -> None:
        self.ask("DELETE", f"{place.removeprefix('s3://')}/{name}")


def test_a_store_that_does_not_answer_is_said_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    with pytest.raises(Unavailable, match="did not answer") as caught:
        list(ObjectListing().list("s3://bucket"))
    assert "hush-hush" not in str(caught.value.detail)
