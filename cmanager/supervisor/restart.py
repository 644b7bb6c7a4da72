"""Whether a container that ended starts again, and when: pure functions."""

from __future__ import annotations

from ..model.container import RestartPolicy, Status

_FIRST, _LONGEST = 0.1, 60.0
#: A life of so many seconds counts as well begun: the next wait is the shortest again.
_SETTLED = 10.0


def wanted(policy: RestartPolicy, status: Status, exit_code: int) -> bool:
    """Whether the policy starts it again. status: as it was at the end of this life."""
    if status.stop_requested or policy.name == "no":
        return False
    if policy.name == "on-failure":
        return exit_code != 0 and (policy.maximum == 0 or status.restarts < policy.maximum)
    return True


def pause(previous: float, lived: float) -> float:
    """Seconds to wait before the next life: doubled each time, from 0.1 to 60.

    previous: the last wait, 0 for none; lived: seconds of the life that has just ended.
    """
    if previous == 0 or lived >= _SETTLED:
        return _FIRST
    return min(previous * 2, _LONGEST)


def wanted_after_boot(policy: RestartPolicy, status: Status) -> bool:
    """Whether a host that was restarted owes it a start: it was running, or its policy is "always"."""
    if policy.name == "always":
        return True
    if policy.name == "no" or status.stop_requested or status.started_at == 0:
        return False
    return policy.name == "unless-stopped" or bool(status.exit_code)
