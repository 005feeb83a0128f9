"""XGBoost's boosters and its scikit-learn classes, in the library's own binary JSON."""

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, cast

from trivet.core.errors import Corrupt
from trivet.core.trees import Content
from trivet.pipelines.materialisers import Files, Materialiser
from trivet.pipelines.materialising.structure import NoForm, put_together, take_apart

Model = Any  # XGBoost is loaded only once one of its models is at hand

_WRAPPERS: Final = {
    *("XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor"),
}
_MODEL, _CONFIG, _WRAPPER = "model.ubj", "config.json", "wrapper.json"


def _accepts(value: object) -> bool:
    kind = type(value)
    return kind.__module__.partition(".")[0] == "xgboost" and kind.__name__ in {
        "Booster",
        *_WRAPPERS,
    }


def _save(model: Model) -> Mapping[str, Content]:
    if type(model).__name__ == "Booster":
        return _save_booster(model)
    params: object = model.get_params()
    try:
        text = take_apart(params, lambda _: None)
    except NoForm as error:
        error.reason = error.reason or "one of its parameters is no plain value"
        error.advice = "Use a parameter's name (objective='reg:squarederror'), not a function."
        error.value = model
        raise
    said = {"class": type(model).__name__, "params": text}
    fitted = hasattr(model, "_Booster")
    files = _save_booster(model.get_booster()) if fitted else {}
    return {_WRAPPER: json.dumps(said).encode(), **files}


def _save_booster(booster: Model) -> dict[str, Content]:
    return {
        _MODEL: bytes(booster.save_raw(raw_format="ubj")),
        _CONFIG: booster.save_config().encode(),
    }


def _load(files: Files) -> object:
    library = import_module("xgboost")
    try:
        if _WRAPPER not in files:
            booster = library.Booster(model_file=bytearray(files[_MODEL]))
            booster.load_config(files[_CONFIG].decode())
            return booster
        said = json.loads(files[_WRAPPER])
        if said["class"] not in _WRAPPERS:
            raise KeyError(said["class"])
        params = cast("dict[str, Any]", put_together(said["params"], lambda _: None))
        model = getattr(library, said["class"])(**params)
        if _MODEL in files:
            model.load_model(bytearray(files[_MODEL]))
            model.get_booster().load_config(files[_CONFIG].decode())
            model.set_params(**params)  # reading the model puts its own in their place
    except library.core.XGBoostError as error:
        raise Corrupt(
            f"a stored XGBoost model does not read back: {error}", hint="Run `trivet fsck`."
        ) from error
    return model


XGBOOST = Materialiser(
    format="xgboost.ubj", library="xgboost", accepts=_accepts, save=_save, load=_load
)
