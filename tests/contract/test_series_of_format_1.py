"""Series that an earlier Trivet wrote: converted in place, whole, whatever interrupts it.

`tests/fixtures/series-1` was written in format 1: one merged segment, one that was appended and
sealed, and one of a process that was killed.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trivet.adapters.files.points.upgrading import upgrade_series
from trivet.adapters.files.segments import SUFFIX
from trivet.adapters.files.series import FileSeries
from trivet.core.errors import Corrupt, Unsupported
from trivet.core.ports import SeriesKey

FIXTURE = Path(__file__).parents[1] / "fixtures" / "series-1"
LOSS = SeriesKey("run-a", "loss")


class Interrupted(Exception):
    """Stands for a death at this moment."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "series"
    shutil.copytree(FIXTURE, folder)
    return folder


@pytest.fixture
def series(folder: Path) -> Iterator[FileSeries]:
    series = FileSeries(folder)
    yield series
    series.close()


def is_whole(series: FileSeries) -> bool:
    found = series.read(LOSS)
    assert list(found.steps) == list(range(200))
    assert list(found.times) == [10 * step for step in range(200)]
    assert list(found.values) == [step / 3.0 for step in range(200)]
    other = series.read(SeriesKey("run-b", "accuracy/é"))
    assert list(other.values) == [step / 7.0 for step in range(15)]
    assert series.summaries("run-a")["loss"].count == 200
    return not list(series.verify())


def test_every_point_is_there_and_the_series_go_on(folder: Path, series: FileSeries) -> None:
    upgrade_series(folder)
    assert is_whole(series)
    series.compact()
    assert is_whole(series)


def test_a_folder_that_is_not_there_is_no_problem(tmp_path: Path) -> None:
    upgrade_series(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_an_interruption_at_any_moment_loses_and_doubles_nothing(
    folder: Path, series: FileSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    remaining = 0

    def dying(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal remaining
            remaining -= 1
            if remaining < 0:
                raise Interrupted
            return method(*args, **kwargs)

        return call

    for name in ("replace", "unlink", "rmdir"):
        monkeypatch.setattr(Path, name, dying(getattr(Path, name)))
    for allowed in range(100):
        remaining = allowed
        try:
            upgrade_series(folder)
            break
        except Interrupted:
            continue
    else:
        pytest.fail("it never came to an end")
    assert allowed > 4
    remaining = 1000
    assert is_whole(series)


def test_a_damaged_segment_is_named_and_left_alone(folder: Path) -> None:
    (place,) = (folder / "merged").glob(f"*{SUFFIX}")
    content = bytearray(place.read_bytes())
    content[700] ^= 1
    place.write_bytes(content)
    with pytest.raises(Corrupt, match=place.stem):
        upgrade_series(folder)
    assert place.read_bytes() == content


def test_a_segment_of_format_1_copied_into_a_store_is_refused_by_name(
    folder: Path, tmp_path: Path
) -> None:
    place = next(folder.glob(f"*{SUFFIX}"))
    other = FileSeries(tmp_path / "other")
    shutil.copy(place, tmp_path / "other")
    with pytest.raises(Unsupported, match=f"{place.name}.*format 1"):
        other.read(LOSS)
    other.close()
