import sys
from pathlib import Path

import msgspec
import pytest

import trivet
from trivet.core.fingerprints import modules


def test_code_belongs_to_the_interpreter_to_a_distribution_or_to_the_user(tmp_path: Path) -> None:
    own = tmp_path / "pipeline.py"
    assert modules.origin_of_file(str(own)) == "project"
    assert modules.origin_of_file("<ipython-input-3>") == "project"
    assert modules.origin_of_file("<frozen importlib>") == "python"
    assert modules.origin_of_file(str(Path(trivet.__file__))) == "package"
    assert modules.origin_of_module("msgspec") == "package"
    assert modules.origin_of_module("json") == "python"
    assert modules.origin_of_module("sys") == "python"


def test_a_user_s_module_that_is_called_like_one_of_python_s_is_the_user_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "colorsys.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    assert modules.origin_of_module("colorsys") == "project"


def test_a_module_is_found_without_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "never_loaded"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit\n")
    (package / "inner.py").write_text("raise SystemExit\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert modules.file_of("never_loaded.inner") == str(package / "inner.py")
    assert not modules.is_module("never_loaded.other")
    assert "never_loaded" not in sys.modules
    found = list(modules.meant_by_import("inner", ("x",), "never_loaded.sub"))
    assert found == ["never_loaded.inner"]
    assert list(modules.meant_by_import("", ("inner",), "never_loaded")) == [
        "never_loaded",
        "never_loaded.inner",
    ]


def test_a_distribution_is_found_by_its_module_whatever_its_name() -> None:
    assert modules.distribution_of("msgspec") == ("msgspec", msgspec.__version__)
    name, version = modules.distribution_of("_pytest")
    assert (name, version) == ("pytest", pytest.__version__)
    assert modules.distribution_of("nobody_s_module") == ("nobody_s_module", "unknown")


def test_a_script_has_the_name_it_would_be_imported_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/project/train.py", raising=False)
    assert modules.label_of_module("__main__") == "train"
    assert modules.label_of_module("features.ratios") == "features.ratios"


def test_what_pip_installed_into_a_folder_of_any_name_is_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("plots", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("x = 1\n")
    record = tmp_path / "plots-1.0.dist-info" / "RECORD"
    record.parent.mkdir()
    record.write_text("plots/__init__.py,sha256=abc,6\nplots-1.0.dist-info/RECORD,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert modules.origin_of_module("plots") == "package"
    assert modules.origin_of_module("mine") == "project"
