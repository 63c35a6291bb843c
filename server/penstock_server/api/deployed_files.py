"""The files of a deploy as they come in: a map of texts, or an archive; too much is refused."""

from __future__ import annotations

import base64
import binascii
import io
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

from flask import Request

from penstock_server.api.problems import Problem, illegal_argument
from penstock_server.api.sources import json_of
from penstock_server.core.shapes import Json

MAX_FILES = 20_000
MAX_UNPACKED = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What a deploy says of itself, and its files by path: those with texts, and all others."""

    body: Json
    texts: Mapping[str, str]
    others: Mapping[str, bytes] = field(default_factory=dict)
    executable: frozenset[str] = frozenset()


def deployed(request: Request) -> Deployed:
    """Read the request of a deploy."""
    archive = request.files.get("archive")
    if archive is not None:
        files, executable = unpacked(archive.stream.read())
        texts = {path: raw.decode("utf-8", "replace") for path, raw in files.items() if _yaml(path)}
        others = {path: raw for path, raw in files.items() if not _yaml(path)}
        body = dict(request.form.items())
        return Deployed(body=body, texts=texts, others=others, executable=executable)
    return _described(json_of(request))


def _described(body: object) -> Deployed:
    given = body.get("files") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(given, dict) or not _all_texts(given):
        raise illegal_argument("give files as a map from path to text, or the part archive")
    others = _binaries(body)
    size = sum(len(text) for text in given.values()) + sum(len(raw) for raw in others.values())
    _check_size(len(given) + len(others), size)
    named = body.get("executable") or []
    if not isinstance(named, list):
        raise illegal_argument("executable is a list of paths")
    return Deployed(body=body, texts=given, others=others, executable=frozenset(map(str, named)))


def _all_texts(given: Mapping[object, object]) -> bool:
    return all(isinstance(text, str) for text in given.values())


def _binaries(body: Json) -> dict[str, bytes]:
    given = body.get("binaries") or {}
    if not isinstance(given, dict) or not _all_texts(given):
        raise illegal_argument("binaries is a map from path to base64")
    try:
        return {path: base64.b64decode(text, validate=True) for path, text in given.items()}
    except (binascii.Error, ValueError):
        raise illegal_argument("binaries is a map from path to base64") from None


def unpacked(raw: bytes) -> tuple[dict[str, bytes], frozenset[str]]:
    """The files of a tar.gz or a zip by path, and which of them are executable."""
    try:
        return _zipped(raw) if zipfile.is_zipfile(io.BytesIO(raw)) else _tarred(raw)
    except (zipfile.BadZipFile, tarfile.TarError, RuntimeError, EOFError, OSError):
        raise illegal_argument("archive must be a tar.gz or zip file") from None


def _zipped(raw: bytes) -> tuple[dict[str, bytes], frozenset[str]]:
    found: dict[str, bytes] = {}
    executable: set[str] = set()
    with zipfile.ZipFile(io.BytesIO(raw)) as packed:
        infos = [info for info in packed.infolist() if _plain(info)]
        _check_size(len(infos), sum(info.file_size for info in infos))
        for info in infos:
            path = info.filename.removeprefix("./")
            found[path] = packed.read(info)
            if (info.external_attr >> 16) & stat.S_IXUSR:
                executable.add(path)
    return found, frozenset(executable)


def _plain(info: zipfile.ZipInfo) -> bool:
    kind = stat.S_IFMT(info.external_attr >> 16)
    return not info.is_dir() and kind in (0, stat.S_IFREG)


def _tarred(raw: bytes) -> tuple[dict[str, bytes], frozenset[str]]:
    found: dict[str, bytes] = {}
    executable: set[str] = set()
    size = 0
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:*") as packed:
        for member in packed:
            if not member.isfile():
                continue
            size += member.size
            _check_size(len(found) + 1, size)
            content = packed.extractfile(member)
            if content is not None:
                path = member.name.removeprefix("./")
                found[path] = content.read()
                if member.mode & stat.S_IXUSR:
                    executable.add(path)
    return found, frozenset(executable)


def _yaml(name: str) -> bool:
    return name.lower().endswith((".yaml", ".yml"))


def _check_size(files: int, size: int) -> None:
    if files > MAX_FILES or size > MAX_UNPACKED:
        raise Problem(413, "the archive holds too much: split it")
