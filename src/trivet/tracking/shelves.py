"""Shelves: what stands where, as a view whose rows are kept in the order of their paths.

A folder is a stretch of rows, there for as long as a file is in it. Listing one steps over what
lies in the folders below it.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from trivet.core.facts import ViewFree, ViewPut
from trivet.core.ports import Row, View, Views
from trivet.tracking.paths import folders_of

ROWS: Final = View(
    name="artifacts",
    columns={
        "project": "text",
        "owner": "text",
        "path": "text",
        "fact": "text",
        "digest": "text",
        "size_bytes": "integer",
        "media_type": "text",
    },
    key=("project", "owner", "path"),
)
"""A row without a digest says that nothing stands there any more."""
_PAGE: Final = 500
_BEHIND_ALL: Final = "\U0010ffff" * 64
"""Sorts behind every name, none of which has as many bytes."""


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is stored. `fact` is the identifier of what recorded it."""

    fact: str
    owner: str
    path: str
    digest: str
    size_bytes: int
    media_type: str


class FolderItem(msgspec.Struct, frozen=True):
    """What a folder shows of one name in it; a folder has no size."""

    name: str
    is_folder: bool
    size_bytes: int | None


class Shelves:
    """What stands where, in one project. Paths are clean.

    Args:
        views: Where the rows are.
        project: Whose files they are.
    """

    def __init__(self, views: Views, project: str) -> None:
        views.declare(ROWS)
        self._views = views
        self._project = project

    def standing(self, artifact: Artifact) -> ViewPut:
        """Return the row to write with the fact that a file stands somewhere."""
        row = msgspec.structs.asdict(artifact)
        return ViewPut(view=ROWS.name, row={**row, "project": self._project})

    def emptied(self, artifact: Artifact, fact: str) -> ViewPut:
        """Return the row to write with the fact that a file stands there no more."""
        key = {"project": self._project, "owner": artifact.owner, "path": artifact.path}
        # What was put there meanwhile is not what was to be deleted.
        return ViewPut(view=ROWS.name, row={**key, "fact": fact}, expect={"fact": artifact.fact})

    def free(self, owner: str, path: str) -> tuple[ViewFree, ...]:
        """Return what must be free for a file to stand at a path: its folders, and all below it."""
        places = [(folder, folder) for folder in folders_of(path)]
        places.append((f"{path}/", f"{path}/{_BEHIND_ALL}"))
        return tuple(
            ViewFree(
                view=ROWS.name,
                first=(self._project, owner, first),
                last=(self._project, owner, last),
                column="digest",
            )
            for first, last in places
        )

    def tidy(self, owner: str, fact: str) -> None:
        """Remove the rows that a deletion emptied; without them listing is quicker, no more."""
        self._views.remove(ROWS.name, {"project": self._project, "owner": owner, "fact": fact})

    def find(self, owner: str, path: str) -> Artifact | None:
        """Return the file at a path, or None."""
        key = {"project": self._project, "owner": owner, "path": path}
        rows = self._views.find(ROWS.name, where=key, limit=1)
        return _artifact(rows[0]) if rows else None

    def below(self, owner: str, folder: str, *, page: int = _PAGE) -> Iterator[Artifact]:
        """Yield all files of a folder and of those in it, by path; of the owner for ''."""
        prefix = f"{folder}/" if folder else ""
        start = prefix
        while rows := self._stretch(owner, prefix, start, page):
            yield from filter(None, map(_artifact, rows))
            start = rows[-1]["path"]

    def owners(self) -> Iterator[str]:
        """Yield everybody who has a file, by name."""
        owner = ""
        while rows := self._views.find(
            ROWS.name, after=(self._project, owner, _BEHIND_ALL), limit=1
        ):
            if rows[0]["project"] != self._project:
                return
            owner = rows[0]["owner"]
            if self.has_below(owner, ""):
                yield owner

    def has_below(self, owner: str, folder: str) -> bool:
        """Say whether a folder is there."""
        return next(self.below(owner, folder, page=1), None) is not None

    def items(self, owner: str, folder: str) -> Iterator[FolderItem]:
        """Yield what is in a folder, each name once."""
        prefix = f"{folder}/" if folder else ""
        start, inner = prefix, None
        while rows := self._stretch(owner, prefix, start, _PAGE):
            for artifact in filter(None, map(_artifact, rows)):
                name, _, rest = artifact.path[len(prefix) :].partition("/")
                if not rest:
                    yield FolderItem(name, is_folder=False, size_bytes=artifact.size_bytes)
                elif name != inner:
                    inner = name
                    yield FolderItem(name, is_folder=True, size_bytes=None)
            start = rows[-1]["path"]
            if inner is not None and start.startswith(f"{prefix}{inner}/"):
                start = f"{prefix}{inner}/{_BEHIND_ALL}"

    def _stretch(self, owner: str, prefix: str, start: str, limit: int) -> list[Row]:
        """Return the next rows behind a path, of those that begin with a prefix."""
        after = (self._project, owner, start)
        rows = self._views.find(ROWS.name, after=after, limit=limit)
        return [
            row
            for row in rows
            if (row["project"], row["owner"]) == after[:2] and row["path"].startswith(prefix)
        ]


def _artifact(row: Row) -> Artifact | None:
    """Return the file of a row, None when nothing stands there."""
    if row["digest"] is None:
        return None
    return Artifact(**{name: row[name] for name in Artifact.__struct_fields__})
