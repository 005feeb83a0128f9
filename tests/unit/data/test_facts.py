"""A data commit finds its parts by name."""

import pytest

from trivet.core.errors import Invalid, NotFound
from trivet.core.ports import TableVersion
from trivet.data.facts import DataCommit, Tree


def a_version(name: str) -> TableVersion:
    return TableVersion(name=name, version=0, digest="b3:0", rows=1, size_bytes=1, columns={})


ONE = DataCommit(dataset="d", source="s", names=("rows",), tables=(a_version("p.d.rows"),))
TWO = DataCommit(
    dataset="d", source="s", names=("a", "b"), tables=(a_version("p.d.a"), a_version("p.d.b"))
)
FILES = DataCommit(
    dataset="d", source="s", trees=(Tree(name="images", digest="b3:0", files=1, size_bytes=1),)
)


def test_the_only_part_needs_no_name() -> None:
    assert ONE.table() == ("rows", a_version("p.d.rows"))
    assert FILES.tree().name == "images"


def test_several_parts_need_a_name() -> None:
    assert TWO.table("b")[1].name == "p.d.b"
    with pytest.raises(Invalid) as caught:
        TWO.table()
    assert "a, b" in caught.value.hint


def test_a_part_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(NotFound, match="no table 'c'") as caught:
        TWO.table("c")
    assert "a, b" in caught.value.hint
    with pytest.raises(NotFound, match="no file trees"):
        ONE.tree()
    with pytest.raises(NotFound, match="no tables"):
        FILES.table()
