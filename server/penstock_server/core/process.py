"""The core process: it leads the store, and serves until it is told to stop."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

from penstock_runner.tasks.registry import Registry
from penstock_server.clock import Clock
from penstock_server.config import BadSettings, Told
from penstock_server.core.address import socket_path
from penstock_server.core.assembly import Given, make_room
from penstock_server.core.followers import Followers
from penstock_server.core.loop import CoreLoop, listen
from penstock_server.core.room import Room
from penstock_server.store.engine import Database, open_store
from penstock_server.store.faults import StoreInUse
from penstock_server.store.flow_changes import FlowChanges
from penstock_server.sync.configuration import git_settings

LOOK_AGAIN = 1.0

log = logging.getLogger(__name__)


def run(told: Told, clock: Clock, registry: Registry, changes: FlowChanges) -> None:
    """Serve until SIGTERM; the store belongs to this process alone while it runs."""
    settings = told.settings
    database = open_store(settings.database, durability=settings.durability)
    _lead(database)
    changes.note()  # whoever led before may have changed flows
    followers = Followers()
    loop: CoreLoop | None = None

    def send_to_git(message: dict[str, Any]) -> None:
        if loop is not None:
            loop.send_to_git(message)

    room = make_room(
        Given(
            told=told,
            clock=clock,
            registry=registry,
            database=database,
            followers=followers,
            send_to_git=send_to_git,
            flows_changed=changes.note,
        )
    )
    loop = CoreLoop(
        room, listen(socket_path(settings.home)), followers, lambda: read_sources_again(told, room)
    )
    running = loop

    signal.signal(signal.SIGTERM, lambda _signal, _frame: running.stop())
    signal.signal(signal.SIGHUP, lambda _signal, _frame: running.ask_again())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        loop.run()
    finally:
        database.close()


def read_sources_again(told: Told, room: Room) -> None:
    """Take up what the configuration says of Git sources by now; faults leave all as it was."""
    if told.again is None:
        return
    try:
        fresh = told.again()
        git = git_settings(fresh.settings.git.model_dump(), told.environment)
    except BadSettings as bad:
        for fault in bad.faults:
            log.warning("the Git sources stay as they were: %s", fault)
        return
    room.sync.roster.configure(git)


def _lead(database: Database) -> None:
    """Wait until no other service leads the store, and lead it then.

    Only a database server can be shared; a file that is in use is a mistake of whoever started us.
    """
    told = False
    while True:
        try:
            database.lead()
        except StoreInUse as held:
            if database.kind == "sqlite":
                raise
            if not told:
                log.warning("standing by, another service leads: %s", held)
                told = True
            threading.Event().wait(LOOK_AGAIN)
        else:
            if told:
                log.warning("the service that led is gone; this one leads from now on")
            return
