"""The fields of a request, as lenient about form as protobuf's JSON and as strict about sense.

Numbers may be text, enumerations may be numbers, names may be camelCase, absent is null; anything
else is refused with the words that clients look for: which parameter, and the value that it had.
"""

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, cast
from urllib.parse import parse_qs

import msgspec

from trivet.core.errors import Invalid

_MOST: Final = 2**63
_SPECIAL: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MOST_ECHO: Final = 200


class Fields:
    """The fields of one message.

    Args:
        values: As they came, by name.
        place: Where the message stands in the request, such as `metrics[3]`; empty for the whole.
    """

    def __init__(self, values: Mapping[str, Any], place: str = "") -> None:
        self._values = values
        self._place = place

    def text(self, name: str, default: str = "") -> str:
        """Return text; what is absent is the default.

        Raises:
            Invalid: It is something else.
        """
        value = self._value(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.invalid(name, value, "expected a string")
        return value

    def demanded(self, name: str) -> str:
        """Return text that must be there and not be empty.

        Raises:
            Invalid: It is absent, empty or no text.
        """
        found = self.text(name)
        if not found:
            raise self.missing(name)
        return found

    def present(self, name: str) -> str:
        """Return text that must be there, and may be empty.

        Raises:
            Invalid: It is absent or no text.
        """
        if self._value(name) is None:
            raise self.missing(name)
        return self.text(name)

    def optional(self, name: str) -> str | None:
        """Return text, or None when it is absent."""
        return None if self._value(name) is None else self.text(name)

    def integer(self, name: str, default: int = 0) -> int:
        """Return a whole number of 64 bits; what is absent is the default.

        Raises:
            Invalid: It is something else.
        """
        value = self._value(name)
        if value is None:
            return default
        number = _integer(value)
        if number is None or not -_MOST <= number < _MOST:
            raise self.invalid(name, value, "expected a whole number of 64 bits")
        return number

    def number(self, name: str) -> float:
        """Return a number that must be there.

        Raises:
            Invalid: It is absent, or no number.
        """
        value = self._value(name)
        if value is None:
            raise self.missing(name)
        number = _number(value)
        if number is None:
            raise self.invalid(name, value, "expected a number")
        return number

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a truth value, whatever its case.

        Raises:
            Invalid: It is something else.
        """
        value = self._value(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in {"true", "false"}:
            return value.lower() == "true"
        raise self.invalid(name, value, "expected true or false")

    def choice(self, name: str, names: Sequence[str], default: str) -> str:
        """Return one of an enumeration's names; `names` begins with the number 1.

        Raises:
            Invalid: It is none of them.
        """
        value = self._value(name)
        if value is None:
            return default
        if isinstance(value, str) and value in names:
            return value
        number = _integer(value)
        if number is not None and 1 <= number <= len(names):
            return names[number - 1]
        raise self.invalid(name, value, f"expected one of {', '.join(names)}")

    def texts(self, name: str) -> list[str]:
        """Return a list of texts; a lone text is a list of one.

        Raises:
            Invalid: It is something else.
        """
        value = self._value(name)
        if value is None:
            return []
        items = cast("list[object]", value if isinstance(value, list) else [value])
        if not all(isinstance(item, str) for item in items):
            raise self.invalid(name, items, "expected a list of strings")
        return cast("list[str]", items)

    def messages(self, name: str) -> "list[Fields]":
        """Return a list of messages.

        Raises:
            Invalid: It is something else.
        """
        value = self._value(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.invalid(name, value, "expected a list of objects")
        found: list[Fields] = []
        for place, item in enumerate(cast("list[object]", value)):
            here = self._named(f"{name}[{place}]")
            if not isinstance(item, dict):
                raise _invalid(here, item, "expected an object")
            found.append(Fields(cast("dict[str, Any]", item), here))
        return found

    def message(self, name: str) -> "Fields":
        """Return a message that must be there.

        Raises:
            Invalid: It is absent, or no object.
        """
        value = self._value(name)
        if value is None:
            raise self.missing(name)
        if not isinstance(value, dict):
            raise self.invalid(name, value, "expected an object")
        return Fields(cast("dict[str, Any]", value), self._named(name))

    def tags(self, name: str = "tags") -> dict[str, str]:
        """Return a list of `{key, value}` as a mapping; of equal keys the last one counts.

        Raises:
            Invalid: One has no key, or is no text.
        """
        return {item.demanded("key"): item.text("value") for item in self.messages(name)}

    def mapping(self, name: str) -> dict[str, str]:
        """Return an object of texts as a mapping.

        Raises:
            Invalid: It is something else.
        """
        value = self._value(name)
        if value is None:
            return {}
        items = cast("dict[str, object]", value if isinstance(value, dict) else {"": None})
        if not all(isinstance(item, str) for item in items.values()):
            raise self.invalid(name, cast("object", value), "expected an object of strings")
        return cast("dict[str, str]", items)

    def json(self, name: str) -> Any:  # noqa: ANN401  # any JSON
        """Return whatever JSON is there; None when nothing is."""
        return self._value(name)

    def with_values(self, values: Mapping[str, Any]) -> "Fields":
        """Return the fields with others, from the path, that win over those that came."""
        return Fields({**self._values, **values}, self._place)

    def has(self, name: str) -> bool:
        """Say whether a field is there."""
        return self._value(name) is not None

    def missing(self, name: str) -> Invalid:
        """Return the error that a parameter is not there."""
        return Invalid(
            f"Missing value for required parameter '{self._named(name)}'.", code="missing-field"
        )

    def invalid(self, name: str, value: object, expected: str) -> Invalid:
        """Return the error that a parameter has a value that makes no sense."""
        return _invalid(self._named(name), value, expected)

    def _named(self, name: str) -> str:
        return f"{self._place}.{name}" if self._place else name

    def _value(self, name: str) -> Any:  # noqa: ANN401  # whatever a client sent
        value = self._values.get(name)
        if "_" not in name:
            return value
        camel = self._values.get(_camel_case(name))
        if value is not None and camel is not None:
            raise self.invalid(name, camel, "the field is given in two spellings")
        return camel if value is None else value


@cache
def _camel_case(name: str) -> str:
    """Return the other spelling of a name; the names are those that this package asks for."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def fields_of_body(body: bytes, content_type: bytes) -> Fields:
    """Read a JSON body. An empty one has no fields; one that was encoded twice is read twice.

    Raises:
        Invalid: It is no JSON object, or is declared to be something else.
    """
    if not body:
        return Fields({})
    kind = content_type.partition(b";")[0].strip().lower()
    if kind not in {b"", b"application/json"}:
        raise Invalid(
            f"Bad Request. Content-Type must be application/json, not "
            f"{kind.decode('latin-1')[:_MOST_ECHO]!r}.",
            code="bad-content-type",
        )
    value: object
    try:
        value = msgspec.json.decode(body)
        if isinstance(value, str):
            value = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"Malformed JSON in the request: {error}", code="bad-json") from error
    if not isinstance(value, dict):
        raise Invalid(
            f"Malformed request: the body is a JSON {type(value).__name__}; expected an object",
            code="bad-json",
        )
    return Fields(cast("dict[str, Any]", value))


def fields_of_query(query: bytes) -> Fields:
    """Read query parameters; one that is repeated is a list."""
    found = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    return Fields(
        {name: values[0] if len(values) == 1 else values for name, values in found.items()}
    )


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit():
        return int(value) if len(value) <= 20 else _MOST
    return None


def _number(value: object) -> float | None:
    if isinstance(value, str):
        if value in _SPECIAL:
            return _SPECIAL[value]
        try:
            return float(value) if value.isascii() and "_" not in value else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _invalid(name: str, value: object, expected: str) -> Invalid:
    shown = json.dumps(value, default=str)
    if len(shown) > _MOST_ECHO:
        shown = shown[:_MOST_ECHO] + "..."
    return Invalid(
        f"Invalid value {shown} for parameter '{name}' supplied: {expected}.", code="bad-field"
    )
