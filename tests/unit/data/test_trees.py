"""File trees: the same files give the same root, and every file comes back as it was."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Corrupt, Invalid, NotFound
from trivet.core.trees import read_tree
from trivet.data.trees import checkout, store_tree
from trivet.testing.memory_stores import MemoryBlobs

names = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=8)
paths = st.lists(names.filter(lambda name: name not in {".", ".."}), min_size=1, max_size=4)


@st.composite
def contents(draw: st.DrawFn) -> dict[str, bytes]:
    """Files by path, where no path is also a folder."""
    files: dict[str, bytes] = {}
    for parts in draw(st.lists(paths, max_size=12)):
        path = "/".join(parts)
        folders = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        is_folder = any(other.startswith(f"{path}/") for other in files)
        if not is_folder and not folders & files.keys():
            files[path] = draw(st.binary(max_size=20))
    return files


@given(contents())
def test_files_come_back_as_they_were_stored(files: dict[str, bytes]) -> None:
    blobs = MemoryBlobs()
    tree = store_tree(blobs, files)
    listed = read_tree(blobs, tree.digest)
    assert {path: blobs.open(file.digest).read() for path, file in listed.items()} == files
    assert {path: file.size_bytes for path, file in listed.items()} == {
        path: len(content) for path, content in files.items()
    }
    assert (tree.files, tree.size_bytes) == (len(files), sum(map(len, files.values())))


@given(contents(), st.randoms())
def test_the_order_of_the_files_does_not_matter(files: dict[str, bytes], random: Any) -> None:
    shuffled = list(files.items())
    random.shuffle(shuffled)
    assert (
        store_tree(MemoryBlobs(), dict(shuffled)).digest == store_tree(MemoryBlobs(), files).digest
    )


@given(contents(), contents())
def test_different_files_have_different_roots(
    one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    blobs = MemoryBlobs()
    same_root = store_tree(blobs, one).digest == store_tree(blobs, other).digest
    assert same_root == (one == other)


def test_a_folder_on_disk_has_the_root_of_its_contents(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "deep.txt").write_bytes(b"deep")
    (tmp_path / "top.txt").write_bytes(b"top")
    from_disk = store_tree(blobs, tmp_path)
    from_memory = store_tree(blobs, {"top.txt": b"top", "a/b/deep.txt": b"deep"})
    assert from_disk == from_memory


def test_a_single_file_is_a_tree_of_one(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    (tmp_path / "model.bin").write_bytes(b"weights")
    tree = store_tree(blobs, tmp_path / "model.bin", "weights")
    assert tree.name == "weights"
    assert list(read_tree(blobs, tree.digest)) == ["model.bin"]


def test_equal_folders_are_stored_once() -> None:
    blobs = MemoryBlobs()
    store_tree(blobs, {f"{folder}/same.txt": b"same" for folder in "abcdefgh"})
    assert len(list(blobs.list())) == 3  # the file, the folder, the root


def test_a_checked_out_tree_is_the_tree(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    files = {"a/x.txt": b"x", "a/b/y.txt": b"y", "z.txt": b""}
    tree = store_tree(blobs, files)
    assert checkout(blobs, tree.digest, tmp_path / "out" / "here") == 3
    assert store_tree(blobs, tmp_path / "out" / "here").digest == tree.digest


def test_nothing_is_checked_out_over_other_files(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    tree = store_tree(blobs, {"a.txt": b"new"})
    (tmp_path / "a.txt").write_bytes(b"mine")
    with pytest.raises(Invalid, match="not an empty folder"):
        checkout(blobs, tree.digest, tmp_path)
    assert (tmp_path / "a.txt").read_bytes() == b"mine"


def test_a_checkout_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    tree = store_tree(blobs, {"a.txt": b"a", "b.txt": b"b"})
    blobs.delete(read_tree(blobs, tree.digest)["b.txt"].digest)
    with pytest.raises(NotFound):
        checkout(blobs, tree.digest, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../up", "a/../b", "", "a//b", "./a", "a/.", "a\\b", "a\0b", "\ud800"]
)
def test_paths_that_could_escape_are_refused(path: str) -> None:
    with pytest.raises(Invalid) as caught:
        store_tree(MemoryBlobs(), {path: b""})
    assert caught.value.code == "bad-path"


def test_a_file_cannot_be_a_folder_too() -> None:
    for files in ({"a": b"", "a/b": b""}, {"a/b": b"", "a": b""}):
        with pytest.raises(Invalid, match="both a file and a folder"):
            store_tree(MemoryBlobs(), files)


def test_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_bytes(b"secret")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.txt").symlink_to(tmp_path / "real.txt")
    for source in (folder, folder / "link.txt"):
        with pytest.raises(Invalid) as caught:
            store_tree(MemoryBlobs(), source)
        assert caught.value.code == "not-a-file"


def test_devices_and_pipes_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Invalid, match="pipe") as caught:
        store_tree(MemoryBlobs(), tmp_path)
    assert caught.value.code == "not-a-file"


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nowhere\.txt"):
        store_tree(MemoryBlobs(), tmp_path / "nowhere.txt")


@pytest.mark.parametrize(
    "blob",
    [
        b"not a folder",
        msgspec.msgpack.encode(["trivet.folder.1", [["../up", "file", "b3:0", 0]]]),
        msgspec.msgpack.encode(["trivet.folder.1", [["b", "file", "", 0], ["a", "file", "", 0]]]),
        msgspec.msgpack.encode(["trivet.folder.9", []]),
    ],
    ids=["bytes", "escaping name", "unsorted", "other format"],
)
def test_a_forged_folder_is_corrupt(blob: bytes, tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    digest = blobs.put(blob)
    with pytest.raises(Corrupt):
        checkout(blobs, digest, tmp_path / "out")
