"""Filters as people write them: what they mean, and what they are told when it means nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.catalog import Compare, Condition, Either, Every, Has, OneOf, Order
from trivet.core.errors import Invalid
from trivet.core.filtering import Entity, Grammar, parse_filter, parse_order

OWN = Entity(prefix="", fields={"status": "text", "run_id": "text", "start_time": "number"})
GRAMMAR = Grammar(
    entities={
        "metrics": Entity(prefix="metrics.", kind="number"),
        "params": Entity(prefix="params."),
        "tags": Entity(prefix="tags."),
        "attributes": OWN,
    },
    bare=OWN,
    aliases={"created": "start_time"},
    sets={"run_id"},
)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("", Every(())),
        ("  \n", Every(())),
        ("metrics.loss < 0.5", Compare("metrics.loss", "<", 0.5)),
        ("metrics.loss<-1e-3", Compare("metrics.loss", "<", -0.001)),
        ("metrics.a.b >= +2", Compare("metrics.a.b", ">=", 2.0)),
        ("params.lr = '0.1'", Compare("params.lr", "=", "0.1")),
        ('params.lr = "0.1"', Compare("params.lr", "=", "0.1")),
        ("params.`a b/c` != 'x'", Compare("params.a b/c", "!=", "x")),
        ("tags.\"a.b\" LIKE '%x_'", Compare("tags.a.b", "like", "%x_")),
        ("tags.a ilike 'x'", Compare("tags.a", "ilike", "x")),
        ("tags.mlflow.user = 'ada'", Compare("tags.mlflow.user", "=", "ada")),
        ("status = 'running'", Compare("status", "=", "running")),
        ("attributes.Created > 5", Compare("start_time", ">", 5.0)),
        ("tags.a IS NULL", Has("tags.a", negated=True)),
        ("tags.a is not null", Has("tags.a")),
        ("run_id IN ('a', 'b')", OneOf("run_id", ("a", "b"))),
        ("run_id NOT IN ('a')", OneOf("run_id", ("a",), negated=True)),
        ("params.a = 'it\\'s'", Compare("params.a", "=", "it's")),
        ("params.a = 'x AND y'", Compare("params.a", "=", "x AND y")),
        (
            "metrics.a > 1 and metrics.b > 2 AND status = 'x'",
            Every(
                (
                    Compare("metrics.a", ">", 1.0),
                    Compare("metrics.b", ">", 2.0),
                    Compare("status", "=", "x"),
                )
            ),
        ),
        (
            "metrics.a > 1 AND (status = 'x' OR status = 'y') OR tags.z IS NULL",
            Either(
                (
                    Every(
                        (
                            Compare("metrics.a", ">", 1.0),
                            Either((Compare("status", "=", "x"), Compare("status", "=", "y"))),
                        )
                    ),
                    Has("tags.z", negated=True),
                )
            ),
        ),
    ],
)
def test_a_filter_means_its_condition(text: str, condition: Condition) -> None:
    assert parse_filter(text, GRAMMAR) == condition


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("metrics.loss <", "expected a value"),
        ("metrics.loss", "expected an operator"),
        ("metrics.loss < 'a'", "expected a number to compare metrics.loss with"),
        ("metrics.loss LIKE 3", "expected a comparison of numbers"),
        ("params.a = 3", "expected text in quotes"),
        ("params.a = b", "expected text in quotes"),
        ("params.a < 'b'", "expected =, !=, LIKE, ILIKE or IN for text"),
        ("params.a = 'b' params.c = 'd'", "expected AND, OR or the end"),
        ("params.a = 'b' AND", "found the end"),
        ("params.a = 'b", "at character 12"),
        ("(params.a = 'b'", "a closing parenthesis"),
        ("params.a = 'b')", "expected AND, OR or the end"),
        ("status IN ('a')", "attributes support comparison with a list"),
        ("run_id IN ()", "but got empty list"),
        ("run_id IN (,)", "but got ill-formed list"),
        ("run_id IN ('a',,'b')", "but got ill-formed list"),
        ("run_id IN (1, 2)", "but got different type in list"),
        ("run_id = red", "not quoted"),
        ("run_id IN ('a'", "a comma or a closing parenthesis"),
        ("run_id NOT 'a'", "expected IN"),
        ("tags.a IS 'x'", "expected NULL"),
        ("NOT metrics.loss > 1", "expected a name"),
        ("AND metrics.loss > 1", "expected a name"),
        ("color = 'red'", "Invalid attribute key 'color'"),
        ("gauges.a > 1", "Invalid entity type 'gauges'"),
        ("; DROP TABLE runs", "Invalid clause(s) in filter string"),
        ("(" * 200 + "status = 'x'" + ")" * 200, "at most 100 parentheses"),
    ],
)
def test_a_filter_that_means_nothing_is_told_where_and_what_was_expected(
    text: str, told: str
) -> None:
    with pytest.raises(Invalid) as caught:
        parse_filter(text, GRAMMAR)
    assert told in caught.value.message
    assert caught.value.code == "bad-filter"


def test_orders_say_by_what_and_which_way() -> None:
    assert parse_order("metrics.loss", GRAMMAR) == Order("metrics.loss")
    assert parse_order(" metrics.`a b`  desc ", GRAMMAR) == Order("metrics.a b", falls=True)
    assert parse_order("attributes.start_time ASC", GRAMMAR) == Order("start_time")
    with pytest.raises(Invalid, match="Invalid attribute key"):
        parse_order("colour", GRAMMAR)


KEYS = st.text(
    st.characters(codec="utf-8", exclude_characters='`"', exclude_categories=("Cs",)), min_size=1
).filter(lambda key: key == key.strip())
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\\'"))
COMPARISONS = st.one_of(
    st.builds(
        Compare,
        KEYS.map("metrics.{}".format),
        st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    st.builds(
        Compare,
        KEYS.map("tags.{}".format),
        st.sampled_from(["=", "!=", "like", "ilike"]),
        TEXTS,
    ),
    st.builds(Has, KEYS.map("params.{}".format), st.booleans()),
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.builds(Every, st.lists(inner, min_size=2, max_size=4).map(tuple)),
        st.builds(Either, st.lists(inner, min_size=2, max_size=4).map(tuple)),
    ),
    max_leaves=12,
)


def written(condition: Condition) -> str:
    match condition:
        case Every(parts):
            return " AND ".join(f"({written(part)})" for part in parts)
        case Either(parts):
            return " OR ".join(f"({written(part)})" for part in parts)
        case Has(name, negated):
            return f"{quoted(name)} IS {'' if negated else 'NOT '}NULL"
        case Compare(name, operator, value):
            text = f"'{value}'" if isinstance(value, str) else repr(value)
            return f"{quoted(name)} {operator.upper()} {text}"
        case _:
            raise AssertionError


def quoted(name: str) -> str:
    entity, _, key = name.partition(".")
    return f"{entity}.`{key}`"


@given(CONDITIONS)
def test_what_is_written_down_is_read_as_the_same_condition(condition: Condition) -> None:
    assert parse_filter(written(condition), GRAMMAR) == condition


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_filter(text, GRAMMAR)
    except Invalid as error:
        assert error.code == "bad-filter"  # noqa: PT017  # other errors shall come through


KNOWING = Grammar(
    entities={
        "metrics": Entity(prefix="metrics.", kind="number"),
        "params": Entity(prefix="params.", kind="either"),
        "tags": Entity(prefix="tags."),
    },
    bare=Entity(prefix="", fields={"began": "time", "name": "text"}),
    known=lambda start: [name for name in ("metrics.loss", "params.lr") if name.startswith(start)],
)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("began >= '1970-01-02'", Compare("began", ">=", 86_400_000.0)),
        ("began < '1970-01-01T01:00:00+01:00'", Compare("began", "<", 0.0)),
        ("began != 5", Compare("began", "!=", 5.0)),
        ("params.lr < 5", Compare("params.lr", "<", 5.0)),
        ("params.lr = '5'", Compare("params.lr", "=", "5")),
        ("params.lr IN (5, 'auto')", OneOf("params.lr", (5.0, "auto"))),
        ("tags.whatever = 'x'", Compare("tags.whatever", "=", "x")),  # no tag is known at all
    ],
)
def test_times_and_numbers_are_compared_as_such(text: str, condition: Condition) -> None:
    assert parse_filter(text, KNOWING) == condition


@pytest.mark.parametrize(
    ("text", "at", "hint"),
    [
        ("metrics.los < 1", 0, "Did you mean metrics.loss?"),
        ("name = 'a' AND (params.LR = 1)", 16, "Did you mean params.lr?"),
        ("loss < 1", 0, "Did you mean metrics.loss?"),
        ("metrics.qqqqqqqqqqqqqqq < 1", 0, "Names are case-sensitive."),
        ("began = 'x'", 8, ""),
        ("name < 'x'", 7, ""),
    ],
)
def test_an_error_says_where_and_what_was_meant(text: str, at: int, hint: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_filter(text, KNOWING)
    assert refused.value.detail["at"] == at
    assert f"at character {at + 1}" in str(refused.value)
    assert hint in (refused.value.hint or "")
