"""Files of versions that people approved stay as they were, whichever door somebody tries."""

import threading
from collections.abc import Callable

import msgspec
import pytest
from tests.unit.models.doors import Registry

from trivet.core.clock import SystemClock
from trivet.core.errors import Conflict, Forbidden, TrivetError
from trivet.models.facts import Version
from trivet.models.model_versions import NewVersion
from trivet.tracking.artifacts import owner_of
from trivet.tracking.reporting.logged_models import NewModel
from trivet.tracking.uploads import Uploads


def asked(registry: Registry, number: int, alias: str = "best") -> str:
    with pytest.raises(Forbidden) as raised:
        registry.names.set_alias("letters", alias, number)
    assert raised.value.code == "approval-needed"
    return raised.value.detail["request"]


@pytest.fixture
def logged(registry: Registry) -> Version:
    """A version with files, of a name whose alias `best` is protected."""
    registry.names.make("letters")
    registry.approvals.protect("best", 1)
    return registry.log("letters", b"one")


def owner(version: Version) -> str:
    return owner_of("run", version.run or "")


def changes(registry: Registry, version: Version) -> list[Callable[[], object]]:
    files, whose = registry.files, owner(version)
    return [
        lambda: files.put(whose, "model/weights", b"two"),
        lambda: files.put(whose, "model/more", b"two"),
        lambda: files.begin(whose, "model/deep/more"),
        lambda: files.delete(whose, "model/weights"),
        lambda: files.delete(whose, "model"),
        lambda: files.delete(whose, ""),
    ]


def test_files_of_an_approved_version_are_frozen(registry: Registry, logged: Version) -> None:
    registry.acting("bob").approvals.approve(asked(registry, 1), "seen")
    for change in changes(registry, logged):
        with pytest.raises(Forbidden, match="letters:1 was approved for letters@best") as raised:
            change()
        assert raised.value.code == "frozen"
        assert "register a new version" in raised.value.hint
    registry.files.put(owner(logged), "elsewhere", b"no part of it")
    registry.files.put(owner(logged), "models/weights", b"a longer name is another one")
    registry.files.delete(owner(logged), "elsewhere")
    registry.names.set_alias("letters", "best", 1)
    assert registry.files.open(owner(logged), "model/weights")[1].read() == b"one"


def test_what_changed_before_the_approval_must_be_asked_for_anew(
    registry: Registry, logged: Version
) -> None:
    request = asked(registry, 1)
    registry.files.put(owner(logged), "model/weights", b"two")
    with pytest.raises(Conflict, match="is not what was asked for") as raised:
        registry.acting("bob").approvals.approve(request, "seen")
    assert raised.value.code == "changed"
    registry.files.put(owner(logged), "model/weights", b"three")  # nothing is frozen meanwhile
    again = asked(registry, 1)
    assert again != request
    registry.acting("bob").approvals.approve(again, "seen")
    registry.names.set_alias("letters", "best", 1)


def test_what_a_protected_alias_points_at_is_frozen_though_nobody_approved_it(
    registry: Registry,
) -> None:
    registry.names.make("letters")
    version = registry.log("letters", b"one")
    registry.names.set_alias("letters", "prod", 1)
    registry.files.put(owner(version), "model/weights", b"two")
    registry.approvals.protect("prod*", 1)
    with pytest.raises(Forbidden, match="letters@prod points at it"):
        registry.files.put(owner(version), "model/weights", b"three")
    registry.approvals.protect("prod*", 0)
    registry.files.put(owner(version), "model/weights", b"three")


def test_what_stands_in_a_protected_stage_is_frozen(registry: Registry) -> None:
    registry.names.make("letters")
    version = registry.log("letters", b"one")
    registry.versions.move("letters", 1, "Production", archive=False)
    registry.approvals.protect("stage/Production", 1)
    with pytest.raises(Forbidden, match="frozen"):
        registry.files.delete(owner(version), "model")


def test_a_refusal_lets_go_of_the_files(registry: Registry, logged: Version) -> None:
    registry.approvals.protect("best", 2)
    request = asked(registry, 1)
    registry.acting("bob").approvals.approve(request, "seen")
    with pytest.raises(Forbidden):
        registry.files.put(owner(logged), "model/weights", b"two")
    registry.acting("cy").approvals.refuse(request, "not this one")
    registry.files.put(owner(logged), "model/weights", b"two")


def test_files_of_a_deleted_version_may_go_unless_another_one_needs_them(
    registry: Registry, logged: Version
) -> None:
    registry.names.make("copies")
    registry.approvals.protect("copies@good", 1)
    registry.versions.make("copies", NewVersion(source="models:/letters/1"))
    registry.acting("bob").approvals.approve(asked(registry, 1), "seen")
    with pytest.raises(Forbidden) as raised:
        registry.names.set_alias("copies", "good", 1)
    registry.acting("bob").approvals.approve(raised.value.detail["request"], "seen, too")
    registry.versions.delete("letters", 1)
    with pytest.raises(Forbidden, match="copies:1 was approved"):
        registry.files.delete(owner(logged), "model")
    registry.names.delete("copies")
    registry.files.delete(owner(logged), "model")


def test_an_upload_begun_before_the_approval_does_not_end_after_it(
    registry: Registry, logged: Version
) -> None:
    uploads = Uploads(registry.stores, registry.files, registry.scope.project, SystemClock())
    upload = uploads.create(owner(logged), "model/weights", 1)
    with uploads.begin_part(upload.id, 1, upload.key) as part:
        part.write(b"two")
        tag = part.finish()
    writer = registry.files.begin(owner(logged), "model/more")
    writer.write(b"two")
    registry.acting("bob").approvals.approve(asked(registry, 1), "seen")
    with pytest.raises(Forbidden, match="frozen"):
        uploads.complete(owner(logged), "model/weights", upload.id, {1: tag})
    with pytest.raises(Forbidden, match="frozen"):
        writer.finish()
    assert registry.files.open(owner(logged), "model/weights")[1].read() == b"one"


def test_what_is_sent_again_as_it_stands_is_no_change(registry: Registry, logged: Version) -> None:
    registry.acting("bob").approvals.approve(asked(registry, 1), "seen")
    standing = registry.files.get(owner(logged), "model/weights")
    assert registry.files.place(standing, arrival="first") == standing
    digest = registry.stores.blobs.put(b"two")
    other = msgspec.structs.replace(standing, digest=digest)
    with pytest.raises(Forbidden, match="frozen"):
        registry.files.place(other, arrival="second")
    assert registry.files.get(owner(logged), "model/weights") == standing


def test_files_of_a_logged_model_are_frozen_the_same(registry: Registry) -> None:
    model = registry.logged_models.make(NewModel(experiment=0))
    whose = owner_of("model", model.id)
    registry.files.put(whose, "MLmodel", b"one")
    registry.names.make("letters")
    registry.versions.make("letters", NewVersion(source=f"models:/{model.id}"))
    registry.approvals.protect("best", 1)
    registry.acting("bob").approvals.approve(asked(registry, 1), "seen")
    for change in (
        lambda: registry.files.put(whose, "MLmodel", b"two"),
        lambda: registry.files.put(whose, "another", b"two"),
        lambda: registry.files.delete(whose, ""),
    ):
        with pytest.raises(Forbidden, match="frozen"):
            change()
    registry.logged_models.delete(model.id)
    registry.names.set_alias("letters", "best", 1)


def test_a_file_that_changes_while_it_is_approved_is_either_changed_or_approved(
    registry: Registry, logged: Version
) -> None:
    """Whatever wins, the alias never points at bytes that nobody approved."""
    for turn in range(8):
        version = registry.log("letters", b"one")
        request = asked(registry, version.number)
        results: list[str] = []
        begin = threading.Barrier(2)

        def change(version: Version = version, begin: threading.Barrier = begin) -> None:
            begin.wait()
            try:
                registry.files.put(owner(version), "model/weights", b"two")
            except TrivetError as error:
                assert error.code == "frozen"  # noqa: PT017  # in a thread

        def approve(
            request: str = request,
            begin: threading.Barrier = begin,
            results: list[str] = results,
        ) -> None:
            begin.wait()
            try:
                results.append(registry.acting("bob").approvals.approve(request, "seen").state)
            except Conflict as error:
                results.append(error.code)

        threads = [threading.Thread(target=change), threading.Thread(target=approve)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results in (["approved"], ["changed"]), turn
        try:
            registry.names.set_alias("letters", "best", version.number)
        except Forbidden as error:
            assert error.code == "approval-needed"  # noqa: PT017  # either is right
        else:
            kept = registry.files.open(owner(version), "model/weights")[1].read()
            assert kept == b"one"
