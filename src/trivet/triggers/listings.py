"""Comparing listings of files or objects: which are new, and which are still being written."""

import re
from collections.abc import Iterable, Mapping

import msgspec

from trivet.core.errors import Invalid
from trivet.core.ids import sha256_hex
from trivet.core.ports import Listed

MOST_FILES = 100_000
"""Files under watch of one trigger; each look compares all of them."""
_MAGIC = re.compile(r"[*?\[]")


class Place(msgspec.Struct, frozen=True):
    """Where to look: a folder, and a pattern for what lies below it (None: everything)."""

    folder: str
    pattern: str | None

    @property
    def is_deep(self) -> bool:
        """Whether the pattern can match below the folder's own files."""
        return self.pattern is None or "/" in self.pattern or "**" in self.pattern


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing holds that was not acted on."""

    fresh: tuple[str, ...]
    """Names of whole files that are new or changed, sorted."""
    unsettled: tuple[str, ...]
    """Names of files that changed since the last look, sorted."""
    mark: str | None
    """Names the fresh files in the state they are in; None when there are none."""
    acted: dict[str, str]
    """What will have been acted on, once somebody acts: stamps by name."""


def parse_place(text: str) -> Place:
    """Split a place at its first part with `*`, `?` or `[`.

    Raises:
        Invalid: A pattern stands before any folder of a bucket, or is malformed.
    """
    scheme, separator, rest = text.rpartition("://")
    parts = rest.split("/")
    count = next((n for n, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
    folder = "/".join(parts[:count])
    pattern = "/".join(parts[count:]) or None
    if separator and not folder:
        raise Invalid(
            f"place {text!r} has a pattern for its bucket; expected a bucket's name",
            code="bad-place",
            hint="For example s3://company-data/incoming/*.csv.",
        )
    if pattern is not None:
        _matcher(pattern)
    if not separator and not folder:
        folder = "/" if text.startswith("/") else "."
    return Place(f"{scheme}{separator}{folder}", pattern)


def stamps_of(files: Iterable[Listed], place: Place) -> dict[str, str]:
    """Return the stamps, sizes included, of the files that a place's pattern matches, by name.

    Raises:
        Invalid: They are more than 100,000.
    """
    matches = _matcher(place.pattern) if place.pattern else None
    found: dict[str, str] = {}
    for item in files:
        if matches is None or matches.fullmatch(item.name):
            found[item.name] = f"{item.size_bytes} {item.stamp}"
        if len(found) > MOST_FILES:
            raise Invalid(
                f"more than {MOST_FILES} files lie in {place.folder!r}",
                code="too-many-files",
                hint="Watch one folder of it, or a pattern.",
            )
    return found


def compare(
    now: Mapping[str, str], last: Mapping[str, str] | None, acted: Mapping[str, str]
) -> Arrival:
    """Say what is new in a listing.

    Args:
        now: What lies there: stamps by name.
        last: What the last look found; a file that differs is still being written. None where
            files appear whole, as objects in buckets do.
        acted: What was acted on before. A file that went away is nothing new.
    """
    unsettled = {n for n, stamp in now.items() if last is not None and last.get(n) != stamp}
    unsettled = {name for name in unsettled if acted.get(name) != now[name]}
    fresh = sorted(n for n, s in now.items() if n not in unsettled and acted.get(n) != s)
    kept = {n: acted[n] for n in unsettled if n in acted}
    pairs = [f"{name}\0{now[name]}".encode("utf-8", "backslashreplace") for name in fresh]
    return Arrival(
        fresh=tuple(fresh),
        unsettled=tuple(sorted(unsettled)),
        mark=sha256_hex(*pairs)[:32] if fresh else None,
        acted={**{n: s for n, s in now.items() if n not in unsettled}, **kept},
    )


def in_words(names: tuple[str, ...], most: int = 3) -> str:
    """Name files for a person: the first few, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _matcher(pattern: str) -> re.Pattern[str]:
    """Translate a pattern: `*` and `?` stay within a folder, `**` crosses folders."""
    words: list[str] = []
    for part in re.findall(r"\*\*/|\*\*|\[[^\]]+\]|.", pattern):
        match part:
            case "**/":
                words.append("(?:.*/)?")
            case "**":
                words.append(".*")
            case "*":
                words.append("[^/]*")
            case "?":
                words.append("[^/]")
            case _ if part.startswith("[") and len(part) > 2:
                inner = part[1:-1].replace("\\", r"\\")
                words.append(f"[^/{inner[1:]}]" if inner.startswith("!") else f"[{inner}]")
            case _:
                words.append(re.escape(part))
    try:
        return re.compile("".join(words), re.DOTALL)
    except re.error as error:
        raise Invalid(
            f"pattern {pattern!r} cannot be read: {error}",
            code="bad-place",
            hint="`*` stands for any name, `**` for any folders, `[0-9]` for one of several.",
        ) from error
