"""LightGBM boosters between steps, in the library's own text."""

import json
from collections.abc import Mapping
from typing import Any, Final

from trivet.adapters.lightgbm.flavour import LightGBMFlavour

_MODEL, _REST = "booster.txt", "booster.json"
_ALL_TREES: Final = -1


class LightGBMBoosters:
    """`lightgbm.Booster`. What it was trained on is not kept."""

    format = "booster.lightgbm"
    library = "lightgbm"

    def accepts(self, value: object) -> bool:
        kind = type(value)
        return (kind.__module__, kind.__name__) == ("lightgbm.basic", "Booster")

    def save(self, value: Any) -> Mapping[str, bytes]:
        text: str = value.model_to_string(num_iteration=_ALL_TREES)
        rest = {"best_iteration": value.best_iteration, "best_score": value.best_score}
        return {_MODEL: text.encode(), _REST: json.dumps(rest).encode()}

    def load(self, files: Mapping[str, bytes]) -> object:
        booster: Any = LightGBMFlavour().load(files[_MODEL])
        rest = json.loads(files[_REST])
        booster.best_iteration = rest["best_iteration"]
        booster.best_score = rest["best_score"]
        return booster
