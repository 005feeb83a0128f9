"""Model cards: made from facts alone, the same to the byte, with every gap marked."""

import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace as Namespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.models.doors import Registry

from trivet.core.errors import Invalid, NotFound
from trivet.models.card_texts import SECTIONS, CardTexts
from trivet.models.comments import Comments
from trivet.models.deprecations import Deprecations
from trivet.workspace.cards.card import Card, Gap, Grid, Line, Section, Text
from trivet.workspace.cards.learning import training_data
from trivet.workspace.cards.making import make_card
from trivet.workspace.cards.markdown import card_markdown
from trivet.workspace.cards.page import card_page

yaml = pytest.importorskip("yaml")


def card(registry: Registry, reference: str) -> Card:
    return make_card(registry.stores, registry.scope, reference)


def section(found: Card, key: str) -> Section:
    return next(each for each in found.sections if each.key == key)


def values(found: Section) -> dict[str, str]:
    return {line.name: line.value for line in found.lines}


def test_a_packaged_version_s_card_tells_what_is_on_record(registry: Registry) -> None:
    registry.approvals.protect("champion", 1)
    model = registry.register()
    with pytest.raises(Exception, match="needs 1 approvals") as raised:
        registry.service.set_alias("parcels", "champion", model, "the first")
    request: Any = raised.value
    registry.acting("bob").approvals.approve(request.detail["request"], "seen")
    registry.service.set_alias("parcels", "champion", model, "the first")
    found = card(registry, "parcels@1")
    details = values(section(found, "details"))
    assert details["task"] == "binary of late"
    assert model.version.package in details["package"]
    assert section(found, "factors").grids[0].rows[0][0] == model.version.signature.inputs[0].name
    assert values(section(found, "training-data"))["parcels"] == model.version.data[0]
    (columns,) = section(found, "training-data").grids
    assert "6,000 rows" in columns.caption
    assert section(found, "analyses").grids[0].rows == (
        ("fine", "yes", "0.5", "", "", "it is as it is"),
    )
    assert values(section(found, "code"))["run"] == registry.run.id
    approvals, moves = section(found, "governance").grids
    assert approvals.rows == (("parcels@champion", "ada", "bob", "1 of 1", "used"),)
    assert "champion: nothing → parcels:1 (the first)" in moves.rows[0][2]


def test_the_same_facts_give_the_same_bytes(registry: Registry) -> None:
    registry.register()
    one, two = card(registry, "parcels:1"), card(registry.acting("bob"), "parcels")
    assert card_markdown(one) == card_markdown(two)
    assert card_page(one) == card_page(two)
    registry.names.set_alias("parcels", "best", 1)
    assert card_markdown(card(registry, "parcels:1")) != card_markdown(one)


def test_each_gap_names_its_fact_and_goes_away_once_it_is_recorded(registry: Registry) -> None:
    registry.register()
    texts = CardTexts(registry.stores, registry.scope)
    gaps = {gap.what for gap in card(registry, "parcels:1").gaps}
    for name, words in SECTIONS.items():
        if words not in gaps:
            continue
        texts.write("parcels:1", name, f"about {name}")
        left = {gap.what for gap in card(registry, "parcels:1").gaps}
        assert words not in left, name
    text = card_markdown(card(registry, "parcels:1"))
    assert "about ethics" in text
    assert "ethics: ada, " in text
    commands = [gap.command for gap in card(registry, "parcels:1").gaps]
    assert not [command for command in commands if "describe" in command]


def test_what_is_written_of_a_model_holds_for_each_version_without_its_own(
    registry: Registry,
) -> None:
    registry.register()
    registry.register()
    texts = CardTexts(registry.stores, registry.scope)
    texts.write("parcels", "use", "to plan tours")
    texts.write("parcels:2", "use", "to plan tours by night")
    assert [t.text for t in section(card(registry, "parcels:1"), "use").texts] == ["to plan tours"]
    assert section(card(registry, "parcels:2"), "use").texts[0].text == "to plan tours by night"
    texts.write("parcels:2", "use", "")
    assert section(card(registry, "parcels:2"), "use").texts[0].text == "to plan tours"


def test_what_is_no_section_is_refused(registry: Registry) -> None:
    registry.register()
    texts = CardTexts(registry.stores, registry.scope)
    for name, text in (("poetry", "a"), ("use", "a" * 20_001)):
        with pytest.raises(Invalid):
            texts.write("parcels:1", name, text)
    with pytest.raises(NotFound):
        texts.write("letters", "use", "to read")
    with pytest.raises(NotFound):
        card(registry, "parcels:9")


def test_a_logged_version_s_card_says_what_is_missing(registry: Registry) -> None:
    registry.names.make("letters")
    registry.log("letters", b"one")
    found = card(registry, "letters:1")
    assert "no gate has judged it" in values(section(found, "details"))["kind"]
    missing = [gap.what for gap in found.gaps]
    for what in (
        "a gate's verdict",
        "the data it was trained on",
        "the held-out rows it was judged on",
        "the sources and the environment of its run",
    ):
        assert what in missing


def test_people_s_words_stand_in_the_card(registry: Registry) -> None:
    registry.register()
    registry.register()
    comments = Comments(registry.stores, registry.scope)
    comments.write("parcels:1", "weak on small parcels")
    comments.withdraw(comments.write("parcels:1", "nonsense").id)
    deprecations = Deprecations(registry.stores, registry.scope)
    deprecations.deprecate("parcels:1", "a broken feed", instead="parcels:2")
    found = card(registry, "parcels:1")
    texts = [text.text for text in section(found, "caveats").texts]
    assert texts == ["weak on small parcels"]
    assert "a broken feed; use parcels:2" in found.warning
    assert "Deprecated." in card_markdown(found)
    assert "a broken feed" in card_page(found)
    assert found.metadata["new_version"] == "parcels:2"


# -------------------------------------------------------------- however it is written

TEXTS = st.text(max_size=60)


class _Balanced(HTMLParser):
    """Reads a page and makes sure that its elements nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.scripts += tag in {"script", "img", "iframe"}
        if tag not in {"meta", "br", "hr", "col"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def a_card(text: str) -> Card:
    return Card(
        label=text or "x",
        summary=text,
        warning=text,
        metadata={"license": text, "tags": [text, "b"], text or "k": {"deep": [{"v": 1.5}, {}]}},
        sections=(
            Section(
                key="s",
                title="S",
                texts=(Text(text=text, by=text),),
                lines=(Line(name=text, value=text),),
                grids=(Grid(caption=text, headings=(text, "b"), rows=((text, text),)),),
                gaps=(Gap(what=text, command="`do it`"),),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("kind", "low", "high", "expected"),
    [
        ("date", 1_704_067_200.0, 1_735_344_000.0, "2024-01-01 to 2024-12-28"),
        ("datetime", -60.0, 86_399.5, "1969-12-31 23:59 to 1970-01-01 23:59"),
        ("date", -1e15, 1e15, "-1e+15 to 1e+15"),
        ("integer", 18, 80, "18 to 80"),
        ("text", None, None, ""),
    ],
)
def test_a_column_of_days_has_a_range_of_days(
    kind: str, low: float | None, high: float | None, expected: str
) -> None:
    table = Namespace(name="t", rows=1, version=0, digest="b3:0", columns={"c": "any"})
    commit = Namespace(dataset="d", names=["t"], tables=[table], source="", message="", until=None)
    profile = {"name": "c", "kind": kind, "low": low, "high": high, "mean": low}
    used: Any = Namespace(
        id="1",
        commit=Namespace(**vars(commit), synthetic=False, trees=(), findings=()),
        profiles={"t": {"columns": [profile]}},
    )
    evidence: Any = Namespace(data=[used], inputs=(), texts={}, subject=Namespace(label="d:1"))
    (grid,) = training_data(evidence).grids
    assert grid.rows[0][4] == expected


def test_sentences_in_a_table_keep_a_readable_width() -> None:
    page = card_page(a_card("a sentence of more than forty characters, as checks say it"))
    assert '<td class="words">a sentence' in page
    assert '<td class="words">' not in card_page(a_card("short"))


@given(TEXTS)
def test_no_text_breaks_out_of_a_card(text: str) -> None:
    reader = _Balanced()
    reader.feed(card_page(a_card(text)))
    assert reader.open == []
    assert reader.scripts == 0
    markdown = card_markdown(a_card(text))
    table = [line for line in markdown.splitlines() if re.match(r"(?<!\\)\| ", line)]
    assert len(table) == 2
    for line in table:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 3


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf"]), max_size=40))
def test_the_header_is_yaml_that_says_the_same(text: str) -> None:
    found = a_card(text)
    _, header, _ = card_markdown(found).split("---\n", 2)
    assert json.dumps(yaml.safe_load(header), sort_keys=True) == json.dumps(
        found.metadata, sort_keys=True
    )
