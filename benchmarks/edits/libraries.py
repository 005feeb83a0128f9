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
LIBRARIES = (*HOLDING,)
