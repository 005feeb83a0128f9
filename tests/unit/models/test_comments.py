"""Comments on versions and models, and the chronicle in which they stand."""

import pytest
from tests.unit.models.doors import Registry

from trivet.core.errors import Forbidden, Invalid, NotFound
from trivet.models.chronicle import Chronicle
from trivet.models.comments import Comments
from trivet.models.deprecations import Deprecations
from trivet.models.references import Finder


@pytest.fixture
def comments(registry: Registry) -> Comments:
    registry.register()
    registry.log()
    return Comments(registry.stores, registry.scope)


def whose(registry: Registry, actor: str) -> Comments:
    return Comments(registry.stores, registry.acting(actor).scope)


def about(registry: Registry, comments: Comments, reference: str) -> list[str]:
    subject = Finder(registry.stores, registry.scope.project).subject(reference)
    return [each.text for each in comments.about(subject.id)]


def test_comments_stand_where_they_were_written(registry: Registry, comments: Comments) -> None:
    comments.write("parcels:1", "weak on small parcels")
    whose(registry, "bob").write("parcels:1", "说得对")
    comments.write("parcels", "of the whole model")
    assert about(registry, comments, "parcels:1") == ["weak on small parcels", "说得对"]
    assert about(registry, comments, "parcels:2") == []
    assert about(registry, comments, "parcels") == ["of the whole model"]


def test_a_comment_keeps_its_earlier_wordings(comments: Comments) -> None:
    first = comments.write("parcels:1", "weak")
    comments.edit(first.id, "weak on small parcels")
    found = comments.edit(first.id, "weak below 1 kg")
    assert (found.text, [each.text for each in found.earlier]) == (
        "weak below 1 kg",
        ["weak", "weak on small parcels"],
    )
    gone = comments.withdraw(first.id)
    assert (gone.text, gone.is_withdrawn, len(gone.earlier)) == ("", True, 3)
    with pytest.raises(Invalid, match="was withdrawn"):
        comments.edit(first.id, "again")


def test_a_comment_is_its_author_s(registry: Registry, comments: Comments) -> None:
    first = comments.write("parcels:1", "weak")
    for change in (
        lambda: whose(registry, "bob").edit(first.id, "strong"),
        lambda: whose(registry, "bob").withdraw(first.id),
    ):
        with pytest.raises(Forbidden, match="is ada's"):
            change()
    assert comments.get(first.id).text == "weak"


def test_what_is_no_comment_is_refused(registry: Registry, comments: Comments) -> None:
    later = comments.write("parcels:1", "weak")
    comments.edit(later.id, "strong")
    with pytest.raises(NotFound):
        comments.write("parcels:9", "nobody")
    with pytest.raises(NotFound):
        comments.edit("0" * 32, "nobody")
    with pytest.raises(NotFound):
        comments.get(registry.run.id)
    for text in ("", "  \n", "a" * 20_001):
        with pytest.raises(Invalid):
            comments.write("parcels:1", text)


def test_the_chronicle_tells_everything_in_its_order(
    registry: Registry, comments: Comments
) -> None:
    registry.versions.describe("parcels", 2, "logged by hand")
    registry.versions.tag("parcels", 2, "owner", "ada")
    registry.names.set_alias("parcels", "best", 2)
    registry.names.drop_alias("parcels", "best")
    comments.write("parcels:2", "weak")
    Deprecations(registry.stores, registry.scope).deprecate("parcels:2", "old")
    registry.versions.move("parcels", 2, "Archived", archive=False)
    registry.versions.delete("parcels", 2)
    finder = Finder(registry.stores, registry.scope.project)
    chronicle = Chronicle(registry.stores.ledger, registry.scope.project)
    found = chronicle.of(finder.subject("parcels"))
    assert [(event.what, event.about) for event in reversed(found)] == [
        ("registered", "parcels"),
        ("registered", "parcels:1"),
        ("registered", "parcels:2"),
        ("described", "parcels:2"),
        ("tagged", "parcels:2"),
        ("alias", "parcels"),
        ("alias", "parcels"),
        ("comment", "parcels:2"),
        ("deprecated", "parcels:2"),
        ("stage", "parcels:2"),
        ("deleted", "parcels:2"),
    ]
    assert chronicle.alias_names("parcels") == ("best",)
    assert all(event.by == "ada" for event in found)
    alone = chronicle.of(finder.subject("parcels:1"))
    assert [event.what for event in alone] == ["registered"]


def test_the_chronicle_follows_a_name(registry: Registry) -> None:
    registry.names.make('le"tt\\ers')
    registry.log('le"tt\\ers')
    registry.names.set_alias('le"tt\\ers', "best", 1)
    registry.names.rename('le"tt\\ers', "post")
    finder = Finder(registry.stores, registry.scope.project)
    found = Chronicle(registry.stores.ledger, registry.scope.project).of(finder.subject("post"))
    assert [event.what for event in reversed(found)][:2] == ["registered", "registered"]
    assert "renamed to post" in [event.text for event in found]
    assert any(event.what == "alias" for event in found)
