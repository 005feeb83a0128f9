"""Names of data sets and tables: where a table lies, what a file becomes, what was meant."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from trivet.core.errors import Invalid
from trivet.core.ids import NAME_PATTERN, check_name, sha256_hex

_LONGEST = 64
_MOST_TAG = 250
_MOST_VALUE = 5_000
_IDENTIFIER = re.compile(r"[0-9a-f]{32}")


def is_identifier(text: str) -> bool:
    """Say whether a reference is a fact's identifier rather than a name."""
    return _IDENTIFIER.fullmatch(text) is not None


def check_dataset_name(name: str) -> str:
    """Return `name` when a data set may carry it.

    Raises:
        Invalid: It is no valid name, or looks like an identifier, which would be ambiguous.
    """
    check_name(name, "dataset")
    if is_identifier(name):
        raise Invalid(
            "dataset is a name that looks like an identifier of 32 hexadecimal digits",
            code="bad-name",
            hint="Choose a name with a letter beyond f in it.",
        )
    return name


def stored_name(project: str, dataset: str, table: str) -> str:
    """Name a table in the store: `project.dataset.table` where that is valid and unambiguous.

    Otherwise (a dot in a part, more than 64 characters) a digest takes the place of what cannot
    be said, in a form without dots that no readable name can have.
    """
    parts = (project, dataset, table)
    plain = ".".join(parts)
    if len(plain) <= _LONGEST and not any("." in part for part in parts):
        return plain
    digest = sha256_hex(*(part.encode() for part in parts))[:32]
    return f"{plain.replace('.', '-')[:31].rstrip('-_')}-{digest}"


def name_from_file(path: Path) -> str:
    """Make a data set's name of a file's: `My Data (2).csv` becomes `my-data-2`.

    Raises:
        Invalid: Nothing of the name is left, for example when it has no Latin letter or digit.
    """
    name = re.sub(r"[^a-z0-9_]+", "-", path.stem.lower())[:_LONGEST].strip("-_")
    if not NAME_PATTERN.fullmatch(name) or is_identifier(name):
        raise Invalid(
            f"the file name {path.name!r} gives no name for a data set",
            code="bad-name",
            hint="Pass a name, for example dataset='customers'.",
        )
    return name


def suggest(word: str, known: Iterable[str]) -> str:
    """Say in one sentence which known names come near `word`, or which there are (at most 12)."""
    names = list(known)
    by_lower = {name.lower(): name for name in names}
    near = difflib.get_close_matches(word.lower(), by_lower, n=3, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(repr(by_lower[name]) for name in near)}?"
    shown = ", ".join(repr(name) for name in names[:12])
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"There are: {shown}{more}." if names else "There are none yet."


def check_tags(tags: object) -> dict[str, str]:
    """Return tags of a version.

    Raises:
        Invalid: They are no texts by name, or one is empty or too long.
    """
    if not isinstance(tags, Mapping):
        raise Invalid(f"tags is a {type(tags).__name__}; expected texts by name", code="bad-tags")
    checked: dict[str, str] = {}
    for name, value in cast("Mapping[object, object]", tags).items():
        if not isinstance(name, str) or not 0 < len(name) <= _MOST_TAG:
            raise Invalid(
                f"the name of a tag is a {type(name).__name__}; expected 1 to {_MOST_TAG} "
                "characters",
                code="bad-tags",
            )
        if not isinstance(value, str) or len(value) > _MOST_VALUE:
            raise Invalid(
                f"tag {name!r} is a {type(value).__name__}; expected at most {_MOST_VALUE} "
                "characters",
                code="bad-tags",
            )
        checked[name] = value
    return checked
