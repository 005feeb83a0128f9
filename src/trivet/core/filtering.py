"""The filter grammar: text that people write, turned into conditions on documents.

    filter     := term { OR term }
    term       := factor { AND factor }
    factor     := "(" filter ")" | comparison
    comparison := name op value | name IS [NOT] NULL | name [NOT] IN "(" value { "," value } ")"
    name       := [entity "."] key

Words of the grammar are written in any case. A key with other characters than letters, digits and
`_ . - / :` stands in double quotes or backticks, behind its entity in single quotes, too; text
stands in single or double quotes, and a single quote in it is written twice. It is MLflow's grammar
with OR, parentheses and times added.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Final, Literal, NamedTuple, cast

import msgspec

from trivet.core.catalog import (
    Compare,
    Condition,
    Either,
    Every,
    Has,
    OneOf,
    Operator,
    Order,
    Value,
)
from trivet.core.errors import Invalid

Kind = Literal["text", "number", "either", "time"]
"""A time is a number: milliseconds since 1970 (UTC). A filter may write it as a date in quotes."""

_MOST_CHARACTERS: Final = 100_000
_MOST_DEPTH: Final = 100
_MOST_TOLD: Final = 20
_MOST_COMPARED: Final = 5_000
_EXAMPLE: Final = "Write for example metrics.loss < 0.5 AND params.model = 'tree'."
_WORDS: Final = frozenset({"and", "or", "not", "in", "is", "null", "like", "ilike"})
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<op><=|>=|!=|<>|=|<|>)
      | (?P<mark>[(),])
      | (?P<name>(?:(?:[^\W\d][\w]*\.)?(?:`[^`]+`|"[^"]+")|[^\W\d][\w]*\.'[^']+')
            (?=\s*(?:<=|>=|!=|<>|=|<|>|\b(?:I?LIKE|IS|IN|NOT)\b))|[^\W\d][\w.\-/:]*)
      | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.)*")
    )""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_DIGITS = re.compile(r"[0-9]{1,18}")

_ORDER = re.compile(
    r"""\s*((?:[^\W\d]\w*\.)?(?:`[^`]+`|"[^"]+")|[^\s`"]+)(?:\s+(ASC|DESC))?\s*""",
    re.IGNORECASE | re.DOTALL,
)


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """What can stand before the dot of a name.

    Attributes:
        prefix: What the document's attribute begins with: `metrics.`; empty for its own fields.
        kind: Of what kind its values are, where any key is allowed.
        fields: The keys that exist, with their kinds; None: any key.
    """

    prefix: str
    kind: Kind = "text"
    fields: Mapping[str, Kind] | None = None


class Grammar(msgspec.Struct, frozen=True, kw_only=True):
    """Which names a filter may speak of.

    Attributes:
        entities: By every word that may stand before the dot.
        bare: The entity of a name without a dot.
        aliases: Other spellings of fields, lower case.
        sets: Fields that may be compared with a list; None: every text.
        quoted: Fields of numbers that may be written in quotes, too.
        refine: Given a condition on one attribute, what it means in the documents.
        known: Given what their names begin with, be it a whole name, the attributes that there are:
            any other is refused, unless there is none at all. Without it, a name that no document
            has is no error, and finds nothing.
    """

    entities: Mapping[str, Entity]
    bare: Entity
    aliases: Mapping[str, str] = {}
    sets: Collection[str] | None = None
    quoted: Collection[str] = ()
    refine: Callable[[Condition], Condition] | None = None
    known: Callable[[str], Collection[str]] | None = None


class Name(NamedTuple):
    """A name that was resolved: the document's attribute, its kind, and how it was written."""

    attribute: str
    kind: Kind
    written: str


class _Token(NamedTuple):
    sort: str
    text: str
    at: int


def parse_filter(text: str, grammar: Grammar) -> Condition:
    """Turn a filter into a condition; an empty one holds always.

    Raises:
        Invalid: It does not follow the grammar, or speaks of something that does not exist.
    """
    if len(text) > _MOST_CHARACTERS:
        raise Invalid(
            f"the filter has {len(text)} characters; expected at most {_MOST_CHARACTERS}",
            code="bad-filter",
        )
    if not text.strip():
        return Every(())
    return _Parser(text, grammar).parse()


def parse_order(text: str, grammar: Grammar) -> Order:
    """Read `name [ASC|DESC]`.

    Raises:
        Invalid: It is of another form, or the name does not exist.
    """
    found = _ORDER.fullmatch(text)
    if found is None:
        raise Invalid(
            f"Invalid order_by clause {text!r}; expected a name, then ASC or DESC",
            code="bad-order",
        )
    name = resolve(found[1], grammar)
    return Order(name.attribute, falls=(found[2] or "").lower() == "desc")


def resolve(written: str, grammar: Grammar, at: int | None = None) -> Name:
    """Find what a name stands for.

    Args:
        written: The name.
        grammar: Which names there are.
        at: Where in a filter it stands, counted from 0.

    Raises:
        Invalid: No such entity, field or attribute exists; the hint names what comes nearest.
    """
    entity, key = grammar.bare, written
    before, dot, after = written.partition(".")
    word = before.strip().lower()
    if dot and word in grammar.entities:
        entity, key = grammar.entities[word], after
    elif dot and before[:1] not in {'"', "`"}:
        raise Invalid(
            f"Invalid entity type {before!r} in filter string{_place(at)}; expected one of "
            f"{sorted(grammar.entities)}",
            code="bad-filter",
            hint=_did_you_mean(word, grammar.entities) or _EXAMPLE,
        )
    key = _unquoted(key.strip())
    if entity.fields is None:
        name = Name(entity.prefix + key, entity.kind, written)
        _check_known(name, entity, grammar, at)
        return name
    field = grammar.aliases.get(key.lower(), key)
    if field not in entity.fields:
        raise _unknown_field(key, entity.fields, grammar, at)
    return Name(entity.prefix + field, entity.fields[field], written)


def _check_known(name: Name, entity: Entity, grammar: Grammar, at: int | None) -> None:
    if grammar.known is None or name.attribute in grammar.known(name.attribute):
        return
    known = grammar.known(entity.prefix)
    if not known:
        return
    some = sorted(known)[:_MOST_TOLD]
    begin = "name begins" if len(known) == 1 else "names begin"
    raise Invalid(
        f"there is no {name.attribute!r}{_place(at)}; {len(known)} {begin} with "
        f"{entity.prefix!r}: {', '.join(some)}{', ...' if len(known) > len(some) else ''}",
        code="unknown-column",
        hint=_did_you_mean(name.attribute, known) or "Names are case-sensitive.",
        detail={"name": name.attribute, "at": at, "known": some},
    )


def _unknown_field(
    key: str, fields: Mapping[str, Kind], grammar: Grammar, at: int | None
) -> Invalid:
    hint = _did_you_mean(key, [*fields, *grammar.aliases])
    if grammar.known is not None:
        prefixes = {entity.prefix for entity in grammar.entities.values() if not entity.fields}
        elsewhere = [p + key for p in sorted(prefixes) if p + key in grammar.known(p + key)]
        hint = f"Did you mean {' or '.join(elsewhere)}?" if elsewhere else hint
    return Invalid(
        f"Invalid attribute key {key!r} specified{_place(at)}; expected one of {sorted(fields)}",
        code="bad-filter",
        hint=hint or _EXAMPLE,
        detail={"name": key, "at": at, "known": sorted(fields)},
    )


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known)[:_MOST_COMPARED], n=3)
    return f"Did you mean {' or '.join(near)}?" if near else ""


def _place(at: int | None) -> str:
    return "" if at is None else f" at character {at + 1}"


class _Parser:
    """Reads one filter by recursive descent."""

    def __init__(self, text: str, grammar: Grammar) -> None:
        self._text = text
        self._grammar = grammar
        self._tokens = list(self._split(text))
        self._place = 0
        self._depth = 0

    def parse(self) -> Condition:
        condition = self._either()
        if self._peek() is not None:
            raise self._refusal("AND, OR or the end")
        return condition

    def _either(self) -> Condition:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise self._refusal(f"at most {_MOST_DEPTH} parentheses within each other")
        parts = [self._every()]
        while self._take_word("or"):
            parts.append(self._every())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _every(self) -> Condition:
        parts = [self._factor()]
        while self._take_word("and"):
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _factor(self) -> Condition:
        if self._take_mark("("):
            inside = self._either()
            if not self._take_mark(")"):
                raise self._refusal("a closing parenthesis")
            return inside
        condition = self._comparison()
        refine = self._grammar.refine
        return refine(condition) if refine else condition

    def _comparison(self) -> Condition:
        token = self._next("a name")
        if token.sort not in {"name", "text"} or token.text.lower() in _WORDS:
            raise self._refusal("a name", token)
        name = resolve(token.text, self._grammar, token.at)
        if self._take_word("is"):
            negated = not self._take_word("not")
            if not self._take_word("null"):
                raise self._refusal("NULL")
            return Has(name.attribute, negated=negated)
        negated = self._take_word("not")
        if self._take_word("in"):
            return OneOf(name.attribute, self._values(name), negated=negated)
        if negated:
            raise self._refusal("IN")
        return Compare(name.attribute, operator := self._operator(), self._value(name, operator))

    def _operator(self) -> Operator:
        token = self._next("an operator")
        if token.sort == "op":
            return cast("Operator", "!=" if token.text == "<>" else token.text)
        if token.sort == "name" and token.text.lower() in {"like", "ilike"}:
            return cast("Operator", token.text.lower())
        raise self._refusal("an operator", token)

    def _value(self, name: Name, operator: Operator) -> Value:
        token = self._next("a value")
        if name.attribute in self._grammar.quoted:
            token = _bare_number(token)
        if name.kind == "time":
            return self._time(name, operator, token)
        if name.kind == "number" or (name.kind == "either" and token.sort == "number"):
            if token.sort != "number":
                raise self._refusal(f"a number to compare {name.written} with", token)
            if operator in {"like", "ilike"}:
                raise self._refusal("a comparison of numbers", token)
            return float(token.text)
        if token.sort == "name" and token.text[:1] not in {"'", '"'}:
            raise Invalid(
                "Parameter value is either not quoted or unidentified quote types used for string "
                f"value {token.text[:40]} at character {token.at + 1}; expected text in quotes to "
                f"compare {name.written} with",
                code="bad-filter",
                hint=f"Write {name.written} = 'text'.",
            )
        if token.sort not in {"text", "name"}:
            raise self._refusal(f"text in quotes to compare {name.written} with", token)
        if operator in {"<", "<=", ">", ">="}:
            raise self._refusal("=, !=, LIKE, ILIKE or IN for text", token)
        return _unquoted(token.text)

    def _time(self, name: Name, operator: Operator, token: _Token) -> float:
        if operator in {"like", "ilike"}:
            raise self._refusal("a comparison of times", token)
        if token.sort == "number":
            return float(token.text)
        try:
            time = datetime.fromisoformat(_unquoted(token.text))
        except ValueError:
            wanted = f"a time to compare {name.written} with, such as '2026-01-31 12:00'"
            raise self._refusal(wanted, token) from None
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000

    def _values(self, name: Name) -> tuple[Value, ...]:
        sets = self._grammar.sets
        if name.kind not in {"text", "either"} or (sets is not None and name.attribute not in sets):
            raise Invalid(
                f"Only {sorted(sets or ['text'])} attributes support comparison with a list of "
                f"quoted string values; {name.written} does not",
                code="bad-filter",
            )
        if not self._take_mark("("):
            raise self._refusal("a list in parentheses")
        values = [self._item(name)]
        while self._take_mark(",") and not self._is_next(")"):  # the last one may have a comma
            values.append(self._item(name))
        if not self._take_mark(")"):
            raise self._refusal("a comma or a closing parenthesis")
        return tuple(values)

    def _item(self, name: Name) -> Value:
        token = self._peek()
        is_number = token is not None and token.sort == "number"
        if is_number and name.kind == "either":
            return self._value(name, "=")
        if token is not None and (is_number or token.sort == "mark"):
            expected, got = "a non-empty list of string values", "ill-formed list"
            if is_number:
                expected = "string value, punctuation, or whitespace"
                got = "different type in list"
            elif token.text == ")":
                got = "empty list"
            raise Invalid(
                f"While parsing a list in the query, expected {expected}, but got {got}: found "
                f"{self._text[token.at : token.at + 40]!r} at character {token.at + 1}",
                code="bad-filter",
                hint="Write for example run_id IN ('a', 'b').",
            )
        return self._value(name, "=")

    # ------------------------------------------------------------------ tokens

    def _split(self, text: str) -> Iterator[_Token]:
        at, end = 0, len(text.rstrip())
        while at < end:
            found = _TOKEN.match(text, at)
            if found is None or found.lastgroup is None:
                at += len(text[at:]) - len(text[at:].lstrip())
                raise _broken(text[at : at + 40], "a name, an operator or a value", at)
            yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup))
            at = found.end()

    def _peek(self) -> _Token | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _next(self, expected: str) -> _Token:
        token = self._peek()
        if token is None:
            raise self._refusal(expected)
        self._place += 1
        return token

    def _take_word(self, word: str) -> bool:
        token = self._peek()
        if token is None or token.sort != "name" or token.text.lower() != word:
            return False
        self._place += 1
        return True

    def _is_next(self, mark: str) -> bool:
        token = self._peek()
        return token is not None and token.text == mark and token.sort == "mark"

    def _take_mark(self, mark: str) -> bool:
        if not self._is_next(mark):
            return False
        self._place += 1
        return True

    def _refusal(self, expected: str, token: _Token | None = None) -> Invalid:
        token = token or self._peek()
        if token is None:
            return _broken("", expected, len(self._text))
        return _broken(self._text[token.at : token.at + 40], expected, token.at)


def _broken(found: str, expected: str, at: int) -> Invalid:
    what = repr(found) if found else "the end"
    return Invalid(
        f"Invalid clause(s) in filter string: found {what} at character {at + 1}; "
        f"expected {expected}",
        code="bad-filter",
        hint=_EXAMPLE,
        detail={"at": at, "expected": expected},
    )


def _bare_number(token: _Token) -> _Token:
    """Return a number in quotes without them; anything else as it is."""
    inside = _unquoted(token.text) if token.sort == "text" else ""
    return token._replace(sort="number", text=inside) if _DIGITS.fullmatch(inside) else token


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"`":
        inside = text[1:-1]
        if text[0] == "'":
            inside = inside.replace("''", "'")
        return inside.replace("\\" + text[0], text[0]) if text[0] != "`" else inside
    return text
