"""Constants, arguments and what is declared by hand."""

from benchmarks.edits.case import RATIO, edit

CONSTANTS = (
    edit("a constant", "BY = 2\ndef compute(x):\n    return x * BY\n", ("BY = 2", "BY = 5")),
    edit(
        "a constant of another module",
        {
            "work.py": "from helpers import BY\ndef compute(x):\n    return x * BY\n",
            "helpers.py": "BY = 2\n",
        },
        ("helpers.py", "2", "5"),
    ),
    edit(
        "a constant reached through a module",
        {
            "work.py": "import helpers\ndef compute(x):\n    return x * helpers.BY\n",
            "helpers.py": "BY = 2\n",
        },
        ("helpers.py", "2", "5"),
    ),
    edit(
        "deep inside a dict",
        """
        OPTIONS = {"rates": {"low": [1, 2]}}
        def compute(x):
            return x * OPTIONS["rates"]["low"][1]
        """,
        ("[1, 2]", "[1, 5]"),
    ),
    edit(
        "the order of a dict",
        'OPTIONS = {"a": 1, "b": 2}\ndef compute(x):\n    return list(OPTIONS)\n',
        ('"a": 1, "b": 2', '"b": 2, "a": 1'),
    ),
    edit(
        "what a constant is computed from",
        "ONE = 2\nBY = ONE * 3\ndef compute(x):\n    return x * BY\n",
        ("ONE = 2", "ONE = 5"),
    ),
    edit(
        "the function that computes a constant",
        """
        def make():
            return [2]
        BY = make()
        def compute(x):
            return x * BY[0]
        """,
        ("[2]", "[5]"),
    ),
    edit(
        "a constant below an if",
        """
        import sys
        if sys.maxsize > 1:
            BY = 2
        else:
            BY = 3
        def compute(x):
            return x * BY
        """,
        ("BY = 2", "BY = 5"),
    ),
    edit(
        "a constant that is filled later",
        "BY = [1]\nBY.append(2)\ndef compute(x):\n    return x * BY[1]\n",
        ("append(2)", "append(5)"),
    ),
    edit(
        "an augmented constant",
        "BY = 1\nBY += 1\ndef compute(x):\n    return x * BY\n",
        ("+= 1", "+= 4"),
    ),
    edit(
        "an attribute of a function",
        """
        def ratio(x):
            return x * ratio.by
        ratio.by = 2
        def compute(x):
            return ratio(x)
        """,
        ("ratio.by = 2", "ratio.by = 5"),
    ),
    edit(
        "an attribute of a namespace",
        """
        from types import SimpleNamespace
        options = SimpleNamespace(name="a")
        options.by = 2
        def compute(x):
            return x * options.by
        """,
        ("by = 2", "by = 5"),
    ),
    edit(
        "a file of settings that is read with its module",
        {
            "work.py": """
                from configparser import ConfigParser
                from pathlib import Path
                settings = ConfigParser()
                settings.read(Path(__file__).parent / "settings.ini")
                def compute(x):
                    return settings["rates"]["by"]
            """,
            "settings.ini": "[rates]\nby = 2\n",
        },
        ("settings.ini", "2", "5"),
    ),
    edit(
        "what fills an object of a library",
        """
        from email.message import Message
        message = Message()
        message["by"] = "2"
        def compute(x):
            return message["by"]
        """,
        ('"2"', '"5"'),
    ),
    edit(
        "a regular expression",
        """
        import re
        WORD = re.compile("a+")
        def compute(x):
            return WORD.findall("aaa bb")
        """,
        ('"a+"', '"b+"'),
    ),
    edit(
        "a set",
        'WORDS = {"a", "b", "c", "d"}\ndef compute(x):\n    return sorted(WORDS)\n',
        ('"d"', '"e"'),
    ),
    edit(
        "a float's last digit",
        "BY = 0.1\ndef compute(x):\n    return BY\n",
        ("0.1", "0.10000000000000002"),
    ),
    edit(
        "a number's type",
        "BY = 1\ndef compute(x):\n    return str(BY)\n",
        ("BY = 1", "BY = 1.0"),
    ),
    edit(
        "an array",
        """
        import numpy as np
        BY = np.array([1.0, 2.0])
        def compute(x):
            return float(BY.sum()) * x
        """,
        ("2.0", "5.0"),
    ),
    edit(
        "a date",
        """
        from datetime import date
        DAY = date(2024, 1, 2)
        def compute(x):
            return DAY.isoformat()
        """,
        ("2024", "2025"),
    ),
)


ARGUMENTS = (
    edit(
        "an argument",
        "def compute(x):\n    return x + 1\n",
        ("pipeline.py", "called(3)", "called(4)"),
    ),
    edit(
        "deep inside an argument",
        'def compute(x):\n    return x["a"][0]\n',
        ("pipeline.py", "[1]", "[2]"),
        argument='{"a": [1]}',
    ),
    edit(
        "a file given as a path",
        {"work.py": "def compute(path):\n    return path.read_text()\n", "data.csv": "1\n"},
        ("data.csv", "1", "2"),
        argument='Path(__file__).parent / "data.csv"',
        imports="from pathlib import Path",
    ),
    edit(
        "a file in a folder given as a path",
        {
            "work.py": "def compute(path):\n"
            "    return [one.read_text() for one in path.iterdir()]\n",
            "data/one.csv": "1\n",
        },
        ("data/one.csv", "1", "2"),
        argument='Path(__file__).parent / "data"',
        imports="from pathlib import Path",
    ),
    edit(
        "a method of an argument's class",
        """
        import msgspec
        class Options(msgspec.Struct):
            by: int
            def times(self, x):
                return x * self.by
        from trivet.pipelines.materialisers import records, register
        register(records(Options))
        def compute(options):
            return options.times(3)
        """,
        ("x * self.by", "x + self.by"),
        argument="work.Options(by=2)",
    ),
    edit(
        "a method of the class of a constant that is known by content",
        """
        import msgspec
        class Options(msgspec.Struct):
            by: int
            def times(self, x):
                return x * self.by
        from trivet.pipelines.materialisers import records, register
        register(records(Options))
        OPTIONS = Options(by=2)
        def compute(x):
            return OPTIONS.times(x)
        """,
        ("x * self.by", "x + self.by"),
    ),
    edit(
        "a value of the user's own class",
        """
        import msgspec
        class Options(msgspec.Struct):
            by: int
        from trivet.pipelines.materialisers import records, register
        register(records(Options))
        def compute(options):
            return options.by
        """,
        ("pipeline.py", "Options(by=2)", "Options(by=5)"),
        argument="work.Options(by=2)",
    ),
)


DECLARED = (
    edit(
        "version=",
        {"work.py": "def compute(x):\n    return x\n"},
        ("pipeline.py", 'version="1"', 'version="2"'),
        options='version="1"',
        tags="declared careful",
    ),
    edit(
        "a value in depends=",
        {"work.py": "def compute(x):\n    return x\n"},
        ("pipeline.py", '"epochs": 3', '"epochs": 4'),
        options='depends=[{"epochs": 3}]',
        tags="declared careful",
    ),
    edit(
        "a file in depends=",
        {
            "work.py": "from pathlib import Path\nFILE = Path(__file__).parent / 'rates.csv'\n"
            "def compute(x):\n    return FILE.read_text()\n",
            "rates.csv": "2\n",
        },
        ("rates.csv", "2", "5"),
        options="depends=[work.FILE]",
        tags="declared",
    ),
    edit(
        "a file in depends= whose path counts from the project's folder",
        {
            "work.py": "from pathlib import Path\nPLACE = Path(__file__).parent\n"
            "def compute(x):\n    return (PLACE / 'rates.csv').read_text()\n",
            "rates.csv": "2\n",
            "elsewhere/note.txt": "",
        },
        ("rates.csv", "2", "5"),
        imports="import os\nfrom pathlib import Path\nos.chdir('elsewhere')",
        options="depends=[Path('rates.csv')]",
        tags="declared",
    ),
    edit(
        "a list of files in depends=",
        {
            "work.py": "from pathlib import Path\nFILES = [Path(__file__).parent / 'rates.csv']\n"
            "def compute(x):\n    return FILES[0].read_text()\n",
            "rates.csv": "2\n",
        },
        ("rates.csv", "2", "5"),
        options="depends=[work.FILES]",
        tags="declared",
    ),
    edit(
        "a folder in depends=",
        {
            "work.py": "from pathlib import Path\nPLACE = Path(__file__).parent / 'rates'\n"
            "def compute(x):\n    return (PLACE / 'low.csv').read_text()\n",
            "rates/low.csv": "2\n",
        },
        ("rates/low.csv", "2", "5"),
        options="depends=[work.PLACE]",
        tags="declared",
    ),
    edit(
        "a module in depends=",
        {
            "work.py": "import importlib\ndef compute(x):\n"
            '    return importlib.import_module("".join(["help", "ers"])).ratio(x)\n',
            "helpers.py": RATIO,
        },
        ("helpers.py", "x * 2", "x * 5"),
        imports="import helpers",
        options="depends=[helpers]",
        tags="declared",
    ),
    edit(
        "depends= of a step that is called inside",
        {
            "work.py": """
                from pathlib import Path
                import trivet
                FILE = Path(__file__).parent / "rates.csv"
                @trivet.step(depends=[FILE])
                def rates():
                    return FILE.read_text()
                def compute(x):
                    return rates()
            """,
            "rates.csv": "2\n",
        },
        ("rates.csv", "2", "5"),
        tags="declared",
    ),
)
