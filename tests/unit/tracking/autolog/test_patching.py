"""Functions and methods under watch: unseen by others, and given back as they were."""

import copy
import importlib
import inspect
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trivet.tracking.autolog.imports import ImportWatch
from trivet.tracking.autolog.patching import Patches

LIBRARY = """
def train(a, *, b=1):
    "Trains."
    return a + b

class Root:
    def __init_subclass__(cls, **options):
        super().__init_subclass__()
        cls.born = True

class Model(Root):
    def fit(self, x, y=None):
        "Fits."
        return self

class Child(Model):
    pass
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "shelf_of_models.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("shelf_of_models")
    del sys.modules["shelf_of_models"]


@pytest.fixture
def seen() -> list[Any]:
    return []


@pytest.fixture
def patches(library: Any, seen: list[Any]) -> Iterator[Patches]:
    def around(original: Callable[..., Any], owner: Any, args: Any, kwargs: Any) -> Any:
        seen.append((original.__name__, owner, args, kwargs))
        return original(*args, **kwargs)

    patches = Patches()
    patches.function("shelf_of_models:train", (), around)
    patches.methods(library.Root, ("fit",), around)
    yield patches
    patches.undo()


def test_calls_are_seen_and_answered_as_before(
    library: Any, patches: Patches, seen: list[Any]
) -> None:
    model = library.Child()
    assert library.train(1, b=2) == 3
    assert model.fit(1, y=2) is model
    assert seen == [("train", None, (1,), {"b": 2}), ("fit", model, (1,), {"y": 2})]


def test_a_watch_looks_like_what_it_watches(library: Any, patches: Patches) -> None:
    assert str(inspect.signature(library.train)) == "(a, *, b=1)"
    assert (library.train.__name__, library.train.__doc__) == ("train", "Trains.")
    fit = library.Model().fit
    assert str(inspect.signature(fit)) == "(x, y=None)"
    assert (fit.__name__, fit.__doc__, fit.__self__.born) == ("fit", "Fits.", True)
    assert inspect.isfunction(library.Model.fit)
    assert inspect.isfunction(inspect.getattr_static(copy.copy(library.Model), "fit").original)


def test_what_travels_to_another_process_is_the_original_there(
    library: Any, patches: Patches
) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    for dump in (pickle.dumps, cloudpickle.dumps):
        fit, train, kind = dump(library.Child().fit), dump(library.train), dump(library.Child)
        assert b"trivet" not in fit + train + kind
        again = pickle.loads(fit)  # noqa: S301  # our own
        assert str(inspect.signature(again)) == "(x, y=None)"

    class Own(library.Model):  # of no module: cloudpickle takes the whole class along
        def fit(self, x: int, y: int | None = None) -> str:
            return "own"

    assert b"trivet" not in cloudpickle.dumps(Own)
    patches.undo()
    again = pickle.loads(cloudpickle.dumps(Own))  # noqa: S301  # our own
    assert again().fit(1) == "own"


def test_classes_that_come_later_are_watched_too(
    library: Any, patches: Patches, seen: list[Any]
) -> None:
    class Later(library.Root):
        def fit(self) -> int:
            return 7

    assert (Later().fit(), len(seen), Later.born) == (7, 1, True)
    patches.undo()
    assert (Later().fit(), len(seen)) == (7, 1)


def test_everything_is_given_back(library: Any) -> None:
    before = {kind: dict(vars(kind)) for kind in (library.Root, library.Model, library.Child)}
    train = library.train

    def refuse(*_: Any) -> Any:
        raise AssertionError

    patches = Patches()
    patches.function("shelf_of_models:train", (), refuse)
    patches.methods(library.Root, ("fit",), refuse)
    patches.undo()
    patches.undo()
    assert library.train is train
    assert {kind: dict(vars(kind)) for kind in before} == before

    class Later(library.Model):
        def fit(self) -> int:
            return 7

    assert Later().fit() == 7


def test_somebody_else_s_later_watch_is_left_in_place(library: Any, patches: Patches) -> None:
    ours = library.train

    def theirs(*args: Any, **kwargs: Any) -> Any:
        return ours(*args, **kwargs)

    library.train = theirs
    patches.undo()
    assert library.train is theirs
    assert theirs(1) == 2


def test_a_library_that_is_imported_later_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "late_shelf").mkdir()
    (tmp_path / "late_shelf" / "__init__.py").write_text("from late_shelf import inner\nx = 1\n")
    (tmp_path / "late_shelf" / "inner.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    told: list[object] = []
    watch = ImportWatch(lambda name: told.append(sys.modules[name].x))
    finders = list(sys.meta_path)
    watch.watch(["late_shelf", "no_such_shelf"])
    try:
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("no_such_shelf")
        module = importlib.import_module("late_shelf")
        importlib.reload(module)
        assert told == [1]
        assert type(module.__loader__).__module__.startswith("_frozen_importlib")
        assert module.__spec__ is not None
        assert module.__spec__.loader is module.__loader__
    finally:
        watch.stop()
        for name in ("late_shelf", "late_shelf.inner"):
            sys.modules.pop(name, None)
    assert sys.meta_path == finders


def test_classes_are_made_while_a_watch_ends(library: Any, seen: list[Any]) -> None:
    def around(original: Callable[..., Any], owner: Any, args: Any, kwargs: Any) -> Any:
        seen.append(owner)
        return original(*args, **kwargs)

    made: list[Any] = []

    def make() -> None:
        body = {"fit": lambda self: 1}
        made.extend(type("Made", (library.Model,), dict(body)) for _ in range(200))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        patches = Patches()
        patches.methods(library.Root, ("fit",), around)
        patches.undo()
    for thread in threads:
        thread.join()
    assert all(inspect.isfunction(vars(kind)["fit"]) for kind in made)
