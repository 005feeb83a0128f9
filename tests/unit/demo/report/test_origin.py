from collections.abc import Callable
from typing import Any

import msgspec

from trivet.demo.report.decisions import draw_verdicts
from trivet.demo.report.origin import draw_origin
from trivet.serving.lineage import Why

Invent = Callable[..., Why]
Read = Callable[[str], Any]


def test_the_chain_goes_from_the_prediction_down_to_the_environment(
    invent_origin: Invent, read_page: Read
) -> None:
    chain = read_page(draw_origin(invent_origin())).text
    places = [
        chain.index(f"{kind} {name}")
        for kind, name in (
            ("Prediction", "the-prediction"),
            ("Release", "the-release"),
            ("Model", "the-model"),
            ("Run", "the-run"),
            ("Data version", "the-data"),
            ("Code", "b3:tree"),
            ("Environment", "b3:lock"),
        )
    ]
    assert places == sorted(places)


def test_each_box_names_what_it_is_made_of(invent_origin: Invent, read_page: Read) -> None:
    chain = read_page(draw_origin(invent_origin())).text
    for said in (
        "Answer 0.453125",
        "Label 1",
        "Event time 2014-01-01 01:50 UTC",
        "flights:3, lightgbm",
        "0.1690 (0.1385 to 0.1994) on 12,540 held-out rows",
        "71,166 rows, version 7, b3:table",
        "Git commit c0ffee",
        "64 distributions",
    ):
        assert said in chain


def test_inputs_are_listed_as_they_were_received(invent_origin: Invent, read_page: Read) -> None:
    page = read_page(draw_origin(invent_origin("wind_speed_mph")))
    assert page.row("wind_speed_mph")[1:] == ["12.5"]
    assert page.row("origin")[1:] == ["missing"]


def test_code_outside_of_git_is_said_to_be(invent_origin: Invent, read_page: Read) -> None:
    why = invent_origin()
    outside = msgspec.structs.replace(why, code=msgspec.structs.replace(why.code, commit=None))
    assert "in no Git repository" in read_page(draw_origin(outside)).text


def test_a_label_that_is_not_known_yet_is_said_to_be(
    invent_origin: Invent, read_page: Read
) -> None:
    unlabelled = msgspec.structs.replace(invent_origin(), label=None)
    assert "Label not known yet" in read_page(draw_origin(unlabelled)).text


def test_without_a_prediction_there_is_no_chain() -> None:
    assert draw_origin(None) == ""


def test_the_checklist_behind_the_example_is_told_check_by_check(
    invent_origin: Invent, invent_evidence: Callable[..., Any], read_page: Read
) -> None:
    page = read_page(draw_verdicts(invent_evidence(), invent_origin("all inputs fit")))
    assert page.row("schema")[1:] == ["yes", "all inputs fit"]
