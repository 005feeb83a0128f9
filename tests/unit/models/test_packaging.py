from typing import Any

import pytest

from trivet.core.errors import Corrupt, NotFound, Unsupported
from trivet.core.trees import join_tree, load_tree, read_tree, store_tree
from trivet.models.building import build_package
from trivet.models.packaging import MANIFEST, Package, open_package
from trivet.testing.memory_stores import MemoryBlobs


@pytest.fixture(scope="module")
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture(scope="module")
def package(blobs: MemoryBlobs, trained: Any, flavours: Any) -> Package:
    return build_package(blobs, trained.candidate, flavours, requirements=b"numpy==2.0\n")


def test_a_package_opens_as_it_was_written(blobs: MemoryBlobs, package: Package) -> None:
    found = open_package(blobs, package.digest)
    assert found.paths == (
        "env/requirements.txt",
        "golden.json",
        "model/serving.onnx",
        "model/source.lightgbm.txt",
        "reference.json",
        "reports/parity.json",
        "signature.json",
        "trivet.json",
    )
    assert all(found.file(path) == package.file(path) for path in found.paths)
    assert found.requirements == "numpy==2.0\n"
    assert found.manifest.flavour == "lightgbm"
    assert found.size_bytes == sum(len(found.file(path)) for path in found.paths)


def test_the_digest_is_the_merkle_root_of_the_files(blobs: MemoryBlobs, package: Package) -> None:
    files = {path: package.file(path) for path in package.paths}
    assert store_tree(MemoryBlobs(), files).digest == package.digest


def test_a_package_holds_no_time_and_no_run(package: Package) -> None:
    text = package.file(MANIFEST).decode()
    assert '"run' not in text.replace('"runtime"', "")
    assert "time_us" not in text


@pytest.mark.parametrize("path", ["model/serving.onnx", "golden.json", "trivet.json"])
def test_a_flipped_bit_in_any_file_is_found(package: Package, path: str) -> None:
    files = {name: package.file(name) for name in package.paths}
    store = MemoryBlobs()
    digest = store_tree(store, files).digest
    broken = read_tree(store, digest)[path].digest
    content = bytearray(files[path])
    content[len(content) // 2] ^= 1
    store._blobs[broken] = bytes(content)
    with pytest.raises(Corrupt):
        open_package(store, digest)


def test_a_file_that_the_manifest_does_not_name_is_refused(package: Package) -> None:
    files = {name: package.file(name) for name in package.paths}
    store = MemoryBlobs()
    with pytest.raises(Corrupt, match="other files"):
        open_package(store, store_tree(store, {**files, "extra.txt": b"x"}).digest)
    del files["golden.json"]
    with pytest.raises(Corrupt, match="other files"):
        open_package(store, store_tree(store, files).digest)


def test_other_bytes_under_a_named_path_are_refused(blobs: MemoryBlobs, package: Package) -> None:
    stored = read_tree(blobs, package.digest)
    swapped = {**stored, "golden.json": stored["signature.json"]}
    with pytest.raises(Corrupt, match="other bytes"):
        open_package(blobs, join_tree(blobs, swapped).digest)


def test_a_tree_without_a_manifest_is_no_package() -> None:
    store = MemoryBlobs()
    with pytest.raises(Corrupt, match=r"trivet\.json"):
        open_package(store, store_tree(store, {"a.txt": b"a"}).digest)


def test_an_unknown_digest_is_not_found() -> None:
    with pytest.raises(NotFound):
        open_package(MemoryBlobs(), "b3:" + "0" * 64)


def test_the_session_runs_as_the_manifest_says(package: Package) -> None:
    assert package.session().profile == package.manifest.profile


def test_a_manifest_of_a_newer_format_says_so(package: Package) -> None:
    files = {name: package.file(name) for name in package.paths}
    files[MANIFEST] = files[MANIFEST].replace(b'"format": 1', b'"format": 99')
    store = MemoryBlobs()
    digest = store_tree(store, files).digest
    with pytest.raises(Unsupported, match="format 99"):
        Package(digest, load_tree(store, digest))
