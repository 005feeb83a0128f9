"""Corners: values that say less than they hold, classes of libraries, text that is read."""

from benchmarks.edits.case import edit

HELD = (
    edit(
        "a method of a built-in value",
        "look = {3: 2}.get\ndef compute(x):\n    return look(x)\n",
        ("3: 2", "3: 5"),
    ),
    edit(
        "a method of a regular expression",
        'import re\nmatch = re.compile("3").match\ndef compute(x):\n'
        "    return bool(match(str(x)))\n",
        ('"3"', '"4"'),
    ),
    edit(
        "a text that shows itself as another",
        'class Secret(str):\n    def __repr__(self):\n        return "***"\nKEY = Secret("a")\n'
        "def compute(x):\n    return str.upper(KEY)\n",
        ('"a"', '"b"'),
    ),
    edit(
        "an attribute of a number",
        'class Length(int):\n    pass\nONE = Length(2)\nONE.unit = "m"\n'
        "def compute(x):\n    return ONE.unit\n",
        ('"m"', '"km"'),
    ),
    edit(
        "an attribute of a list",
        'class Rows(list):\n    pass\nALL = Rows([2])\nALL.unit = "m"\n'
        "def compute(x):\n    return ALL.unit\n",
        ('"m"', '"km"'),
    ),
    edit(
        "what fills a defaultdict",
        "from collections import defaultdict\nALL = defaultdict(lambda: 2)\n"
        "def compute(x):\n    return ALL.default_factory()\n",
        ("2)", "5)"),
    ),
    edit(
        "the length of a deque",
        "from collections import deque\nLAST = deque([1], maxlen=2)\n"
        "def compute(x):\n    return LAST.maxlen\n",
        ("=2)", "=5)"),
    ),
    edit(
        "a private slot",
        "class Box:\n    __slots__ = ('__a',)\n    def __init__(self, a):\n        self.__a = a\n"
        "    def get(self):\n        return self.__a\n"
        "BOX = Box(2)\ndef compute(x):\n    return BOX.get()\n",
        ("Box(2)", "Box(5)"),
    ),
    edit(
        "a date of a class of one's own",
        "import datetime\nclass Day(datetime.date):\n    pass\nFIRST = Day(2020, 1, 2)\n"
        "def compute(x):\n    return FIRST.day\n",
        ("1, 2)", "1, 3)"),
    ),
    edit(
        "an error that is kept",
        'FAULTS = [ValueError("a")]\ndef compute(x):\n    return FAULTS[0].args[0]\n',
        ('"a"', '"b"'),
    ),
    edit(
        "the condition of an object of a library",
        "import struct\nBIG = False\nif BIG:\n    CODE = struct.Struct('<q')\nelse:\n"
        "    CODE = struct.Struct('<i')\ndef compute(x):\n    return CODE.size\n",
        ("False", "True"),
    ),
    edit(
        "a loop that makes an object of a library",
        "import struct\nfor form in ['<i']:\n    CODE = struct.Struct(form)\n"
        "def compute(x):\n    return CODE.size\n",
        ("<i", "<q"),
    ),
    edit(
        "a name put among the built-in ones",
        {
            "work.py": "import more\ndef compute(x):\n    return LIMIT\n",
            "more.py": "import builtins\nbuiltins.LIMIT = 2\n",
        },
        ("more.py", "= 2", "= 5"),
    ),
)
TYPES = (
    edit(
        "a class behind Optional",
        "from typing import Optional, get_args\nclass Row:\n    a = 2\nMAYBE = Optional[Row]\n"
        "def compute(x):\n    return get_args(MAYBE)[0].a\n",
        ("a = 2", "a = 5"),
    ),
    edit(
        "a class in a list's type",
        "from typing import get_args\nclass Row:\n    a = 2\nALL = {'rows': list[Row]}\n"
        "def compute(x):\n    return get_args(ALL['rows'])[0].a\n",
        ("a = 2", "a = 5"),
    ),
    edit(
        "a check in Annotated",
        "from typing import Annotated, get_args\ndef twice(x):\n    return x * 2\n"
        "KIND = Annotated[int, twice]\ndef compute(x):\n    return get_args(KIND)[1](x)\n",
        ("x * 2", "x * 5"),
    ),
    edit(
        "the type behind NewType",
        "from typing import NewType\nName = NewType('Name', int)\n"
        "def compute(x):\n    return Name.__supertype__.__name__\n",
        ("int)", "float)"),
    ),
    edit(
        "a Struct's default",
        "import msgspec\nN = 2\nclass Row(msgspec.Struct):\n    a: int = N\n"
        "def compute(x):\n    return Row().a\n",
        ("N = 2", "N = 5"),
    ),
    edit(
        "a Struct's default factory",
        "import msgspec\ndef make():\n    return [2]\nclass Row(msgspec.Struct):\n"
        "    a: list = msgspec.field(default_factory=make)\ndef compute(x):\n    return Row().a\n",
        ("[2]", "[5]"),
    ),
    edit(
        "what names a Struct's fields",
        "import msgspec\ndef name(n):\n    return n + '2'\n"
        "class Row(msgspec.Struct, rename=name):\n    a: int = 1\n"
        "def compute(x):\n    return msgspec.to_builtins(Row())\n",
        ("'2'", "'5'"),
    ),
    edit(
        "a Struct named by text",
        'import msgspec\nclass Row(msgspec.Struct):\n    a: "Cell"\n'
        "class Cell(msgspec.Struct):\n    b: int = 2\n"
        'def compute(x):\n    return msgspec.convert({"a": {}}, Row).a.b\n',
        ("= 2", "= 5"),
    ),
    edit(
        "a pydantic model's default",
        "import pydantic\nN = 2\nclass Row(pydantic.BaseModel):\n    a: int = N\n"
        "def compute(x):\n    return Row().a\n",
        ("N = 2", "N = 5"),
    ),
    edit(
        "a helper of a pydantic validator",
        "import pydantic\ndef twice(v):\n    return v * 2\nclass Row(pydantic.BaseModel):\n"
        '    a: int\n    @pydantic.field_validator("a")\n    def check(cls, v):\n'
        "        return twice(v)\ndef compute(x):\n    return Row(a=x).a\n",
        ("v * 2", "v * 5"),
    ),
)
READ = (
    edit(
        "a docstring that is read",
        'def rate():\n    """two"""\ndef compute(x):\n    return rate.__doc__\n',
        ("two", "five"),
    ),
    edit(
        "the text of a function that is read",
        "import inspect\ndef rate():\n    return 1  # two\n"
        "def compute(x):\n    return inspect.getsource(rate)\n",
        ("two", "five"),
    ),
    edit(
        "settings of a module imported inside the function",
        {
            "work.py": "import helpers\ndef compute(x):\n    from helpers import RATE\n"
            "    return RATE\n",
            "helpers.py": "import pathlib\n"
            'RATE = (pathlib.Path(__file__).parent / "rate.txt").read_text()\n',
            "rate.txt": "2",
        },
        ("rate.txt", "2", "5"),
    ),
    edit(
        "a replacement in a module imported inside the function",
        {
            "work.py": "import patch\ndef compute(x):\n    import helpers\n"
            "    return helpers.rate()\n",
            "helpers.py": "def rate():\n    return 1\n",
            "patch.py": "import helpers\ndef other():\n    return 2\nhelpers.rate = other\n",
        },
        ("patch.py", "return 2", "return 5"),
    ),
    edit(
        "the name of an argument's zone",
        "def compute(x):\n    return x.tzname()\n",
        ("pipeline.py", '"A"', '"B"'),
        argument='dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1), "A"))',
        imports="import datetime as dt",
    ),
    edit(
        "which of two equal hours",
        "def compute(x):\n    return x.fold\n",
        ("pipeline.py", "fold=0", "fold=1"),
        argument="dt.datetime(2020, 10, 25, 2, 30, fold=0)",
        imports="import datetime as dt",
    ),
    edit(
        "halves of a character",
        "def compute(x):\n    return len(x)\n",
        ("pipeline.py", '"\\ud83d" + "\\ude00"', '"\\U0001f600"'),
        argument='"\\ud83d" + "\\ude00"',
    ),
)
CORNERS = (*HELD, *TYPES, *READ)
