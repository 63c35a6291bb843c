"""What a database says when it cannot serve, in words for the person who can change it."""

from __future__ import annotations


class StoreUnavailable(Exception):
    """The store cannot be used now; the message names it and what to do."""

    # What HTTP says: it may work later.
    status = 503


class StoreInUse(StoreUnavailable):
    """Another process leads this store."""


_SQLITE = (
    (
        "file is not a database",
        "the file is no SQLite database; name another file, or move it away",
    ),
    ("malformed", "the file is damaged; restore a backup"),
    ("disk is full", "the disk is full; free some space, nothing of this write was kept"),
    ("readonly", "it is read-only; give this user the right to write the file and its folder"),
    ("unable to open", "the file cannot be opened; look at its folder and its rights"),
    ("disk i/o error", "the disk refuses to read or write; look at its space, quota and health"),
    ("locked", "another process keeps it locked; stop that process"),
)

_STATES = (
    ("28", "the user or the password is wrong; look at the store's user and password"),
    ("3D000", "the database does not exist; create it: createdb {name}"),
    ("53100", "the disk of the database server is full; free some space there"),
    ("53300", "the database server takes no more connections; raise max_connections"),
    ("25006", "the database is read-only (a standby?); use the primary server"),
    ("42501", "this user may not write; grant it the database and its schema"),
    ("57P", "the database server is stopping or starting; it is tried again"),
    ("55P03", "a lock was not given in time; another process holds it"),
    ("57014", "a statement took too long and was stopped"),
)

_POSTGRES = (
    ("password", "the user or the password is wrong; look at the store's user and password"),
    ("role ", "the user or the password is wrong; look at the store's user and password"),
    ("does not exist", "the database does not exist; create it: createdb {name}"),
    ("refused", "nothing listens there; start the database server, or look at host and port"),
    ("resolve", "the host name is unknown; look at the store's URL"),
    ("translate host", "the host name is unknown; look at the store's URL"),
    ("name or service", "the host name is unknown; look at the store's URL"),
    ("timeout", "the host does not answer; look at host, port and firewall"),
    ("no such file", "nothing listens there; start the database server, or look at host and port"),
    ("unreachable", "the host cannot be reached; look at host, port and network"),
)
_LOST = "the connection is lost; look at the database server"


def reason(error: BaseException, name: str) -> str | None:
    """Why the store cannot serve, None when the error says something else (a fault of ours)."""
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return _first(_STATES, state, name, starts=True)
    said = str(error).lower()
    if type(error).__module__.startswith("psycopg"):
        if type(error).__name__ not in {"OperationalError", "ConnectionTimeout"}:
            return None
        return _first(_POSTGRES, said, name) or _LOST
    return _first(_SQLITE, said, name)


def _first(
    table: tuple[tuple[str, str], ...], said: str, name: str, *, starts: bool = False
) -> str | None:
    for sign, advice in table:
        if said.startswith(sign) if starts else sign in said:
            return advice.format(name=name)
    return None
