"""`trivet models card` and `describe`: what is on record about a version, and what is missing."""

from argparse import Namespace

from trivet.cli.choosing import open_chosen
from trivet.cli.command import Answer, Argument, Command, Group
from trivet.cli.output import table, write_page
from trivet.core.errors import Invalid
from trivet.models.card_texts import SECTIONS, CardTexts
from trivet.workspace.cards.making import make_card
from trivet.workspace.cards.markdown import card_markdown
from trivet.workspace.cards.page import card_page


def _card(options: Namespace) -> Answer:
    with open_chosen(options) as ws:
        card = make_card(ws.stores, ws.scope, options.model)
    text = card_markdown(card)
    written: list[str] = []
    for place, content in ((options.html, card_page), (options.markdown, card_markdown)):
        if place:
            write_page(place, content(card))
            written.append(place)
    if written:
        text = f"{card.label}: {len(card.gaps)} gaps; written to {', '.join(written)}"
    return Answer(card, text.rstrip("\n"))


def _describe(options: Namespace) -> Answer:
    if not options.section:
        rows = [(name, words) for name, words in SECTIONS.items()]
        return Answer(dict(SECTIONS), table(("section", "what belongs there"), rows))
    if options.text is None:
        raise Invalid("no text is given", code="bad-arguments", hint="An empty one takes it back.")
    with open_chosen(options) as ws:
        texts = CardTexts(ws.stores, ws.scope)
        subject = texts.write(options.model, options.section, options.text)
    word = "written" if options.text.strip() else "taken back"
    answer = {"subject": subject.label, "section": options.section, "text": options.text}
    return Answer(answer, f"{options.section} of {subject.label} is {word}")


VERBS: Group = {
    "card": Command(
        "Write a version's model card from what is on record, with its gaps marked.",
        "trivet models card churn:3 --html card.html",
        _card,
        (
            Argument("model", "`name:version`, `name@alias`, or `name` for the newest"),
            Argument("--html", "write it as a page into this file", {"metavar": "FILE"}),
            Argument(
                "--markdown",
                "write it as Markdown with metadata, as model hubs take it, into this file",
                {"metavar": "FILE"},
            ),
        ),
    ),
    "describe": Command(
        "Write a section of the card that no fact can know; without one, list the sections.",
        'trivet models describe churn:3 use "to decide whom to call before they leave"',
        _describe,
        (
            Argument("model", "`name:version`, `name@alias`, or `name` for all its versions"),
            Argument("section", "the section", {"nargs": "?"}),
            Argument("text", "the text; empty takes it back", {"nargs": "?"}),
        ),
    ),
}
