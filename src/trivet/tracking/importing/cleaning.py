"""What strangers wrote, in the form in which it can be kept here: keys, texts, addresses, times."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from trivet.core.errors import Invalid
from trivet.core.ids import sha256_hex
from trivet.core.points import Columns
from trivet.tracking.reporting.experiments import check_key, location_of

_MOST_KEY: Final = 250
_MOST_TEXT: Final = 100_000
_MOST_REMARKS: Final = 1000
_ID = re.compile(r"[0-9a-f]{32}")
_ODD = re.compile(r"[^/\w.\- :]")
_BUCKET = re.compile(r"[a-z][a-z0-9+.-]+://[^?#\s]+", re.IGNORECASE)
_OURS: Final = ("file:", "mlflow-artifacts:", "http:", "https:")
_MOST_STEP: Final = 2**63 - 1
_MOST_TIME: Final = 253_402_300_799_999  # the end of the year 9999


class Remarks:
    """What could not be taken over as it was; equal remarks are counted, the first 1,000 kept."""

    def __init__(self) -> None:
        self._found: Counter[str] = Counter()

    def note(self, text: str) -> None:
        """Remark something."""
        if text in self._found or len(self._found) < _MOST_REMARKS:
            self._found[text] += 1

    def texts(self) -> tuple[str, ...]:
        """Return what was remarked, in the order in which it was first met."""
        return tuple(
            text if times == 1 else f"{text} ({times:,} times)"
            for text, times in self._found.items()
        )


def run_id(id: str) -> str:
    """Return the identifier under which a run is kept: its own when it is of our form."""
    return id if _ID.fullmatch(id) else sha256_hex(b"run", id.encode())[:32]


def model_id(id: str) -> str:
    """Return the identifier under which a logged model is kept."""
    plain = id.removeprefix("m-")
    is_ours = id.startswith("m-") and _ID.fullmatch(plain)
    return id if is_ours else f"m-{sha256_hex(b'model', id.encode())[:32]}"


def digest_of(held: msgspec.Struct) -> str:
    """Digest what a store holds, so that what did not change is known by it."""
    return sha256_hex(msgspec.json.encode(held))[:32]


def is_bucket(location: str) -> bool:
    """Say whether an address is that of a storage which clients reach by themselves."""
    return bool(_BUCKET.fullmatch(location)) and not location.lower().startswith(_OURS)


def place_for(location: str, home: str, number: int, rest: str) -> str:
    """Return where clients find somebody's artifacts from now on.

    Args:
        location: Where they are in the other store.
        home: Where those of the experiment are here.
        number: The experiment's number.
        rest: What follows the experiment's address.
    """
    if is_bucket(location):
        return location
    root = location_of(number) if is_bucket(home) else home.rstrip("/")
    return f"{root}/{rest}"


def clean_keys(keys: Iterable[str], what: str, remarks: Remarks) -> dict[str, str]:
    """Return under which name each key is kept; two keys never share one.

    Args:
        keys: As they are in the other store.
        what: `metric`, `param` or `tag`.
        remarks: Told of each that is called otherwise here.
    """
    found: dict[str, str] = {}
    taken: set[str] = set()
    odd: list[str] = []
    for key in keys:
        if _is_key(key, what):
            found[key] = key
            taken.add(key)
        else:
            odd.append(key)
    for key in sorted(odd):
        plain = _plain_key(key, taken)
        found[key] = plain
        taken.add(plain)
        remarks.note(f"the {what} {key[:100]!r} is called {plain!r} here")
    return found


def clean_texts(values: Mapping[str, str], what: str, remarks: Remarks) -> dict[str, str]:
    """Return texts by keys as they can be kept: odd keys renamed, long texts cut."""
    keys = clean_keys(values, what, remarks)
    return {keys[key]: clean_text(value, f"{what} {key}", remarks) for key, value in values.items()}


def clean_text(value: str, what: str, remarks: Remarks) -> str:
    """Return a text as it can be kept: cut after 100,000 characters, without lone surrogates."""
    if len(value) > _MOST_TEXT:
        remarks.note(f"the {what[:100]} has {len(value):,} characters; {_MOST_TEXT:,} are kept")
        value = value[:_MOST_TEXT]
    return value.encode("utf-8", "replace").decode()


def clean_labels(values: Mapping[str, str], what: str, remarks: Remarks) -> dict[str, str]:
    """Return texts by keys; a key of a trace is kept as it is, or not at all."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if 0 < len(key) <= _MOST_KEY and key.isprintable():
            found[key] = clean_text(value, f"{what} {key}", remarks)
        else:
            remarks.note(f"the {what} {key[:100]!r} is left out: it has no key for here")
    return found


def clean_time(time_ms: int) -> int:
    """Return a moment that can be kept, in milliseconds since 1970: not before, nor after 9999."""
    return min(max(0, time_ms), _MOST_TIME)


def clean_columns(steps: Columns, times: Columns) -> tuple[Columns, Columns, bool]:
    """Return steps and times that can be kept, and whether they were others before."""
    if not len(times):
        return steps, times, False
    is_odd = min(times) < 0 or max(times) > _MOST_STEP or min(steps) < -_MOST_STEP
    if not is_odd:
        return steps, times, False
    lifted = type(times)(_code(times), (max(0, time) for time in times))
    return type(steps)(_code(steps), (max(-_MOST_STEP, step) for step in steps)), lifted, True


def _code(column: Any) -> str:  # noqa: ANN401  # an array, whose type has no name for this
    return str(column.typecode)


def _is_key(key: str, what: str) -> bool:
    try:
        check_key(key, what)
    except Invalid:
        return False
    return True


def _plain_key(key: str, taken: Collection[str]) -> str:
    parts = _ODD.sub("_", key).split("/")
    plain = "/".join(part if part not in {"", ".", ".."} else "_" for part in parts)
    imprint = sha256_hex(key.encode("utf-8", "surrogatepass"))[:8]
    if len(plain) > _MOST_KEY or plain in taken:
        plain = f"{plain[: _MOST_KEY - 9]}-{imprint}"
    return plain
