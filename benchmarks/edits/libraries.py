"""Objects of libraries, with code of one's own inside, and what sets libraries up."""

from benchmarks.edits.case import edit, nothing

_PIPELINE = """
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

class Doubler(BaseEstimator, TransformerMixin):
    def fit(self, X, y=None):
        return self
    def transform(self, X):
        # twice
        return X * 2

def plus(v):
    return v + 1

PIPE = make_pipeline(Doubler(), FunctionTransformer(plus))

def compute(x):
    return PIPE.fit_transform(np.array([[x]])).tolist()
"""
_SCORED = """
import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV

def loss(true, said):
    return float(abs(true - said).mean()) * 2

SEARCH = GridSearchCV(Ridge(), {"alpha": [1.0]}, scoring=make_scorer(loss), cv=2)

def compute(x):
    rows = np.arange(8.0).reshape(-1, 1)
    return round(SEARCH.fit(rows, rows[:, 0] * x).best_score_, 6)
"""
_BOOSTED = """
import numpy as np
from lightgbm import LGBMRegressor

def loss(true, said):
    return (said - true) * 2.0, np.ones_like(true)

MODEL = LGBMRegressor(objective=loss, n_estimators=2, min_child_samples=1, verbose=-1)

def compute(x):
    rows = np.arange(40.0).reshape(-1, 1)
    return MODEL.fit(rows, rows[:, 0]).predict(rows).round(6).tolist()
"""
_KEPT = """
import numpy as np
from sklearn.preprocessing import FunctionTransformer

class Kept:
    def __init__(self, model):
        self.model = model

def plus(v):
    return v + 1

KEPT = {where}

def compute(x):
    return {what}.transform(np.array([[x]])).tolist()
"""

HOLDING = (
    edit("a class inside a pipeline of scikit-learn", _PIPELINE, ("X * 2", "X * 5")),
    edit("a function inside a pipeline of scikit-learn", _PIPELINE, ("v + 1", "v + 100")),
    nothing("a comment in a class inside a pipeline", _PIPELINE, ("# twice", "# two times")),
    edit("a function that scores a search", _SCORED, ("* 2", "* 5")),
    edit("a loss inside a model of LightGBM", _BOOSTED, ("* 2.0", "* 5.0")),
    edit(
        "an estimator in a list, with a function of one's own",
        _KEPT.format(where="[FunctionTransformer(plus)]", what="KEPT[0]"),
        ("v + 1", "v + 100"),
    ),
    edit(
        "an estimator in an object of one's own",
        _KEPT.format(where="Kept(FunctionTransformer(plus))", what="KEPT.model"),
        ("v + 1", "v + 100"),
    ),
    edit(
        "a function below a partial inside an estimator",
        "import numpy as np\nfrom functools import partial\n"
        "from sklearn.preprocessing import FunctionTransformer\n"
        "def plus(v, by):\n    return v + by\n"
        "KEPT = [FunctionTransformer(partial(plus, by=2))]\n"
        "def compute(x):\n    return KEPT[0].transform(np.array([[x]])).tolist()\n",
        ("v + by", "v - by"),
    ),
)
_MADE = """
from dataclasses import field, make_dataclass
P = make_dataclass("P", [("x", int, field(default=3))], namespace={{"area": {area}}})
def compute(x):
    return [P().x, P(x).area()]
"""
_CHECKED = """
from pydantic import BaseModel, {names}
class Config(BaseModel):
    rate: int = 2
def twice(v):
    return v * 2
def helper(c: {note}):
    return c
helper = validate_call(helper)
def compute(x):
    return helper({given})
"""
_FEATURES = """
import polars as pl
FEATURES = {made}
def compute(x):
    return pl.DataFrame({{"a": [1, x]}}).select({used}).to_series().to_list()
"""

MAKING = (
    edit(
        "the default of a class that make_dataclass made",
        _MADE.format(area="lambda self: self.x"),
        ("default=3", "default=4"),
    ),
    edit(
        "a method of a class that make_dataclass made",
        _MADE.format(area="lambda self: self.x * 2"),
        ("self.x * 2", "self.x * 5"),
    ),
    nothing(
        "a comment beside a class that make_dataclass made",
        _MADE.format(area="lambda self: self.x"),
        ("from dataclasses", "# made\nfrom dataclasses"),
    ),
    edit(
        "what the body of a class that types.new_class made puts in it",
        """
        import types
        def fill(names):
            names["rate"] = lambda self: 2
        P = types.new_class("P", (), {}, fill)
        def compute(x):
            return P().rate()
        """,
        ("self: 2", "self: 5"),
    ),
    edit(
        "a function that fills an object of a library",
        """
        from jinja2 import Environment
        ENV = Environment()
        def twice(x):
            return x * 2
        def setup(env):
            env.filters["twice"] = twice
        setup(ENV)
        def compute(x):
            return ENV.from_string("{{ 3|twice }}").render()
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "a function that a decorator puts into an object of a library",
        """
        from jinja2 import Environment
        from functools import partial
        ENV = Environment()
        def keep(env):
            return lambda function: env.filters.setdefault(function.__name__, function)
        @keep(ENV)
        def twice(x):
            return x * 2
        def compute(x):
            return ENV.from_string("{{ 3|twice }}").render()
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "a registry of weak references",
        """
        import weakref
        PLUGINS = weakref.WeakSet()
        class Base:
            def __init_subclass__(cls):
                PLUGINS.add(cls)
        class One(Base):
            def rate(self, x):
                return x * 2
        def compute(x):
            return [kind().rate(x) for kind in PLUGINS]
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "a registry by name of weak references",
        """
        import weakref
        PLUGINS = weakref.WeakValueDictionary()
        class One:
            def rate(self, x):
                return x * 2
        PLUGINS["one"] = One
        def compute(x):
            return PLUGINS["one"]().rate(x)
        """,
        ("x * 2", "x * 5"),
    ),
    edit(
        "a model that a checked call takes",
        _CHECKED.format(names="validate_call", note="Config", given="{}"),
        ("= 2", "= 5"),
    ),
    edit(
        "a model that a checked call takes, named by text",
        _CHECKED.format(names="validate_call", note='"Config"', given="{}"),
        ("= 2", "= 5"),
    ),
    edit(
        "a check in the annotation of a checked call",
        "from typing import Annotated\n"
        + _CHECKED.format(
            names="AfterValidator, validate_call",
            note="Annotated[int, AfterValidator(twice)]",
            given="x",
        ),
        ("v * 2", "v * 5"),
    ),
    edit(
        "the annotation of a checked call",
        _CHECKED.format(names="validate_call", note="int", given="str(x)"),
        ("c: int", "c: float"),
    ),
    nothing(
        "a comment in a checked call",
        _CHECKED.format(names="validate_call", note="Config", given="{}"),
        ("    return c\n", "    # checked\n    return c\n"),
    ),
    edit(
        "an expression of Polars in a list",
        _FEATURES.format(made='[pl.col("a") * 2]', used="FEATURES[0]"),
        ("* 2", "* 5"),
    ),
    edit(
        "an expression of Polars in a dict",
        _FEATURES.format(made='{"a": pl.col("a") * 2}', used='FEATURES["a"]'),
        ("* 2", "* 5"),
    ),
    edit(
        "a function below an expression of Polars in a list",
        "def scale(one):\n    return one * 2\n"
        + _FEATURES.format(
            made='[pl.col("a").map_elements(scale, return_dtype=pl.Int64)]', used="FEATURES[0]"
        ),
        ("* 2", "* 5"),
    ),
    edit(
        "an expression of Polars that a function puts into a list",
        _FEATURES.format(made="[]", used="FEATURES[0]")
        + "def fill():\n    FEATURES.append(pl.col('a') * 2)\nfill()\n",
        ("* 2", "* 5"),
    ),
    edit(
        "what an array of numbers of one's own holds",
        "import array\nROW = array.array('d', [2])\ndef compute(x):\n    return ROW[0]\n",
        ("[2]", "[5]"),
    ),
)
LIBRARIES = (*HOLDING, *MAKING)
