"""Records on disk: what is written is read again, briefly; what they leave out stays what it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from cmanager.errors import CorruptError
from cmanager.linux.process import Process
from cmanager.model import (
    Attachment,
    Container,
    DeviceRule,
    Health,
    Limits,
    PodRequest,
    PortMapping,
    Providers,
    RunRequest,
    Status,
)
from cmanager.model.codec import to_data
from cmanager.model.glimpse import Glimpse, ShownAttachment, ShownHealth, ShownRequest, ShownStatus
from cmanager.state import records

REQUEST = RunRequest(
    "busybox",
    command=("sleep", "1"),
    entrypoint=(),
    labels={"a": "b"},
    tty=True,
    limits=Limits(cpus=2.0, pids=3, devices=(DeviceRule(False), DeviceRule(True, "c", 1, 3), DeviceRule(False))),
    publish=(PortMapping("", 80, 80),),
    oom_score_adj=0,
)


def test_a_record_leaves_out_what_has_its_default(tmp_path: Path) -> None:
    path = str(tmp_path / "record")
    records.write(path, REQUEST, durable=False)
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    kept = ("schema", "image", "command", "entrypoint", "labels", "tty", "limits", "publish", "oom_score_adj")
    assert sorted(found) == sorted(kept)
    assert found["limits"]["devices"][1] == {"allow": True, "type": "c", "major": 1, "minor": 3}


@pytest.mark.parametrize(
    "value", [REQUEST, RunRequest("busybox"), Status(), Status(exit_code=0, init=Process(1, 2, "boot"))]
)
def test_what_is_written_is_read(tmp_path: Path, value: Any) -> None:
    path = str(tmp_path / "record")
    records.write(path, value, durable=False)
    assert records.read(path, type(value), "rm") == value


def test_a_long_record_is_read_whole(tmp_path: Path) -> None:
    value = attrs.evolve(REQUEST, command=tuple(str(number) * 10 for number in range(10_000)))
    records.write(str(tmp_path / "record"), value, durable=False)
    assert records.read(str(tmp_path / "record"), RunRequest, "rm") == value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tty": 1}, ".tty: expected bool, found 1"),
        ({"command": ["a", 1]}, ".command[1]: expected str, found 1"),
        ({"limits": {"pids": True}}, ".limits.pids: expected int, found True"),
        ({"limits": {"devices": [{"allow": True}, {"allow": 1}]}}, ".limits.devices[1].allow: expected bool, found 1"),
        ({"limits": {"devices": [{"allow": []}]}}, ".limits.devices[0].allow: expected bool, found []"),
        ({"limits": {"devices": ["a"]}}, ".limits.devices[0]: expected an object, found str"),
        ({"publish": [{"host_ip": ""}]}, ".publish[0]: field 'host_port' is missing"),
    ],
)
def test_what_does_not_fit_is_told_by_its_place(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "record"
    path.write_text(json.dumps({"schema": 1, "image": "busybox", **change}))
    with pytest.raises(CorruptError) as raised:
        records.read(str(path), RunRequest, "rm")
    assert said in str(raised.value)


def test_defaults_stay_as_records_mean_them() -> None:
    """A record of last year has not written them down: a default that changes would change its container."""
    with open(Path(__file__).parent / "records" / "defaults.json", encoding="utf-8") as file:
        pinned = json.load(file)
    providers = Providers("", "", "", "", "")
    for value in (RunRequest(""), Status(), PodRequest(), DeviceRule(True), PortMapping("", 0, 0), providers):
        now = to_data(value)
        for name, default in pinned[type(value).__name__].items():
            assert now[name] == default, f"{type(value).__name__}.{name}"


def test_a_glimpse_has_of_each_field_what_the_record_has() -> None:
    pairs = (
        (Glimpse, Container, {"request", "status"}),
        (ShownRequest, RunRequest, set()),
        (ShownStatus, Status, {"attachment", "health"}),
        (ShownHealth, Health, set()),
        (ShownAttachment, Attachment, {"ports"}),  # which an Attachment has to be given
    )
    for shown, whole, other in pairs:
        fields = attrs.fields_dict(whole)
        for field in attrs.fields(shown):
            same = (field.type, field.default) == (fields[field.name].type, fields[field.name].default)
            assert same or field.name in other, f"{shown.__name__}.{field.name}"
