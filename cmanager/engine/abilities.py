"""What is asked of a runtime, held against what it can do: refused where a person asked, left out of the defaults."""

from __future__ import annotations

import attrs

from ..errors import CmanagerError, UnsupportedError
from ..linux.syscalls import NAMESPACES
from ..linux.values import frozen
from ..model.container import Namespaces, RunRequest
from ..model.pod import SHM_SIZE
from ..model.runtime import DEFAULT_UMASK, OPTIONS, Features
from ..plugins import Plugins
from ..seams import Exec

NAMESPACE_FLAGS = {
    "pid": "--pid",
    "ipc": "--ipc",
    "uts": "--uts",
    "cgroup": "--cgroupns",
    "user": "--userns",
    "time": "--timens",
}
#: Options of `Features` that every container asks for unless it says otherwise, and what people call them.
_DEFAULTS = {
    "capabilities": "a bounding set of capabilities",
    "no_new_privileges": "no_new_privs",
    "seccomp": "a seccomp filter",
    "masked_paths": "masked paths",
    "sysctl": "kernel parameters of its own",
    "devices": "the standard device nodes",
    "cgroup_mount": "a mount of its cgroups",
}


def network(features: Features, default: str) -> str:
    """The network of a container that names none: the host's where the runtime cannot join another."""
    return default if "network" in features.options else "host"


def fit(request: RunRequest, features: Features) -> tuple[RunRequest, tuple[str, ...]]:
    """The request as this runtime can honour it, and warnings.

    Namespaces that nobody named become "private", or "host" where the runtime cannot make one; defaults it lacks are
    listed in `without`. Raises UnsupportedError, naming flag and runtime, for what a person asked for and it cannot do.
    """
    _check_flags(request, features)
    spaces, left = _namespaces(request, features)
    without = tuple(option for option in _DEFAULTS if option not in features.options)
    warnings = list(features.warnings)
    missing = [f"{kind} namespace" for kind in left] + [_DEFAULTS[option] for option in without]
    if request.network == "host" and "network" not in features.options:
        missing.insert(0, "network namespace")
    if missing:
        warnings.append(f"runtime {request.runtime} does without: {', '.join(missing)}")
    return attrs.evolve(request, namespaces=spaces, without=without), tuple(warnings)


def _check_flags(request: RunRequest, features: Features) -> None:
    options = [option.replace(":", "=", 1).partition("=")[::2] for option in request.security]
    words = dict(options)
    wanted = {
        "--tty": (request.tty, "terminal"),
        "--init": (request.init, "init"),
        "--sysctl": (request.sysctls, "sysctl"),
        "--domainname": (request.domainname, "sysctl"),
        "--ulimit": (request.ulimits, "rlimits"),
        "--device": (request.devices, "devices"),
        "--userns": (request.namespaces.user not in ("", "host"), "userns"),
        "--user": (request.user, "user"),
        "--umask": (request.umask != DEFAULT_UMASK, "umask"),
        "--group-add": (request.groups, "user"),
        "--cap-add": (request.cap_add, "capabilities"),
        "--cap-drop": (request.cap_drop, "capabilities"),
        "--security-opt no-new-privileges": (
            words.get("no-new-privileges", "false") != "false",
            "no_new_privileges",
        ),
        "--security-opt seccomp": (words.get("seccomp", "unconfined") != "unconfined", "seccomp"),
        f"--network {request.network}": (request.network != "host", "network"),
    }
    for flag, (asked, option) in wanted.items():
        if asked and option not in features.options:
            raise UnsupportedError(f"runtime {request.runtime} cannot honour {flag}")
    if request.hostname and not request.shares("uts") and "uts" not in features.namespaces:
        raise UnsupportedError(f"runtime {request.runtime} cannot honour --hostname, it makes no uts namespace")
    if request.shm_size != SHM_SIZE and not request.shares("ipc") and "ipc" not in features.namespaces:
        raise UnsupportedError(f"runtime {request.runtime} cannot honour --shm-size, it makes no ipc namespace")
    for kind in request.member.share if request.member else ():
        if kind != "network" and not features.can_join(kind):
            raise UnsupportedError(f"runtime {request.runtime} cannot honour --pod, it joins no {kind} namespace")


def _namespaces(request: RunRequest, features: Features) -> tuple[Namespaces, list[str]]:
    """Every kind with a mode, and the kinds that are the host's because the runtime cannot make them."""
    modes, left = {}, []
    for kind, flag in NAMESPACE_FLAGS.items():
        mode, default = getattr(request.namespaces, kind), "host" if kind in ("user", "time") else "private"
        has = kind in features.namespaces
        joined = mode.startswith(("container:", "ns:"))
        if kind != "user" and mode not in ("", "host") and not (features.can_join(kind) if joined else has):
            raise UnsupportedError(f"runtime {request.runtime} cannot honour {flag} {mode}")
        if not mode and default == "private" and not has:
            left.append(kind)
        modes[kind] = mode or (default if has else "host")
    return Namespaces(**modes), left


@frozen
class Ability:
    """One runtime in the table: its features, or why there are none. exec: whether it can run one more program."""

    name: str
    features: Features | None
    exec: bool = False
    error: str = ""

    @property
    def lacks(self) -> tuple[str, ...]:
        """What a runtime can be asked for and this one cannot honour: kinds of namespaces, options, "exec"."""
        if self.features is None:
            return ()
        # The core makes network namespaces itself: joining them is an option.
        kinds = [f"{kind} namespace" for kind in NAMESPACES if kind not in (*self.features.namespaces, "network")]
        options = [option for option in OPTIONS if option not in self.features.options]
        return (*kinds, *options, *([] if self.exec else ["exec"]))


def table(plugins: Plugins) -> list[Ability]:
    """What each known runtime can do on this host; one that does not work says why."""
    found = []
    for name in plugins.names("runtime"):
        plugins.begin("runtime", name)
    for name in plugins.names("runtime"):
        try:
            runtime = plugins.get("runtime", name)
            found.append(Ability(name, runtime.features(), isinstance(runtime, Exec)))
        except Exception as error:  # one bad plugin must not hide the others
            text = str(error) if isinstance(error, CmanagerError) else f"{type(error).__name__}: {error}"
            found.append(Ability(name, None, error=text))
    return found
