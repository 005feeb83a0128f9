"""A folder of event files as holdings: each folder in it that has some is a run."""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Final

from trivet.adapters.tensorboard.messages import (
    Value,
    read_event,
    read_hparams,
    read_summary,
)
from trivet.adapters.tensorboard.records import read_records
from trivet.core.errors import Corrupt, Invalid, NotFound
from trivet.core.moving import (
    HeldExperiment,
    HeldFile,
    HeldModel,
    HeldName,
    HeldPoints,
    HeldRun,
    HeldTrace,
)
from trivet.core.points import Points
from trivet.core.protobuf import Malformed

_FILES: Final = "tfevents"
_SCHEME: Final = "tensorboard:"
_HPARAMS: Final = b"hparams"
_POINTS: Final = 50_000
_ODD: Final = re.compile(r"[^\w.\- /]")
_IMAGES: Final = ((b"\x89PNG", "png"), (b"\xff\xd8", "jpg"), (b"GIF8", "gif"))


class EventHoldings:
    """What a folder of TensorBoard holds.

    Args:
        folder: The folder that TensorBoard is given as `--logdir`.
        experiment: What the experiment is called; the folder's name when empty.

    Raises:
        NotFound: There is no such folder.
        Invalid: There is no event file in it.
    """

    def __init__(self, folder: Path, experiment: str = "") -> None:
        if not folder.is_dir():
            raise NotFound(f"there is no folder {folder}", code="no-folder")
        self._folder = folder.resolve()
        self._experiment = experiment or self._folder.name
        self.problems: list[str] = []
        if next(self._places(), None) is None:
            raise Invalid(
                f"{folder} has no event files: no file in it has {_FILES} in its name",
                code="no-events",
                hint="Name the folder that TensorBoard is given as --logdir.",
            )

    @property
    def name(self) -> str:
        return str(self._folder)

    def close(self) -> None:
        """Nothing is held open."""

    def experiments(self) -> Iterator[HeldExperiment]:
        yield HeldExperiment(id=self._experiment, name=self._experiment)

    def runs(self, experiment: str) -> Iterator[HeldRun]:
        for place in self._places():
            held = self._run(place)
            if held is not None:
                yield held

    def models(self, experiment: str) -> Iterator[HeldModel]:
        yield from ()

    def names(self) -> Iterator[HeldName]:
        yield from ()

    def traces(self, experiment: str) -> Iterator[HeldTrace]:
        yield from ()

    def trace_files(self, held: HeldTrace) -> Iterable[HeldFile]:
        return ()

    # ------------------------------------------------------------------------- runs

    def _run(self, place: Path) -> HeldRun | None:
        files = _event_files(place)
        path = place.relative_to(self._folder).as_posix()
        parameters: dict[str, str] = {}
        first = last = made = 0.0
        for seconds, _, summary in self._events(files):
            if _HPARAMS in summary:
                parameters |= self._parameters(summary)
            if not summary:
                made = made or seconds  # a file begins with an event about itself
            elif seconds > 0:
                first, last = min(first or seconds, seconds), max(last, seconds)
        if not (first or made):
            return None  # nothing was written yet
        return HeldRun(
            # Where the folder lies, and how it is called, may change.
            id=sha256(f"tensorboard\n{path}\n{files[0].name}".encode()).hexdigest()[:32],
            experiment=self._experiment,
            name=self._folder.name if path == "." else path,
            began_ms=int((first or made) * 1000),
            ended_ms=int((last or made) * 1000),
            location=_SCHEME + path,
            parameters=parameters,
            imprint=";".join(f"{file.name}/{file.stat().st_size}" for file in files),
        )

    def points(self, runs: Sequence[HeldRun]) -> Iterator[HeldPoints]:
        for held in runs:
            columns: dict[str, tuple[array[int], array[int], array[float]]] = {}
            count = 0
            for seconds, step, value in self._values(self._place(held.location)):
                if value.number is None:
                    continue
                steps, times, numbers = columns.setdefault(
                    value.tag or "value", (array("q"), array("q"), array("d"))
                )
                steps.append(step)
                times.append(int(seconds * 1000))
                numbers.append(value.number)
                count += 1
                if count >= _POINTS:
                    yield from _chunks(held.id, columns)
                    columns, count = {}, 0
            yield from _chunks(held.id, columns)

    def files(self, location: str) -> Iterable[HeldFile]:
        """Yield pictures, sounds and texts, where runs keep their media."""
        met: Counter[str] = Counter()
        for _, step, value in self._values(self._place(location)):
            for ending, content in _media(value):
                key = _ODD.sub("_", value.tag).strip("/") or "value"
                place = f"media/{key}/{step}"
                number = f".{met[place]}" if met[place] else ""
                met[place] += 1
                yield HeldFile(
                    path=f"{place}{number}.{ending}",
                    size_bytes=len(content),
                    open=partial(BytesIO, content),
                )

    # ----------------------------------------------------------------------- inside

    def _values(self, place: Path) -> Iterator[tuple[float, int, Value]]:
        for seconds, step, summary in self._events(_event_files(place)):
            for value in self._summary(summary):
                yield seconds, step, value

    def _events(self, files: Sequence[Path]) -> Iterator[tuple[float, int, bytes]]:
        for file in files:
            for data in self._records(file):
                try:
                    event = read_event(data)
                except Malformed as error:
                    self._damaged(file, error)
                else:
                    yield event

    def _summary(self, summary: bytes) -> list[Value]:
        try:
            return list(read_summary(summary))
        except Malformed as error:
            self._damaged(self._folder, error)
            return []

    def _parameters(self, summary: bytes) -> dict[str, str]:
        found: dict[str, str] = {}
        for value in self._summary(summary):
            if value.plugin == "hparams":
                found |= read_hparams(value.content)
        return found

    def _records(self, file: Path) -> Iterator[bytes]:
        try:
            yield from read_records(file)
        except (Corrupt, OSError) as error:
            self._damaged(file, error)

    def _damaged(self, file: Path, error: Exception) -> None:
        text = f"{file}: {error}; what could be read was taken"
        if text not in self.problems:
            self.problems.append(text)

    def _places(self) -> Iterator[Path]:
        folders = (path for path in sorted(self._folder.rglob("*")) if path.is_dir())
        yield from (path for path in (self._folder, *folders) if _event_files(path))

    def _place(self, location: str) -> Path:
        return self._folder / location.removeprefix(_SCHEME)


def _event_files(place: Path) -> list[Path]:
    """Return the event files of a folder, in the order in which they were begun."""
    return sorted(
        path
        for path in place.iterdir()
        if _FILES in path.name and path.is_file() and not path.name.endswith(".profile-empty")
    )


def _media(value: Value) -> Iterator[tuple[str, bytes]]:
    if value.image:
        yield _ending(value.image), value.image
    elif value.audio:
        yield "wav", value.audio
    elif value.plugin == "text":
        yield "txt", b"\n".join(value.texts)
    elif value.plugin == "images":  # before the pictures stand their width and height
        yield from ((_ending(content), content) for content in value.texts[2:])
    elif value.plugin == "audio":
        yield from (("wav", content) for content in value.texts[:1])


def _ending(content: bytes) -> str:
    return next((ending for start, ending in _IMAGES if content.startswith(start)), "png")


def _chunks(
    run: str, columns: "dict[str, tuple[array[int], array[int], array[float]]]"
) -> Iterator[HeldPoints]:
    for key, (steps, times, values) in columns.items():
        yield HeldPoints(run, key, Points(steps, times, values))
