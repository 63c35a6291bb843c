"""Which exception of dulwich, urllib3 or ssl means which trouble.

They report the same trouble in many ways; `trouble_of` gives the one code and a message that names
the thing to change.
"""

from __future__ import annotations

import errno
import socket
import ssl
import struct
import zlib
from collections.abc import Iterator

import urllib3.exceptions
from dulwich.client import HTTPProxyUnauthorized, HTTPUnauthorized
from dulwich.errors import (
    ChecksumMismatch,
    FileFormatException,
    GitProtocolError,
    HangupException,
    NotGitRepository,
    ObjectMissing,
    WrongObjectException,
)

from penstock_runner.git.trouble import (
    GIT_AUTH,
    GIT_CORRUPT,
    GIT_HOST_KEY,
    GIT_NETWORK,
    GIT_NOT_FOUND,
    GIT_TIMEOUT,
    GIT_TLS,
    GIT_TOO_BIG,
    GitTrouble,
    message_for,
)

_CORRUPT = (
    ChecksumMismatch,
    FileFormatException,
    ObjectMissing,
    WrongObjectException,
    zlib.error,
    struct.error,
)
# What reading a damaged store raises: dulwich checks by assertions and misses objects by key.
DAMAGE = (*_CORRUPT, AssertionError, KeyError, IndexError)
_SSH_WORDS = (
    ("Host key verification failed", GIT_HOST_KEY),
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", GIT_HOST_KEY),
    ("host key is known", GIT_HOST_KEY),
    ("Permission denied", GIT_AUTH),
    ("invalid format", GIT_AUTH),
    ("Connection timed out", GIT_TIMEOUT),
    ("Could not resolve hostname", GIT_NETWORK),
    ("Connection refused", GIT_NETWORK),
    ("Repository not found", GIT_NOT_FOUND),
    ("does not appear to be a git repository", GIT_NOT_FOUND),
    ("not a git repository", GIT_NOT_FOUND),
    ("does not exist", GIT_NOT_FOUND),
)


def trouble_of(error: BaseException, address: str) -> GitTrouble | None:
    """The trouble behind an exception of a fetch; None when it is a fault of ours."""
    if isinstance(error, GitTrouble):
        return error
    causes = list(_causes(error))
    if any(isinstance(one, urllib3.exceptions.ProxyError) for one in causes):
        reason = next((found for one in causes if (found := _detail(one))), "it does not answer")
        message = f"the proxy before {address} cannot be used: {reason}. Check `proxy`."
        return GitTrouble(GIT_NETWORK, message)
    for cause in causes:
        code = _code_of(cause)
        if code is not None:
            return GitTrouble(code, message_for(code, address, _detail(cause)))
    if any(isinstance(one, HangupException) for one in causes):
        return GitTrouble(GIT_NETWORK, message_for(GIT_NETWORK, address, "it hung up"))
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and everything behind it, the most telling (innermost) first."""
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in chain:
        chain.append(at)
        reason = getattr(at, "reason", None)
        at = reason if isinstance(reason, BaseException) else at.__cause__ or at.__context__
    return reversed(chain)


def _code_of(error: BaseException) -> str | None:
    match error:
        case HTTPUnauthorized() | HTTPProxyUnauthorized():
            return GIT_AUTH
        case socket.gaierror():
            return GIT_NETWORK
        case NotGitRepository():
            return GIT_NOT_FOUND
        case ssl.SSLError() | urllib3.exceptions.SSLError():
            return GIT_TLS
        case urllib3.exceptions.TimeoutError() | TimeoutError():
            return GIT_TIMEOUT
        case MemoryError():
            return GIT_TOO_BIG
        case OSError() if error.errno in (errno.EFBIG, errno.ENOSPC):
            return GIT_TOO_BIG
        case HangupException():
            # What `ssh` has said is on one of several; the others tell nothing.
            return _ssh_code(error) if _ssh_text(error) else None
        case _ if isinstance(error, _CORRUPT):
            return GIT_CORRUPT
        case GitProtocolError():
            return _protocol_code(str(error))
        case urllib3.exceptions.HTTPError() | ConnectionError() | EOFError():
            return GIT_NETWORK
        case _:
            return None


def _protocol_code(text: str) -> str:
    if "http resp 403" in text:
        return GIT_AUTH
    if "http resp 404" in text or "http resp 410" in text:
        return GIT_NOT_FOUND
    return GIT_NETWORK


def _ssh_code(error: HangupException) -> str:
    text = _ssh_text(error)
    return next((code for words, code in _SSH_WORDS if words in text), GIT_NETWORK)


def _ssh_text(error: HangupException) -> str:
    lines = getattr(error, "stderr_lines", None) or ()
    return "\n".join(line.decode("utf-8", "replace") for line in lines)


def _detail(error: BaseException) -> str:
    if isinstance(error, HangupException):
        lines = [line for line in _ssh_text(error).splitlines() if line.strip(" @")]
        return "; ".join(lines[-2:])[:300]
    if isinstance(error, ssl.SSLError):
        return str(getattr(error, "verify_message", "") or error.reason or "")
    if isinstance(error, GitProtocolError) and "http resp" in str(error):
        words = str(error).split()
        return "HTTP " + next((word for word in words if word.isdigit()), "error")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return ""
