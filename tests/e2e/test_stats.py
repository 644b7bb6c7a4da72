"""What containers use: shown while they run, kept when they have ended, served to Prometheus, and told of at limits."""

from __future__ import annotations

import http.client
import json
import mmap
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cmanager.linux import cgroups

from ..support import Cli, end, wait_until

pytestmark = pytest.mark.root

_BURNER = "while :; do :; done"
_WORK = "head -c 120m /dev/zero | md5sum >/dev/null"


def stats(cli: Cli, *arguments: str) -> list[dict[str, Any]]:
    document = json.loads(cli.ok("stats", "--no-stream", "--output", "json", *arguments))
    assert document["schema"] == "cmanager.stats/1"
    found: list[dict[str, Any]] = document["items"]
    return found


def file(cli: Cli, name: str, first: str, second: str) -> str:
    """What the kernel says of a container: of v1's file CONTROLLER/NAME, or else of v2's NAME."""
    path = cli.inspect(name)["Cmanager"]["Cgroup"]
    controller, _, own = first.partition("/")
    for hierarchy in sorted(cgroups.hierarchies(), key=lambda hierarchy: hierarchy.version):
        if hierarchy.version == 2 or controller in hierarchy.controllers:
            return Path(hierarchy.path(path), second if hierarchy.version == 2 else own).read_text()
    raise AssertionError(f"no hierarchy has {controller}")


def flat(text: str, key: str) -> int:
    return int(dict(line.split()[:2] for line in text.splitlines())[key])


def cpu_seconds(cli: Cli, name: str) -> float:
    text = file(cli, name, "cpuacct/cpuacct.usage", "cpu.stat")
    return flat(text, "usage_usec") / 1e6 if " " in text else int(text) / 1e9


def actions(cli: Cli, name: str) -> list[str]:
    out = cli.ok("events", "--until", "0s", "--filter", f"container={name}", "--format", "{{.Action}}")
    return out.splitlines()


# -- agreement ---------------------------------------------------------------------------------------------------------


def test_what_is_shown_is_what_the_kernel_counts(cli: Cli) -> None:
    """Of a container that is frozen, so that both looks see the same."""
    script = f"head -c 8m /dev/zero > /file; {_WORK}; exec sleep 1000"
    cli.ok("run", "-d", "--name", "still", "-m", "64m", "--pids-limit", "9", "busybox", "sh", "-c", script)
    wait_until(lambda: " sleep" in cli.ok("top", "still", "-o", "pid,comm"), "it has done its work", 60)
    cli.ok("pause", "still")
    (item,) = stats(cli, "still")
    usage = item["usage"]
    assert usage["cpu_seconds"] == pytest.approx(cpu_seconds(cli, "still"), rel=0.001)
    used = int(file(cli, "still", "memory/memory.usage_in_bytes", "memory.current"))
    memory = file(cli, "still", "memory/memory.stat", "memory.stat")
    prefix = "total_" if "total_cache" in memory else ""
    # Each processor keeps up to 64 pages in stock, and gives them back when it likes (MEMCG_CHARGE_BATCH).
    stock = 64 * mmap.PAGESIZE * (os.cpu_count() or 1)
    assert usage["memory_bytes"] == pytest.approx(used, rel=0.02, abs=stock)
    assert item["memory_bytes"] == pytest.approx(used - flat(memory, f"{prefix}inactive_file"), rel=0.02, abs=stock)
    assert item["memory_limit_bytes"] == usage["memory_limit_bytes"] == 64 << 20
    assert (item["pids"], usage["pids_limit"]) == (1, 9)
    assert item["state"] == "paused"
    assert item["cpu_percent"] == 0


def test_processor_time_is_what_time_says_of_the_same_work(cli: Cli) -> None:
    done = cli("run", "--name", "timed", "--network", "none", "busybox", "time", "-p", "sh", "-c", f"{_WORK}; {_WORK}")
    assert done.returncode == 0, done.stderr
    words = dict(line.split() for line in done.stderr.splitlines())
    took = float(words["user"]) + float(words["sys"])
    usage = cli.inspect("timed")["Cmanager"]["Usage"]
    # What a runtime does before the program is the container's too: some hundredths.
    assert usage["CpuSeconds"] == pytest.approx(took, rel=0.02, abs=0.03)
    assert usage["CpuUserSeconds"] + usage["CpuSystemSeconds"] == pytest.approx(usage["CpuSeconds"], rel=0.02, abs=0.03)


@pytest.mark.slow
@pytest.mark.alone
def test_half_a_processor_is_half_and_the_waiting_is_counted(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "half", "--cpus", "0.5", "busybox", "sh", "-c", _BURNER)
    (item,) = stats(cli, "half", "--interval", "2")
    assert 43 <= item["cpu_percent"] <= 57
    before, now = item["usage"], stats(cli, "half")[0]["usage"]
    assert before["cpu_throttled_periods"] > 10, "a tenth of a second each"
    assert now["cpu_throttled_periods"] >= before["cpu_throttled_periods"]
    assert before["cpu_throttled_seconds"] > 0


def test_what_went_through_its_network_is_counted_and_kept(cli: Cli) -> None:
    script = "ping -q -c 2 -s 1000 $(ip route | awk '/default/ {print $3}') >/dev/null; sleep 1000"
    cli.ok("run", "-d", "--name", "talker", "busybox", "sh", "-c", script)
    wait_until(lambda: stats(cli, "talker")[0]["network_received_bytes"] > 2000, "it was answered", 10)
    (item,) = stats(cli, "talker")
    (link,) = item["usage"]["network"]
    inside = cli.ok("exec", "talker", "cat", f"/sys/class/net/{link['interface']}/statistics/tx_bytes")
    assert link["sent_bytes"] <= int(inside)
    assert link["sent_packets"] >= 2
    cli.ok("stop", "-t", "0", "talker")
    (kept,) = cli.inspect("talker")["Cmanager"]["Usage"]["Network"]
    assert kept["ReceivedBytes"] >= link["received_bytes"]
    assert kept["Interface"] == link["interface"]


def test_the_hosts_network_is_not_the_containers(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "host", "--network", "host", "busybox", "sleep", "1000")
    (item,) = stats(cli, "host")
    assert item["network_received_bytes"] is None
    cli.ok("stop", "-t", "0", "host")
    assert cli.inspect("host")["Cmanager"]["Usage"]["Network"] is None


# -- the command -------------------------------------------------------------------------------------------------------


def test_the_table_and_the_fields_are_dockers(cli: Cli) -> None:
    id = cli.ok("run", "-d", "--name", "one", "--network", "none", "busybox", "sleep", "1000")
    cli.ok("create", "--name", "idle", "busybox", "true")
    title, row = cli.ok("stats", "--no-stream").splitlines()
    expected = ["CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"]
    assert re.split(r"\s{2,}", title) == expected
    assert re.fullmatch(
        rf"{id[:12]} +one +\d+\.\d\d% +[\d.]+[KM]iB / [\d.]+GiB +\d\.\d\d% +0B / 0B +(--|\S+ / \S+) +1", row
    )
    fields = "{{.Container}} {{.Name}} {{.ID}} {{.PIDs}}"
    assert cli.ok("stats", "--no-stream", "--no-trunc", "--format", fields, "one") == f"one one {id} 1"
    assert cli.ok("stats", "--no-stream", "--format", fields) == f"{id[:12]} one {id[:12]} 1"
    assert set(json.loads(cli.ok("stats", "--no-stream", "--format", "json", "one"))) == {
        *("BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs")
    }
    table = cli.ok("stats", "--no-stream", "--format", "table {{.Name}}\t{{.PIDs}}").splitlines()
    assert [line.split() for line in table] == [["NAME", "PIDS"], ["one", "1"]]
    every = cli.ok("stats", "--no-stream", "-a", "--format", "{{.Name}} {{.CPUPerc}} {{.PIDs}}").splitlines()
    assert "idle -- --" in every
    assert cli("stats", "--no-stream", "nobody").returncode != 0
    assert "--no-stream" in cli("stats", "--output", "json").stderr
    assert cli("stats", "--no-stream", "--format", "{{.Nothing}}").returncode == 125


def test_containers_are_summed_by_label(cli: Cli) -> None:
    for name, tier in (("a", "web"), ("b", "web"), ("c", "db")):
        extra = ("--network", "container:a") if name == "b" else ()
        cli.ok("run", "-d", "--name", name, *extra, "-l", f"tier={tier}", "busybox", "sleep", "1000")
    cli.ok("run", "-d", "--name", "d", "--network", "none", "busybox", "sleep", "1000")
    rows = cli.ok("stats", "--no-stream", "--by-label", "tier", "--format", "{{.Label}} {{.Containers}} {{.PIDs}}")
    assert rows.splitlines() == ["db 1 1", "web 2 2"]
    assert cli.ok("stats", "--no-stream", "--by-label", "tier").split()[:2] == ["LABEL", "CONTAINERS"]
    database, web = stats(cli, "--by-label", "tier")
    assert (web["label"], web["value"], sorted(web["containers"])) == ("tier", "web", ["a", "b"])
    single = {item["name"]: item for item in stats(cli)}

    def adds_up() -> bool:
        """The kernel counts pages in batches: what a container has just freed is still counted for a moment."""
        _, both = stats(cli, "--by-label", "tier")
        each = {item["name"]: item["memory_bytes"] for item in stats(cli)}
        return bool(both["memory_bytes"] == pytest.approx(each["a"] + each["b"], rel=0.1))

    wait_until(adds_up, "the sum of both is the sum of each")
    # One network namespace, whose bytes are not there twice; something may come in between two looks.
    assert web["network_received_bytes"] < 2 * max(1000, single["a"]["network_received_bytes"])
    assert database["pids"] == 1


def test_a_terminal_shows_it_in_place_until_it_is_interrupted(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    cli.ok("run", "-d", "--name", "shown", "--network", "none", "busybox", "sleep", "1000")
    master, slave = pty.openpty()
    process = cli.start("stats", "--interval", "0.2", stdout=slave, stdin=slave)
    os.close(slave)
    text, deadline = b"", time.monotonic() + 60
    try:
        while text.count(b"\x1b[H") < 3 and time.monotonic() < deadline and select.select([master], [], [], 20)[0]:
            text += os.read(master, 65536)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        end(process)
        os.close(master)
    assert text.count(b"shown") >= 2
    assert text.count(b"CONTAINER ID") >= 2


def test_in_a_pipe_there_is_no_control_byte_and_it_ends_with_its_container(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "brief", "--network", "none", "busybox", "sleep", "1000")
    process = cli.start("stats", "--interval", "0.1", "brief")
    assert process.stdout
    assert b"CONTAINER ID" in process.stdout.readline()
    cli.ok("rm", "-f", "brief")
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert b"\x1b" not in out


def test_top_takes_what_ps_takes(cli: Cli) -> None:
    cli.ok("run", "-d", "--name", "busy", "--network", "none", "busybox", "sh", "-c", "sleep 1001 & exec sleep 1002")
    wait_until(lambda: cli.ok("top", "busy").count(" sleep 100") == 2, "both sleep")
    assert cli.ok("top", "busy").split()[:8] == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    title, *rows = cli.ok("top", "busy", "aux").splitlines()
    assert title.split()[:6] == ["USER", "PID", "%CPU", "%MEM", "VSZ", "RSS"]
    assert len(rows) == 2
    title, *rows = cli.ok("top", "busy", "-eo", "pid,pcpu,pmem,rss,comm").splitlines()
    assert title.split() == ["PID", "%CPU", "%MEM", "RSS", "COMMAND"]
    assert [row.split()[-1] for row in rows] == ["sleep", "sleep"]
    assert cli.ok("container", "top", "busy").count("sleep") == 2


# -- afterwards --------------------------------------------------------------------------------------------------------


def test_run_tells_what_was_used_also_of_what_is_removed(cli: Cli) -> None:
    done = cli("run", "--rm", "--usage", "--network", "none", "busybox", "sh", "-c", f"{_WORK}; exit 3")
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(r"cmanager: used [\d.]+ s CPU, [\d.]+[KM]iB memory at most, .*", line)
    done = cli("run", "--rm", "--usage=json", "--network", "none", "busybox", "true")
    usage = json.loads(done.stderr)
    assert usage["cpu_seconds"] > 0
    assert usage["network"] == []
    assert cli("run", "-d", "--usage", "busybox", "true").returncode == 125
    assert cli("run", "--usage=xml", "busybox", "true").returncode == 125
    assert cli.ok("run", "--rm", "--usage", "--network", "none", "busybox", "echo", "--usage=json") == "--usage=json"


def test_inspect_keeps_all_of_it(cli: Cli) -> None:
    cli.ok("run", "--name", "user", "busybox", "sh", "-c", "head -c 8m /dev/zero | tail -c 8m | wc -c")
    usage = cli.inspect("user")["Cmanager"]["Usage"]
    assert usage["CpuSeconds"] > 0
    assert usage["MemoryPeakBytes"] > 8 << 20
    assert (usage["OOMKills"], usage["Pids"]) == (0, 0)
    assert usage["PidsPeak"] is None or usage["PidsPeak"] >= 3
    assert [link["Interface"] for link in usage["Network"]] == ["eth0"]
    assert usage["MemoryLimitBytes"] == -1


# -- told of -----------------------------------------------------------------------------------------------------------


def test_a_process_killed_for_memory_is_told_of_at_once(cli: Cli) -> None:
    eater = "head -c 200m /dev/zero | tail"
    cli.ok("run", "-d", "--name", "survivor", "-m", "32m", "busybox", "sh", "-c", f"{eater}; sleep 1000")
    wait_until(lambda: "oom" in actions(cli, "survivor"), "it is told of while the container runs", 60)
    assert cli.inspect("survivor")["State"]["Running"] is True
    assert "limit: memory" in actions(cli, "survivor")
    lines = cli.ok("events", "--until", "0s", "--filter", "event=oom", "--format", "json").splitlines()
    assert [json.loads(line)["Actor"]["Attributes"]["count"] for line in lines][-1] == "1"
    cli.ok("stop", "-t", "0", "survivor")
    assert actions(cli, "survivor").count("oom") == 1, "and not again at its end"
    assert cli.inspect("survivor")["State"]["OOMKilled"] is True


def test_a_fork_bomb_is_told_of_and_does_not_fill_the_journal(cli: Cli) -> None:
    bomb = "i=0; while [ $i -lt 400 ]; do (sleep 1 &) 2>/dev/null; i=$((i+1)); done; sleep 1"
    cli("run", "--name", "bomb", "--pids-limit", "6", "--network", "none", "busybox", "sh", "-c", f"({bomb}); true")
    box = cli.inspect("bomb")
    hits = box["Cmanager"]["Usage"]["PidsLimitHits"]
    told = cli.ok(
        *("events", "--until", "0s", "--filter", f"container={box['Id']}"),
        *("--filter", "event=limit", "--format", "json"),
    )
    found = [json.loads(line) for line in told.splitlines()]
    assert {event["Action"] for event in found} == {"limit: pids"}
    assert sum(int(event["Actor"]["Attributes"]["count"]) for event in found) == hits
    assert len(found) <= 4


# -- metrics -----------------------------------------------------------------------------------------------------------


def families(text: str) -> dict[str, list[Any]]:
    return {sample.name: family.samples for family in text_string_to_metric_families(text) for sample in family.samples}


@contextmanager
def served(cli: Cli, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    process = cli.start("metrics", *arguments)
    assert process.stderr
    line = process.stderr.readline().decode()
    match = re.search(r":(\d+)/metrics$", line.strip())
    assert match, line
    try:
        yield process, int(match[1])
    finally:
        end(process)


def test_metrics_have_cadvisors_names_and_labels(cli: Cli) -> None:
    odd = 'a"b\\c'
    began = time.time()
    labels = ("-l", "com.example/tier=web", "-l", f"odd={odd}")
    cli.ok("run", "-d", "--name", "web", "-m", "64m", *labels, "busybox", "sleep", "1000")
    cli.ok("run", "-d", "--name", "plain", "--network", "none", "busybox", "sleep", "1000")
    found = families(cli.ok("metrics"))
    assert found.keys() >= {
        "container_cpu_usage_seconds_total",
        "container_cpu_user_seconds_total",
        "container_cpu_system_seconds_total",
        "container_cpu_cfs_throttled_periods_total",
        "container_memory_usage_bytes",
        "container_memory_working_set_bytes",
        "container_memory_max_usage_bytes",
        "container_memory_failcnt",
        "container_oom_events_total",
        "container_network_receive_bytes_total",
        "container_network_transmit_packets_dropped_total",
        "container_processes",
        "container_threads",
        "container_last_seen",
        "container_start_time_seconds",
        "container_spec_memory_limit_bytes",
    }
    limits = {sample.labels["name"]: sample for sample in found["container_spec_memory_limit_bytes"]}
    assert {name: sample.value for name, sample in limits.items()} == {"web": 64 << 20, "plain": 0}
    assert limits["web"].labels == {
        "id": cli.inspect("web")["Cmanager"]["Cgroup"],
        "name": "web",
        "image": "busybox",
        "container_label_com_example_tier": "web",
        "container_label_odd": odd,
    }
    assert [sample.labels["name"] for sample in found["container_network_receive_bytes_total"]] == ["web"]
    assert found["container_network_receive_bytes_total"][0].labels["interface"] == "eth0"
    assert {sample.labels["cpu"] for sample in found["container_cpu_usage_seconds_total"]} == {"total"}
    assert {sample.value for sample in found["container_processes"]} == {1}
    assert all(began - 1 <= sample.value <= time.time() for sample in found["container_start_time_seconds"])


def test_metrics_are_served_on_loopback_until_it_is_ended(cli: Cli) -> None:
    with served(cli, "--listen", "127.0.0.1:0") as (process, port):
        cli.ok("run", "-d", "--name", "later", "--network", "none", "busybox", "sleep", "1000")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (200, "text/plain")
        assert [s.labels["name"] for s in families(answer.read().decode())["container_last_seen"]] == ["later"]
        connection.close()
        taken = cli("metrics", "--listen", f"127.0.0.1:{port}")
        assert taken.returncode == 125
        assert taken.stderr.startswith(f"cmanager: cannot listen at 127.0.0.1:{port}: address already in use")
        assert len(taken.stderr.splitlines()) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stderr
        assert process.stderr.read() == b""


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "nowhere", "127.0.0.1", "127.0.0.1:99999"])
def test_other_addresses_are_refused_unless_they_are_allowed(cli: Cli, address: str) -> None:
    done = cli("metrics", "--listen", address)
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) == 1
    if address == "0.0.0.0:0":
        assert "--allow-remote" in done.stderr
        with served(cli, "--listen", address, "--allow-remote") as (process, _):
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
