"""The wire: dulwich clients with time-outs, credentials for one origin only, and no retries.

Retrying is the business of who polls, so a connection is tried once.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import urllib3
from dulwich.client import GitClient, HttpGitClient, LocalGitClient
from urllib3.util import Retry, Timeout, make_headers, parse_url

from penstock_runner.git.exceptions import trouble_of
from penstock_runner.git.guard import Guard, GuardedPool, GuardedProxy
from penstock_runner.git.remote import Remote
from penstock_runner.git.ssh import ssh_client
from penstock_runner.git.trouble import GIT_TLS, GitTrouble

NO_PROXY = "none"


@contextmanager
def connected(remote: Remote) -> Iterator[tuple[GitClient, str]]:
    """A client for the remote and the path to ask it for; trouble comes out as `GitTrouble`."""
    try:
        if remote.scheme == "ssh":
            with ssh_client(remote) as client:
                yield client, remote.path
        elif remote.scheme == "file":
            yield LocalGitClient(quiet=True), remote.path
        else:
            pool = pool_of(remote)
            try:
                yield HttpGitClient(remote.url, pool_manager=pool, quiet=True), remote.path
            finally:
                pool.clear()
    except GitTrouble:
        raise
    except Exception as error:
        trouble = trouble_of(error, remote.url)
        if trouble is None:
            raise
        raise trouble from None


def pool_of(remote: Remote, authorization: str | None = None) -> urllib3.PoolManager:
    """Connections to the remote's host; credentials are those of the remote, or the ones given."""
    # Left to itself, urllib3 would sleep for as long as a busy host asks.
    retries = Retry(
        total=3,
        connect=0,
        read=0,
        status=0,
        other=0,
        redirect=3,
        respect_retry_after_header=False,
    )
    timeout = Timeout(connect=remote.connect_seconds, read=remote.read_seconds)
    options: dict[str, Any] = {"timeout": timeout, "retries": retries, "maxsize": 1}
    if remote.scheme == "https":
        options["ssl_context"] = _tls(remote)
    if not remote.proxy or remote.proxy == NO_PROXY:
        return GuardedPool(Guard(remote, authorization), **options)
    parts = parse_url(remote.proxy)
    if parts.auth:
        options["proxy_headers"] = make_headers(proxy_basic_auth=parts.auth)
    bare = parts._replace(auth=None).url
    return GuardedProxy(Guard(remote, authorization), proxy_url=bare, **options)


def with_files(remote: Remote) -> Remote:
    """The remote with what its certificate files hold, which only the service itself may read."""
    return replace(
        remote,
        ca_text=_text("caFile", remote.ca_file),
        cert_text=_text("clientCert", remote.client_cert),
    )


def _text(name: str, path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        message = f"`tls.{name}` {path} cannot be read: {error.strerror}"
        raise GitTrouble(GIT_TLS, message) from None


def _tls(remote: Remote) -> ssl.SSLContext:
    """Who is trusted: the system's authorities, or those of `tls.caFile` alone."""
    remote = with_files(remote) if remote.ca_text is None and remote.cert_text is None else remote
    try:
        context = ssl.create_default_context(cadata=remote.ca_text)
        if remote.cert_text is not None:
            with tempfile.NamedTemporaryFile("w", prefix="penstock-cert-") as file:
                file.write(remote.cert_text)
                file.flush()
                context.load_cert_chain(file.name)
    except (ssl.SSLError, ValueError):
        message = "`tls.caFile` holds no certificate, or `tls.clientCert` none with its key, in PEM"
        raise GitTrouble(GIT_TLS, message) from None
    if remote.insecure:
        # Said where the source is shown; a line for each request would bury the rest.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
