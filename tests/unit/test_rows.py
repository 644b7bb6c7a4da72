"""Rows of `ps` and `images`, tables of them, and `inspect`."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from cmanager.cli.output import describe, sorting, typed
from cmanager.cli.output.gotemplate import render
from cmanager.cli.output.listing import print_rows
from cmanager.cli.output.rows import (
    CONTAINER_COLUMNS,
    CONTAINER_HEADERS,
    CONTAINER_KEYS,
    IMAGE_HEADERS,
    Listed,
    container_filters,
    container_row,
    image_filters,
    image_row,
    listed_row,
)
from cmanager.engine.usage import Size
from cmanager.errors import InvalidError, NotFoundError
from cmanager.linux.mounts import Mount
from cmanager.linux.process import Process
from cmanager.model import (
    Attachment,
    Container,
    Image,
    ImageConfig,
    ImageEntry,
    Layer,
    Limits,
    PortMapping,
    Providers,
    RunRequest,
    Status,
    Ulimit,
)

NOW = 1_700_000_000.0
REQUEST = RunRequest(
    image="busybox:1.36",
    command=("sleep", "1"),
    labels={"tier": "web", "a": "b"},
    mounts=(Mount("bind", "/srv", "/data", ("rbind", "ro")),),
    network="bridge",
    limits=Limits(memory=64 << 20, cpus=1.5, pids=100),
    ulimits=(Ulimit("nofile", 10, 20),),
    cap_add=("NET_ADMIN",),
)
LINK = Attachment(
    "eth0", ("10.88.0.2/16",), (), "02:00:00:00:00:02", "10.88.0.1", (), (PortMapping("0.0.0.0", 80, 80),)
)


def container(number: int = 1, **status: Any) -> Container:
    return Container(
        id=f"{number:064x}"[::-1],
        name=f"box{number}",
        created_at=NOW - 3600 * number,
        request=REQUEST,
        image_digest="sha256:" + "d" * 64,
        image_id="sha256:" + "1234" * 16,
        argv=("sleep", "1"),
        providers=Providers("layers", "overlay", "bridge", "cgroup", "native"),
        status=Status(**status),
    )


RUNNING = container(1, state="running", started_at=NOW - 5, init=Process(42, 1, "boot"), attachment=LINK)
EXITED = container(2, state="stopped", started_at=NOW - 60, finished_at=NOW - 3, exit_code=7)
CREATED = container(3)
ALL = [RUNNING, EXITED, CREATED]


@pytest.mark.parametrize(
    ("status", "words", "state"),
    [
        ({"state": "created"}, "Created", "created"),
        ({"state": "running", "started_at": NOW - 1}, "Up 1 second", "running"),
        ({"state": "paused", "started_at": NOW - 5}, "Up 5 seconds (Paused)", "paused"),
        ({"state": "stopped", "finished_at": NOW - 3, "exit_code": 7}, "Exited (7) 3 seconds ago", "exited"),
        ({"state": "stopped", "finished_at": NOW, "exit_code": 0}, "Exited (0) Less than a second ago", "exited"),
        (
            {"state": "lost", "finished_at": NOW - 90, "exit_code": 137},
            "Exited (137) About a minute ago (supervisor lost)",
            "exited",
        ),
    ],
)
def test_status_words_are_dockers(status: dict[str, Any], words: str, state: str) -> None:
    row = container_row(container(**status), NOW)
    assert (row["Status"], row["State"]) == (words, state)


def test_a_row_has_dockers_fields_as_text() -> None:
    row = container_row(RUNNING, NOW)
    assert set(CONTAINER_COLUMNS) <= set(row) == set(CONTAINER_HEADERS)
    assert row.pop("CreatedAt").startswith("2023-11-1")
    assert row == {
        "ID": "100000000000",
        "Image": "busybox:1.36",
        "Command": '"sleep 1"',
        "RunningFor": "About an hour ago",
        "Status": "Up 5 seconds",
        "State": "running",
        "Ports": "0.0.0.0:80->80/tcp",
        "Names": "box1",
        "Labels": "a=b,tier=web",
        "Mounts": "/srv",
        "Networks": "bridge",
        "LocalVolumes": "0",
        "Size": "0B",
        "Runtime": "native",
        "Orphaned": "",
    }


def test_a_long_command_is_shortened_to_twenty_characters_before_it_is_quoted() -> None:
    long = attrs.evolve(CREATED, argv=("sh", "-c", '"""""""""""""""""""""'))
    assert json.loads(container_row(long, NOW)["Command"]) == 'sh -c """""""""""""…'
    assert json.loads(container_row(long, NOW, trunc=False)["Command"]) == " ".join(long.argv)
    assert container_row(long, NOW, trunc=False)["ID"] == long.id


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["id=^1"], ["box1"]),
        (["name=^box[12]$"], ["box1", "box2"]),
        (["name=^/box3$"], ["box3"]),
        (["name!=box1"], ["box2", "box3"]),
        (["status=exited"], ["box2"]),
        (["status=running", "status=created"], ["box1", "box3"]),
        (["exited=7"], ["box2"]),
        (["exited=0"], []),
        (["before=box1"], ["box2", "box3"]),
        (["since=box3"], ["box1", "box2"]),
        (["since=box3", "before=box1"], ["box2"]),
        (["ancestor=busybox"], ["box1", "box2", "box3"]),
        (["ancestor=12341234"], ["box1", "box2", "box3"]),
        (["ancestor=debian"], []),
        (["label=tier=web", "volume=/data", "network=bridge", "runtime=native"], ["box1", "box2", "box3"]),
        (["volume=/srv", "runtime=runc"], []),
        ([f"until={NOW - 3600 * 2}"], ["box2", "box3"]),
    ],
)
def test_ps_filters(given: list[str], kept: list[str]) -> None:
    assert [c.name for c in container_filters(given)(ALL)] == kept


@pytest.mark.parametrize("bad", ["bad=1", "name=(", "status=dancing", "exited=x", "before"])
def test_a_bad_filter_is_told_before_there_is_any_container(bad: str) -> None:
    with pytest.raises(InvalidError):
        container_filters([bad])


def test_before_needs_a_container_that_exists() -> None:
    with pytest.raises(NotFoundError, match="no such container: 'ghost'"):
        container_filters(["before=ghost"])(ALL)


def image(created: str = "2023-11-14T21:13:20Z") -> Image:
    layer = Layer("sha256:" + "a" * 64, "sha256:" + "b" * 64, "application/vnd.oci.image.layer.v1.tar", 4_260_000, "/x")
    config = ImageConfig(cmd=("sh",), env=("PATH=/bin",), labels={"tier": "base"})
    return Image("sha256:" + "d" * 64, "sha256:" + "1234" * 16, config, (layer,), "amd64", "linux", created)


def test_an_image_row_has_dockers_fields() -> None:
    row = image_row(ImageEntry("localhost:5000/box:1.36", image()), NOW)
    assert set(row) == set(IMAGE_HEADERS)
    assert (row["Repository"], row["Tag"]) == ("localhost:5000/box", "1.36")
    assert (row["ID"], row["CreatedSince"], row["Size"]) == ("123412341234", "About an hour ago", "4.26MB")


def test_an_image_without_a_name_is_none_none() -> None:
    row = image_row(ImageEntry("", image()), NOW, trunc=False)
    assert (row["Repository"], row["Tag"], row["ID"]) == ("<none>", "<none>", image().id)


@pytest.mark.parametrize("date", ["", "no date", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-10:00", "0001-01-01"])
def test_a_date_no_calendar_can_show_is_not_available(date: str) -> None:
    row = image_row(ImageEntry("box:1", image(date)), NOW)
    assert (row["CreatedSince"], row["CreatedAt"]) == ("N/A", "N/A")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["reference=box"], ["box:1"]),
        (["reference=b*:1"], ["box:1"]),
        (["dangling=true"], [""]),
        (["dangling=false"], ["box:1", "other:2"]),
        (["label=tier=base"], ["box:1", "", "other:2"]),
        (["label=tier=top"], []),
    ],
)
def test_image_filters(given: list[str], kept: list[str]) -> None:
    entries = [ImageEntry(name, image()) for name in ("box:1", "", "other:2")]
    assert [entry.reference for entry in filter(image_filters(given), entries)] == kept


def test_a_bad_image_filter_is_told() -> None:
    with pytest.raises(InvalidError, match="expected one of true, false"):
        image_filters(["dangling=perhaps"])


ROWS = [{"ID": "1", "Names": "box"}, {"ID": "2", "Names": "\x1b[2Jevil\nrow"}]
HEADERS = {"ID": "CONTAINER ID", "Names": "NAMES"}


@pytest.mark.parametrize(
    ("template", "quiet", "lines"),
    [
        ("", "", ["CONTAINER ID   NAMES", "1              box", "2              \\x1b[2Jevil\\x0arow"]),
        ("", "ID", ["1", "2"]),
        ("{{.Names}}:{{.ID}}", "", ["box:1", "\\x1b[2Jevil", "row:2"]),
        (r"{{.ID}}\t{{.ID}}", "", ["1\t1", "2\t2"]),
        (
            r"table {{.ID}}\t{{upper .ID}}!",
            "",
            ["CONTAINER ID   CONTAINER ID!", "1              1!", "2              2!"],
        ),
        (r"table a\t{{.ID}}", "", ["a         CONTAINER ID", "a         1", "a         2"]),
    ],
)
def test_lists_look_as_dockers(template: str, quiet: str, lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, ("ID", "Names"), HEADERS, template, quiet=quiet)
    assert capsys.readouterr().out.splitlines() == lines


def test_json_is_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, ("ID", "Names"), HEADERS, "json")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS


def test_an_empty_list_is_its_header_and_still_checks_the_template(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], ("ID", "Names"), HEADERS, "")
    assert capsys.readouterr().out == "CONTAINER ID   NAMES\n"
    with pytest.raises(InvalidError, match="did you mean 'Names'"):
        print_rows([], ("ID", "Names"), HEADERS, "{{.Name}}")


def test_inspect_of_a_container_has_dockers_shape() -> None:
    found = describe.container(RUNNING)
    assert json.loads(json.dumps(found)) == found
    assert found["State"] == {
        "Status": "running",
        "Running": True,
        "Paused": False,
        "Orphaned": [],
        "Restarting": False,
        "OOMKilled": False,
        "Dead": False,
        "Pid": 42,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": "2023-11-14T22:13:15.000000Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    }
    assert (found["Name"], found["Path"], found["Args"], found["Driver"]) == ("/box1", "sleep", ["1"], "overlay")
    host = found["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64 << 20, 1_500_000_000, 100)
    assert (host["CapAdd"], host["Ulimits"]) == (["NET_ADMIN"], [{"Name": "nofile", "Soft": 10, "Hard": 20}])
    place = {"Type": "bind", "Source": "/srv", "Destination": "/data"}
    assert found["Mounts"] == [{**place, "Mode": "ro", "RW": False, "Propagation": ""}]


def test_the_templates_people_use_on_inspect_work() -> None:
    found = describe.container(RUNNING)
    ways = (
        "{{.NetworkSettings.IPAddress}}",
        "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        '{{(index .NetworkSettings.Networks "bridge").IPAddress}}',
        "{{.NetworkSettings.Networks.bridge.IPAddress}}",
    )
    assert {render(way, found) for way in ways} == {"10.88.0.2"}
    assert (
        render('{{.Config.Labels.tier}} {{index .Config.Labels "tier"}}{{if .Config.Labels.none}}x{{end}}', found)
        == "web web"
    )


def test_a_container_that_ended_has_no_process() -> None:
    state = describe.container(EXITED)["State"]
    assert (state["Status"], state["Pid"], state["ExitCode"]) == ("exited", 0, 7)


def test_inspect_of_an_image_has_dockers_shape() -> None:
    found = describe.image(image(), ["localhost:5000/box:1", "localhost:5000/box:2"])
    assert json.loads(json.dumps(found)) == found
    assert found["RepoTags"] == ["localhost:5000/box:1", "localhost:5000/box:2"]
    assert found["RepoDigests"] == ["localhost:5000/box@sha256:" + "d" * 64]
    assert found["RootFS"] == {"Type": "layers", "Layers": ["sha256:" + "b" * 64]}
    assert (found["Size"], found["Config"]["Cmd"]) == (4_260_000, ["sh"])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["box1", "box2", "box3"]),
        ("names", ["box1", "box2", "box3"]),
        ("-names", ["box3", "box2", "box1"]),
        ("created", ["box3", "box2", "box1"]),
        ("created:desc", ["box1", "box2", "box3"]),
        ("-created:desc", ["box3", "box2", "box1"]),
        ("runtime,-names", ["box3", "box2", "box1"]),
        ("status,names", ["box3", "box2", "box1"]),
    ],
)
def test_lists_are_sorted_by_several_keys(text: str, names: list[str]) -> None:
    listed = [Listed(c) for c in ALL]
    assert [item.container.name for item in sorting.by(text, CONTAINER_KEYS)(listed)] == names


@pytest.mark.parametrize("text", ["colour", "names,", "names:up", "--names"])
def test_an_unknown_key_lists_the_known_ones(text: str) -> None:
    with pytest.raises(InvalidError, match="command, created, finished, id"):
        sorting.by(text, CONTAINER_KEYS)


def test_a_typed_item_has_numbers_and_dates() -> None:
    item = typed.container(Listed(RUNNING, Size(1000, 5000), {"net": 42}))
    assert json.loads(json.dumps(item)) == item
    assert (item["size_bytes"], item["virtual_size_bytes"], item["namespaces"]) == (1000, 5000, {"net": 42})
    assert (item["started_at"], item["finished_at"]) == ("2023-11-14T22:13:15.000000Z", None)
    assert (item["pid"], item["exit_code"], item["labels"]) == (42, None, {"tier": "web", "a": "b"})
    assert "size_bytes" not in typed.container(Listed(EXITED))
    entry = typed.image(ImageEntry("", image("no date")))
    assert (entry["reference"], entry["tag"], entry["created_at"], entry["size_bytes"]) == (None, None, None, 4_260_000)


def test_a_row_shows_size_and_namespaces_where_they_were_asked_for() -> None:
    row = listed_row(Listed(RUNNING, Size(1000, 4_261_000), {"net": 42}), NOW)
    assert (row["Size"], row["PID"], row["NET"], row["UTS"]) == ("1kB (virtual 4.26MB)", "42", "42", "")
    assert "NET" not in listed_row(Listed(RUNNING), NOW)
    assert listed_row(Listed(EXITED, None, {}), NOW)["PID"] == "0"


def test_a_list_can_do_without_titles(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS[:1], ("ID", "Names"), HEADERS, "", heading=False)
    print_rows(ROWS[:1], ("ID", "Names"), HEADERS, r"table {{.ID}}\t{{.Names}}", heading=False)
    print_rows([], ("ID", "Names"), HEADERS, "", heading=False)
    assert capsys.readouterr().out == "1         box\n1         box\n"
