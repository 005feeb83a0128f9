"""Records of the user's project: kept by their fields, made only as the code of today allows."""

import dataclasses
import enum
import functools
import sys
import types
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
import numpy as np
import polars as pl
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid, NotFound
from trivet.pipelines.authoring import step
from trivet.pipelines.context import definition_of
from trivet.pipelines.materialising.readers import Reader, reader_of
from trivet.pipelines.materialising.values import Form, Values

values = Values()
T = TypeVar("T")


class Colour(enum.Enum):
    RED = "r"
    CRIMSON = "r"  # noqa: PIE796  # an alias
    BLUE = ("b", 2)


class Right(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


class Level(enum.IntEnum):
    LOW = 1


class Pair(NamedTuple):
    left: int
    right: Any


@dataclasses.dataclass
class Split:
    train: pl.DataFrame
    weights: Any
    note: str = ""
    made: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        self.made += 1

    @functools.cached_property
    def rows(self) -> int:
        return self.train.height


@dataclasses.dataclass(frozen=True, slots=True)
class Point(Generic[T]):
    x: T
    y: T


class Card(msgspec.Struct, frozen=True):
    title: str
    part: Any = None

    def __post_init__(self) -> None:
        if not self.title.endswith("!"):
            msgspec.structs.force_setattr(self, "title", self.title + "!")


class Settings(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", arbitrary_types_allowed=True)
    rate: float = pydantic.Field(gt=0)
    colour: Colour = Colour.RED
    table: Any = None
    _secret: int = pydantic.PrivateAttr(default=1)


def there_and_back(value: object) -> Any:
    return values.load(values.save(value, "a value"))


def digest(value: object) -> str:
    return values.digest(value, "a value")


@pytest.mark.parametrize(
    "member",
    [Colour.RED, Colour.BLUE, Level.LOW, Right.READ | Right.RUN, Right(0), Right.WRITE],
)
def test_members_of_enums_come_back_as_themselves(member: Any) -> None:
    again = there_and_back({"m": [member]})["m"][0]
    assert again is member or again == member
    assert type(again) is type(member)
    assert digest(again) == digest(member)
    assert digest(member) != digest(member.value)


def test_a_dataclass_may_hold_frames_and_arrays() -> None:
    split = Split(pl.DataFrame({"a": [1, 2]}), np.arange(3), "x")
    again = there_and_back([split])[0]
    assert type(again) is Split
    assert again.train.equals(split.train)
    assert again.weights.tolist() == [0, 1, 2]
    assert (again.note, again.made) == ("x", 1), "its __post_init__ ran once, not twice"
    assert values.save(split, "x").format == "dataclass"
    before = digest(split)
    assert split.rows == 2
    assert digest(split) == before, "what a cached property remembers is no content"
    assert digest(again) == before
    split.note = "y"
    assert digest(split) != before


def test_attributes_beside_the_fields_come_back() -> None:
    split = Split(pl.DataFrame(), None)
    before = digest(split)
    split.extra = 5  # type: ignore[attr-defined]
    assert there_and_back(split).extra == 5
    assert digest(split) != before


@given(x=st.integers(), y=st.text())
def test_records_of_every_kind_come_back(x: int, y: str) -> None:
    for record in (Point(x, y), Pair(x, [y]), Card(y, (x,)), Settings(rate=1 + abs(x), note=y)):
        again = there_and_back((record,))[0]
        assert type(again) is type(record)
        assert again == record
        assert digest(again) == digest(record)


def test_fields_come_back_as_they_were_whatever_the_class_does_with_them() -> None:
    card = Card("a")
    msgspec.structs.force_setattr(card, "title", "plain")
    assert there_and_back(card).title == "plain"
    settings = Settings(rate=0.5, more=[1])  # type: ignore[call-arg]
    settings.__dict__["rate"] = -1.0
    settings._secret = 9
    again = there_and_back(settings)
    assert (again.rate, again._secret, again.more) == (-1.0, 9, [1])
    assert again.model_fields_set == {"rate", "more"}


def test_records_are_told_apart_by_class_and_fields() -> None:
    others = [Point(1, 2), Point(2, 1), Point(1.0, 2), Pair(1, 2), (1, 2), {"x": 1, "y": 2}]
    assert len({digest(other) for other in others}) == len(others)


def test_a_record_counts_by_the_code_of_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    split = Split(pl.DataFrame(), None)
    before = digest(split)
    monkeypatch.setattr(Split, "__post_init__", lambda self: None)
    assert digest(split) != before


def test_a_class_that_cannot_be_found_again_is_refused_with_a_way_out() -> None:
    @dataclasses.dataclass
    class Local:
        x: int

    with pytest.raises(Invalid, match="inside a function") as refused:
        values.save({"a": [Local(1)]}, "what step 'make' returned")
    assert "result['a'][0]" in refused.value.message
    assert "top of a module" in refused.value.hint
    assert digest(Local(1)) != digest(Local(2)), "as an argument its content is enough"


@dataclasses.dataclass
class Holder:
    tokenizer: object


def test_the_place_of_what_cannot_be_stored_is_named_to_the_attribute() -> None:
    with pytest.raises(Invalid) as refused:
        values.save({"models": [1, 2, Holder(object())]}, "what step 'train' returned")
    assert "holds a builtins.object at result['models'][2].tokenizer" in refused.value.message
    assert refused.value.detail["place"] == "['models'][2].tokenizer"
    assert "pickle=True" in refused.value.hint
    with pytest.raises(Invalid, match=r"result key <object"):
        values.save({object(): 1}, "x")


# ------------------------------------------------------- what stored bytes may ask for


def crafted(name: str, format_: str = "dataclass", /, **fields: Any) -> Form:
    text = msgspec.json.encode({"$made": [format_, {"@class": name, **fields}]})
    return Form(format_, {"value.json": text})


RAN: list[str] = []


class Plain:
    def __init__(self, *args: Any) -> None:
        RAN.append("init")

    def __setattr__(self, name: str, value: Any) -> None:
        RAN.append("set")


@pytest.mark.parametrize("format_", ["dataclass", "struct", "named-tuple", "enum", "pydantic"])
@pytest.mark.parametrize(
    "name",
    [
        "subprocess:Popen",
        "os:system",
        "builtins:exec",
        "logging:FileHandler",
        "this.module.is.not.loaded:X",
        "antigravity:x",
        f"{__name__}:Plain",
        f"{__name__}:there_and_back",
        f"{__name__}:pl.DataFrame",
        f"{__name__}:Plain.__init__.__globals__",
        "",
        ":",
    ],
)
def test_stored_bytes_cannot_choose_what_is_made(name: str, format_: str) -> None:
    before = set(sys.modules)
    with pytest.raises(NotFound):
        values.load(crafted(name, format_, args="x", name="x", value="x"))
    assert RAN == []
    assert set(sys.modules) == before


def test_no_module_is_imported_because_bytes_say_so(tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NotFound):
        values.load(crafted("trap:Trap"))


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module of an installed distribution, with a dataclass."""
    import site

    module = types.ModuleType("installed")
    module.__file__ = site.getsitepackages()[0] + "/installed.py"
    code = "import dataclasses\n@dataclasses.dataclass\nclass Config:\n    rate: float\n"
    monkeypatch.setitem(sys.modules, "installed", module)
    exec(code, vars(module))  # noqa: S102  # a library for this test
    return module


def test_a_library_s_record_is_made_only_where_an_annotation_names_it(library: Any) -> None:
    config = library.Config(0.5)
    with pytest.raises(Invalid, match="neither of your project"):
        values.save(config, "x")

    def plain() -> None: ...

    def named() -> None: ...

    named.__annotations__["return"] = list[library.Config]
    reader = reader_of(definition_of(step(named)))  # type: ignore[arg-type]
    form = values.save([config], "x", reader)
    assert values.load(form, reader) == [config]
    with pytest.raises(NotFound):
        values.load(form)
    with pytest.raises(NotFound):
        values.load(form, reader_of(definition_of(step(plain))))  # type: ignore[arg-type]
    assert digest(config) != digest(library.Config(0.6)), "as an argument its content is enough"


def test_a_class_that_changed_its_fields_is_not_known_any_more() -> None:
    form = values.save([Point(1, 2), Pair(1, 2), Card("a")], "x")
    text = form.files["value.json"]
    assert isinstance(text, bytes)
    for old in (b'"y":2', b'"right":2', b'"part":null'):
        other = text.replace(old, b'"z"' + old[old.index(b":") :])
        assert other != text
        with pytest.raises(NotFound):
            values.load(Form("composite", {"value.json": other}))


def test_consent_and_classes_come_from_the_code_of_today() -> None:
    @step(pickle=True)
    def make(point: Point[int], *, level: Level | None = None) -> dict[str, list[Settings]]:
        return {}

    definition = definition_of(make)
    assert definition is not None
    reader = reader_of(definition)
    assert reader.pickle
    assert {Point, Level, Settings, Colour} <= reader.classes
    assert Reader() == Reader(pickle=False)
