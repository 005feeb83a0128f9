"""Changes that alter no result: a step must not run again for them."""

from benchmarks.edits.case import RATIO, USES_HELPERS, nothing

_LONG = '''
"""What this module is for."""
import functools
import json

BY = 2
OTHER = 3

def ratio(x):
    """Scale."""
    # twice
    return x * BY

class Spare:
    def method(self):
        return 1

def compute(x):
    """Compute."""
    total = ratio(x) + 1  # and one
    words = ["a", 'b']
    return [total, words]

def spare():
    return OTHER
'''


NOTHING = (
    nothing("nothing at all", _LONG),
    nothing("a comment", _LONG, ("# twice", "# two times")),
    nothing("a comment at a line's end", _LONG, ("  # and one", "")),
    nothing("a docstring", _LONG, ('"""Compute."""', '"""Compute it.\n\n    Slowly.\n    """')),
    nothing("a docstring that was taken away", _LONG, ('    """Scale."""\n', "")),
    nothing("a module's docstring", _LONG, ('"""What this module is for."""', '"""Other."""')),
    nothing("formatting", _LONG, ("ratio(x) + 1", "(\n        ratio( x )\n        + 1\n    )")),
    nothing("quotes", _LONG, ("\"a\", 'b'", "'a', \"b\",")),
    nothing("formatting of a constant", _LONG, ("BY = 2", "BY  =  (2)  # rows")),
    nothing("a number written otherwise", _LONG, ("BY = 2", "BY = 0x2")),
    nothing("empty lines", _LONG, ("import json\n", "import json\n\n\n\n")),
    nothing("an unrelated function", _LONG, ("return OTHER", "return OTHER + 1")),
    nothing(
        "an unrelated function that is new", _LONG, ("def spare", "def new():\n    pass\ndef spare")
    ),
    nothing("an unrelated constant", _LONG, ("OTHER = 3", "OTHER = 4")),
    nothing("an unrelated class", _LONG, ("return 1\n", "return 2\n")),
    nothing("an import that is not used", _LONG, ("import json\n", "import json\nimport os\n")),
    nothing(
        "a function that moved within its file",
        _LONG,
        ('def ratio(x):\n    """Scale."""\n    # twice\n    return x * BY\n', ""),
        ("def spare", "def ratio(x):\n    return x * BY\n\ndef spare"),
    ),
    nothing("annotations of a function", _LONG, ("def ratio(x):", "def ratio(x: int) -> int:")),
    nothing("annotations of the step", _LONG, ("def compute(x):", "def compute(x: int) -> list:")),
    nothing("an annotation of a local variable", _LONG, ("total = ratio", "total: int = ratio")),
    nothing("an annotation of a constant", _LONG, ("BY = 2", "BY: int = 2")),
    nothing(
        "an annotation of a method",
        """
        class Scaler:
            def scale(self, x):
                return x * 2
        def compute(x):
            return Scaler().scale(x)
        """,
        ("scale(self, x):", "scale(self, x: float) -> float:"),
    ),
    nothing(
        "imports for type checkers only",
        _LONG,
        (
            "import json\n",
            "import json\nimport typing\nif typing.TYPE_CHECKING:\n    import no_such_library\n",
        ),
    ),
    nothing(
        "from __future__ import annotations",
        _LONG,
        ("import functools", "from __future__ import annotations\nimport functools"),
    ),
    nothing("the flow's own lines", _LONG, ("pipeline.py", "    return", "    str()\n    return")),
    nothing(
        "options that change no result",
        {"work.py": "def compute(x):\n    return x\n"},
        ("pipeline.py", "retries=1", "retries=3, timeout_s=60"),
        options="retries=1",
    ),
    nothing(
        "an unrelated function of a helper's module",
        {"work.py": USES_HELPERS, "helpers.py": RATIO + "def spare(x):\n    return x\n"},
        ("helpers.py", "return x\n", "return -x\n"),
    ),
    nothing(
        "another module",
        {"work.py": USES_HELPERS, "helpers.py": RATIO, "other.py": "A = 1\n"},
        ("other.py", "1", "2"),
    ),
    nothing(
        "a package that the step does not touch",
        {
            "work.py": "import oddlib\ndef compute(x):\n    return x\n"
            "def spare(x):\n    return oddlib.ratio(x)\n",
            "site-packages/oddlib/__init__.py": RATIO,
            "site-packages/oddlib.dist-info/METADATA": "Metadata-Version: 2.1\nName: oddlib\n"
            "Version: 1.0\n",
        },
        ("site-packages/oddlib.dist-info/METADATA", "1.0", "1.1"),
    ),
    nothing(
        "the order of a set's elements",
        'WORDS = {"a", "b", "c", "d"}\ndef compute(x):\n    return sorted(WORDS)\n',
        ('"a", "b"', '"b", "a"'),
    ),
    nothing(
        "a logger's name is kept, its level changes",
        """
        import logging
        log = logging.getLogger("a")
        level = logging.INFO
        log.setLevel(level)
        def compute(x):
            log.debug("x")
            return x
        """,
        ("level = logging.INFO", "level = logging.ERROR"),
    ),
    nothing(
        "a file that another file of the project describes",
        {"work.py": "def compute(x):\n    return x\n", "README.md": "one\n"},
        ("README.md", "one", "two"),
    ),
    nothing(
        "a lock and a live object",
        """
        import threading
        lock = threading.Lock()
        def compute(x):
            with lock:
                return x
        """,
        ("import threading", "# a lock\nimport threading"),
    ),
    nothing(
        "a counter that every run moves",
        """
        import itertools
        from functools import lru_cache
        @lru_cache
        def ratio(x):
            return x * 2
        ratio(1)
        def compute(x):
            return ratio(x)
        """,
        ("ratio(1)", "ratio(2)"),
    ),
)
