"""Functions and methods put under watch, and given back as they were.

Nothing of this is seen by others: signatures and names are the originals', a class still shows its
own function, and whatever is pickled for another process is the original there.
"""

import copy
import pkgutil
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import update_wrapper
from types import FunctionType, ModuleType
from typing import Any, cast

Around = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
"""Given the original, the object whose method it is (or None) and the arguments, makes the call."""


class WatchedFunction:
    """Stands in a function's place."""

    def __init__(self, place: str, original: Callable[..., Any], around: Around) -> None:
        self._place = place
        self._original = original
        self._around = around
        update_wrapper(self, original)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the call, watched."""
        return self._around(self._original, None, args, kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        return pkgutil.resolve_name, (self._place,)


class _BoundMethod:
    """A watched method of an object."""

    def __init__(self, bound: Any, around: Around) -> None:
        self._around = around
        self.__wrapped__ = bound
        self.__doc__ = bound.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self.__wrapped__
        return self._around(bound, bound.__self__, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __reduce__(self) -> tuple[Any, ...]:
        bound = self.__wrapped__
        return getattr, (bound.__self__, bound.__name__)


class WatchedMethod:
    """Stands in a method's place in its class. The class itself still answers the original."""

    def __init__(self, original: FunctionType, around: Around) -> None:
        self.original = original
        self._around = around

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        if owner is None:
            return self.original
        return _BoundMethod(self.original.__get__(owner, kind), self._around)

    def __reduce__(self) -> tuple[Any, ...]:
        # A class that is pickled by its content takes the function, not the watch, along.
        return copy.copy, (self.original,)


class Patches:
    """What was put under watch. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._undo: list[Callable[[], None]] = []
        self._classes: weakref.WeakSet[type] = weakref.WeakSet()
        self._is_over = False

    def function(self, place: str, also: Sequence[str], around: Around) -> None:
        """Watch a function where it is defined, and in other modules that hold it.

        Raises:
            AttributeError: There is no such function.
        """
        module, _, name = place.partition(":")
        original = getattr(sys.modules[module], name)
        watched = WatchedFunction(place, original, around)
        with self._lock:
            for each in (module, *also):
                home = sys.modules.get(each)
                if home is not None and getattr(home, name, None) is original:
                    self._put(home, name, watched, original)

    def methods(self, root: type, names: Sequence[str], around: Around) -> None:
        """Watch methods of a class and of all below it, those that are made later as well."""
        with self._lock:
            seen: set[type] = set()
            waiting = [root]
            while waiting:
                kind = waiting.pop()
                if kind not in seen:
                    seen.add(kind)
                    waiting += type.__subclasses__(kind)
                    self._watch_class(kind, names, around)
            self._watch_births(root, names, around)

    def undo(self) -> None:
        """Give everything back."""
        with self._lock:
            self._is_over = True
            while self._undo:
                self._undo.pop()()

    def _put(self, home: ModuleType, name: str, watched: Any, original: Any) -> None:
        setattr(home, name, watched)

        def undo() -> None:
            if getattr(home, name, None) is watched:
                setattr(home, name, original)

        self._undo.append(undo)

    def _watch_class(self, kind: type, names: Sequence[str], around: Around) -> None:
        for name in names:
            original = vars(kind).get(name)
            if isinstance(original, FunctionType):
                watched = WatchedMethod(original, around)
                setattr(kind, name, watched)
                self._undo.append(_giver_back(weakref.ref(kind), name, watched))

    def _watch_births(self, root: type, names: Sequence[str], around: Around) -> None:
        before = vars(root).get("__init_subclass__")

        def born(kind: type, **options: Any) -> None:
            if before is not None:
                before.__get__(None, kind)(**options)
            else:
                super(root, kind).__init_subclass__(**options)
            with self._lock:
                if not self._is_over:
                    self._watch_class(kind, names, around)

        hook = cast("Any", classmethod)(born)
        setattr(root, "__init_subclass__", hook)  # noqa: B010  # the name is the language's

        def undo() -> None:
            if vars(root).get("__init_subclass__") is hook:
                if before is None:
                    del root.__init_subclass__
                else:
                    setattr(root, "__init_subclass__", before)  # noqa: B010

        self._undo.append(undo)


def _giver_back(kind: "weakref.ref[type]", name: str, watched: WatchedMethod) -> Callable[[], None]:
    def undo() -> None:
        found = kind()
        if found is not None and vars(found).get(name) is watched:
            setattr(found, name, watched.original)

    return undo
