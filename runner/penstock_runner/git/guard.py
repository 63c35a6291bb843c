"""What a connection over HTTP may do: whom it tells credentials, and where it may end up.

A redirect is followed three times, never from https to http. Credentials go to the origin that they
were given for, nowhere else. Addresses are judged when a socket is connected, so a name that means
one host when it is checked and another one later fools nobody.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import make_headers, parse_url

from penstock_runner.git.remote import Remote
from penstock_runner.git.trouble import GIT_ADDRESS, GIT_NETWORK, GitTrouble

AGENT = "git/penstock"
_HEADER = "authorization"
_BUSY = frozenset({429, 503})


class Guard:
    """The rules for one remote and its redirects."""

    def __init__(self, remote: Remote, authorization: str | None = None) -> None:
        self._origin = _origin(remote.url)
        given = {"Authorization": authorization} if authorization else None
        self._authorization = given or _authorization(remote)
        self._private_hosts = remote.private_hosts
        self._public_origin = False

    def headers(self, url: str, given: Mapping[str, str] | None) -> dict[str, str]:
        """The headers for one request: the first, or one that a redirect asks for."""
        origin = _origin(url)
        if self._origin[0] == "https" and origin[0] != "https":
            raise GitTrouble(GIT_NETWORK, f"{self._origin[1]} redirects to an unencrypted address")
        kept = {name: value for name, value in (given or {}).items() if name.lower() != _HEADER}
        if origin == self._origin:
            kept.update(self._authorization)
        return kept

    def connected(self, host: str, peer: str) -> None:
        """A socket is connected to an address; raises when nothing may be sent there."""
        public = _is_public(peer)
        own = host.strip("[]").lower() == self._origin[1].strip("[]").lower()
        if own:
            self._public_origin = public
        if not public and not self._private_hosts:
            raise GitTrouble(
                GIT_ADDRESS,
                f"{host} is at {peer}, an address of a private network; set `git.allowPrivate` to"
                " read repositories of one",
            )
        if not public and not own and self._public_origin:
            raise GitTrouble(
                GIT_ADDRESS, f"{self._origin[1]} redirects to {host}, which is at {peer}: refused"
            )

    def pools(self) -> dict[str, type[urllib3.HTTPConnectionPool]]:
        """Pools whose connections this guard looks at."""
        guard = self

        class Plain(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return guard.looked_at(self.host, super()._new_conn())

        class Encrypted(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return guard.looked_at(self.host, super()._new_conn())

        class PlainPool(urllib3.HTTPConnectionPool):
            ConnectionCls = Plain

        class EncryptedPool(urllib3.HTTPSConnectionPool):
            ConnectionCls = Encrypted

        return {"http": PlainPool, "https": EncryptedPool}

    def looked_at(self, host: str, connection: socket.socket) -> socket.socket:
        """The connection, when it may be used."""
        try:
            self.connected(host, str(connection.getpeername()[0]))
        except GitTrouble:
            connection.close()
            raise
        return connection


class GuardedPool(urllib3.PoolManager):
    """Connections to the host itself."""

    def __init__(self, guard: Guard, **options: Any) -> None:
        super().__init__(headers={"User-Agent": AGENT}, **options)
        self._guard = guard
        self.pool_classes_by_scheme = guard.pools()

    def urlopen(  # type: ignore[override]
        self,
        method: str,
        url: str,
        redirect: bool = True,  # noqa: FBT001, FBT002 - urllib3's own signature
        **kw: Any,
    ) -> Any:
        kw["headers"] = self._guard.headers(url, kw.get("headers"))
        return _unless_busy(super().urlopen(method, url, redirect=redirect, **kw), url)


class GuardedProxy(urllib3.ProxyManager):
    """Connections through a proxy, which finds the addresses itself."""

    def __init__(self, guard: Guard, **options: Any) -> None:
        super().__init__(headers={"User-Agent": AGENT}, **options)
        self._guard = guard

    def urlopen(  # type: ignore[override]
        self,
        method: str,
        url: str,
        redirect: bool = True,  # noqa: FBT001, FBT002 - urllib3's own signature
        **kw: Any,
    ) -> Any:
        kw["headers"] = self._guard.headers(url, kw.get("headers"))
        host = _origin(url)[1]
        # What a name means is known to the proxy only.
        with contextlib.suppress(ValueError):
            self._guard.connected(host, str(ipaddress.ip_address(host.strip("[]"))))
        return _unless_busy(super().urlopen(method, url, redirect=redirect, **kw), url)


def _is_public(peer: str) -> bool:
    address = ipaddress.ip_address(peer.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_global) and not address.is_multicast


def _unless_busy(response: Any, url: str) -> Any:
    """The response, unless the host asks to be left alone for a while."""
    if response.status not in _BUSY:
        return response
    message = f"{_origin(url)[1]} answers {response.status}: it has too much to do"
    wait = _seconds(response.headers.get("Retry-After", ""), response.headers.get("Date", ""))
    raise GitTrouble(GIT_NETWORK, message, retry_after=wait)


def _seconds(given: str, sent: str) -> int | None:
    """Retry-After in seconds; a date counts from the moment that the host says it is."""
    if given.isascii() and given.isdigit() and len(given) < 7:
        return int(given)
    try:
        until, now = parsedate_to_datetime(given), parsedate_to_datetime(sent)
    except ValueError:
        return None
    return max(0, int((_aware(until) - _aware(now)).total_seconds()))


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _origin(url: str) -> tuple[str, str, int]:
    parts = parse_url(url)
    scheme = parts.scheme or ""
    return scheme, parts.host or "", parts.port or (443 if scheme == "https" else 80)


def _authorization(remote: Remote) -> Mapping[str, str]:
    known = remote.credentials
    if known.password is None and known.username is None:
        return {}
    return make_headers(basic_auth=f"{known.username or ''}:{known.password or ''}")
