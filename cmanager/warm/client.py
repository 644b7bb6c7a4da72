"""The command that is typed: has a worker of the command server do its work, or becomes the ordinary command.

It imports only what is part of the interpreter, and runs under `python -I -S` (command.py). A worker runs the command
with our arguments, environment, directory and descriptors; meanwhile this process has the terminal, passes signals on,
and ends as the worker ends. Whatever is in the way of that before the worker was told to go makes it execute the
ordinary command instead.
"""

from __future__ import annotations

import _signal
import _socket
import posix
import sys
import time

TYPE_CHECKING = False  # importing typing would take as long as all of this
if TYPE_CHECKING:
    from collections.abc import Callable

#: Of what client and server say to each other.
VERSION = "2"
CHUNK = 1 << 16
#: Environment variable: seconds that a server waits idle, 0 for none at all.
VARIABLE = b"CMANAGER_WARM"
_PATIENCE = 3.0
_CAP_SYS_NICE = 23
_MOST_DESCRIPTORS = 250  # of one message (SCM_MAX_FD)
#: What a worker, which is in another session, hears of by us alone; everything else that ends us ends it.
_PASSED_ON = (
    *(_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM, _signal.SIGUSR1, _signal.SIGUSR2),
    *(_signal.SIGCONT, _signal.SIGWINCH),
)
#: What a terminal sends to all of a job.
_OF_TERMINALS = (
    *(_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGWINCH),
    *(_signal.SIGSTOP, _signal.SIGCONT),
)
_COLD = "import sys; del sys.argv[0]; from cmanager.__main__ import command; command(since={since!r})"
#: Commands that fork containers run from a sealed interpreter; a word among the arguments is enough to be careful.
FORKING = frozenset({"run", "start", "exec", "restart"})


class Cold(Exception):
    """The ordinary command is to be executed. start: whether a server is missing."""

    def __init__(self, why: str, start: bool = False) -> None:
        super().__init__(why)
        self.start = start


def main(name: str, arguments: list[str]) -> None:
    """Run a command line to its end. name: what it was called as."""
    # Nothing tells when a program was executed; the processor has done nothing else for it so far.
    began = time.monotonic_ns() - time.process_time_ns()
    if _signal.getsignal(_signal.SIGINT) != _signal.SIG_IGN:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # until somebody listens, without Python's exception
    try:
        run_root = wanted(arguments)
        end = ask(run_root, name, arguments, began)
        pid = granted(end)
        worker = posix.pidfd_open(pid)
        end.settimeout(None)
        end.send(b"g")
    except (Cold, OSError) as error:
        if getattr(error, "start", False):
            _begin_server(run_root)
        _go_cold(name, arguments, began)
    Served(end, pid, worker).until_end()


def _go_cold(name: str, arguments: list[str], began: int) -> None:
    """Become the ordinary command. One that would seal its interpreter gets a sealed one at once, as each one takes
    12 ms to start."""
    code = _COLD.format(since=(("client", began), ("interpreter", time.monotonic_ns())))
    argv = [sys.executable, "-P", "-c", code, name, *arguments]
    if not FORKING.isdisjoint(arguments) and not posix.geteuid():
        from ..linux import seal

        try:
            seal.execute(argv)
        except OSError:
            posix.execv(sys.executable, argv)  # and that tells why
    posix.execv(sys.executable, argv)


def wanted(arguments: list[str]) -> str:
    """The run root of a command line; raises Cold when it is not for a server."""
    seconds = posix.environ.get(VARIABLE) or b"1"
    if not seconds.isdigit() or not int(seconds):  # no number: the ordinary command says so
        raise Cold(f"CMANAGER_WARM={seconds.decode('utf-8', 'replace')} is set")
    if posix.geteuid():
        raise Cold("only root may use it")
    run_root = (posix.environ.get(b"CMANAGER_RUN_ROOT") or b"/run/cmanager").decode("utf-8", "surrogateescape")
    words = iter(arguments)
    for word in words:
        if not word.startswith("-"):
            break
        option, given, value = word.partition("=")
        if option == "--no-warm":
            raise Cold("--no-warm is given")
        if option in ("--root", "--run-root", "--config") and not given:
            value = next(words, "")
        if option == "--run-root":
            run_root = value
    return run_root if run_root.startswith("/") else f"{posix.getcwd()}/{run_root}"


def name_of_server() -> str:
    """Of its socket: each environment that cmanager is installed in has a server of its own."""
    python, here = posix.lstat(sys.executable), posix.stat(__file__)
    return f"{python.st_dev:x}.{python.st_ino:x}.{here.st_dev:x}.{here.st_ino:x}"


def ask(run_root: str, name: str, arguments: list[str], began: int) -> _socket.socket:
    """Ask the server for a worker; returns the connection. The worker is killed when this process has ended.

    began: when this command did, in nanoseconds of the monotonic clock.
    """
    data, passed = _request(name, arguments, began)
    end = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    end.settimeout(_PATIENCE)
    try:
        # A path of a socket may have 107 bytes (unix(7)); one below a descriptor is short.
        directory = posix.open(f"{run_root}/warm", posix.O_PATH | posix.O_DIRECTORY)
        end.connect(f"/proc/self/fd/{directory}/{name_of_server()}")
    except (FileNotFoundError, ConnectionRefusedError):
        raise Cold("none runs", start=True) from None
    posix.close(directory)
    peer = end.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    if int.from_bytes(peer[4:8], sys.byteorder):
        raise Cold("it is not root's")
    if end.recv(1) != b"h":  # until then it might hang, and descriptors that were sent would be held by nobody
        raise Cold("it ended", start=True)
    alive, _ = posix.pipe()  # the other end is closed by our end
    fds = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (alive, *passed))
    end.sendmsg([b"%d" % len(data)], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fds)])
    posix.close(alive)
    for start in range(0, len(data), CHUNK):
        end.send(data[start : start + CHUNK])
    return end


def granted(end: _socket.socket) -> int:
    """The pid of the worker that waits for our word; raises Cold when there is none for us."""
    answer = end.recv(CHUNK)
    if answer[:1] != b"g":
        # Empty: it has been killed.
        raise Cold(answer[1:].decode() or "it ended", start=answer[:1] in (b"s", b""))
    return int(answer[1:])


def _request(name: str, arguments: list[str], began: int) -> tuple[bytes, list[int]]:
    """What a worker has to know, and our descriptors; raises Cold for what it could not be given."""
    found = sorted(fd for fd in map(int, posix.listdir("/proc/self/fd")) if _inherited(fd))
    if found[:3] != [0, 1, 2]:
        raise Cold("one of stdin, stdout and stderr is closed")
    if len(found) > _MOST_DESCRIPTORS:
        raise Cold("there are too many open descriptors")
    passed = list(found)
    if posix.isatty(0):
        # A worker that has no other descriptor of it cannot read what is typed.
        passed[0] = posix.open("/proc/self/fd/0", posix.O_WRONLY | posix.O_NOCTTY)
        if any(map(posix.isatty, found[3:])) or any(
            word.endswith(("/dev/tty", "/dev/stdin", "/fd/0")) for word in arguments
        ):
            raise Cold("a file that it shall read is a terminal")
    numbers, encoding = " ".join(map(str, found)), sys.getfilesystemencoding()
    since = f"{began} {time.monotonic_ns()}"
    words = [VERSION, since, numbers, f"{encoding} {sys.stdout.errors}", name, str(len(arguments)), *arguments]
    environment = [b"=".join(item) for item in posix.environ.items()]
    return b"\0".join([*(word.encode(encoding, "surrogateescape") for word in words), *environment]), passed


def _inherited(fd: int) -> bool:
    try:
        return posix.get_inheritable(fd)
    except OSError:  # of the listing itself
        return False


def _begin_server(run_root: str) -> None:
    """In a process that nobody waits for."""
    try:
        child = posix.fork()
        if child:
            posix.waitpid(child, 0)
    except OSError:  # no room for it; or nobody is waited for where SIGCHLD is ignored
        return
    if child:
        return
    try:
        if not posix.fork():
            # First of all, as others may wait for the end of what these lead to.
            posix.setsid()
            null = posix.open("/dev/null", posix.O_RDWR)
            for fd in (0, 1, 2):
                posix.dup2(null, fd)
            posix.closerange(3, 1 << 20)
            # Beside the command that found none, and not before it; the server takes this back when it is ready.
            status = posix.read(posix.open("/proc/self/status", posix.O_RDONLY), CHUNK)
            if int(status.partition(b"CapEff:")[2][:17], 16) >> _CAP_SYS_NICE & 1:
                posix.sched_setscheduler(0, posix.SCHED_IDLE, posix.sched_param(0))
            from .starting import start

            start(run_root, name_of_server())
    finally:
        posix._exit(0)


class _Woken(BaseException):
    """There is a packet from the worker."""


class Served:
    """This process while a worker does its work. end: the connection; pid, worker: the worker's, and its pidfd."""

    def __init__(self, end: _socket.socket, pid: int, worker: int) -> None:
        self._end, self._pid, self._worker = end, pid, worker
        self._last, self._waits = _signal.SIGKILL, False
        heard = (*_PASSED_ON, _signal.SIGTSTP)
        self._before = {n: old for n in heard if (old := _signal.getsignal(n)) != _signal.SIG_IGN}
        if _signal.SIGINT in self._before:
            self._before[_signal.SIGINT] = _signal.default_int_handler
        self._listen()

    def until_end(self) -> None:
        """Do what the worker asks for, and end as it ends."""
        while True:
            try:
                packet, rights, *_ = self._end.recvmsg(CHUNK, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC)
            except ConnectionError:  # it ended without having read what we sent
                packet, rights = b"", []
            kind, rest = packet[:1], packet[1:]
            if kind == b"x":
                posix._exit(int(rest))
            elif kind == b"r":
                self._ourselves(self._read, int(rest))
            elif kind == b"a":
                self._ourselves(self._pump, int.from_bytes(rights[0][2][:4], sys.byteorder), rest)
            else:
                # "k" and the signal that killed it; nothing where the server is gone too.
                _die(int(rest) if rest else self._last)

    def _read(self, size: int) -> None:
        """A line that was typed, for a worker that asked somebody."""
        try:
            data = b"d" + posix.read(0, size)
        except OSError as error:
            data = b"e%d" % (error.errno or 0)
        self._end.send(data)

    def _pump(self, attached: int, how: bytes) -> None:
        from .pumping import pump

        pump(self._end, attached, how)

    def _ourselves(self, action: Callable[..., None], *arguments: object) -> None:
        """Do something that the terminal's signals are meant for, as if there were no worker; it is given up when the
        worker has more to say: it has ended meanwhile, by a signal that came before we were asked or by another one."""
        import fcntl

        _signal.signal(_signal.SIGIO, self._woken)
        fcntl.fcntl(self._end.fileno(), fcntl.F_SETOWN, posix.getpid())
        try:
            try:
                for number, handler in self._before.items():
                    _signal.signal(number, handler)
                self._waits = True
                fcntl.fcntl(self._end.fileno(), fcntl.F_SETFL, fcntl.FASYNC)
                if not self._told():
                    action(*arguments)
            finally:
                self._waits = False
                self._listen()
        except (_Woken, ConnectionError):
            self._listen()  # where it came in between
        except KeyboardInterrupt:
            self._listen()
            self._pass_on(_signal.SIGINT, None)
        fcntl.fcntl(self._end.fileno(), fcntl.F_SETFL, 0)

    def _told(self) -> bool:
        try:
            self._end.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True

    def _woken(self, number: int, frame: object) -> None:
        if self._waits:
            raise _Woken

    def _listen(self) -> None:
        for number in self._before:
            _signal.signal(number, self._stop if number == _signal.SIGTSTP else self._pass_on)

    def _pass_on(self, number: int, frame: object) -> None:
        if number not in (_signal.SIGCONT, _signal.SIGWINCH):
            self._last = number
        self._send(number)

    def _stop(self, number: int, frame: object) -> None:
        """Both of us; to the kernel, the worker's group is an orphan, which SIGTSTP does not stop."""
        self._send(_signal.SIGSTOP)
        _signal.signal(number, _signal.SIG_DFL)
        posix.kill(posix.getpid(), number)
        _signal.signal(number, self._stop)
        self._send(_signal.SIGCONT)

    def _send(self, number: int) -> None:
        try:
            if number in _OF_TERMINALS:
                # Programs that it runs get these too, as its group: which is there as long as it is.
                _signal.pidfd_send_signal(self._worker, 0)
                posix.killpg(self._pid, number)
            else:
                _signal.pidfd_send_signal(self._worker, number)
        except ProcessLookupError:
            return


def _die(number: int) -> None:
    if number not in (_signal.SIGKILL, _signal.SIGSTOP):
        _signal.signal(number, _signal.SIG_DFL)
    posix.kill(posix.getpid(), number)
    posix._exit(128 + number)
