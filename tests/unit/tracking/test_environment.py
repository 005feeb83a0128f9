import platform
from importlib import metadata

from trivet.testing.memory_stores import MemoryBlobs
from trivet.tracking.environment import read_lock, record_environment


def test_the_lock_names_every_distribution_with_its_version() -> None:
    blobs = MemoryBlobs()
    seen = record_environment(blobs)
    with blobs.open(seen.lock) as stream:
        content = stream.read()
    versions = read_lock(content)
    assert versions["msgspec"] == metadata.version("msgspec")
    assert versions["pytest-randomly"] == metadata.version("pytest_randomly")
    assert len(versions) == seen.packages
    assert list(versions) == sorted(versions)


def test_the_machine_is_described_in_its_units() -> None:
    seen = record_environment(MemoryBlobs())
    assert seen.python == platform.python_version()
    assert seen.processors >= 1
    assert seen.memory_bytes > 1 << 20


def test_the_environment_of_one_process_is_one_value_in_any_store() -> None:
    assert record_environment(MemoryBlobs()) == record_environment(MemoryBlobs())
