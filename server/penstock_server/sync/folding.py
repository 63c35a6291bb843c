"""Answers with very many files: they travel as texts that core opens a few at a time.

Core reads whole messages at once; a message of megabytes would stop everybody while it is read.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import orjson

Message = Mapping[str, Any]
MANY = 300
_PART = 50


def folded(message: dict[str, Any]) -> dict[str, Any]:
    """The message as it is sent."""
    files = message.get("files") or []
    if len(files) <= MANY:
        return message
    parts = [
        orjson.dumps(files[start : start + _PART]).decode() for start in range(0, len(files), _PART)
    ]
    return {**message, "files": [], "folded": parts}


def large(message: Message) -> bool:
    """Whether a message has more files than core looks at in one go."""
    return "folded" in message or len(message["files"]) > MANY


def unfolding(message: Message) -> Generator[None, None, Message]:
    """The message with its files, with a pause after each part."""
    if "folded" not in message:
        return message
    files: list[Any] = []
    for part in message["folded"]:
        files += orjson.loads(part)
        yield
    return {name: value for name, value in message.items() if name != "folded"} | {"files": files}


def unfolded(message: Message) -> Message:
    """The same at once."""
    work = unfolding(message)
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: Message = end.value
            return found
