"""File trees: equal files, equal digests; whatever comes out went in, and nothing else."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Corrupt, Invalid, NotFound
from trivet.core.trees import (
    StoredFile,
    join_tree,
    load_file,
    load_tree,
    read_tree,
    split_path,
    store_tree,
)
from trivet.testing.memory_stores import MemoryBlobs

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0"), min_size=1)
names = names.filter(lambda name: name not in {".", ".."})
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


def without_clashes(files: dict[str, bytes]) -> dict[str, bytes]:
    return {
        path: content
        for path, content in files.items()
        if not any(other.startswith(path + "/") for other in files)
    }


trees = st.dictionaries(paths, st.binary(max_size=8), max_size=8).map(without_clashes)


@given(files=trees)
def test_every_tree_comes_back(files: dict[str, bytes]) -> None:
    blobs = MemoryBlobs()
    stored = store_tree(blobs, files)
    assert load_tree(blobs, stored.digest) == files
    assert stored.files == len(files)
    assert stored.size_bytes == sum(map(len, files.values()))
    assert {path: load_file(blobs, stored.digest, path) for path in files} == files


@given(files=trees, data=st.data())
def test_the_order_of_files_does_not_matter_and_their_content_does(
    files: dict[str, bytes], data: st.DataObject
) -> None:
    blobs = MemoryBlobs()
    digest = store_tree(blobs, files).digest
    shuffled = dict(data.draw(st.permutations(list(files.items()))))
    assert store_tree(blobs, shuffled).digest == digest
    for path, content in files.items():
        assert store_tree(blobs, {**files, path: content + b"x"}).digest != digest


def test_files_that_are_stored_already_are_joined_to_the_same_tree() -> None:
    blobs = MemoryBlobs()
    stored = store_tree(blobs, {"a/b": b"1", "c": b"22"})
    joined = join_tree(
        blobs, {"c": StoredFile(blobs.put(b"22"), 2), "a/b": StoredFile(blobs.put(b"1"), 1)}
    )
    assert joined == stored
    assert list(read_tree(blobs, stored.digest)) == ["a/b", "c"]


@pytest.mark.parametrize(
    "path",
    ["", "/a", "a/", "a//b", ".", "../a", "a/../b", "a\\b", "a\0", "\ud800", 3, "a/" * 200 + "b"],
)
def test_a_path_that_leads_out_or_nowhere_is_refused_before_anything_is_written(
    path: object,
) -> None:
    blobs = MemoryBlobs()
    with pytest.raises(Invalid):
        store_tree(blobs, {"fine": b"1", path: b"2"})  # type: ignore[dict-item]
    assert list(blobs.list()) == []
    with pytest.raises(Invalid):
        split_path(path)


@pytest.mark.parametrize("files", [{"a": b"", "a/b": b""}, {"a/b": b"", "a": b""}])
def test_a_file_is_no_folder(files: dict[str, bytes]) -> None:
    with pytest.raises(Invalid, match="both a file and a folder"):
        store_tree(MemoryBlobs(), files)


def test_a_file_that_is_not_in_the_tree_is_not_found() -> None:
    blobs = MemoryBlobs()
    digest = store_tree(blobs, {"a/b": b"1"}).digest
    for path in ("a", "b", "a/c", "x/b", "a/b/c"):
        with pytest.raises(NotFound, match=path):
            load_file(blobs, digest, path)
    with pytest.raises(NotFound):
        load_tree(blobs, "b3:" + "0" * 64)


def folder(*entries: object) -> bytes:
    return msgspec.msgpack.encode(["trivet.folder.1", list(entries)])


FILE = ["a", "file", "b3:" + "0" * 64, 1]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no folder",
        msgspec.msgpack.encode(["other.1", []]),
        folder(["../a", *FILE[1:]]),
        folder(FILE, FILE),
        folder(["b", *FILE[1:]], FILE),
        folder(["a", "link", *FILE[2:]]),
        folder(["a", "file", 7, 1]),
    ],
)
def test_a_blob_that_is_no_folder_is_corrupt(content: bytes) -> None:
    blobs = MemoryBlobs()
    digest = blobs.put(content)
    with pytest.raises(Corrupt):
        read_tree(blobs, digest)


@given(content=st.binary(max_size=40))
def test_no_blob_makes_a_reader_stumble(content: bytes) -> None:
    blobs = MemoryBlobs()
    with contextlib.suppress(Corrupt, NotFound):
        load_tree(blobs, blobs.put(content))


def test_a_file_of_another_size_than_recorded_is_corrupt() -> None:
    blobs = MemoryBlobs()
    tree = join_tree(blobs, {"a": StoredFile(blobs.put(b"123"), 4)})
    with pytest.raises(Corrupt, match="3 bytes"):
        load_tree(blobs, tree.digest)
