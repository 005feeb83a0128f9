"""Classes and what they are made of."""

from benchmarks.edits.case import edit

CLASSES = (
    edit(
        "a method",
        """
        class Scaler:
            def scale(self, x):
                return x * 2
        def compute(x):
            return Scaler().scale(x)
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "a method of a parent class",
        {
            "work.py": """
                from helpers import Parent
                class Scaler(Parent):
                    pass
                def compute(x):
                    return Scaler().scale(x)
            """,
            "helpers.py": "class Parent:\n    def scale(self, x):\n        return x * 2\n",
        },
        ("helpers.py", "x * 2", "x * 5"),
    ),
    edit(
        "what super() reaches",
        """
        class Parent:
            def scale(self, x):
                return x * 2
        class Scaler(Parent):
            def scale(self, x):
                return super().scale(x) + 1
        def compute(x):
            return Scaler().scale(x)
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "a helper that a method calls",
        """
        def double(x):
            return x * 2
        class Scaler:
            def scale(self, x):
                return double(x)
        def compute(x):
            return Scaler().scale(x)
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "a dataclass field's default",
        """
        from dataclasses import dataclass
        @dataclass
        class Options:
            by: int = 2
        def compute(x):
            return x * Options().by
        """,
        ("int = 2", "int = 5"),
    ),
    edit(
        "a dataclass field's factory",
        """
        from dataclasses import dataclass, field
        def numbers():
            return [2]
        @dataclass
        class Options:
            by: list = field(default_factory=numbers)
        def compute(x):
            return x * Options().by[0]
        """,
        ("[2]", "[5]"),
    ),
    edit(
        "a dataclass field's order",
        """
        from dataclasses import astuple, dataclass
        @dataclass
        class Pair:
            one: int
            two: int
        def compute(x):
            return Pair(x, 0).one
        """,
        ("one: int\n    two: int", "two: int\n    one: int"),
    ),
    edit(
        "a property",
        """
        class Scaler:
            @property
            def by(self):
                return 2
        def compute(x):
            return x * Scaler().by
        """,
        ("return 2", "return 5"),
    ),
    edit(
        "a cached property",
        """
        from functools import cached_property
        class Scaler:
            @cached_property
            def by(self):
                return 2
        def compute(x):
            return x * Scaler().by
        """,
        ("return 2", "return 5"),
    ),
    edit(
        "a helper behind a partial method",
        """
        from functools import partialmethod
        def times(self, by, x):
            return x * by
        class Scaler:
            double = partialmethod(times, 2)
        def compute(x):
            return Scaler().double(x)
        """,
        ("x * by", "x * by + 1"),
    ),
    edit(
        "a helper behind a method that a library wrapped",
        {
            "work.py": """
                from oddlib import compiled
                def double(x):
                    return x * 2
                class Scaler:
                    @compiled
                    def scale(x):
                        return double(x)
                def compute(x):
                    return Scaler.scale(x)
            """,
            "site-packages/oddlib.py": """
                class Compiled:
                    __slots__ = ("code",)
                    def __init__(self, function):
                        self.code = [function]
                    def __call__(self, x):
                        return self.code[0](x)
                compiled = Compiled
            """,
        },
        ("x * 2", "x * 5"),
    ),
    edit(
        "a classmethod",
        """
        class Scaler:
            @classmethod
            def scale(cls, x):
                return x * 2
        def compute(x):
            return Scaler.scale(x)
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "a staticmethod",
        """
        class Scaler:
            @staticmethod
            def scale(x):
                return x * 2
        def compute(x):
            return Scaler.scale(x)
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "a class attribute computed from a constant",
        """
        BY = 2
        class Scaler:
            by = BY
        def compute(x):
            return x * Scaler.by
        """,
        ("BY = 2", "BY = 5"),
    ),
    edit(
        "a descriptor",
        """
        class By:
            def __get__(self, instance, owner):
                return 2
        class Scaler:
            by = By()
        def compute(x):
            return x * Scaler().by
        """,
        ("return 2", "return 5"),
    ),
    edit(
        "a metaclass",
        """
        class Meta(type):
            def __call__(cls, x):
                return x * 2
        class Scaler(metaclass=Meta):
            pass
        def compute(x):
            return Scaler(x)
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "what __init_subclass__ notes down",
        """
        class Way:
            ways = {}
            def __init_subclass__(cls):
                Way.ways[cls.__name__] = cls
        class Double(Way):
            def go(self, x):
                return x * 2
        def compute(x):
            return Way.ways["Double"]().go(x)
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "a subclass found by __subclasses__",
        """
        class Way:
            pass
        class Double(Way):
            def go(self, x):
                return x * 2
        def compute(x):
            return Way.__subclasses__()[0]().go(x)
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "the class of an object made once",
        """
        class Scaler:
            def __init__(self, by):
                self.by = by
            def __call__(self, x):
                return x * self.by
        scale = Scaler(2)
        def compute(x):
            return scale(x)
        """,
        ("x * self.by", "x * self.by + 1"),
    ),
    edit(
        "the state of an object made once",
        """
        class Scaler:
            def __init__(self, by):
                self.by = by
            def __call__(self, x):
                return x * self.by
        scale = Scaler(2)
        def compute(x):
            return scale(x)
        """,
        ("Scaler(2)", "Scaler(5)"),
    ),
    edit(
        "an operator",
        """
        class Money:
            def __init__(self, value):
                self.value = value
            def __add__(self, other):
                return self.value + other
        def compute(x):
            return Money(x) + 1
        """,
        ("self.value + other", "self.value - other"),
    ),
    edit(
        "an enum member",
        """
        from enum import Enum
        class Rate(Enum):
            LOW = 2
        def compute(x):
            return x * Rate.LOW.value
        """,
        ("LOW = 2", "LOW = 5"),
    ),
    edit(
        "a named tuple's default",
        """
        from typing import NamedTuple
        class Options(NamedTuple):
            by: int = 2
        def compute(x):
            return x * Options().by
        """,
        ("int = 2", "int = 5"),
    ),
    edit(
        "a bound method kept as a constant",
        """
        class Scaler:
            def scale(self, x):
                return x * 2
        scale = Scaler().scale
        def compute(x):
            return scale(x)
        """,
        ("x * 2", "x * 5"),
    ),
)
