"""Files of a run while it goes: whole folders, and media that are found by key and step."""

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import msgspec

from trivet.core.errors import Invalid, NotFound
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.paths import clean_path
from trivet.tracking.reporting.buffering import step_of
from trivet.tracking.reporting.experiments import check_key
from trivet.tracking.reporting.media import File, figure_of, picture_of, sound_of, table_of
from trivet.tracking.reporting.naming import check_text
from trivet.tracking.shelves import Artifact

MEDIA: Final = "media"
"""The folder of a run's artifacts in which its media stand: `media/KEY/STEP.ENDING`."""
_AT_ONCE: Final = 8
_NAME = re.compile(r"(-?\d+)(?:\.(\d+))?\.(\w+)")
_KINDS: Final = {
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp", "bmp", "svg"), "image"),
    **dict.fromkeys(("wav", "flac", "ogg", "mp3", "m4a"), "audio"),
    "json": "table",
    "txt": "text",
    "html": "figure",
}


class Medium(msgspec.Struct, frozen=True, kw_only=True):
    """A picture, sound, table, text or figure of a run."""

    key: str
    step: int
    number: int
    """Its place among those of one key and step, from 0."""
    kind: str
    """`image` (figures that are drawn as one, too), `audio`, `table`, `text`, `figure`, `file`."""
    path: str
    """Among the artifacts of the run."""
    size_bytes: int


class Keeping(ABC):
    """What a live run can keep besides numbers; each call returns when it is durable."""

    _files: "RunFiles"

    @abstractmethod
    def _step_now(self) -> int:
        """Return the step of the last metrics that were logged, 0 before."""

    def artifact(
        self, source: str | os.PathLike[str] | bytes, name: str | None = None
    ) -> tuple[Artifact, ...]:
        """Keep a file, or a folder with all that is in it; what has its name is replaced.

        Args:
            source: A path, or the bytes themselves.
            name: Its path among the run's artifacts; the source's own name when None.

        Raises:
            Invalid: There is no such file, bytes come without a name, or the name is no path.
        """
        return self._files.keep(source, name)

    def image(self, key: str, image: object, *, step: int | None = None) -> None:
        """Keep an image, or a list of them.

        Args:
            key: What is shown, such as `val/samples`.
            image: A path, the bytes of a file, an image of Pillow, or an array: (rows, columns),
                (rows, columns, channels) or (channels, rows, columns), of bytes or of floats that
                are cut to 0…1.
            step: Where in the training; that of the last metrics when None.
        """
        is_list = isinstance(image, list | tuple)
        images = cast("Sequence[object]", image) if is_list else (image,)
        files = [picture_of(each) for each in images]
        self._files.keep_media(key, self._at(step), files, is_list=is_list)

    def audio(
        self, key: str, audio: object, *, rate: int | None = None, step: int | None = None
    ) -> None:
        """Keep a sound: a path, bytes, or an array of frames with its rate in frames a second."""
        self._files.keep_media(key, self._at(step), [sound_of(audio, rate)])

    def table(self, key: str, rows: object, *, step: int | None = None) -> None:
        """Keep a table: columns by name, a list of mappings, or a frame of pandas or Polars."""
        self._files.keep_media(key, self._at(step), [table_of(rows)])

    def text(self, key: str, text: str, *, step: int | None = None) -> None:
        """Keep a text."""
        check_text(str(text), "the text")
        self._files.keep_media(key, self._at(step), [("txt", str(text).encode())])

    def figure(self, key: str, figure: object, *, step: int | None = None) -> None:
        """Keep a figure of matplotlib, as PNG, or of plotly, as HTML that loads plotly.js."""
        self._files.keep_media(key, self._at(step), [figure_of(figure)])

    def _at(self, step: int | None) -> int:
        return self._step_now() if step is None else step_of(step)


class RunFiles:
    """The artifacts of one run.

    Args:
        artifacts: Where they are kept.
        run: The run.
    """

    def __init__(self, artifacts: Artifacts, run: str) -> None:
        self._artifacts = artifacts
        self._owner = f"run:{run}"
        self._last: dict[str, tuple[int, set[str]]] = {}

    def keep(
        self, source: str | os.PathLike[str] | bytes, name: str | None
    ) -> tuple[Artifact, ...]:
        """Store bytes, a file, or the files of a folder; several at a time."""
        if isinstance(source, bytes):
            if name is None:
                raise Invalid(
                    "the artifact is bytes without a name; expected one",
                    code="no-name",
                    hint='Pass a name such as "notes/today.txt".',
                )
            return (self._artifacts.put(self._owner, name, source),)
        place = Path(source)
        root = name if name is not None else place.resolve().name
        if not place.is_dir():
            return (self._store(place, root),)
        files = {path: f"{root}/{path.relative_to(place).as_posix()}" for path in _below(place)}
        _check_paths(files)  # all of them, before the first one is stored
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return tuple(pool.map(self._store, files, files.values()))

    def keep_media(
        self, key: str, step: int, files: Sequence[File], *, is_list: bool = False
    ) -> None:
        """Store media of one key and step, in place of what this program kept there before."""
        check_key(key, "medium")
        paths: set[str] = set()
        for number, (ending, content) in enumerate(files):
            place = f".{number}" if is_list else ""
            path = f"{MEDIA}/{key}/{step}{place}.{ending}"
            self._artifacts.put(self._owner, path, content)
            paths.add(path)
        last_step, before = self._last.get(key, (step, paths))
        self._last[key] = step, paths
        if last_step == step:
            for path in before - paths:  # a shorter list, or files of another kind
                with suppress(NotFound):
                    self._artifacts.delete(self._owner, path)

    def media(self, key: str = "") -> tuple[Medium, ...]:
        """Return the media of a key and of those below it, by key and step; of all for ''."""
        folder = f"{MEDIA}/{key}" if key else MEDIA
        found = filter(None, (_medium(*item) for item in self._walk(folder)))
        return tuple(sorted(found, key=lambda each: (each.key, each.step, each.number)))

    def _walk(self, folder: str) -> Iterator[tuple[str, int]]:
        for item in self._artifacts.list(self._owner, folder):
            path = f"{folder}/{item.name}"
            if item.is_folder:
                yield from self._walk(path)
            else:
                yield path, item.size_bytes or 0

    def _store(self, file: Path, path: str) -> Artifact:
        try:
            stream = file.open("rb")
        except OSError as error:
            raise Invalid(
                f"{str(file)!r} cannot be read: {error.strerror}; expected a file or folder",
                code="no-file",
            ) from error
        with stream:
            return self._artifacts.put(self._owner, path, stream)


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        paths = (Path(place, name) for name in sorted(files))
        yield from (path for path in paths if path.is_file())  # no pipes, no dead links


def _check_paths(files: Mapping[Path, str]) -> None:
    """Check that each file of a folder has a path of its own among the artifacts."""
    seen: dict[str, Path] = {}
    for file, path in files.items():
        try:
            other = seen.setdefault(clean_path(path), file)
        except Invalid as error:
            raise Invalid(
                f"the file {str(file)!r} cannot be kept: {error.message}",
                code=error.code,
                hint="Rename it, or leave it out of the folder.",
            ) from error
        if other is not file:
            raise Invalid(
                f"the files {str(other)!r} and {str(file)!r} would be one artifact: names are "
                "kept without percent-encoding",
                code="path-taken",
                hint="Rename one of them.",
            )


def _medium(path: str, size_bytes: int) -> Medium | None:
    folder, _, name = path.rpartition("/")
    parts = _NAME.fullmatch(name)
    if parts is None:
        return None
    step, number, ending = parts.groups()
    return Medium(
        key=folder.removeprefix(f"{MEDIA}/"),
        step=int(step),
        number=int(number or 0),
        kind=_KINDS.get(ending, "file"),
        path=path,
        size_bytes=size_bytes,
    )
