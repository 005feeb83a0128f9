from pathlib import Path

import pytest

from trivet.core.errors import Invalid, NotFound
from trivet.workspace.project_files import read_monitor_file, read_release_file
from trivet.workspace.settings import Settings, find_project, read_settings, setting_names


def write(folder: Path, text: str, name: str = "trivet.toml") -> Path:
    (folder / name).write_text(text)
    return folder


def test_a_name_suffices(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, 'project = "left"'))
    assert settings == Settings(project="left", model="left", endpoint="left")
    assert (settings.up.port, settings.up.serving_port) == (7878, 7879)


def test_what_is_said_is_taken(tmp_path: Path) -> None:
    text = (
        'project = "left"\nmodel = "m"\nendpoint = "e"\n[up]\nport = 0\n[serving]\nbuffer_mib = 1'
    )
    settings = read_settings(write(tmp_path, text))
    assert (settings.model, settings.endpoint) == ("m", "e")
    assert (settings.up.port, settings.serving.buffer_mib) == (0, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('project = "left', "cannot be read"),
        ("[up", "cannot be read"),
        ("", "missing required field `project`"),
        ('project = "left"\nprot = 1', "unknown field `prot`"),
        ('project = "left"\n[up]\nprot = 1', "unknown field `prot`"),
        ('project = "left"\n[up]\nport = "x"', "Expected `int`"),
        ('project = "left"\n[up]\nport = 70000', "Expected `int` <= 65535"),
        ('project = "left"\n[up]\ntick_s = 0', r"Expected `float` >= 0\.1"),
        ('project = "left"\n[up]\nrunners = -1', "Expected `int` >= 0"),
        ('project = "left"\n[serving]\nbuffer_mib = 0', "Expected `int` >= 1"),
        ('project = "left"\n[up]\nport = 7879', "are both 7879"),
        ('project = "left"\n[serving]\nlog_mode = "maybe"', "Invalid enum value 'maybe'"),
        ('project = "Left side"', "project is a str that is no valid name"),
    ],
)
def test_a_setting_that_cannot_be_is_an_error_with_a_hint(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(Invalid, match=words) as caught:
        read_settings(write(tmp_path, text))
    assert caught.value.hint


def test_an_unknown_setting_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        read_settings(write(tmp_path, 'project = "left"\nprot = 1'))
    for name in setting_names(Settings):
        assert name in caught.value.hint


def test_a_project_is_found_from_any_folder_in_it(tmp_path: Path) -> None:
    write(tmp_path, 'project = "left"')
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find_project(deep) == tmp_path


def test_without_a_project_the_next_step_is_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no trivet\.toml") as caught:
        find_project(tmp_path)
    assert "trivet init" in caught.value.hint


def test_missing_files_mean_the_defaults(tmp_path: Path) -> None:
    assert read_release_file(tmp_path).log_mode == "audit"
    assert read_monitor_file(tmp_path).window_s == 86_400.0


def test_how_a_version_goes_live_is_read(tmp_path: Path) -> None:
    text = 'automatic = false\nlog_mode = "monitor"\n[rollout]\ncanary_share = 0.5'
    found = read_release_file(write(tmp_path, text, "release.toml"))
    assert (found.automatic, found.log_mode, found.rollout.canary_share) == (False, "monitor", 0.5)


def test_triggers_are_read(tmp_path: Path) -> None:
    text = '[triggers.weekly]\ncause = "schedule"\nwatch = "604800"\nparameters = {rounds = 5}'
    found = read_monitor_file(write(tmp_path, text, "monitor.toml")).triggers["weekly"]
    assert (found.cause, found.watch, found.parameters) == ("schedule", "604800", {"rounds": 5})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("release.toml", "automatic = 1", "Expected `bool`"),
        ("release.toml", "[rollout]\ncanary = 0.5", "unknown field `canary`"),
        ("monitor.toml", "[triggers.x]\nwatch = 'y'", "missing required field `cause`"),
        ("monitor.toml", "window_s = 'day'", "Expected `float`"),
        ("monitor.toml", "window_s = ", "Invalid value"),
    ],
)
def test_files_that_say_something_unknown_are_refused(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    write(tmp_path, text, name)
    with pytest.raises(Invalid, match=words) as caught:
        (read_release_file if name == "release.toml" else read_monitor_file)(tmp_path)
    assert name in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("template", ["tabular", "flights"])
def test_the_files_of_a_template_say_nothing_unknown(template: str, tmp_path: Path) -> None:
    from importlib.resources import files

    for name in ("release.toml", "monitor.toml"):
        text = (files("trivet.templates") / template / name).read_text("utf-8")
        write(tmp_path, text.replace("@name@", "left"), name)
    assert read_release_file(tmp_path).automatic
    assert read_monitor_file(tmp_path).triggers
