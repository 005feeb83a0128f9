"""Errors of steps in warm processes come out as they were, with what they were raised from."""

import dataclasses

import pytest
from tests.unit.pipelines.workers.pooled import Pooled

from trivet.pipelines.materialising.values import Values
from trivet.pipelines.workers.crossing import describe, rebuild
from trivet.pipelines.workers.exchange import Packer
from trivet.testing.memory_stores import memory_stores


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int


def test_an_error_of_the_users_comes_out_as_it_was_with_its_lines(project: Pooled) -> None:
    project.write("""
class TooCold(Exception):
    def __init__(self, degrees, place):
        super().__init__(f"{degrees} degrees in {place}")
        self.degrees = degrees

@step(where="pool")
def known():
    return {}["spoon"]

@step(where="pool")
def own():
    error = TooCold(4, "the kitchen")
    error.add_note("put the kettle on")
    raise error

@flow
def main():
    known()

@flow
def other():
    own()
""")
    with pytest.raises(KeyError) as raised:
        project.run()
    assert raised.value.args == ("spoon",)
    run = project.ws.tracking.runs()[0]
    assert 'in known: return {}["spoon"]' in run.finished.error
    with pytest.raises(Exception, match="4 degrees in the kitchen") as raised:
        project.run("pipeline:other")
    assert "TooCold" in type(raised.value).__name__ + str(raised.value)
    assert "put the kettle on" in raised.value.__notes__


CAUSES = """
class Sums(ExceptionGroup):
    def derive(self, excs):
        return Sums(self.message, excs)

class Odd(ExceptionGroup):
    def __new__(cls, members):
        return super().__new__(cls, "odd", members)

@step(where="pool")
def fail(how):
    try:
        {}["spoon"]
    except KeyError as error:
        error.add_note("look in the drawer")
        if how == "from":
            raise ValueError("no soup") from error
        if how == "while":
            raise ValueError("no soup")
        raise ValueError("no soup") from None

@step(where="pool")
def group(how):
    members = [ValueError("a"), ExceptionGroup("inner", [TypeError("b")])]
    if how == "many":
        raise ExceptionGroup("many", [ValueError(n) for n in range(300)])
    if how == "circle":
        one, two = ValueError("one"), ValueError("two")
        one.__cause__, two.__cause__ = two, one
        raise one
    if how == "odd":
        raise Odd(members)
    raise {"plain": ExceptionGroup, "sums": Sums}[how]("sums", members)

@flow
def main(step: str = "fail", how: str = "from"):
    {"fail": fail, "group": group}[step](how)
"""


def test_what_an_error_was_raised_from_comes_out_with_it(project: Pooled) -> None:
    project.write(CAUSES)
    with pytest.raises(ValueError, match="no soup") as raised:
        project.run()
    cause = raised.value.__cause__
    assert isinstance(cause, KeyError)
    assert cause.args == ("spoon",)
    assert cause.__notes__ == ["look in the drawer"]
    assert cause.__traceback__ is not None
    assert "caused by KeyError: 'spoon'" in project.ws.tracking.runs()[0].finished.error
    with pytest.raises(ValueError, match="no soup") as raised:
        project.run(how="while")
    assert (raised.value.__cause__, type(raised.value.__context__)) == (None, KeyError)
    with pytest.raises(ValueError, match="no soup") as raised:
        project.run(how="not")
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)


@pytest.mark.parametrize(("how", "kind"), [("plain", "ExceptionGroup"), ("sums", "Sums")])
def test_a_group_of_errors_comes_out_with_its_members(project: Pooled, how: str, kind: str) -> None:
    project.write(CAUSES)
    with pytest.raises(ExceptionGroup) as raised:
        project.run(step="group", how=how)
    found = raised.value
    assert type(found).__name__ == kind
    assert found.message == "sums"
    first, inner = found.exceptions
    assert (type(first), first.args) == (ValueError, ("a",))
    assert isinstance(inner, ExceptionGroup)
    assert [type(member) for member in inner.exceptions] == [TypeError]


def test_a_group_that_cannot_be_built_again_keeps_its_members(project: Pooled) -> None:
    project.write(CAUSES)
    with pytest.raises(ExceptionGroup, match="odd") as raised:
        project.run(step="group", how="odd")
    assert [type(member) for member in raised.value.exceptions] == [ValueError, ExceptionGroup]


def test_an_error_that_lets_nobody_set_anything_keeps_its_cause() -> None:
    error = Frozen(3)
    BaseException.__setattr__(error, "__cause__", ValueError("soup"))
    packer = Packer(Values(), memory_stores().blobs)
    again = rebuild(describe(error, packer), packer)
    assert again == error
    assert repr(again.__cause__) == "ValueError('soup')"


def test_errors_without_number_or_end_cross_in_part(project: Pooled) -> None:
    project.write(CAUSES)
    with pytest.raises(ExceptionGroup) as raised:
        project.run(step="group", how="many")
    crossed = len(raised.value.exceptions)
    assert 10 < crossed < 300
    assert f"{300 - crossed} more errors of it are not shown" in raised.value.__notes__
    with pytest.raises(ValueError, match="one") as circle:
        project.run(step="group", how="circle")
    cause = circle.value.__cause__
    assert str(cause) == "two"
    assert cause is not None
    assert cause.__cause__ is None
