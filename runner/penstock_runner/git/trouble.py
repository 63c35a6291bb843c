"""What can go wrong with a repository, as codes that people and polling rules understand.

Messages never hold credentials: they are built from the stripped address only. Which exception of a
library means which code is in `exceptions`.
"""

from __future__ import annotations

GIT_AUTH = "GIT_AUTH"
GIT_NOT_FOUND = "GIT_NOT_FOUND"
GIT_REF_NOT_FOUND = "GIT_REF_NOT_FOUND"
GIT_NETWORK = "GIT_NETWORK"
GIT_TIMEOUT = "GIT_TIMEOUT"
GIT_TLS = "GIT_TLS"
GIT_HOST_KEY = "GIT_HOST_KEY"
GIT_TOO_BIG = "GIT_TOO_BIG"
GIT_CORRUPT = "GIT_CORRUPT"
GIT_EMPTY = "GIT_EMPTY"
GIT_ADDRESS = "GIT_ADDRESS"


class GitTrouble(Exception):
    """A repository cannot be read; `code` says what kind of trouble it is."""

    def __init__(self, code: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after


def message_for(code: str, address: str, detail: str = "") -> str:
    """What a person reads: the thing, and what to change."""
    tail = f": {detail}" if detail else ""
    match code:
        case "GIT_AUTH":
            return (
                f"{address} refused the credentials{tail}. Check the user name, and that the "
                "secret holds a token or key that may read this repository."
            )
        case "GIT_NOT_FOUND":
            return (
                f"there is no repository at {address}. Check the address; a private repository "
                "also looks missing when the credentials may not read it."
            )
        case "GIT_TIMEOUT":
            return f"{address} did not answer in time{tail}. Check the network or raise `timeout`."
        case "GIT_TLS" if "expired" in detail:
            return (
                f"the TLS certificate of {address} is not valid now{tail}. Renew it at the host, "
                "and check the clock of this machine."
            )
        case "GIT_TLS" if "mismatch" in detail:
            return (
                f"the TLS certificate of {address} is for another name{tail}. Use the name that it "
                "is for as `url`."
            )
        case "GIT_TLS":
            return (
                f"the TLS certificate of {address} is not trusted{tail}. Set `tls.caFile` to the "
                "certificate authority that signed it."
            )
        case "GIT_HOST_KEY" if "No " in detail:
            return (
                f"the host key of {address} is not known here{tail}. Put it into `knownHosts` "
                "after checking it, or set `knownHosts: accept-new` to keep the one it shows first."
            )
        case "GIT_HOST_KEY":
            return (
                f"the host key of {address} is not the known one{tail}. Put the host's present key "
                "into `knownHosts` after checking it."
            )
        case "GIT_TOO_BIG":
            return (
                f"{address} is larger than the limits allow{tail}. Raise `limits.packBytes` or "
                "keep large files out of the repository."
            )
        case "GIT_CORRUPT":
            return f"what {address} sent, or the local copy of it, is damaged{tail}."
        case "GIT_EMPTY":
            return f"{address} has no commit yet. Push one."
        case _:
            return f"{address} cannot be reached{tail}. Check the address and the network."
