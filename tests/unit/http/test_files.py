import asyncio
import io
from collections.abc import Iterator
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Corrupt, Invalid
from trivet.http.application import Reply, Request
from trivet.http.files import FileReply, read_range, reply_with_file
from trivet.http.guards import ANONYMOUS

CONTENT = bytes(range(100))
TAG = b'"b3:1"'


@pytest.mark.parametrize(
    ("value", "span"),
    [
        (b"bytes=0-9", (0, 9)),
        (b"bytes=10-", (10, 99)),
        (b"bytes=-10", (90, 99)),
        (b"bytes=-1000", (0, 99)),
        (b"bytes=0-1000", (0, 99)),
        (b"bytes=99-99", (99, 99)),
        (b" bytes=5-5 ", (5, 5)),
    ],
)
def test_a_single_range_is_what_it_says(value: bytes, span: tuple[int, int]) -> None:
    assert read_range(value, 100) == span


@pytest.mark.parametrize(
    "value",
    [None, b"", b"bytes", b"bytes=", b"bytes=-", b"bytes=5-4", b"bytes=a-b", b"lines=0-9",
     b"bytes=0-1,3-4", b"bytes=0-" + b"9" * 30, b"bytes=\xb2-3"],
)  # fmt: skip
def test_what_is_no_single_range_is_as_if_it_were_not_there(value: bytes | None) -> None:
    assert read_range(value, 100) is None


@pytest.mark.parametrize(
    ("value", "size"), [(b"bytes=100-", 100), (b"bytes=200-300", 100), (b"bytes=-0", 100),
                        (b"bytes=0-0", 0), (b"bytes=-5", 0)],
)  # fmt: skip
def test_a_range_behind_the_end_is_refused_with_the_size(value: bytes, size: int) -> None:
    with pytest.raises(Invalid) as caught:
        read_range(value, size)
    assert (caught.value.code, caught.value.detail) == ("bad-range", {"size_bytes": size})


def ask(
    content: bytes, method: str = "GET", size: int | None = None, **headers: bytes
) -> tuple[Reply, bytes, list[BinaryIO]]:
    opened: list[BinaryIO] = []

    def open_file() -> BinaryIO:
        opened.append(io.BytesIO(content))
        return opened[-1]

    file = FileReply(
        size_bytes=len(content) if size is None else size, tag="b3:1", content_type=b"text/plain"
    )
    given_headers = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    request = Request({}, b"", given_headers, b"", ANONYMOUS, method)
    reply = asyncio.run(reply_with_file(request, file, open_file))
    body = reply.body
    if reply.parts is not None and method == "GET":
        body = b"".join(cast("Iterator[bytes]", reply.parts))
        assert len(body) == reply.length
        cast("BinaryIO", reply.parts).close()
    return reply, body, opened


@given(
    size=st.sampled_from([1, 100, 1 << 19, (1 << 19) + 1, 1_300_000]),
    first=st.integers(0, 2_000_000),
    length=st.integers(1, 2_000_000),
)
def test_ranges_give_the_bytes_they_name(size: int, first: int, length: int) -> None:
    content = bytes(size - 1) + b"e"
    last = first + length - 1
    if first >= size:
        with pytest.raises(Invalid):
            ask(content, range=b"bytes=%d-%d" % (first, last))
        return
    reply, body, opened = ask(content, range=b"bytes=%d-%d" % (first, last))
    assert body == content[first : last + 1]
    assert reply.status == 206
    end = min(last, size - 1)
    assert dict(reply.headers)[b"content-range"] == b"bytes %d-%d/%d" % (first, end, size)
    assert [file.closed for file in opened] == [True]


def test_a_whole_file_says_that_it_can_be_had_in_ranges() -> None:
    reply, body, _ = ask(CONTENT)
    assert (reply.status, body, reply.content_type) == (200, CONTENT, b"text/plain")
    assert dict(reply.headers) == {b"accept-ranges": b"bytes", b"etag": TAG}
    assert ask(b"")[1] == b""


def test_a_range_is_given_only_of_what_the_client_has() -> None:
    assert ask(CONTENT, range=b"bytes=5-", if_range=TAG)[0].status == 206
    for other in (b'"b3:2"', b"W/" + TAG, b"Sat, 21 Nov 2026 10:00:00 GMT"):
        reply, body, _ = ask(CONTENT, range=b"bytes=5-", if_range=other)
        assert (reply.status, body) == (200, CONTENT)


def test_what_the_client_has_already_is_not_sent_again() -> None:
    for names in (TAG, b'"x", ' + TAG, b"W/" + TAG, b"*"):
        reply, body, opened = ask(CONTENT, if_none_match=names)
        assert (reply.status, body, opened) == (304, b"", [])
    assert ask(CONTENT, if_none_match=b'"x"')[0].status == 200


def test_a_head_opens_nothing_and_knows_the_length() -> None:
    reply, _, opened = ask(bytes(1 << 20), "HEAD", range=b"bytes=0-9")
    assert (reply.status, reply.length, opened) == (200, 1 << 20, [])


def test_a_file_that_is_shorter_than_recorded_is_not_passed_off_as_whole() -> None:
    with pytest.raises(Corrupt):
        ask(CONTENT, size=101)
