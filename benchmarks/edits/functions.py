"""Functions and what wraps them."""

from benchmarks.edits.case import RATIO, edit

FUNCTIONS = (
    edit("the step itself", "def compute(x):\n    return x + 1\n", ("x + 1", "x + 2")),
    edit(
        "a helper",
        "def ratio(x):\n    return x * 2\ndef compute(x):\n    return ratio(x)\n",
        ("x * 2", "x * 5"),
    ),
    edit(
        "a helper's helper",
        """
        def floor(x):
            return x // 2
        def ratio(x):
            return floor(x) * 2
        def compute(x):
            return ratio(x)
        """,
        ("x // 2", "x // 4"),
    ),
    edit(
        "a default argument",
        "def ratio(x, by=2):\n    return x * by\ndef compute(x):\n    return ratio(x)\n",
        ("by=2", "by=5"),
    ),
    edit(
        "a keyword default",
        "def ratio(x, *, by=2):\n    return x * by\ndef compute(x):\n    return ratio(x)\n",
        ("by=2", "by=5"),
    ),
    edit(
        "a default taken from a constant",
        "BY = 2\ndef ratio(x, by=BY):\n    return x * by\ndef compute(x):\n    return ratio(x)\n",
        ("BY = 2", "BY = 5"),
    ),
    edit(
        "a closure's value",
        """
        def make(by):
            def times(x):
                return x * by
            return times
        double = make(2)
        def compute(x):
            return double(x)
        """,
        ("make(2)", "make(5)"),
    ),
    edit(
        "a function inside a factory",
        """
        def make(by):
            def times(x):
                return x * by
            return times
        double = make(2)
        def compute(x):
            return double(x)
        """,
        ("x * by", "x * by + 1"),
    ),
    edit(
        "a nested function",
        """
        def compute(x):
            def inner(y):
                return y * 2
            return inner(x)
        """,
        ("y * 2", "y * 5"),
    ),
    edit("a lambda", "ratio = lambda x: x * 2\ndef compute(x):\n    return ratio(x)\n", ("2", "5")),
    edit(
        "the second of two lambdas on one line",
        "pair = (lambda x: x * 2, lambda x: x * 3)\ndef compute(x):\n    return pair[1](x)\n",
        ("x * 3", "x * 5"),
    ),
    edit(
        "a partial's argument",
        """
        from functools import partial
        def times(by, x):
            return x * by
        double = partial(times, 2)
        def compute(x):
            return double(x)
        """,
        ("times, 2", "times, 5"),
    ),
    edit(
        "a partial's function",
        """
        from functools import partial
        def times(by, x):
            return x * by
        double = partial(times, 2)
        def compute(x):
            return double(x)
        """,
        ("x * by", "x * by + 1"),
    ),
    edit(
        "a cached helper",
        """
        from functools import lru_cache
        @lru_cache(maxsize=8)
        def ratio(x):
            return x * 2
        def compute(x):
            return ratio(x)
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "a recursion",
        """
        def count(x):
            return 1 if x == 0 else x * count(x - 1)
        def compute(x):
            return count(x)
        """,
        ("return 1 if", "return 2 if"),
    ),
    edit(
        "a mutual recursion",
        """
        def even(x):
            return 0 if x == 0 else odd(x - 1)
        def odd(x):
            return 1 if x == 0 else even(x - 1)
        def compute(x):
            return even(x)
        """,
        ("return 1 if", "return 7 if"),
    ),
    edit(
        "a comprehension",
        "def compute(x):\n    return [i * 2 for i in range(x)]\n",
        ("i * 2", "i * 5"),
    ),
    edit(
        "a helper in a comprehension",
        """
        def ratio(x):
            return x * 2
        def compute(x):
            return {i: ratio(i) for i in range(x)}
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "a function handed on as an argument",
        """
        def ratio(x):
            return x * 2
        def compute(x):
            return list(map(ratio, range(x)))
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "a function that the flow hands to the step",
        {
            "work.py": "def compute(function):\n    return function(3)\n",
            "helpers.py": RATIO,
        },
        ("helpers.py", "x * 2", "x * 5"),
        argument="helpers.ratio",
        imports="import helpers",
    ),
    edit(
        "a callable in a dict",
        """
        def double(x):
            return x * 2
        WAYS = {"double": double}
        def compute(x):
            return WAYS["double"](x)
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "a callable in a nested list",
        """
        def double(x):
            return x * 2
        WAYS = [("double", [double])]
        def compute(x):
            return WAYS[0][1][0](x)
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "a generator",
        """
        def numbers(x):
            for i in range(x):
                yield i * 2
        def compute(x):
            return list(numbers(x))
        """,
        ("i * 2", "i * 5"),
    ),
    edit(
        "a context manager",
        """
        from contextlib import contextmanager
        @contextmanager
        def lent(x):
            yield x * 2
        def compute(x):
            with lent(x) as y:
                return y
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "an implementation behind singledispatch",
        """
        from functools import singledispatch
        @singledispatch
        def ratio(x):
            return 0
        @ratio.register
        def _(x: int):
            return x * 2
        def compute(x):
            return ratio(x)
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "an f-string's format",
        'def compute(x):\n    return f"{x:.2f}"\n',
        (":.2f", ":.3f"),
    ),
    edit(
        "a branch of match",
        """
        def compute(x):
            match x:
                case 3:
                    return "three"
                case _:
                    return "many"
        """,
        ('"three"', '"III"'),
    ),
    edit(
        "a local variable's name",
        "def compute(x):\n    y = x + 1\n    return y\n",
        ("y = x + 1\n    return y", "z = x + 1\n    return z"),
        tags="careful",
    ),
)


DECORATORS = (
    edit(
        "what a decorator does",
        """
        import functools
        def doubled(function):
            @functools.wraps(function)
            def inner(*given):
                return function(*given) * 2
            return inner
        @doubled
        def compute(x):
            return x + 1
        """,
        ("(*given) * 2", "(*given) * 5"),
    ),
    edit(
        "what a decorator without wraps does",
        """
        def doubled(function):
            def inner(*given):
                return function(*given) * 2
            return inner
        @doubled
        def ratio(x):
            return x + 1
        def compute(x):
            return ratio(x)
        """,
        ("(*given) * 2", "(*given) * 5"),
    ),
    edit(
        "the function below a decorator without wraps",
        """
        def doubled(function):
            def inner(*given):
                return function(*given) * 2
            return inner
        @doubled
        def ratio(x):
            return x + 1
        def compute(x):
            return ratio(x)
        """,
        ("x + 1", "x + 2"),
    ),
    edit(
        "a decorator's argument",
        """
        def times(by):
            def decorate(function):
                def inner(x):
                    return function(x) * by
                return inner
            return decorate
        @times(2)
        def ratio(x):
            return x + 1
        def compute(x):
            return ratio(x)
        """,
        ("@times(2)", "@times(5)"),
    ),
    edit(
        "a decorator that was taken away",
        """
        def doubled(function):
            return lambda x: function(x) * 2
        @doubled
        def ratio(x):
            return x + 1
        def compute(x):
            return ratio(x)
        """,
        ("@doubled\n", ""),
    ),
    edit(
        "a decorator that is a class",
        """
        class Doubled:
            def __init__(self, function):
                self.function = function
            def __call__(self, x):
                return self.function(x) * 2
        @Doubled
        def ratio(x):
            return x + 1
        def compute(x):
            return ratio(x)
        """,
        ("x + 1", "x + 2"),
    ),
    edit(
        "what another module put into a registry",
        {
            "work.py": """
                import plugins
                from registry import WAYS
                def compute(x):
                    return WAYS["double"](x)
            """,
            "registry.py": """
                WAYS = {}
                def way(function):
                    WAYS[function.__name__] = function
                    return function
            """,
            "plugins.py": """
                from registry import way
                @way
                def double(x):
                    return x * 2
            """,
        },
        ("plugins.py", "x * 2", "x * 5"),
    ),
)
