"""Files of a job: what is put into its working directory before, and what is kept of it after.

Order: namespace files, then `inputFiles`, then the task's own script; a later one overwrites.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

from penstock_runner.jobs.workspace import Workspace
from penstock_runner.tasks import globs, places
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.storage import BadAddress, FileMissing, Storage

ADDRESS = re.compile(r"kestra://[-a-zA-Z0-9%._+~#=/]*")
GLOB = re.compile(r"[*?\[{]")
NAMESPACE_FILE = "nsfile://"

RenderText = Callable[[object], object]
Address = Callable[[str], str]
Found = tuple[Path, bool]
"""A file, and whether it is known to lie in the job's folders."""


def place_input_files(
    spec: object, *, workspace: Workspace, storage: Storage, namespace: str, render: RenderText
) -> list[str]:
    """Put `inputFiles` (a map, a list, or JSON text of either) into the working directory."""
    placed: list[str] = []
    for name, content in _entries(spec, render):
        workspace.place(name, _filler(content, storage, namespace))
        placed.append(name)
    return placed


def place_namespace_files(
    spec: Mapping[str, Any] | None,
    *,
    workspace: Workspace,
    storage: Storage,
    namespace: str,
    render: RenderText,
) -> list[str]:
    """Put the files of the namespace, or of `namespaces`, that the rules keep there."""
    if spec is None or str(render(spec.get("enabled", True))).lower() == "false":
        return []
    include, exclude = (_anywhere(_texts(spec.get(k), render)) for k in ("include", "exclude"))
    kept = globs.selection(include, exclude)
    placed: list[str] = []
    for source in _texts(spec.get("namespaces"), render) or [namespace]:
        top = places.namespace_files(source)
        for found in storage.walk(top):
            relative = unquote(places.path_of(found.uri)[len(places.path_of(top)) :])
            if found.directory or not kept(relative):
                continue
            workspace.place(relative.lstrip("/"), _fetch(storage, found.uri))
            placed.append(relative.lstrip("/"))
    return placed


def localise(text: str, *, workspace: Workspace, storage: Storage) -> str:
    """The text with every address of the internal storage replaced by the path of a local copy."""
    if "kestra://" not in text:
        return text
    known: dict[str, str] = {}

    def copy(found: re.Match[str]) -> str:
        uri = found[0]
        if uri not in known:
            local = workspace.fetched(unquote(uri.rpartition("/")[2]), _fetch(storage, uri))
            known[uri] = str(local)
        return known[uri]

    return ADDRESS.sub(copy, text)


def find(
    patterns: Iterable[str],
    *,
    workspace: Workspace,
    refused: Callable[[str], None],
    output_dir: bool = False,
) -> dict[str, Path]:
    """The files that match, by relative path; links that lead out of the job are refused."""
    found = dict(_matching(list(patterns), workspace, refused))
    if output_dir:
        found.update(_walk(workspace.output_dir))
    inside: dict[str, Path] = {}
    for relative, (path, surely) in sorted(found.items()):
        if surely or workspace.inside(path):
            inside[relative] = path
        else:
            refused(f"{relative} is a link that leaves the working directory; it is not kept")
    return inside


def collect(
    patterns: Iterable[str],
    *,
    workspace: Workspace,
    storage: Storage,
    address: Address,
    refused: Callable[[str], None],
    output_dir: bool = False,
    move: bool = True,
) -> dict[str, str]:
    """Store the files that match and give their addresses by relative path."""
    found = find(patterns, workspace=workspace, refused=refused, output_dir=output_dir)
    kept: dict[str, str] = {}
    # A link may lead to a file that is moved away here: it comes before.
    for relative, path in sorted(found.items(), key=lambda one: not one[1].is_symlink()):
        digest = hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()
        uri = address(f"{digest}-{safe_name(path.name)}")
        kept[relative] = workspace.keep(path, storage, uri, move=move)
    return {relative: kept[relative] for relative in found}


def readable(name: str) -> str:
    """A path as text, also where its bytes are none: those are shown escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def safe_name(name: str) -> str:
    """A file name without what addresses cannot hold."""
    return re.sub(r"\.{2,}", ".", re.sub(r"[^A-Za-z0-9._+~=-]", "_", name)) or "file"


def _entries(spec: object, render: RenderText) -> Iterator[tuple[str, object]]:
    if isinstance(spec, str):
        text = render(spec)
        spec = text
        if isinstance(text, str):
            try:
                spec = orjson.loads(text)
            except orjson.JSONDecodeError:
                raise TaskFailed(
                    f"inputFiles must be a map, a list or the JSON text of one, not {text[:100]!r}"
                ) from None
        yield from _plain_entries(spec, empty_for_null=True)
    elif isinstance(spec, Mapping):
        for name, content in spec.items():
            if content is not None:
                yield str(render(render(str(name)))), render(content)
    elif spec is not None:
        yield from _plain_entries(render(spec), empty_for_null=False)


def _plain_entries(spec: object, *, empty_for_null: bool) -> Iterator[tuple[str, object]]:
    if isinstance(spec, Mapping):
        for name, content in spec.items():
            if content is not None or empty_for_null:
                yield str(name), "" if content is None else content
    elif isinstance(spec, list):
        for item in spec:
            if isinstance(item, Mapping):
                yield from _plain_entries(item, empty_for_null=empty_for_null)
            elif isinstance(item, str) and "://" in item:
                yield unquote(item.rpartition("/")[2]), item
            else:
                yield str(item), f"{NAMESPACE_FILE}/{str(item).lstrip('/')}"
    elif spec is not None:
        raise TaskFailed(f"inputFiles must be a map or a list, not {str(spec)[:100]!r}")


def _filler(content: object, storage: Storage, namespace: str) -> Callable[[Path], None]:
    if isinstance(content, str) and ADDRESS.fullmatch(content.strip()):
        return _fetch(storage, content.strip())
    if isinstance(content, str) and content.startswith(NAMESPACE_FILE):
        path = content.removeprefix(NAMESPACE_FILE).lstrip("/")
        return _fetch(storage, places.namespace_file(namespace, path))
    if isinstance(content, str):
        raw = content.encode("utf-8", "surrogatepass")
    else:
        raw = orjson.dumps(content, default=str)
    return lambda target: _write(target, raw)


def _write(target: Path, raw: bytes) -> None:
    target.write_bytes(raw)


def _fetch(storage: Storage, uri: str) -> Callable[[Path], None]:
    def fill(target: Path) -> None:
        try:
            storage.fetch(uri, target)
        except FileMissing:
            raise TaskFailed(f"There is no file {uri} in the internal storage") from None
        except BadAddress as error:
            raise TaskFailed(str(error)) from None

    return fill


def _matching(
    patterns: list[str], workspace: Workspace, refused: Callable[[str], None]
) -> Iterator[tuple[str, Found]]:
    base = str(workspace.path)
    wide: list[str] = []
    for pattern in patterns:
        relative = pattern.removeprefix(base + "/").removeprefix("./")
        if GLOB.search(pattern) or pattern.startswith(("glob:", "regex:")):
            wide.append(relative)
        elif ".." in Path(relative).parts or relative.startswith("/"):
            refused(f"{pattern} leaves the working directory; it is not kept")
        elif (workspace.path / relative).is_file():
            yield relative, (workspace.path / relative, False)
    if wide:
        meant = globs.rule(wide, base)
        for relative, found in _walk(workspace.path):
            if meant(f"{base}/{relative}"):
                yield relative, found


def _anywhere(patterns: list[str]) -> list[str]:
    """`*.py` without a folder means any folder: every path starts with a slash."""
    return [f"**/{p}" if p.startswith("*") and not p.startswith("**") else p for p in patterns]


def _walk(top: Path) -> Iterator[tuple[str, Found]]:
    """Every file below a folder, links to files included; links to folders are not followed."""
    for folder, folders, names in os.walk(top):
        folders.sort()
        below = os.path.relpath(folder, top)
        for name in sorted(names):
            path = Path(folder, name)
            try:
                mode = path.lstat().st_mode
            except OSError:
                continue
            link = stat.S_ISLNK(mode)
            if stat.S_ISREG(mode) or (link and path.is_file()):
                relative = name if below == "." else f"{below}/{name}"
                yield readable(relative), (path, not link)


def _texts(value: object, render: RenderText) -> list[str]:
    rendered = render(value) if value is not None else None
    if rendered is None:
        return []
    return [str(item) for item in rendered] if isinstance(rendered, list) else [str(rendered)]
