"""What every `Blobs` does. Subclass `BlobsContract` and say how a folder's store is opened."""

import io
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import blake3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid, NotFound
from trivet.core.ports import Blobs
from trivet.testing.contracts.flips import check_flips
from trivet.testing.processes import PROCESSES, run_together

OpenBlobs = Callable[[Path], Blobs]
"""Opens the store of a folder; importable by name, so that other processes can open it, too."""

LARGE_BYTES = 9 << 20
BAD_DIGESTS = (
    "",
    "b3:",
    "b3:../../../../etc/passwd",
    "b3:" + "A" * 64,
    "b3:" + "a" * 63,
    "sha256:" + "a" * 64,
    "a" * 64,
    "b3:" + "a" * 64 + "\n",
)


class _Broken(io.RawIOBase):
    """A stream that gives one block and then fails."""

    def __init__(self) -> None:
        super().__init__()
        self._reads = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        self._reads += 1
        if self._reads > 1:
            raise ConnectionResetError("the other side is gone")
        buffer[:1000] = b"x" * 1000
        return 1000


def put_many(open_store: OpenBlobs, folder: Path, seed: int) -> list[str]:
    """Put ten blobs that all processes share and ten of one's own, in random order."""
    store = open_store(folder)
    contents = [b"shared %d" % i * 1000 for i in range(10)]
    contents += [b"own %d %d" % (seed, i) for i in range(10)]
    random.Random(seed).shuffle(contents)  # noqa: S311  # an order, not a secret
    return [store.put(content) for content in contents]


class BlobsContract:
    """The suite; `store` is a fresh store per test."""

    open_store: ClassVar[OpenBlobs]
    is_persistent: ClassVar[bool] = True
    """Whether a second opening of the folder finds what the first has written."""
    flip_rounds: ClassVar[int] = 60

    @pytest.fixture
    def store(self, tmp_path: Path) -> Blobs:
        """Open a fresh store."""
        return type(self).open_store(tmp_path / "blobs")

    def test_bytes_come_back_under_their_digest(self, store: Blobs) -> None:
        @given(content=st.binary(max_size=5000))
        def check(content: bytes) -> None:
            digest = store.put(content)
            assert digest == "b3:" + blake3.blake3(content).hexdigest()
            assert store.put(io.BytesIO(content)) == digest
            with store.open(digest) as file:
                assert file.read() == content

        check()

    def test_a_large_blob_comes_back_and_can_be_sought(self, store: Blobs) -> None:
        content = random.Random(1).randbytes(LARGE_BYTES)  # noqa: S311  # only many bytes
        digest = store.put(io.BytesIO(content))
        with store.open(digest) as file:
            assert file.read(10) == content[:10]
            file.seek(LARGE_BYTES - 5)
            assert file.read() == content[-5:]
            file.seek(0)
            assert file.read() == content

    def test_bytes_that_arrive_in_pieces_are_the_same_blob(self, store: Blobs) -> None:
        @given(pieces=st.lists(st.binary(max_size=500), max_size=8))
        def check(pieces: list[bytes]) -> None:
            writer = store.begin()
            for piece in pieces:
                writer.write(piece)
            digest = writer.finish()
            assert digest == store.put(b"".join(pieces))
            writer.discard()
            with store.open(digest) as file:
                assert file.read() == b"".join(pieces)

        check()

    def test_a_blob_that_is_begun_is_nobody_s_until_it_is_finished(
        self, store: Blobs, tmp_path: Path
    ) -> None:
        before = {place for place in tmp_path.rglob("*") if place.is_file()}
        writer = store.begin()
        writer.write(b"half of")
        assert list(store.list()) == []
        writer.discard()
        writer.discard()
        assert list(store.list()) == []
        assert {place for place in tmp_path.rglob("*") if place.is_file()} == before
        with pytest.raises(Invalid):
            writer.write(b"the rest")
        with pytest.raises(Invalid):
            writer.finish()

    def test_a_blob_is_finished_once(self, store: Blobs) -> None:
        writer = store.begin()
        writer.write(b"tea")
        digest = writer.finish()
        with pytest.raises(Invalid):
            writer.finish()
        with store.open(digest) as file:
            assert file.read() == b"tea"

    def test_bytes_that_exist_are_listed_once(self, store: Blobs) -> None:
        first = store.put(b"tea")
        assert store.put(b"tea") == first
        assert list(store.list()) == [(first, 3)]

    def test_the_list_has_every_blob_and_its_size(self, store: Blobs) -> None:
        put = {store.put(b"x" * size): size for size in (0, 1, 1000, 100_000)}
        assert dict(store.list()) == put

    def test_an_unknown_digest_is_not_found(self, store: Blobs) -> None:
        digest = "b3:" + blake3.blake3(b"never stored").hexdigest()
        assert not store.has(digest)
        with pytest.raises(NotFound):
            store.open(digest)

    @pytest.mark.parametrize("digest", BAD_DIGESTS)
    def test_what_is_no_digest_is_refused(self, store: Blobs, digest: str) -> None:
        with pytest.raises(Invalid):
            store.open(digest)
        with pytest.raises(Invalid):
            store.has(digest)
        with pytest.raises(Invalid):
            store.delete(digest)

    def test_a_deleted_blob_is_gone_and_can_be_put_again(self, store: Blobs) -> None:
        digest = store.put(b"tea")
        store.delete(digest)
        assert not store.has(digest)
        assert list(store.list()) == []
        store.delete(digest)
        assert store.put(b"tea") == digest
        assert store.has(digest)

    def test_a_blob_stays_for_as_long_as_whoever_put_it_may_need(self, store: Blobs) -> None:
        digest = store.put(b"tea")
        assert not store.delete(digest, unless_put_for_s=3600)
        assert list(store.list(unless_put_for_s=3600)) == []
        assert list(store.list(unless_put_for_s=0)) == [(digest, 3)]
        time.sleep(0.02)
        assert list(store.list(unless_put_for_s=0.01)) == [(digest, 3)]
        assert store.delete(digest, unless_put_for_s=0.01)
        assert not store.has(digest)
        assert store.delete(digest, unless_put_for_s=0.01)
        assert store.delete(digest)

    def test_a_blob_that_is_needed_again_counts_as_put(self, store: Blobs) -> None:
        digest = store.put(b"tea")
        put_at = time.monotonic()
        time.sleep(1.0)
        assert store.has(digest, renew=True)
        # Longer ago than it was needed again, however long that took.
        assert not store.delete(digest, unless_put_for_s=time.monotonic() - put_at)
        assert store.delete(digest)
        assert not store.has(digest, renew=True)

    def test_a_stream_that_fails_leaves_nothing(self, store: Blobs, tmp_path: Path) -> None:
        with pytest.raises(ConnectionError):
            store.put(io.BufferedReader(_Broken()))
        assert list(store.list()) == []
        assert [place for place in tmp_path.rglob("*") if place.is_file()] == []

    def test_an_intact_store_reports_no_damage(self, store: Blobs) -> None:
        for index in range(20):
            store.put(b"%d" % index * 100)
        assert list(store.verify()) == []

    def test_a_store_opened_again_has_its_blobs(self, tmp_path: Path) -> None:
        self._needs_persistence()
        digest = type(self).open_store(tmp_path / "blobs").put(b"tea")
        with type(self).open_store(tmp_path / "blobs").open(digest) as file:
            assert file.read() == b"tea"

    def test_four_processes_share_a_store(self, tmp_path: Path) -> None:
        self._needs_persistence()
        opener, folder = type(self).open_store, tmp_path / "blobs"
        put = run_together(put_many, [(opener, folder, seed) for seed in range(PROCESSES)])
        store = opener(folder)
        assert {digest for digest, _ in store.list()} == {digest for one in put for digest in one}
        assert len(list(store.list())) == 10 + 10 * PROCESSES
        assert list(store.verify()) == []

    def test_a_flipped_bit_is_named_and_never_served(self, tmp_path: Path) -> None:
        self._needs_persistence()
        store = type(self).open_store(tmp_path / "blobs")
        digests = [store.put(random.Random(size).randbytes(size)) for size in (1, 300, 5000)]  # noqa: S311

        def content() -> list[bytes]:
            return [store.open(digest).read() for digest in digests]

        check_flips(tmp_path, store.verify, content, rounds=self.flip_rounds)

    def test_putting_a_damaged_blob_again_heals_it(self, tmp_path: Path) -> None:
        self._needs_persistence()
        store = type(self).open_store(tmp_path / "blobs")
        digest = store.put(b"tea for two")
        place = next(place for place in tmp_path.rglob("*") if place.is_file())
        place.write_bytes(b"tea for you")
        assert [damage.name for damage in store.verify()] == [digest]
        assert store.put(b"tea for two") == digest
        assert list(store.verify()) == []

    def _needs_persistence(self) -> None:
        if not self.is_persistent:
            pytest.skip("this store lives and dies with its object")
