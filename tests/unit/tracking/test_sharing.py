import io
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import pytest

from trivet.core.errors import Corrupt
from trivet.tracking.sharing import SharedFiles

CONTENT = random.Random(1).randbytes(100_000)


class Blobs:
    """Counts what is opened, and keeps it to look at."""

    def __init__(self) -> None:
        self.opened: list[BinaryIO] = []
        self.damaged = False
        self.lock = threading.Lock()

    def open(self, digest: str) -> BinaryIO:
        with self.lock:
            if self.damaged:
                raise Corrupt("flipped")
            self.opened.append(io.BytesIO(CONTENT + digest.encode()))
            return self.opened[-1]


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()


def test_many_readers_at_once_get_their_own_ranges_of_a_file_that_is_opened_once(
    blobs: Blobs,
) -> None:
    files = SharedFiles(blobs.open)

    def read(first: int) -> bool:
        with files.open("a") as file:
            file.seek(first)
            found = b"".join(file.read(100) for _ in range(10))
            file.seek(-1000, io.SEEK_CUR)
            return found == file.read(1000) == CONTENT[first : first + 1000]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(0, 90_000, 500)))
    assert len(blobs.opened) == 1


def test_a_file_is_read_to_its_end_like_any_other(blobs: Blobs) -> None:
    with SharedFiles(blobs.open).open("a") as file:
        assert file.seek(0, io.SEEK_END) == len(CONTENT) + 1
        assert file.read(1) == b""
        file.seek(len(CONTENT))
        assert file.read() == b"a"


def test_few_files_stay_open_and_those_in_use_always_do(blobs: Blobs) -> None:
    files = SharedFiles(blobs.open)
    used = files.open("used")
    for number in range(50):
        files.open(f"{number}").close()
    assert sum(not file.closed for file in blobs.opened) <= 8
    assert used.read(5) == CONTENT[:5]
    used.close()
    used.close()


def test_a_file_that_was_idle_for_long_is_closed_and_checked_anew(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trivet.tracking.sharing._KEPT_S", -1.0)
    files = SharedFiles(blobs.open)
    for _ in range(3):
        files.open("a").close()
    assert [file.closed for file in blobs.opened] == [True] * 3


def test_a_file_that_cannot_be_opened_is_tried_again_by_the_next(blobs: Blobs) -> None:
    files = SharedFiles(blobs.open)
    blobs.damaged = True
    for _ in range(2):
        with pytest.raises(Corrupt):
            files.open("a")
    blobs.damaged = False
    with files.open("a") as file:
        assert file.read(5) == CONTENT[:5]
