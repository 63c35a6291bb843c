"""One call of a forge's API, by the same rules as a fetch: the same trust, proxies and time-outs.

A redirect is not followed: a call changes something, and it is to do so where it was meant.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3.exceptions

from penstock_runner.git.apart import apart, own_identity
from penstock_runner.git.exceptions import trouble_of
from penstock_runner.git.remote import Remote
from penstock_runner.git.transport import pool_of, with_files
from penstock_runner.git.trouble import GIT_NETWORK, GitTrouble, message_for

_MOST_READ = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a forge has answered; `data` is empty when that was no JSON object."""

    status: int
    text: str
    data: Mapping[str, Any]


def call(
    remote: Remote, headers: Mapping[str, str], authorization: str, body: Mapping[str, Any]
) -> Answered:
    """POST a JSON body to the address of the remote; raises `GitTrouble` when nobody answers."""
    ready = with_files(remote)
    sent = json.dumps(body).encode()

    def work(_: Path) -> dict[str, Any]:
        return _posted(ready, headers, authorization, sent)

    answer = apart(work, Path("/"), own_identity())
    try:
        data = json.loads(answer["text"])
    except ValueError:
        data = None
    return Answered(
        status=answer["status"],
        text=answer["text"],
        data=data if isinstance(data, dict) else {},
    )


def _posted(
    remote: Remote, headers: Mapping[str, str], authorization: str, body: bytes
) -> dict[str, Any]:
    given = {"User-Agent": "penstock", "Content-Type": "application/json", **headers}
    pool = pool_of(remote, authorization)
    try:
        response = pool.urlopen(
            "POST",
            remote.url,
            redirect=False,
            retries=False,
            headers=given,
            body=body,
            preload_content=False,
        )
        text = response.read(_MOST_READ).decode("utf-8", "replace")
    except (urllib3.exceptions.HTTPError, OSError) as error:
        fallback = GitTrouble(GIT_NETWORK, message_for(GIT_NETWORK, remote.url))
        raise (trouble_of(error, remote.url) or fallback) from None
    else:
        return {"status": response.status, "text": text}
    finally:
        pool.clear()
