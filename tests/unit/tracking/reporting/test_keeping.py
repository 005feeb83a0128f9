"""Files and media of a run while it goes."""

import io
import json
import os
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from trivet.core.errors import Invalid
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.tracking.reporting.live import LiveRun
from trivet.tracking.reporting.media import picture_of, table_of
from trivet.tracking.service import TrackingService


@pytest.fixture
def tracking(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrackingService:
    monkeypatch.chdir(tmp_path)
    return TrackingService(stores, Scope(project="flights", actor="ada"))


@pytest.fixture
def run(tracking: TrackingService) -> Iterator[LiveRun]:
    with tracking.begin() as live:
        yield live


def content(tracking: TrackingService, run: LiveRun, path: str) -> bytes:
    with tracking.artifacts.open(f"run:{run.id}", path)[1] as stream:
        return stream.read()


def test_media_are_found_by_key_and_step(tracking: TrackingService, run: LiveRun) -> None:
    run.log(loss=1, step=3)
    run.text("notes", "hello")
    run.text("notes", "later", step=10)
    run.image("val/samples", [np.zeros((2, 2)), np.ones((2, 2))])
    run.table("val/errors", {"row": [1, 2]}, step=-1)
    found = [(each.key, each.step, each.number, each.kind) for each in tracking.media(run.id)]
    assert found == [
        ("notes", 3, 0, "text"),
        ("notes", 10, 0, "text"),
        ("val/errors", -1, 0, "table"),
        ("val/samples", 3, 0, "image"),
        ("val/samples", 3, 1, "image"),
    ]
    assert {each.key for each in tracking.media(run.id, "val")} == {"val/errors", "val/samples"}
    assert tracking.media(run.id, "nothing") == ()
    assert content(tracking, run, tracking.media(run.id, "notes")[0].path) == b"hello"


def test_steps_of_media_are_whole_numbers(tracking: TrackingService, run: LiveRun) -> None:
    run.log(loss=1, step=np.float64(5))  # pyright: ignore[reportArgumentType]
    run.text("notes", "at the step of the loss")
    (found,) = tracking.media(run.id)
    assert (found.step, found.number, found.path) == (5, 0, "media/notes/5.txt")
    with pytest.raises(Invalid, match="step is a float"):
        run.text("notes", "between", step=1.5)  # pyright: ignore[reportArgumentType]


def test_texts_that_cannot_be_written_are_refused(run: LiveRun) -> None:
    with pytest.raises(Invalid, match="the text has"):
        run.text("notes", "\ud800")
    with pytest.raises(Invalid, match="a text in the table has"):
        run.table("notes", {"said": ["\ud800"]})


def test_files_and_whole_folders_are_kept(
    tracking: TrackingService, run: LiveRun, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    (folder / "parts").mkdir(parents=True)
    for number in range(30):
        (folder / "parts" / f"{number}.bin").write_bytes(bytes([number]) * 1000)
    (folder / "card.txt").write_text("a model")
    kept = run.artifact(folder)
    assert len(kept) == 31
    assert {each.path for each in kept} >= {"model/card.txt", "model/parts/7.bin"}
    assert content(tracking, run, "model/parts/7.bin") == bytes([7]) * 1000
    (single,) = run.artifact(folder / "card.txt", "cards/first.txt")
    assert (single.path, single.media_type) == ("cards/first.txt", "text/plain")
    run.artifact(b"bytes", "raw.bin")
    assert content(tracking, run, "raw.bin") == b"bytes"


def test_of_a_folder_all_is_kept_or_nothing(
    tracking: TrackingService, run: LiveRun, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "gone").symlink_to(tmp_path / "nowhere")
    (folder / "a.bin").write_bytes(b"a")
    assert [each.path for each in run.artifact(folder)] == ["model/a.bin"]
    (folder / "z#.bin").write_bytes(b"z")
    with pytest.raises(Invalid, match=r"z#\.bin' cannot be kept: Invalid path"):
        run.artifact(folder, "again")
    assert tracking.artifacts.list(f"run:{run.id}", "again") == ()


def test_two_files_never_become_one_artifact(run: LiveRun, tmp_path: Path) -> None:
    for name in ("a b.txt", "a%20b.txt"):
        (tmp_path / name).write_text(name)
    with pytest.raises(Invalid, match="would be one artifact"):
        run.artifact(tmp_path)


def test_what_is_no_file_is_refused(run: LiveRun, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        run.artifact(tmp_path / "nothing")
    with pytest.raises(Invalid, match="without a name"):
        run.artifact(b"bytes")
    with pytest.raises(Invalid, match="Invalid path"):
        run.artifact(b"bytes", "../up")


@given(
    arrays.arrays(
        np.uint8,
        st.one_of(
            st.tuples(st.integers(5, 9), st.integers(5, 9)),
            st.tuples(st.integers(5, 9), st.integers(5, 9), st.sampled_from([1, 2, 3, 4])),
        ),
    )
)
def test_pictures_come_back_as_they_were(pixels: "np.ndarray[Any, Any]") -> None:
    ending, stored = picture_of(pixels)
    picture = np.asarray(Image.open(io.BytesIO(stored)))
    assert ending == "png"
    assert np.array_equal(picture, pixels.reshape(picture.shape))


def test_floats_and_channels_first_are_pictures_too() -> None:
    values = np.array([[0.0, 0.5, 2.0, np.nan, -np.inf]])
    assert list(np.asarray(Image.open(io.BytesIO(picture_of(values)[1])))[0]) == [0, 128, 255, 0, 0]
    first = np.zeros((3, 5, 7))
    assert Image.open(io.BytesIO(picture_of(first)[1])).size == (7, 5)
    assert np.asarray(Image.open(io.BytesIO(picture_of(np.eye(6) > 0)[1]))).max() == 255


def test_files_of_pictures_are_known_by_their_bytes(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 4))
    for kind in ("png", "jpeg", "gif", "webp", "bmp"):
        buffer = io.BytesIO()
        picture.save(buffer, format=kind)
        assert picture_of(buffer.getvalue()) == (kind.replace("jpeg", "jpg"), buffer.getvalue())
    path = tmp_path / "a.PNG"
    picture.save(path)
    assert picture_of(path) == ("png", path.read_bytes())
    assert picture_of(picture)[0] == "png"
    assert picture_of(b" <svg xmlns='x'/>")[0] == "svg"


def test_a_second_medium_of_a_key_and_step_replaces_the_first_whole(
    tracking: TrackingService, run: LiveRun
) -> None:
    black, white = np.zeros((5, 5), np.uint8), np.full((5, 5), 255, np.uint8)
    jpeg = io.BytesIO()
    Image.fromarray(black).save(jpeg, format="jpeg")
    run.image("grid", [black] * 4, step=0)
    run.image("grid", [white] * 2, step=0)
    run.image("one", jpeg.getvalue(), step=0)
    run.image("one", white, step=0)
    run.image("one", white, step=1)
    found = [(each.key, each.step, each.number) for each in tracking.media(run.id)]
    assert found == [("grid", 0, 0), ("grid", 0, 1), ("one", 0, 0), ("one", 1, 0)]
    for each in tracking.media(run.id):
        picture = np.asarray(Image.open(io.BytesIO(content(tracking, run, each.path))))
        assert np.array_equal(picture, white)


@pytest.mark.parametrize("mode", ["CMYK", "HSV", "I", "F", "PA", "La", "RGBX"])
def test_pictures_of_pillow_may_have_any_colours(mode: str) -> None:
    ending, stored = picture_of(Image.new(mode, (4, 3)))
    assert (ending, Image.open(io.BytesIO(stored)).size) == ("png", (4, 3))


@pytest.mark.parametrize(
    "image",
    [io.BytesIO(b"stream"), "no\0path", Image.new("RGB", (0, 0))],
    ids=["stream", "no path", "no pixel"],
)
def test_what_looks_like_a_picture_is_refused(image: object) -> None:
    with pytest.raises(Invalid, match=r"image|cannot be read"):
        picture_of(image)


@pytest.mark.parametrize(
    "image", [b"nonsense", 7, "nowhere.png", np.zeros((5, 5, 9)), np.array(["a"]), np.zeros(0)]
)
def test_what_is_no_picture_is_refused(image: object) -> None:
    with pytest.raises(Invalid):
        picture_of(image)


def test_sounds_are_written_as_wav(tracking: TrackingService, run: LiveRun) -> None:
    run.audio("tone", np.array([[0.0, 1.0], [-1.0, 2.0]]), rate=8000)
    (found,) = tracking.media(run.id)
    with wave.open(io.BytesIO(content(tracking, run, found.path))) as sound:
        assert (sound.getframerate(), sound.getnchannels()) == (8000, 2)
        frames = np.frombuffer(sound.readframes(9), "<i2")
    assert list(frames) == [0, 32767, -32767, 32767]
    with pytest.raises(Invalid, match="rate"):
        run.audio("tone", np.zeros(3))


@pytest.mark.parametrize("rate", [8000, 8000.0, np.float32(8000), np.int64(8000)])
def test_a_rate_may_be_any_number(tracking: TrackingService, run: LiveRun, rate: Any) -> None:
    run.audio("tone", np.zeros(3), rate=rate)
    (found,) = tracking.media(run.id)
    with wave.open(io.BytesIO(content(tracking, run, found.path))) as sound:
        assert sound.getframerate() == 8000


@pytest.mark.parametrize("rate", [0, -1, "16000", float("nan"), float("inf"), 2**40])
def test_a_rate_that_is_none_is_refused(run: LiveRun, rate: Any) -> None:
    with pytest.raises(Invalid, match="rate is"):
        run.audio("tone", np.zeros(3), rate=rate)


@pytest.mark.parametrize("shape", [(1, 16_000), (2, 70_000), (), (1, 1, 1)])
def test_channels_of_a_sound_come_last(run: LiveRun, shape: tuple[int, ...]) -> None:
    with pytest.raises(Invalid, match=r"expected \(frames,\), or \(frames, channels\)"):
        run.audio("tone", np.zeros(shape), rate=16_000)


def test_tables_come_from_columns_rows_and_frames() -> None:
    import polars as pl

    expected = {"columns": ["a", "b"], "data": [[1, "x"], [2, None]]}
    columns = {"a": [1, 2], "b": ["x", None]}
    rows = [{"a": np.int64(1), "b": "x"}, {"a": 2}]
    for table in (columns, rows, pl.DataFrame(columns), pd.DataFrame(columns, dtype=object)):
        assert json.loads(table_of(table)[1]) == expected
    odd = table_of({"x": [np.float32("nan"), Path("a"), np.arange(2)]})[1]
    assert json.loads(odd)["data"] == [[None], ["a"], [[0, 1]]]


@pytest.mark.parametrize(
    "table",
    [
        *(7, "ab", [1, 2], {"a": [1], "b": []}, {"a": 1}, {"a": "one"}, pd.Series([1])),
        *({1: [1], "1": [2]}, [{1: 1, "1": 2}], pd.DataFrame([[1, 2]], columns=["a", "a"])),
    ],
    ids=str,
)
def test_what_is_no_table_is_refused(table: object) -> None:
    with pytest.raises(Invalid, match="table"):
        table_of(table)


def test_figures_are_known_by_what_they_can_do(tracking: TrackingService, run: LiveRun) -> None:
    class Drawn:
        def savefig(self, file: Any, **_: object) -> None:
            file.write(b"picture")

    class Page:
        def to_plotly_json(self) -> None: ...

        def to_html(self, **_: object) -> str:
            return "<html>"

    class Axes:
        figure = Drawn()

    run.figure("drawn", Axes())
    run.figure("page", Page())
    assert [(each.key, each.kind) for each in tracking.media(run.id)] == [
        ("drawn", "image"),
        ("page", "figure"),
    ]
    with pytest.raises(Invalid, match="matplotlib or plotly"):
        run.figure("nothing", object())
