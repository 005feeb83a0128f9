"""scikit-learn estimators between steps: fitted or not, as skops files.

skops makes only objects of types that somebody trusts. Trusted here: scikit-learn's own estimators
and the data structures inside them, boosters of LightGBM and XGBoost in a pipeline, and what the
user's own project defines and has loaded. Anything else is refused by name, when it is written and
when it is read.
"""

import zipfile
from collections.abc import Callable, Mapping
from typing import Any, Final

from trivet.adapters.sklearn.flavour import canonical
from trivet.core.errors import Corrupt, NotFound, Unsupported

_FILE: Final = "estimator.skops"
_TRUSTED: Final = {
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRanker",
    "lightgbm.sklearn.LGBMRegressor",
    "numpy.dtype",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRFClassifier",
    "xgboost.sklearn.XGBRFRegressor",
    "xgboost.sklearn.XGBRanker",
    "xgboost.sklearn.XGBRegressor",
}
_TRUSTED_MODULES: Final = (
    "sklearn._loss.",
    "sklearn.calibration._",
    "sklearn.ensemble._gb_losses.",
    "sklearn.ensemble._hist_gradient_boosting.",
    "sklearn.gaussian_process.kernels.",
    "sklearn.linear_model._sgd_fast.",
    "sklearn.metrics._dist_metrics.",
    "sklearn.metrics._scorer._",
    "sklearn.model_selection._split.",
    "sklearn.neighbors._ball_tree.",
    "sklearn.neighbors._kd_tree.",
    "sklearn.neural_network._stochastic_optimizers.",
    "sklearn.tree._tree.",
)
"""Modules of scikit-learn whose classes hold data and nothing else."""
_ELSEWHERE: Final = {"xgboost"}
"""Libraries whose estimators have a better form of their own."""


class SklearnEstimators:
    """Estimators of scikit-learn, of libraries that derive from it, and of the user's project.

    Args:
        find_own: Returns the class or function that the user's project has loaded under a dotted
            name, None when there is none.
    """

    format = "estimator.skops"
    library = "sklearn"

    def __init__(self, find_own: Callable[[str], object | None]) -> None:
        self._find_own = find_own

    def accepts(self, value: object) -> bool:
        kind = type(value)
        return kind.__module__.partition(".")[0] not in _ELSEWHERE and any(
            item.__name__ == "BaseEstimator" and item.__module__.startswith("sklearn.")
            for item in kind.__mro__
        )

    def save(self, value: Any) -> Mapping[str, bytes]:
        import skops.io

        library: Any = skops.io
        try:
            source = canonical(library.dumps(value))
        except (TypeError, ValueError, AttributeError, NotImplementedError) as error:
            raise Unsupported(
                f"skops cannot express the {type(value).__name__}: {error}",
                code="untrusted-types",
                hint="Build it from classes of scikit-learn and of your project's modules.",
            ) from error
        foreign = self._foreign(library, source)
        if foreign:
            raise Unsupported(
                f"the estimator holds objects of {', '.join(foreign)}, which nobody trusts",
                code="untrusted-types",
                hint="Build it from classes of scikit-learn and classes and functions of your "
                "project's modules; or consent to pickle: @step(pickle=True).",
            )
        return {_FILE: source}

    def load(self, files: Mapping[str, bytes]) -> object:
        import skops.io

        library: Any = skops.io
        source = files[_FILE]
        try:
            foreign = self._foreign(library, source)
            if not foreign:
                asked: list[str] = library.get_untrusted_types(data=source)
                return library.loads(source, trusted=asked)
        except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
            raise Corrupt(
                f"a stored estimator does not read back: {error}", hint="Run `trivet fsck`."
            ) from error
        raise NotFound(
            f"a stored estimator holds objects of {', '.join(foreign)}, which are not there",
            code="no-class",
            hint="Import their module in the module of the step.",
        )

    def _foreign(self, library: Any, source: bytes) -> list[str]:
        asked: list[str] = library.get_untrusted_types(data=source)
        return sorted(name for name in set(asked) if not self._is_trusted(name))

    def _is_trusted(self, name: str) -> bool:
        known = name in _TRUSTED or name.startswith(_TRUSTED_MODULES)
        return known or self._find_own(name) is not None
