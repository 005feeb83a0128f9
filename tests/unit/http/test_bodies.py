import asyncio
import gzip
import itertools
import tracemalloc
import zlib
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.http.bodies import BodyStream, Receive, Unpacker, read_body, unpack


def bare(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


PACKERS = {b"gzip": [gzip.compress], b"deflate": [zlib.compress, bare]}


def client(parts: Sequence[bytes | float | None]) -> Receive:
    """A client that sends parts, goes away at None, and waits at a number of seconds."""
    left = list(parts)

    async def receive() -> dict[str, Any]:
        part = left.pop(0)
        while isinstance(part, float):
            await asyncio.sleep(part)
            part = left.pop(0)
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    return receive


def streamed(
    parts: Sequence[bytes | float | None],
    limit_bytes: int = 1000,
    patience_s: float = 30.0,
    encoding: bytes | None = None,
) -> list[bytes]:
    async def run() -> list[bytes]:
        stream = BodyStream(client(parts), limit_bytes, patience_s, encoding)
        return [piece async for piece in stream]

    return asyncio.run(run())


def refusal(*arguments: Any, **options: Any) -> str:
    with pytest.raises(Invalid) as caught:
        streamed(*arguments, **options)
    return caught.value.code


def test_a_stream_is_handed_on_piece_by_piece() -> None:
    assert streamed([b"a", b"", b"bc", b""]) == [b"a", b"bc"]
    assert streamed([b""]) == []


def test_nothing_is_read_before_the_next_piece_is_asked_for() -> None:
    async def run() -> None:
        asked = 0
        receive = client([b"a", b"b", b"c"])

        async def counted() -> dict[str, Any]:
            nonlocal asked
            asked += 1
            return await receive()

        stream = aiter(BodyStream(counted, 1000, 30.0))
        for count in (1, 2, 3):
            await anext(stream)
            await asyncio.sleep(0)
            assert asked == count

    asyncio.run(run())


def test_a_stream_over_its_limit_ends_there() -> None:
    assert streamed([b"x" * 600, b"x" * 400], 1000) == [b"x" * 600, b"x" * 400]
    assert refusal([b"x" * 600, b"x" * 401], 1000) == "too-large"


def test_a_client_that_goes_away_is_no_end_of_the_body() -> None:
    assert refusal([b"half", None]) == "bad-body"


def test_a_client_that_falls_silent_is_given_up() -> None:
    assert refusal([b"half", 5.0, b"late"], patience_s=0.05) == "too-slow"


def test_a_client_that_drips_is_given_up_although_it_is_never_silent_for_long() -> None:
    drips: list[bytes | float] = [0.03, b"x"] * 100
    assert refusal(drips, patience_s=0.1) == "too-slow"


def test_time_that_the_receiver_takes_is_not_the_client_s() -> None:
    async def run() -> int:
        stream = BodyStream(client([b"x"] * 5), 1000, 0.5)
        count = 0
        async for _ in stream:
            await asyncio.sleep(0.2)
            count += 1
        return count

    assert asyncio.run(run()) == 5


def test_a_client_that_goes_away_sent_no_empty_body() -> None:
    for parts in ([None], [b"half", None]):
        with pytest.raises(Invalid) as caught:
            asyncio.run(read_body(client(parts), 10, 30.0))
        assert caught.value.code == "bad-body"
    assert asyncio.run(read_body(client([b""]), 10, 30.0)) == b""


def test_a_whole_body_has_a_limit_however_it_comes() -> None:
    for parts in ([b"x" * 11], [b"x" * 6, b"x" * 5]):
        with pytest.raises(Invalid) as caught:
            asyncio.run(read_body(client(parts), 10, 30.0))
        assert caught.value.code == "too-large"
    assert asyncio.run(read_body(client([b"x" * 5, b"x" * 5]), 10, 30.0)) == b"x" * 10


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_packed_body_comes_out_as_it_went_in_however_it_is_cut(encoding: bytes) -> None:
    @given(content=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 3000), max_size=5))
    def check(content: bytes, cuts: list[int]) -> None:
        for packer in PACKERS[encoding]:
            packed = packer(content)
            places = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
            parts = [packed[a:b] for a, b in itertools.pairwise(places)]
            assert b"".join(streamed(parts, 3000, encoding=encoding)) == content
            assert unpack(packed, encoding, 3000) == content

    check()


def test_gzip_members_one_after_the_other_are_one_body() -> None:
    packed = gzip.compress(b"one,") + gzip.compress(b"") + gzip.compress(b"two")
    assert unpack(packed, b"gzip", 100) == b"one,two"
    assert b"".join(streamed([packed[:30], packed[30:]], encoding=b"gzip")) == b"one,two"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (b"gzip", b"plain text"),
        (b"gzip", gzip.compress(b"x" * 100)[:-1]),
        (b"gzip", gzip.compress(b"x" * 100)[:-8] + bytes(8)),
        (b"gzip", gzip.compress(b"x") + b"more"),
        (b"gzip", b"\x1f"),
        (b"deflate", b"plain text"),
        (b"deflate", zlib.compress(b"x" * 100)[:-1]),
        (b"deflate", zlib.compress(b"x") + b"more"),
        (b"deflate", b"x"),
    ],
)
def test_what_is_not_packed_as_it_says_is_refused(encoding: bytes, body: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        unpack(body, encoding, 1000)
    assert caught.value.code == "bad-body"
    assert refusal([body], encoding=encoding) == "bad-body"


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_bomb_is_put_down_before_it_fills_the_memory(encoding: bytes) -> None:
    bomb = PACKERS[encoding][0](bytes(200 << 20))
    assert len(bomb) < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(Invalid) as caught:
            unpack(bomb, encoding, 4 << 20)
        assert caught.value.code == "too-large"
        assert refusal([bomb], 4 << 20, encoding=encoding) == "too-large"
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_large_content_is_unpacked_in_pieces() -> None:
    pieces = list(Unpacker(b"gzip").feed(gzip.compress(bytes(10 << 20))))
    assert sum(map(len, pieces)) == 10 << 20
    assert max(map(len, pieces)) <= 1 << 20
