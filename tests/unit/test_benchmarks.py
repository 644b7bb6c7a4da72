"""The benchmarks' own promises: fair turns, honest figures, and no comparison of what is not equal."""

from __future__ import annotations

import os
import signal
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import pytest
from attrs import evolve

from benchmarks import goals, jobs, picture, results, table
from benchmarks.commands import Command, Refused, complaint, run, seconds, together
from benchmarks.leaks import below, grown, trees
from benchmarks.measuring import Contestant, Rounds, interleave
from benchmarks.results import Report, Result, Row

_QUICK = Rounds(4, warm_up=2, pause=0)
_RUN = Result(
    "run",
    "run --rm busybox true",
    "ms",
    "less",
    (
        Row("cmanager, bridge", (20.0, 24.0, 22.0)),
        Row("docker, bridge", (330.0, 340.0, 9000.0)),
        Row("bare runc", (27.0, 26.0, 28.0)),
    ),
    ("<a note> & more",),
)
_REPORT = Report({"kernel": "6.1"}, {"cmanager": "0.1.0", "docker": "20.10"}, (_RUN,), {"podman": "is not installed"})


def shell(script: str, **expected: object) -> Command:
    return evolve(Command(("/bin/sh", "-c", script)), **expected)


class TestFigures:
    def test_a_single_slow_sample_does_not_move_the_median(self) -> None:
        assert Row("docker", (330.0, 340.0, 9000.0)).median == 340

    def test_the_middle_half_lies_between_the_quartiles(self) -> None:
        assert Row("", tuple(map(float, range(101)))).quartiles == (25, 75)

    def test_one_sample_is_its_own_spread(self) -> None:
        assert Row("", (5.0,)).quartiles == (5, 5)

    def test_a_ratio_is_that_of_medians_to_the_first_row_or_the_one_it_names(self) -> None:
        rows = (Row("a", (10.0,)), Row("b", (20.0,)), Row("c", (5.0,), against="b"))
        found = Result("job", "", "ms", "less", rows)
        assert [found.ratio(row) for row in rows] == [1, 2, 0.25]

    def test_there_is_no_ratio_to_nothing_nor_to_what_was_not_measured(self) -> None:
        rows = (Row("a", (0.0,)), Row("b", (1.0,)), Row("c", (1.0,), against="somebody"))
        found = Result("job", "", "kB", "less", rows)
        assert [found.ratio(row) for row in rows] == [None, None, None]


class TestTurns:
    def test_everybody_acts_once_a_round_and_warming_up_does_not_count(self) -> None:
        acts: Counter[str] = Counter()

        def act(name: str) -> float:
            acts[name] += 1
            return acts[name]

        rows = interleave([Contestant("a", lambda: act("a")), Contestant("b", lambda: act("b"))], _QUICK, dict)
        assert acts == {"a": 6, "b": 6}
        assert rows == (Row("a", (3, 4, 5, 6)), Row("b", (3, 4, 5, 6)))

    def test_nobody_always_follows_the_same_one(self) -> None:
        order: list[str] = []
        named = [Contestant(name, lambda name=name: order.append(name) or 0.0) for name in "abc"]  # type: ignore[misc]
        interleave(named, Rounds(20, warm_up=0, pause=0), dict)
        followed = {order[at - 1] for at, name in enumerate(order) if name == "a" and at % 3}
        assert followed == {"b", "c"}

    def test_several_figures_of_one_act_are_several_rows_each_to_its_own_kind(self) -> None:
        both = {", wall": 2.0, ", processor": 1.0}
        named = [Contestant("ours", lambda: both, "theirs"), Contestant("theirs", lambda: both)]
        rows = interleave(named, Rounds(1, warm_up=0, pause=0), dict)
        assert [(row.name, row.against) for row in rows] == [
            ("ours, wall", "theirs, wall"),
            ("ours, processor", "theirs, processor"),
            ("theirs, wall", ""),
            ("theirs, processor", ""),
        ]

    def test_another_version_between_rounds_is_refused(self) -> None:
        stamps = iter([{"docker": 1}, {"docker": 1}, {"docker": 2}])
        with pytest.raises(Refused, match="docker changed between rounds: 1 became 2"):
            interleave([Contestant("docker", lambda: 1.0)], _QUICK, lambda: next(stamps))


class TestTheWork:
    def test_a_command_that_does_it_takes_its_time(self) -> None:
        assert 0.05 < seconds(shell("sleep 0.05")) < 5

    @pytest.mark.parametrize(
        ("command", "problem"),
        [
            (shell("exit 3"), "exited with 3 and not 0"),
            (shell("echo no such thing >&2; exit 1"), "no such thing"),
            (shell("exit 0", code=1), "exited with 0 and not 1"),
            (shell("kill -9 $$"), "exited with 137 and not 0"),
            (shell("echo more"), "printed 'more\\\\n' and not ''"),
            (shell("echo a; echo b", says=r"(.*\n){3}"), "printed"),
            (Command(("/no/such/program",)), "cannot execute /no/such/program"),
        ],
    )
    def test_any_other_answer_is_refused(self, command: Command, problem: str) -> None:
        with pytest.raises(Refused, match=problem):
            run(command)

    def test_the_answer_is_looked_at_as_a_whole(self) -> None:
        assert complaint(shell("", says=r"(.*\n){2}"), 0, "a\nb\n", "") == ""
        assert complaint(shell("", says=r"(.*\n){2}"), 0, "a\nb\nc\n", "") != ""
        assert complaint(shell("", says=None), 0, "whatever", "") == ""

    def test_what_a_daemon_keeps_open_is_not_waited_for(self) -> None:
        daemon = int(run(shell("sleep 1000 & echo $!", says=None)))
        os.kill(daemon, signal.SIGKILL)  # it was not waited for

    def test_so_many_at_a_time(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "door")
        together([shell(f"echo > {tmp_path}/door"), shell(f"read line < {tmp_path}/door")], parallel=2)

    def test_and_no_more(self, tmp_path: Path) -> None:
        alone = shell(f"mkdir {tmp_path}/room && sleep 0.02 && rmdir {tmp_path}/room")
        together([alone] * 3, parallel=1)

    def test_one_failure_among_many_is_refused_and_nothing_goes_on(self, tmp_path: Path) -> None:
        after = tmp_path / "after"
        commands = [shell("sleep 0.3"), shell("exit 9"), shell("true"), shell(f"touch {after}")]
        with pytest.raises(Refused, match="exited with 9"):
            together(commands, parallel=2)
        assert not after.exists()


class TestGoals:
    def test_each_is_about_a_job_that_there_is(self) -> None:
        assert {goal.job for goal in goals.GOALS} <= jobs.every().keys()

    def test_a_ratio_within_its_bound_is_met_and_one_beyond_is_missed(self) -> None:
        words = {verdict.goal.text: verdict.word for verdict in goals.verdicts(_REPORT)}
        assert words["run with bridge, warm, to bare runc run"] == "met"  # 22 to 27
        assert words["run with bridge, warm, to docker's"] == "met"  # 22 to 340
        slow = evolve(_RUN, rows=(Row("cmanager, bridge", (28.0,)), *_RUN.rows[1:]))
        words = {verdict.goal.text: verdict.word for verdict in goals.verdicts(evolve(_REPORT, results=(slow,)))}
        assert words["run with bridge, warm, to bare runc run"] == "missed"

    def test_a_rate_is_to_be_at_least_its_bound(self) -> None:
        for rate, word in ((61.0, "met"), (59.0, "missed")):
            rows = (Row("cmanager, 8 at a time", (rate,)), Row("docker, 8 at a time", (5.0,)))
            report = evolve(_REPORT, results=(Result("rate-40", "", "runs/s", "more", rows),))
            [verdict] = [found for found in goals.verdicts(report) if found.goal.job == "rate-40"]
            assert verdict.word == word

    def test_without_its_peer_it_is_not_measured(self) -> None:
        alone = evolve(_REPORT, results=(evolve(_RUN, rows=_RUN.rows[:1]),))
        assert {verdict.word for verdict in goals.verdicts(alone)} == {"not measured"}


class TestReports:
    def test_they_come_back_from_json_as_they_were(self) -> None:
        assert results.from_json(results.to_json(_REPORT)) == _REPORT

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "cmanager.benchmark/2"}'])
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(Refused):
            results.from_json(text)

    def test_jobs_measured_one_by_one_are_one_report(self) -> None:
        first = evolve(_REPORT, results=(), refused={"run": "docker changed", "exec": "exited with 1"})
        found = results.merged([first, _REPORT])
        assert found.results == (_RUN,)
        assert found.refused == {"exec": "exited with 1"}

    def test_but_not_where_a_version_or_the_machine_differs(self) -> None:
        with pytest.raises(Refused, match=r"docker was '20.10' in one run and '28' in another"):
            results.merged([_REPORT, evolve(_REPORT, versions={"docker": "28"})])
        with pytest.raises(Refused, match="kernel"):
            results.merged([_REPORT, evolve(_REPORT, machine={"kernel": "6.2"})])

    def test_the_picture_is_well_formed_and_has_a_bar_for_each_row(self) -> None:
        root = ElementTree.fromstring(picture.draw(_REPORT))
        bars = [found for found in root.iter() if found.tag.endswith("rect")]
        widths = [float(found.attrib["width"]) for found in bars]
        assert [found.attrib["class"] for found in bars] == ["ours", "theirs", "theirs"]
        assert widths[0] < widths[2] < widths[1] < float(root.attrib["width"])
        assert "cmanager, bridge" in {found.text for found in root.iter()}

    def test_the_table_says_medians_ratios_and_what_was_left_out(self, capsys: pytest.CaptureFixture[str]) -> None:
        table.show(evolve(_REPORT, refused={"exec": "printed more"}))
        shown = capsys.readouterr().out
        [line] = [line for line in shown.splitlines() if "docker, bridge" in line]
        assert line.split() == ["docker,", "bridge", "340", "335", "to", "4670", "330", "9000", "3", "15.45"]
        assert "podman: left out: is not installed" in shown
        assert "exec: refused: printed more" in shown


class TestLeaks:
    def test_what_there_is_more_of_was_left_behind(self) -> None:
        before = {"links": frozenset({"lo"}), "mounts": frozenset({"/"})}
        now = {"links": frozenset({"lo", "veth"}), "mounts": frozenset({"/"})}
        assert grown(before, now) == {"links": ["veth"]}

    def test_another_one_in_a_pool_is_none_more(self) -> None:
        assert grown({"links": frozenset({"lo", "slot-a"})}, {"links": frozenset({"lo", "slot-b"})}) == {}

    def test_those_below_a_process_are_its_descendants_that_have_not_ended(self) -> None:
        pid = os.fork()
        if pid == 0:
            grandchild = os.fork()
            if grandchild == 0:
                time.sleep(20)
            os.waitpid(grandchild, 0)
            os._exit(0)
        try:
            deadline = time.monotonic() + 10
            while len(found := {pid, *below(pid)}) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert found <= below(os.getpid()).keys()
            assert len(found) == 2
            assert trees([pid]) == found
        finally:
            for each in found:
                os.kill(each, 9)
            os.waitpid(pid, 0)
        assert pid not in below(os.getpid())
        assert trees([pid]) == set()
