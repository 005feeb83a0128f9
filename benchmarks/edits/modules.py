"""Modules, packages and names that are computed."""

from benchmarks.edits.case import RATIO, USES_HELPERS, edit

MODULES = (
    edit(
        "a helper in another module",
        {"work.py": USES_HELPERS, "helpers.py": RATIO},
        ("helpers.py", "x * 2", "x * 5"),
    ),
    edit(
        "a helper under another name",
        {
            "work.py": "import helpers as h\ndef compute(x):\n    return h.ratio(x)\n",
            "helpers.py": RATIO,
        },
        ("helpers.py", "x * 2", "x * 5"),
    ),
    edit(
        "a helper in a sub-package",
        {
            "work.py": "import lib.deep.maths\ndef compute(x):\n"
            "    return lib.deep.maths.ratio(x)\n",
            "lib/__init__.py": "",
            "lib/deep/__init__.py": "",
            "lib/deep/maths.py": RATIO,
        },
        ("lib/deep/maths.py", "x * 2", "x * 5"),
    ),
    edit(
        "a relative import",
        {
            "work.py": "from lib import ratio\ndef compute(x):\n    return ratio(x)\n",
            "lib/__init__.py": "from .outer import ratio\n",
            "lib/outer.py": "from .inner import BY\ndef ratio(x):\n    return x * BY\n",
            "lib/inner.py": "BY = 2\n",
        },
        ("lib/inner.py", "2", "5"),
    ),
    edit(
        "a folder without __init__",
        {
            "work.py": "from lib.maths import ratio\ndef compute(x):\n    return ratio(x)\n",
            "lib/maths.py": RATIO,
        },
        ("lib/maths.py", "x * 2", "x * 5"),
    ),
    edit(
        "a name that a package hands on",
        {
            "work.py": "import lib\ndef compute(x):\n    return lib.ratio(x)\n",
            "lib/__init__.py": "from lib.one import ratio\n",
            "lib/one.py": RATIO,
            "lib/two.py": "def ratio(x):\n    return x * 5\n",
        },
        ("lib/__init__.py", "lib.one", "lib.two"),
    ),
    edit(
        "an import inside the function",
        {
            "work.py": "def compute(x):\n    import helpers\n    return helpers.ratio(x)\n",
            "helpers.py": RATIO,
        },
        ("helpers.py", "x * 2", "x * 5"),
    ),
    edit(
        "a from-import inside the function",
        {
            "work.py": "def compute(x):\n    from lib.maths import ratio\n    return ratio(x)\n",
            "lib/__init__.py": "",
            "lib/maths.py": RATIO,
        },
        ("lib/maths.py", "x * 2", "x * 5"),
    ),
    edit(
        "a constant behind an import inside the function",
        {
            "work.py": "def compute(x):\n    import helpers\n    return helpers.ratio(x)\n",
            "helpers.py": "from lib import BY\ndef ratio(x):\n    return x * BY\n",
            "lib.py": "BY = 2\n",
        },
        ("lib.py", "2", "5"),
    ),
    edit(
        "a star import",
        {
            "work.py": "from helpers import *\ndef compute(x):\n    return ratio(x)\n",
            "helpers.py": RATIO,
        },
        ("helpers.py", "x * 2", "x * 5"),
    ),
    edit(
        "what __all__ lets through",
        {
            "work.py": "from one import *\nfrom two import *\ndef compute(x):\n"
            "    return ratio(x)\n",
            "one.py": RATIO,
            "two.py": '__all__ = ["ratio"]\ndef ratio(x):\n    return x * 5\n',
        },
        ("two.py", '["ratio"]', "[]"),
    ),
    edit(
        "a fallback behind a failed import",
        {
            "work.py": """
                try:
                    from no_such_library import ratio
                except ImportError:
                    from helpers import ratio
                def compute(x):
                    return ratio(x)
            """,
            "helpers.py": RATIO,
        },
        ("helpers.py", "x * 2", "x * 5"),
    ),
    edit(
        "the version of a package",
        {
            "work.py": "import oddlib\ndef compute(x):\n    return oddlib.ratio(x)\n",
            "site-packages/oddlib/__init__.py": RATIO,
            "site-packages/oddlib.dist-info/METADATA": "Metadata-Version: 2.1\nName: oddlib\n"
            "Version: 1.0\n",
        },
        ("site-packages/oddlib.dist-info/METADATA", "1.0", "1.1"),
        ("site-packages/oddlib/__init__.py", "x * 2", "x * 5"),
    ),
    edit(
        "the version of a package named otherwise",
        {
            "work.py": "from oddlib.deep import ratio\ndef compute(x):\n    return ratio(x)\n",
            "site-packages/oddlib/__init__.py": "",
            "site-packages/oddlib/deep.py": RATIO,
            "site-packages/Odd_Tools-1.dist-info/METADATA": "Metadata-Version: 2.1\n"
            "Name: Odd-Tools\nVersion: 1.0\n",
            "site-packages/Odd_Tools-1.dist-info/top_level.txt": "oddlib\n",
        },
        ("site-packages/Odd_Tools-1.dist-info/METADATA", "1.0", "1.1"),
        ("site-packages/oddlib/deep.py", "x * 2", "x * 5"),
    ),
)


COMPUTED = (
    edit(
        "getattr on a module",
        {
            "work.py": "import helpers\ndef compute(x):\n"
            '    return getattr(helpers, "ra" + "tio")(x)\n',
            "helpers.py": RATIO,
        },
        ("helpers.py", "x * 2", "x * 5"),
    ),
    edit(
        "getattr on a class",
        """
        class Ways:
            def double(self, x):
                return x * 2
        def compute(x):
            return getattr(Ways(), "dou" + "ble")(x)
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "import_module with a written name",
        {
            "work.py": "import importlib\ndef compute(x):\n"
            '    return importlib.import_module("helpers").ratio(x)\n',
            "helpers.py": RATIO,
        },
        ("helpers.py", "x * 2", "x * 5"),
    ),
    edit(
        "globals()",
        'def ratio(x):\n    return x * 2\ndef compute(x):\n    return globals()["ra" + "tio"](x)\n',
        ("x * 2", "x * 5"),
    ),
    edit(
        "a module's __dict__",
        {
            "work.py": "import helpers\ndef compute(x):\n"
            '    return helpers.__dict__["ra" + "tio"](x)\n',
            "helpers.py": RATIO,
        },
        ("helpers.py", "x * 2", "x * 5"),
    ),
    edit(
        "vars() of a module",
        {
            "work.py": "import helpers\ndef compute(x):\n"
            '    return vars(helpers)["ra" + "tio"](x)\n',
            "helpers.py": RATIO,
        },
        ("helpers.py", "x * 2", "x * 5"),
    ),
    edit(
        "a module's __getattr__",
        {
            "work.py": "import helpers\ndef compute(x):\n    return x * helpers.by\n",
            "helpers.py": "def __getattr__(name):\n    return 2\n",
        },
        ("helpers.py", "return 2", "return 5"),
    ),
    edit(
        "a function that a module replaced",
        {
            "work.py": "import patch\n" + USES_HELPERS,
            "helpers.py": RATIO,
            "patch.py": "import helpers\ndef other(x):\n    return x * 3\nhelpers.ratio = other\n",
        },
        ("patch.py", "x * 3", "x * 5"),
    ),
    edit(
        "a library's function that was replaced",
        """
        import statistics
        def mean(values):
            return sum(values) * 2
        statistics.mean = mean
        def compute(x):
            return statistics.mean([x, 1])
        """,
        ("* 2", "* 5"),
    ),
)
