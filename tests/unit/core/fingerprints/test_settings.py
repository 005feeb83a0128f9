"""Which statements of a module set libraries up, and which only show or note something."""

import ast

import pytest

from trivet.core.fingerprints.modules import loaded_by
from trivet.core.fingerprints.settings import loadings_in, settings_in


def told(text: str) -> list[tuple[str, str]]:
    return [
        (one.top, "; ".join(map(ast.unparse, one.statements)))
        for one in settings_in(ast.parse(text))
    ]


@pytest.mark.parametrize(
    "text",
    [
        "import pandas as pd\npd.set_option('a', 1)",
        "import pandas as pd\npd.options.display.width = 1",
        "import decimal\ndecimal.getcontext().prec = 5",
        "import decimal\ndecimal.getcontext().traps[decimal.Inexact] = True",
        "import os\nos.environ['A'] = '1'",
        "import os\ndel os.environ['A']",
        "import sys\nsys.setrecursionlimit(10)",
        "from sklearn import set_config\nset_config(display='text')",
        "import matplotlib.pyplot as plt\nplt.rcParams['figure.dpi'] = 100",
        "import matplotlib.pyplot as plt\nplt.style.use('ggplot')",
        "import seaborn as sns\nsns.set_theme()",
        "import lib\nsetattr(lib, 'rate', 2)",
        "import lib\nlib.rate += 2",
        "from lib import api\n@api.register_thing('a')\nclass A:\n    pass",
        "from lib import register\n@register\ndef a():\n    pass",
    ],
)
def test_what_acts_on_a_library_when_a_module_is_loaded_is_a_setting(text: str) -> None:
    ((_, statement),) = told(text)
    assert statement == ast.unparse(ast.parse(text).body[-1])


@pytest.mark.parametrize(
    "text",
    [
        "import pandas as pd\nFRAME = pd.DataFrame()",
        "print('loaded')",
        "from rich import print\nprint('loaded')",
        "def setup(): ...\nsetup()",
        "import logging\nlogging.basicConfig()",
        "import logging\nlogging.getLogger().setLevel(10)",
        "import logging\nlogging.raiseExceptions = False",
        "import sys\nsys.path.append('a')\nsys.path[0] = 'b'\nsys.path += ['c']",
        "import os\nos.makedirs('a')",
        "from pathlib import Path\nPath('a').mkdir()",
        "import matplotlib.pyplot as plt\nplt.plot([1])\nplt.show()",
        "from IPython.display import display\ndisplay(1)",
        "import pandas as pd\nif __name__ == '__main__':\n    pd.set_option('a', 1)",
        "import torch\nif torch.cuda.is_available():\n    A = 1",
        "from . import lib\nlib.rate = 2",
        "app = make()\napp.rate = 2\n@app.register\ndef a():\n    pass",
        "from trivet.pipelines.materialisers import register\nregister(1)",
        "import lib\n@lib.cached\ndef a():\n    pass",
    ],
)
def test_what_alters_no_library_is_none(text: str) -> None:
    assert told(text) == []


def test_a_setting_comes_with_what_decides_on_it() -> None:
    text = "import lib\nif WIDE:\n    for name in NAMES:\n        lib.set(name)\n"
    assert told(text) == [("lib", "WIDE; name = NAMES; lib.set(name)")]


def test_the_modules_that_a_module_loads_are_found_by_their_names() -> None:
    tree = ast.parse(
        "import typing\nimport os.path\nfrom collections import abc\nfrom . import no_such\n"
        "if typing.TYPE_CHECKING:\n    import json\n"
    )
    found = [
        name
        for one in loadings_in(tree)
        for name in loaded_by(one.module, one.level, one.taken, "trivet.core")
    ]
    assert found == [
        "typing",
        "os",
        "os.path",
        "collections",
        "collections.abc",
        "trivet",
        "trivet.core",
    ]
    assert list(loaded_by("ids", 2, (), "trivet.core.fingerprints"))[-1] == "trivet.core.ids"
