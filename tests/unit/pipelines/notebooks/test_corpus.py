"""Notebooks as people write them: converted, proven, run twice with everything remembered."""
# ruff: noqa: E501, ISC004  # cells are texts

import importlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

SALES = "day,shop,price,sold\n" + "\n".join(
    f"{day},{'north' if day % 2 else 'south'},{1.5 + day / 10},{day * 3 % 7}"
    for day in range(1, 31)
)


class Story(NamedTuple):
    pages: tuple[Any, ...]
    results: set[str]
    steps: int
    """How many steps at least; joined cells make fewer."""
    is_stored: bool = True
    """Whether every value can be kept by a run as Trivet is installed here."""


STORIES = {
    "polars analysis": Story(
        (
            "#md # Sales\nWhat was sold, and where.",
            "import polars as pl\n\npl.Config.set_tbl_rows(5)",
            "sales = pl.read_csv('sales.csv')\nsales.head()",
            "#md ## Clean",
            "sales = sales.with_columns((pl.col('price') * pl.col('sold')).alias('turnover'))",
            "sales = sales.filter(pl.col('turnover') > 0)  # nothing sold, nothing learnt",
            "#md ## By shop",
            "by_shop = sales.group_by('shop').agg(pl.col('turnover').sum()).sort('shop')\nby_shop",
        ),
        {"by_shop"},
        3,
    ),
    "pandas with changes in place": Story(
        (
            "import pandas as pd",
            "df = pd.read_csv('sales.csv')",
            "df['turnover'] = df['price'] * df['sold']\ndf.head(3)",
            "df.drop(columns=['day'], inplace=True)\ndf.rename(columns={'shop': 'place'}, inplace=True)",
            "df.loc[df['sold'] == 0, 'turnover'] = -1.0",
            "totals = df.groupby('place')['turnover'].sum()\ntotals",
        ),
        {"df", "totals"},
        1,
        is_stored=False,
    ),
    "training with scikit-learn": Story(
        (
            "import numpy as np\nfrom sklearn.linear_model import LogisticRegression\n"
            "from sklearn.metrics import accuracy_score\n"
            "from sklearn.model_selection import train_test_split",
            ("seed = 7\nshare = 0.25\nC = 1.0", "parameters"),
            "rng = np.random.default_rng(seed)\nX = rng.normal(size=(120, 3))\n"
            "y = (X[:, 0] + 0.3 * rng.normal(size=120) > 0).astype(int)",
            "X_train, X_test, y_train, y_test = train_test_split(\n"
            "    X, y, test_size=share, random_state=seed\n)",
            "model = LogisticRegression(C=C)\nmodel.fit(X_train, y_train)",
            "accuracy = accuracy_score(y_test, model.predict(X_test))\n"
            "print(f'accuracy {accuracy:.3f}')",
            "coefficients = model.coef_[0]\ncoefficients",
        ),
        {"accuracy", "coefficients"},
        3,
    ),
    "functions that read the notebook's names": Story(
        (
            "rate = 0.2\nLABELS = ['a', 'b']",
            "def net(price):\n    return round(price * (1 - rate) - discount, 6)\n\n"
            "def name_of(i):\n    return LABELS[i % len(LABELS)]",
            "prices = [10.0, 12.5, 9.0]\ndiscount = len(prices) / 10",
            "nets = []\nfor i, price in enumerate(prices):\n    nets.append((name_of(i), net(price)))",
            "discount = 1.0\nlater = net(100.0)",
        ),
        {"nets", "later"},
        3,
    ),
    "loops that fill lists": Story(
        (
            "history = []\nweight = 5.0",
            "for epoch in range(20):\n    loss = (weight - 3) ** 2\n    weight -= 0.1 * 2 * (weight - 3)\n"
            "    history.append(loss)",
            "print(loss)\nbest = min(history)",
            "history.append(best)\nlast_three = history[-3:]",
        ),
        {"last_three", "weight"},
        3,
    ),
    "a numpy simulation with a seed": Story(
        (
            "import numpy as np\nnp.random.seed(3)",
            "walks = np.random.normal(size=(50, 20)).cumsum(axis=1)",
            "extra = np.random.rand(5)",
            "mean_end = walks[:, -1].mean()\nspread = float(walks[:, -1].std())",
        ),
        {"extra", "mean_end", "spread"},
        2,
    ),
    "classes and data classes": Story(
        (
            "from dataclasses import dataclass, field",
            "@dataclass\nclass Account:\n    owner: str\n    balance: float = 0.0\n"
            "    log: list = field(default_factory=list)\n\n"
            "    def pay(self, amount):\n        self.balance += amount\n        self.log.append(amount)",
            "ada = Account('ada')\nada.pay(10)",
            "ada.pay(-2.5)\nbalance = ada.balance\nmoves = list(ada.log)",
        ),
        {"balance", "moves"},
        1,
    ),
    "errors that are caught": Story(
        (
            "texts = ['1', 'x', '3']",
            "numbers, bad = [], 0\nfor text in texts:\n    try:\n        numbers.append(int(text))\n"
            "    except ValueError as error:\n        bad += 1\n        print(error)",
            "try:\n    import simply_not_there as fast\nexcept ImportError:\n    fast = None",
            "total = sum(numbers) if fast is None else fast.sum(numbers)",
        ),
        {"bad", "total"},
        2,
    ),
    "context managers and files": Story(
        (
            "import csv\nimport contextlib",
            "with open('sales.csv') as stream:\n    rows = list(csv.DictReader(stream))",
            "with contextlib.suppress(KeyError):\n    first = rows[0]['shop']",
            "sold = [int(row['sold']) for row in rows]\nprint(first)",
            "sold.sort()",
        ),
        {"sold"},
        2,
    ),
    "a name bound again and again": Story(
        (
            "x = [3, 1, 2]",
            "x = sorted(x)",
            "x = [i * 2 for i in x]\ny = x[0]",
            "x = sum(x)",
            "x += y\nx",
        ),
        {"x"},
        4,
    ),
    "a dict of results": Story(
        (
            "values = list(range(10))",
            "mean = sum(values) / len(values)\nresults = {'mean': mean}",
            "results['largest'] = max(values)\nresults['all'] = values",
        ),
        {"mean", "largest", "all"},
        2,
    ),
    "magics, empty cells and markdown": Story(
        (
            "#md # Notes\n\n* one\n* two",
            "%load_ext autoreload\n%autoreload 2\n%matplotlib inline\n%config InlineBackend.x = 1",
            "",
            "!pip install -q polars==2.1\n%pip install numpy\nimport math",
            "%%time\nroots = [math.sqrt(i) for i in range(5)]",
            "%time total = sum(roots)",
            "#md",
            "# only a comment",
            "total?",
            "print(round(total, 3));",
        ),
        {"total"},
        2,
    ),
    "builtins and imports that are hidden": Story(
        (
            "from math import floor\nimport statistics",
            "values = [1.5, 2.5, 4.0]",
            "sum = sum(values)\nfloor = floor(sum)",
            "max = max(values, key=lambda v: v * floor)\nmedian = statistics.median(values)",
        ),
        {"max", "median"},
        2,
    ),
    "a counter that functions make global": Story(
        (
            "calls = 0\ncache = {}",
            "def slow(n):\n    global calls\n    calls += 1\n    if n not in cache:\n"
            "        cache[n] = n * n\n    return cache[n]",
            "squares = [slow(i % 3) for i in range(6)]",
            "again = slow(5)\ncalled = calls",
        ),
        {"squares", "again", "called"},
        1,
    ),
    "one object under two names": Story(
        (
            "base = [1, 2]\nalias = base",
            "base.append(3)",
            "length = len(alias)",
            "table = {'rows': base}",
            "table['rows'].append(4)",
            "size = len(base)",
        ),
        {"length", "size"},
        1,
    ),
    "strings over many lines, and comments": Story(
        (
            'query = """\nselect *\n    from sales\n"""\nlines = query.splitlines()',
            "# count what is left\nname = 'x'\ntext = f'''{name}:\n  {len(lines)}\n'''  # keep\n",
            "found = {\n    # the first\n    'a': text,\n    'b': query,\n}\nsize = len(found['a'])",
        ),
        {"found", "size"},
        2,
    ),
    "unpacking, matching and the walrus": Story(
        (
            "import re\npairs = [('a', 1), ('b', 2), ('c', 3)]",
            "(first, *rest), table = pairs, dict(pairs)",
            "match rest:\n    case [(name, number), *_]:\n        label = f'{name}{number}'\n"
            "    case _:\n        label = ''",
            "if (found := re.match('b', label)) is not None:\n    start = found.start()\nelse:\n"
            "    start = -1",
            "lengths = {key: len(key) for key, _ in pairs if (n := table[key]) > 1}\ndel table",
        ),
        {"lengths", "start"},
        3,
    ),
    "a connection that cannot be stored": Story(
        (
            "import sqlite3",
            "con = sqlite3.connect(':memory:')\ncon.execute('create table t (x)')",
            "con.executemany('insert into t values (?)', [(1,), (2,)])",
            "total = con.execute('select sum(x) from t').fetchone()[0]\ncon.close()",
            "half = total / 2",
        ),
        {"half"},
        2,
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_a_notebook_becomes_a_pipeline_that_remembers(
    story: str, project: Any, desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = STORIES[story]
    desk.folder = project.folder
    desk.file("sales.csv", SALES)
    adopted = desk.adopt(*told.pages)

    assert adopted.proof is not None
    assert adopted.proof.differences == ()
    assert adopted.proof.equal == adopted.proof.compared > 0
    assert len(adopted.analysis.steps) >= told.steps, adopted.module
    _demand_style(adopted.module, project.folder)
    if not told.is_stored:
        return
    monkeypatch.chdir(project.folder)
    sys.modules.pop("analysis", None)
    importlib.invalidate_caches()
    first = project.run("analysis:analysis")
    again = project.run("analysis:analysis")
    sys.modules.pop("analysis", None)

    made = {output.name for output in first.finished.outputs} | set(first.finished.metrics)
    assert told.results <= made, adopted.module
    assert {status for _, status in project.statuses(first)} == {"run"}
    effects = {step.name for step in adopted.analysis.steps if step.kind == "effect"}
    anew = {name for name, status in project.statuses(again) if status == "run"}
    assert anew <= effects
    for name in made:
        assert repr(project.pipelines.value(again.id, name)) == repr(
            project.pipelines.value(first.id, name)
        )


def _demand_style(module: str, folder: Path) -> None:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is None:
        return
    file = folder / "style_of_module.py"
    file.write_text(module, "utf-8")
    rules = ["--isolated", "--select", "E4,E5,E7,E9,F", "--line-length", "100"]
    done = subprocess.run(
        [ruff, "check", "--no-cache", *rules, str(file)], capture_output=True, check=False
    )
    file.unlink()
    assert done.returncode == 0, done.stdout.decode() + module
    assert all(len(line) <= 100 for line in module.splitlines())
