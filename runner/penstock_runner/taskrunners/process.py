"""The task runner that runs a command as a process of this machine.

Who starts the process, and who kills what it leaves behind, is the `Spawner`'s business: in the
runner that is the supervisor. Here the two pipes are read until both are closed and the process has
ended.
"""

from __future__ import annotations

import os
import select

from penstock_runner.taskrunners.api import Child, Command, Ended, Sink, Spawner

CHUNK = 1 << 16
QUIET_MS = 1000
AFTER_END_MS = 500
"""An escaped process may hold a pipe open: so much silence after the end ends the output."""


def run(command: Command, spawner: Spawner, sink: Sink) -> Ended:
    """Run the command to its end, giving its output to `sink` as it comes."""
    out_read, out_write = os.pipe2(os.O_CLOEXEC)
    err_read, err_write = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            child = spawner.spawn(command, out_write, err_write)
        finally:
            os.close(out_write)
            os.close(err_write)
        ended = _pump({out_read: "stdout", err_read: "stderr"}, child, sink)
    finally:
        os.close(out_read)
        os.close(err_read)
        sink.close()
    return ended


def _pump(streams: dict[int, str], child: Child, sink: Sink) -> Ended:
    poll = select.poll()
    for descriptor in streams:
        poll.register(descriptor, select.POLLIN)
    ended: Ended | None = None
    open_ends = len(streams)
    while open_ends:
        ready = poll.poll(QUIET_MS if ended is None else AFTER_END_MS)
        if not ready:
            if ended is not None:
                break
            sink.quiet()
            ended = child.wait(0)
        for descriptor, _ in ready:
            chunk = os.read(descriptor, CHUNK)
            if chunk:
                sink.feed(streams[descriptor], chunk)
            else:
                poll.unregister(descriptor)
                open_ends -= 1
    return ended or _wait(child)


def _wait(child: Child) -> Ended:
    while (ended := child.wait(None)) is None:
        pass
    return ended
