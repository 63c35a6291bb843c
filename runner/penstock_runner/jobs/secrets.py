"""The secrets of an installation: values of its environment, files, and who may read them.

A file wins over a variable of the same name, and is read again when it has changed. The map stays
in memory; nothing of it is written anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from penstock_runner.expressions.errors import ExpressionFailed, UnknownSecret

LONGEST_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Secrets (a glob of names) that only some namespaces (globs) may read.

    With `protected` only their flows that came from a protected ref of a Git source.
    """

    names: str
    namespaces: tuple[str, ...]
    protected: bool = False


@dataclass(frozen=True, slots=True)
class _Read:
    """What a file held when it was last read."""

    mark: tuple[int, int, int]
    value: str


def _files_in(folder: Path) -> dict[str, Path]:
    """Files by upper-case name, the hidden ones left out."""
    found = sorted(folder.iterdir())
    return {
        one.name.upper(): one for one in found if not one.name.startswith(".") and one.is_file()
    }


Names = frozenset[str] | None
"""Upper-case names of secrets; None: any, since some name is worked out when it is needed."""

_ASKS = re.compile(r"\bsecret\s*\(")
_NAMES = re.compile(r"""\bsecret\s*\(\s*(?:key\s*=\s*)?\\?(["'])(\w[\w.-]*)\\?\1(?=\s*[,)])""")


class Secrets(Mapping[str, str]):
    """Values by upper-case name; `files` are paths by name, `folder` holds files by name."""

    def __init__(
        self,
        values: Mapping[str, str],
        *,
        files: Mapping[str, Path] | None = None,
        folder: Path | None = None,
        scopes: Sequence[Scope] = (),
    ) -> None:
        self._values = dict(values)
        self._files = dict(files or {})
        self._folder = folder
        self._read: dict[Path, _Read] = {}
        self._listing: tuple[tuple[int, int], dict[str, Path]] | None = None
        self.scopes = tuple(scopes)

    def __getitem__(self, name: str) -> str:
        path = self._path(name)
        value = None if path is None else self._content(path)
        if value is not None:
            return value
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys([*self._files, *self._listed(), *self._values])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"<{len(self)} secrets>"

    def source(self, name: str) -> str:
        """Where a secret comes from."""
        path = self._path(name)
        return "environment" if path is None else str(path)

    def doubled(self) -> list[str]:
        """Names that more than one place has."""
        places = [set(self._files), set(self._listed()), set(self._values)]
        return sorted(n for n in self if sum(n in place for place in places) > 1)

    def with_value(self, name: str, value: str) -> Secrets:
        """The same, and one more."""
        return Secrets(
            {**self._values, name: value},
            files=self._files,
            folder=self._folder,
            scopes=self.scopes,
        )

    def _path(self, name: str) -> Path | None:
        named = self._files.get(name)
        return named if named is not None else self._listed().get(name)

    def _listed(self) -> dict[str, Path]:
        if self._folder is None:
            return {}
        try:
            facts = self._folder.stat()
            mark = (facts.st_mtime_ns, facts.st_ino)
            if self._listing is None or self._listing[0] != mark:
                self._listing = (mark, _files_in(self._folder))
        except OSError:
            return {}
        return self._listing[1]

    def _content(self, path: Path) -> str | None:
        try:
            facts = path.stat()
            mark = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
            known = self._read.get(path)
            if known is not None and known.mark == mark:
                return known.value
            if facts.st_size > LONGEST_FILE:
                return None
            text = path.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        value = text.removesuffix("\n").removesuffix("\r")
        self._read[path] = _Read(mark, value)
        return value


def named_in(*texts: str) -> Names:
    """The secrets that the expressions in these texts name."""
    found: set[str] = set()
    for text in texts:
        names = [name for _, name in _NAMES.findall(text)]
        if len(names) < len(_ASKS.findall(text)):
            return None
        found.update(name.upper() for name in names)
    return frozenset(found)


def values_named(secrets: Mapping[str, str], names: Names) -> list[str]:
    """The values of these secrets, those that there are."""
    found = (secrets.get(name) for name in (secrets if names is None else names))
    return [value for value in found if value]


def _scopes(secrets: Mapping[str, str], name: str) -> Iterator[Scope]:
    yield from (
        scope for scope in getattr(secrets, "scopes", ()) if fnmatchcase(name, scope.names.upper())
    )


def may_read(secrets: Mapping[str, str], name: str, namespace: str) -> bool:
    """Whether flows of a namespace may read a secret: every scope that names it lets them."""
    return all(
        any(fnmatchcase(namespace, allowed) for allowed in scope.namespaces)
        for scope in _scopes(secrets, name)
    )


def names_for(secrets: Mapping[str, str], namespace: str) -> list[str]:
    """The secrets that flows of a namespace may read, sorted."""
    return sorted(name for name in secrets if may_read(secrets, name, namespace))


def secret_of(
    secrets: Mapping[str, str], name: str, namespace: str, *, protected: bool = False
) -> str:
    """A secret as a flow of a namespace, of a protected ref or not, may read it."""
    name = name.upper()
    if not may_read(secrets, name, namespace):
        raise ExpressionFailed(
            f"SECRET_NOT_ALLOWED: the namespace {namespace} may not read the secret {name}; "
            "`secret.scopes` of the settings says who may"
        )
    if not protected and any(scope.protected for scope in _scopes(secrets, name)):
        raise ExpressionFailed(
            f"SECRET_NOT_ALLOWED: the secret {name} is for flows that came from a protected ref of "
            "a Git source, and this one did not"
        )
    value = secrets.get(name)
    if value is None:
        raise UnknownSecret(name)
    return value
