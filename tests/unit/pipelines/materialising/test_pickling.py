"""Pickle: by consent of today's code alone, marked where it is, and never another's bytes."""

import fractions
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from trivet.core.errors import Corrupt, Invalid, NotFound
from trivet.pipelines.materialising.readers import Reader
from trivet.pipelines.materialising.values import Form, Values

values = Values()
CONSENTING = Reader(pickle=True)

FRACTIONS = """
from fractions import Fraction
import pathlib

@step(pickle=True)
def third() -> Fraction:
    return {"x": [Fraction(1, 3)]}

@step(pickle=True)
def half(value: Fraction) -> float:
    return float(value["x"][0]) / 2

@flow
def main():
    return {"half": half(third())}
"""


class Bomb:
    """Pickles to a program that leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def crafted(mark: Path) -> dict[str, bytes]:
    return {"value.pickle": pickle.dumps(Bomb(mark))}


def test_what_has_no_materialiser_is_pickled_by_consent(project: Any) -> None:
    project.write(FRACTIONS)
    first, second = project.run(), project.run()
    assert project.statuses(first) == [("third", "run"), ("half", "run")]
    assert project.statuses(second) == [("third", "remembered"), ("half", "remembered")]
    assert first.finished.metrics == second.finished.metrics == {"half": pytest.approx(1 / 6)}
    formats = [step.output.format for step in project.pipelines.steps(first.id)]
    assert formats == ["pickle", "json"], "what has a materialiser is not pickled"


def test_without_consent_nothing_is_pickled(project: Any) -> None:
    project.write(FRACTIONS.replace("@step(pickle=True)\ndef third", "@step\ndef third"))
    with pytest.raises(Invalid, match=r"fractions\.Fraction at result\['x'\]\[0\]") as refused:
        project.run()
    assert refused.value.code == "no-materialiser"
    assert "pickle=True" in refused.value.hint


def test_the_step_that_takes_it_must_consent_too(project: Any) -> None:
    project.write(FRACTIONS.replace("@step(pickle=True)\ndef half", "@step\ndef half"))
    with pytest.raises(Invalid, match=r"argument 'value' of step 'half' .*Fraction"):
        project.run()


def test_consent_is_of_today_and_not_of_the_day_it_was_written(project: Any) -> None:
    project.write(FRACTIONS)
    project.run()
    project.write(FRACTIONS.replace("(pickle=True)", ""))
    with pytest.raises(Invalid, match="has no materialiser"):
        project.run()  # what is kept is not read: the step is run again, and then refused


def test_a_pickle_that_was_swapped_is_never_read(project: Any, tmp_path: Path) -> None:
    project.write(FRACTIONS)
    run = project.run()
    output = project.pipelines.steps(run.id)[0].output
    mark = tmp_path / "mark"
    blobs = project.stores.blobs
    bomb = crafted(mark)["value.pickle"]
    digest = next(d for d, size in blobs.list() if size == output.size_bytes)
    blobs._blobs[digest] = bomb
    with pytest.raises(Corrupt):
        project.run()
    assert not mark.exists()


def test_an_output_of_a_flow_is_pickled_and_read_by_consent(project: Any) -> None:
    project.write(
        "from fractions import Fraction\n@flow(pickle=True)\ndef main():\n"
        "    return {'third': [Fraction(1, 3)]}"
    )
    run = project.run()
    assert run.output("third").format == "pickle"
    with pytest.raises(NotFound, match="consent") as refused:
        project.pipelines.value(run.id, "third")
    assert refused.value.code == "no-consent"
    third = project.pipelines.value(run.id, "third", pickle=True)
    assert third == [fractions.Fraction(1, 3)]


def test_a_flow_without_consent_has_no_pickled_output(project: Any) -> None:
    project.write(
        "from fractions import Fraction\n@flow\ndef main():\n    return {'third': [Fraction(1, 3)]}"
    )
    with pytest.raises(Invalid, match="Fraction"):
        project.run()


def test_a_crafted_pickle_is_not_read_without_consent(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    files = crafted(mark)
    for form in (
        Form("pickle", files),
        Form(
            "composite",
            {"value.json": b'{"$part":["0","pickle"]}', "0/value.pickle": files["value.pickle"]},
        ),
        Form("json", {"value.json": b'{"$made":["pickle",{}]}', **files}),
    ):
        with pytest.raises(NotFound):
            values.load(form)
    with pytest.raises(NotFound):
        values.load(
            Form(
                "composite",
                dict(
                    Form(
                        "composite",
                        {
                            "value.json": b'{"$part":["0","pickle"]}',
                            "0/value.pickle": files["value.pickle"],
                        },
                    ).files
                ),
            ),
            CONSENTING,
        )  # a pickle stands alone, where lineage can see it
    assert not mark.exists()


def test_a_pickle_of_what_is_gone_is_not_known_and_a_broken_one_is_damaged() -> None:
    for content in (b"cno_such_module\nX\n.", b"cfractions\nNoSuchClass\n."):
        with pytest.raises(NotFound):
            values.load(Form("pickle", {"value.pickle": content}), CONSENTING)
    for content in (b"", b"no pickle", b"\x80\x05"):
        with pytest.raises(Corrupt):
            values.load(Form("pickle", {"value.pickle": content}), CONSENTING)


def test_what_cannot_be_pickled_either_says_both() -> None:
    generator = (number for number in range(3))
    with pytest.raises(Invalid, match=r"generator.*cannot be pickled") as refused:
        values.save([generator], "what step 'make' returned", CONSENTING)
    assert "Return a list" in refused.value.hint
