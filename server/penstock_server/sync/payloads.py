"""What the payload of a forge's delivery says: which ref, from which commit to which, and where.

Only read after the signature has been found right, and only to tell whom it concerns: what is
deployed comes from our own fetch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import orjson

NOTHING = "0" * 40
_LONGEST = 300
_MOST_ADDRESSES = 10
# Where forges say the address of the repository: below `repository` or `project`.
_ADDRESSES = frozenset(
    {
        "clone_url",
        "git_http_url",
        "git_ssh_url",
        "git_url",
        "homepage",
        "html_url",
        "http_url",
        "ssh_url",
        "url",
        "web_url",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a payload says; `addresses` are compared with those of sources by `same_place`."""

    ref: str | None = None
    before: str | None = None
    after: str | None = None
    addresses: tuple[str, ...] = ()


def payload_of(headers: Mapping[str, str], body: bytes) -> Mapping[str, Any] | None:
    """The payload, which a form holds in its field `payload`; None when it is no JSON object."""
    text: bytes | str = body
    if headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
        text = parse_qs(body.decode("utf-8", "replace")).get("payload", [""])[0]
    try:
        payload = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return payload if isinstance(payload, Mapping) else None


def said(event: str, payload: Mapping[str, Any]) -> Said:
    """What the payload of an event that changes a ref says."""
    ref, before, after = _change(event.lower(), payload)
    return Said(ref=ref, before=before, after=after, addresses=_addresses(payload))


def place_of(address: str) -> str:
    """An address as host and path, the same for https, ssh and web addresses of a repository."""
    bare = re.sub(r"^[a-z+]+://", "", address.strip(), flags=re.IGNORECASE)
    bare = bare.partition("?")[0].partition("#")[0]
    host, slash, path = bare.partition("/")
    name = host.rpartition("@")[2]
    if ":" in name:
        name, _, rest = name.partition(":")
        if not rest.isdigit():
            path = f"{rest}{slash}{path}"
    path = path.strip("/")
    # Bitbucket Data Center has its addresses for cloning below /scm.
    path = path.removeprefix("scm/").removesuffix(".git")
    return f"{name.lower()}/{path.lower()}"


def same_place(address: str, others: tuple[str, ...]) -> bool:
    """Whether an address is one of some others, however each is spelt."""
    wanted = place_of(address)
    return any(place_of(other) == wanted for other in others)


def _change(event: str, payload: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    match event:
        case "create" | "delete":
            stem = "refs/tags/" if payload.get("ref_type") == "tag" else "refs/heads/"
            name = _text(payload, "ref")
            full = name if name is None or name.startswith("refs/") else stem + name
            return full, None, NOTHING if event == "delete" else None
        case "repo:push":
            return _pushed_to_cloud(_only(_part(payload, "push").get("changes")))
        case "repo:refs_changed":
            change = _only(payload.get("changes"))
            after = NOTHING if change.get("type") == "DELETE" else _text(change, "toHash")
            name = _text(_part(change, "ref"), "id") or _text(change, "refId")
            return name, _text(change, "fromHash"), after
        case _:
            return _text(payload, "ref"), _text(payload, "before"), _text(payload, "after")


def _pushed_to_cloud(
    change: Mapping[str, Any],
) -> tuple[str | None, str | None, str | None]:
    """A change of Bitbucket Cloud: `new` is null when the ref is gone, `old` when it is new."""
    new, old = _part(change, "new"), _part(change, "old")
    named = new or old
    name = _text(named, "name")
    stem = "refs/tags/" if named.get("type") == "tag" else "refs/heads/"
    before = _text(_part(old, "target"), "hash")
    after = _text(_part(new, "target"), "hash") if new else NOTHING
    return (None, None, None) if name is None else (stem + name, before, after)


def _addresses(payload: Mapping[str, Any]) -> tuple[str, ...]:
    found = [one for part in ("repository", "project") for one in _of(_part(payload, part))]
    return tuple(dict.fromkeys(found))[:_MOST_ADDRESSES]


def _of(repository: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(_ADDRESSES):
        address = _text(repository, name)
        if address and ("://" in address or "@" in address):
            yield address
    links = _part(repository, "links")
    yield from _links(_part(links, "html"))
    cloning = links.get("clone")
    for link in cloning if isinstance(cloning, list) else ():
        if isinstance(link, Mapping):
            yield from _links(link)


def _links(link: Mapping[str, Any]) -> Iterator[str]:
    href = _text(link, "href")
    if href:
        yield href


def _only(changes: Any) -> Mapping[str, Any]:
    """The only change of a list; nothing when there are several: then all refs are looked at."""
    if isinstance(changes, list) and len(changes) == 1 and isinstance(changes[0], Mapping):
        return changes[0]
    return {}


def _part(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    return value[:_LONGEST] if isinstance(value, str) else None
