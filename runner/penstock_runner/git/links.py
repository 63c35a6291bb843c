"""Symlinks of a tree that point to files of the same tree, read as if they were those files."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import replace

from penstock_runner.git.tree import Entry, Link, Listing

DEEPEST = 5
_LONGEST_TARGET = 1024


def with_links_inside(listing: Listing, read: Callable[[str], bytes]) -> Listing:
    """The listing with each link that ends at a file of the tree in at most five steps as a file.

    Others stay what they are: links that nobody follows.
    """
    files = {entry.path: entry for entry in listing.entries}
    links = {link.path: link for link in listing.links}
    found: dict[str, Entry] = {}
    for link in listing.links:
        target = _target(link, files, links, read)
        if target is not None:
            found[link.path] = replace(target, path=link.path)
    return Listing(
        entries=tuple(sorted((*listing.entries, *found.values()), key=lambda one: one.path)),
        links=tuple(link for link in listing.links if link.path not in found),
        faults=tuple(fault for fault in listing.faults if fault.path not in found),
    )


def _target(
    link: Link,
    files: Mapping[str, Entry],
    links: Mapping[str, Link],
    read: Callable[[str], bytes],
) -> Entry | None:
    at = link
    for _ in range(DEEPEST):
        try:
            text = read(at.blob)[: _LONGEST_TARGET + 1].decode("utf-8")
        except (KeyError, UnicodeDecodeError):
            return None
        if not text or len(text) > _LONGEST_TARGET or text.startswith("/") or "\0" in text:
            return None
        path = posixpath.normpath(posixpath.join(posixpath.dirname(at.path), text))
        if path in files:
            return files[path]
        if path not in links:
            return None
        at = links[path]
    return None
