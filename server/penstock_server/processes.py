"""The parent of all processes.

Forks them, watches them, starts again what dies, stops them in order.

The parent has imported everything before it forks, so that children share its memory and start in
milliseconds. It serves nothing itself and holds no connection. A child that dies is started again
after a pause that grows while it keeps dying; when the parent dies, the kernel ends its children.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
STOP_SECONDS = 15.0
CALM_SECONDS = 30.0
LONGEST_PAUSE = 5.0

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Child:
    """One process: its name, what it does, and how it is doing."""

    name: str
    main: Callable[[], None]
    pid: int = 0
    started: float = 0.0
    falls: int = 0
    start_at: float = 0.0
    stop_seconds: float = STOP_SECONDS
    # What the kernel sends it when the parent dies. One with nothing to finish makes room at once.
    orphaned: signal.Signals = signal.SIGTERM
    # What it is told to stop with; to some SIGTERM means that they may take their time.
    stopped_with: signal.Signals = signal.SIGTERM
    ended: bool = field(default=False)


class Processes:
    """The children of one parent, in the order in which they start.

    They stop in the reverse order. Without `on_hangup`, SIGHUP stops them as SIGTERM does; else it
    is called, and core is told with the same signal when it says yes.
    """

    def __init__(
        self, children: Sequence[Child], on_hangup: Callable[[], bool] | None = None
    ) -> None:
        self._children = list(children)
        self._on_hangup = on_hangup
        self._hangup = False
        self._stopping = threading.Event()
        self._parent = os.getpid()

    def run(self, on_started: Callable[[], None]) -> int:
        """Start all, call `on_started`, watch until stopped; gives the exit code."""
        prctl(PR_SET_DUMPABLE, 0)  # a task of the same user must not read secrets out of memory
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._stop if self._on_hangup is None else self._hung_up)
        signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
        gc.collect()
        gc.freeze()
        # Values here hold no cycles: looking for some every 700 took 4 to 9 per cent of all time.
        gc.set_threshold(10_000, 10, 10)
        for child in self._children:
            self._start(child)
        try:
            on_started()
            while not self._stopping.is_set():
                self._watch()
        finally:
            self._end_all()
        return 0

    def stop(self) -> None:
        """End the watch."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stopping.is_set()

    def _stop(self, _signal: int, _frame: object) -> None:
        self._stopping.set()

    def _hung_up(self, _signal: int, _frame: object) -> None:
        self._hangup = True

    def _start(self, child: Child) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        child.pid = os.fork()
        child.started = time.monotonic()
        if child.pid == 0:
            self._become(child)

    def _become(self, child: Child) -> None:
        code = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            # Whoever asks all our processes means the parent; a program that is run later dies of
            # it as any other.
            signal.signal(signal.SIGHUP, lambda _signal, _frame: None)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            prctl(PR_SET_PDEATHSIG, child.orphaned)
            prctl(PR_SET_NAME, f"penstock-{child.name}"[:15].encode())
            if os.getppid() != self._parent:
                os._exit(0)
            child.main()
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except BaseException:
            log.exception("the %s process failed", child.name)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _watch(self) -> None:
        now = time.monotonic()
        if self._hangup and self._on_hangup is not None:
            self._hangup = False
            if self._on_hangup():
                self._signal(self._children[0], signal.SIGHUP)
        for child in self._children:
            if child.pid and self._has_ended(child):
                self._fell(child, now)
            if not child.pid and now >= child.start_at:
                self._start(child)
        self._stopping.wait(0.1)

    def _has_ended(self, child: Child) -> bool:
        try:
            pid, status = os.waitpid(child.pid, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == 0:
            return False
        code = os.waitstatus_to_exitcode(status)
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        log.warning("the %s process %s", child.name, how)
        return True

    def _fell(self, child: Child, now: float) -> None:
        child.falls = 0 if now - child.started > CALM_SECONDS else child.falls + 1
        pause = 0.0 if child.falls <= 1 else min(0.1 * 2**child.falls, LONGEST_PAUSE)
        child.pid = 0
        child.start_at = now + pause

    def _end_all(self) -> None:
        for child in reversed(self._children):
            self._end(child)

    def _end(self, child: Child) -> None:
        if not child.pid:
            return
        until = time.monotonic() + child.stop_seconds
        self._signal(child, child.stopped_with)
        waiting = threading.Event()
        while time.monotonic() < until:
            try:
                if os.waitpid(child.pid, os.WNOHANG)[0]:
                    child.pid = 0
                    return
            except ChildProcessError:
                child.pid = 0
                return
            waiting.wait(0.01)
        log.warning("the %s process does not stop; it is killed", child.name)
        self._signal(child, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        child.pid = 0

    def _signal(self, child: Child, number: signal.Signals) -> None:
        try:
            os.kill(child.pid, number)
        except ProcessLookupError:
            return


def prctl(option: int, value: int | bytes) -> None:
    """Set something about this process that Python has no call for; does nothing off Linux."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(option, value, 0, 0, 0)


def listen(host: str, port: int, count: int = 1) -> list[socket.socket]:
    """Listening sockets of one address; raises `OSError` when it cannot be had.

    The kernel deals connections out evenly among them. Processes that share one socket do not: who
    is awake takes nearly all.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            one = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if len(sockets) > 1:
                port = int(sockets[0].getsockname()[1])
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind((host, port))
            if count > 1:
                # Only after the first is bound: it must find out whether the address is taken.
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        for one in sockets:
            one.close()
        raise
    for one in sockets:
        one.listen(2048)
    return sockets
