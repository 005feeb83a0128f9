"""What sets libraries up when a module is loaded, and what only shows or notes something."""

from benchmarks.edits.case import edit, nothing

_ACCESSOR = """
import pandas as pd
@pd.api.extensions.register_dataframe_accessor("clean")
class Clean:
    def __init__(self, frame):
        self.frame = frame
    def total(self):
        # all of them
        return int(self.frame["a"].sum() * 2)
def compute(x):
    return pd.DataFrame({"a": [1, x]}).clean.total()
"""
_QUIET = """
import decimal
import logging
import os
import sys
from pathlib import Path

decimal.getcontext().prec = 5
sys.path.insert(0, "spare")
logging.basicConfig(level=logging.INFO)
os.makedirs("plots", exist_ok=True)
Path("more").mkdir(exist_ok=True)
print("loaded", file=sys.stderr)

def compute(x):
    return str(decimal.Decimal(1) / x)

if __name__ == "__main__":
    decimal.getcontext().prec = 7
"""

TOLD = (
    edit(
        "what scikit-learn is set to",
        """
        import numpy as np
        import sklearn
        from sklearn.preprocessing import StandardScaler
        sklearn.set_config(transform_output="pandas")
        def compute(x):
            made = StandardScaler().fit_transform(np.array([[1.0], [2.0]]))
            return type(made).__name__
        """,
        ('"pandas"', '"default"'),
    ),
    edit(
        "an option of pandas",
        "import pandas as pd\npd.set_option('display.precision', 2)\n"
        "def compute(x):\n    return str(pd.Series([1 / 3]))\n",
        (", 2)", ", 4)"),
    ),
    edit(
        "an option of pandas that is assigned",
        "import pandas as pd\npd.options.display.precision = 2\n"
        "def compute(x):\n    return str(pd.Series([1 / 3]))\n",
        ("= 2", "= 4"),
    ),
    edit(
        "how NumPy prints",
        "import numpy as np\nPLACES = 3\nnp.set_printoptions(precision=PLACES)\n"
        "def compute(x):\n    return str(np.array([1 / 3]))\n",
        ("= 3", "= 5"),
    ),
    edit(
        "the precision of decimals",
        "import decimal\ndecimal.getcontext().prec = 5\n"
        "def compute(x):\n    return str(decimal.Decimal(1) / x)\n",
        ("= 5", "= 9"),
    ),
    edit(
        "the condition of a setting",
        "import decimal\nEXACT = False\nif EXACT:\n    decimal.getcontext().prec = 9\n"
        "else:\n    decimal.getcontext().prec = 5\n"
        "def compute(x):\n    return str(decimal.Decimal(1) / x)\n",
        ("False", "True"),
    ),
    edit(
        "a filter of warnings",
        """
        import warnings
        from warnings import simplefilter as on_warning
        on_warning("ignore")
        def compute(x):
            try:
                warnings.warn("odd")
            except UserWarning:
                return "loud"
            return "quiet"
        """,
        ('"ignore"', '"error"'),
    ),
    edit(
        "a dialect of csv",
        'import csv\ncsv.register_dialect("mine", delimiter=";")\n'
        'def compute(x):\n    return list(csv.reader(["a;b,c"], "mine"))\n',
        ('";"', '","'),
    ),
    edit(
        "a constructor of YAML",
        """
        import yaml
        def build(loader, node):
            return int(loader.construct_scalar(node)) * 2
        yaml.SafeLoader.add_constructor("!d", build)
        def compute(x):
            return yaml.safe_load("!d 3")
        """,
        ("* 2", "* 5"),
    ),
    edit(
        "a seed",
        "import random\nrandom.seed(1)\ndef compute(x):\n    return random.getstate()[1][5]\n",
        ("seed(1)", "seed(2)"),
    ),
    edit(
        "a seed of NumPy",
        "import numpy as np\nnp.random.seed(1)\n"
        "def compute(x):\n    return int(np.random.get_state()[1][5])\n",
        ("seed(1)", "seed(2)"),
    ),
    edit(
        "a variable of the environment that is set",
        "import os\nos.environ['RATE'] = '2'\n"
        "def compute(x):\n    return os.path.expandvars('$RATE')\n",
        ("'2'", "'5'"),
    ),
    edit("an accessor of pandas", _ACCESSOR, ("* 2", "* 5")),
    edit(
        "a namespace of Polars in a module that is only imported",
        {
            "work.py": "import polars as pl\nimport more\ndef compute(x):\n"
            '    return pl.DataFrame({"a": [1, x]}).clean.total()\n',
            "more/__init__.py": "from . import accessors\n",
            "more/accessors.py": """
                import polars as pl
                @pl.api.register_dataframe_namespace("clean")
                class Clean:
                    def __init__(self, frame):
                        self.frame = frame
                    def total(self):
                        return int(self.frame["a"].sum() * 2)
            """,
        },
        ("more/accessors.py", "* 2", "* 5"),
    ),
    edit(
        "a partial put in place of a library's function",
        "import math\nfrom functools import partial\ndef scale(x, by):\n    return x * by\n"
        "math.sqrt = partial(scale, by=2)\ndef compute(x):\n    return math.sqrt(x)\n",
        ("by=2", "by=5"),
    ),
)
UNTOLD = (
    nothing("a comment in an accessor", _ACCESSOR, ("# all of them", "# each")),
    nothing("a comment beside a setting", _QUIET, ("prec = 5", "prec = 5  # digits")),
    nothing("a message that is printed", _QUIET, ('"loaded"', '"here"')),
    nothing("the level of a log", _QUIET, ("logging.INFO", "logging.ERROR")),
    nothing("a folder that is made", _QUIET, ('makedirs("plots"', 'makedirs("drawn"')),
    nothing("a folder that is made of a path", _QUIET, ('"more"', '"other"')),
    nothing("where modules are looked for", _QUIET, ('"spare"', '"other"')),
    nothing("what a script alone does", _QUIET, ("prec = 7", "prec = 8")),
    nothing(
        "a registry of one's own",
        """
        from functools import singledispatch
        @singledispatch
        def spare(x):
            return 1
        @spare.register
        def spare_text(x: str):
            return 2
        def compute(x):
            return x
        """,
        ("return 2", "return 3"),
    ),
)
SETTINGS = (*TOLD, *UNTOLD)
