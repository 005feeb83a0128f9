"""Importing TensorBoard's event files, written by tensorboardX and by TensorBoard itself."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.moving.conftest import Bring

from trivet.adapters.tensorboard.messages import read_event, read_summary
from trivet.adapters.tensorboard.records import masked_crc, read_records
from trivet.core.errors import Corrupt, Invalid
from trivet.core.protobuf import Malformed, fields_of
from trivet.workspace.holdings import tensorboard_holdings
from trivet.workspace.workspace import Workspace

Unpack = Callable[[str], Path]


def test_each_folder_of_events_is_a_run(
    bring: Bring, unpacked: Unpack, workspace: Workspace
) -> None:
    folder = unpacked("events")
    moved = bring(tensorboard_holdings(folder, "digits"))
    assert moved.counts.runs_new == 5
    number = workspace.tracking.experiments.by_name("digits").number
    runs = {run.name: run for run in workspace.tracking.reported.search([number])[0]}
    assert set(runs) == {"events", "hp", "lr_0.1", "lr_0.1/hp", "keras/train"}
    plain = runs["lr_0.1"]
    assert plain.status == "succeeded"
    assert plain.metrics["train/loss"].value == pytest.approx(0.05)
    assert plain.metrics["train/loss"].step == 19
    assert runs["hp"].parameters == {"lr": "0.1", "layers": "3", "opt": "adam", "flag": "True"}
    media = {(m.key, m.step, m.kind) for m in workspace.tracking.media(plain.id)}
    assert media == {("pic", 7, "image"), ("note/text_summary", 2, "text")}
    keras = runs["keras/train"]
    assert (keras.began_ms, keras.ended_ms) == (1_700_000_000_000, 1_700_000_004_000)
    assert keras.metrics["epoch loss _a_"].value == 2.0


def test_again_it_brings_what_was_written_since(
    bring: Bring, unpacked: Unpack, workspace: Workspace
) -> None:
    folder = unpacked("events")
    (file,) = (folder / "lr_0.1").glob("*tfevents*")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])  # in the middle of a record
    first = bring(tensorboard_holdings(folder, ""))
    file.write_bytes(whole)
    second = bring(tensorboard_holdings(folder, ""))
    third = bring(tensorboard_holdings(folder, ""))
    assert (second.counts.runs_new, second.counts.runs_changed) == (0, 1)
    assert (third.counts.runs_same, third.counts.points) == (5, 0)
    assert first.counts.points + second.counts.points == 21 * 2 + 2 + 5
    number = workspace.tracking.experiments.by_name("events").number
    assert len(workspace.tracking.reported.search([number])[0]) == 5


def test_a_damaged_record_ends_its_file_and_is_told(bring: Bring, unpacked: Unpack) -> None:
    folder = unpacked("events")
    (file,) = (folder / "lr_0.1").glob("*tfevents*")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    moved = bring(tensorboard_holdings(folder, ""))
    assert moved.counts.runs_new == 5
    assert any("is damaged" in remark for remark in moved.remarks)


def test_a_folder_without_events_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no event files"):
        tensorboard_holdings(tmp_path, "")


def test_the_checksum_is_that_of_the_format() -> None:
    # RFC 3720, B.4: CRC-32C of 32 zeros is 0x8a9136aa.
    crc = 0x8A9136AA
    rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
    assert masked_crc(bytes(32)) == (rotated + 0xA282EAD8) % 2**32


@given(st.binary(max_size=200))
def test_any_bytes_are_records_or_damage_and_never_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.tfevents"
    path.write_bytes(data)
    with suppress(Corrupt):
        assert sum(map(len, read_records(path))) <= len(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    for read in (lambda: list(fields_of(data)), lambda: list(read_summary(read_event(data)[2]))):
        with suppress(Malformed):
            read()
