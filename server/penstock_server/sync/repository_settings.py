"""`.penstock.yml`: what a repository says about how it is read.

It narrows what the server allows and never widens it: patterns hold beside those of the server, a
mapping counts where the server has none, and labels of the server win.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import Field, ValidationError

from penstock_runner.flow.document import pointer_of
from penstock_runner.flow.faults import Fault, Severity
from penstock_runner.flow.yaml import load_documents
from penstock_runner.git.names import Patterns
from penstock_server.sync.file_rules import FileFolder, FileLayout, FileRules
from penstock_server.sync.settings import Mapping as NamespaceMapping
from penstock_server.sync.settings import Settings

FILE = ".penstock.yml"


class RepositorySettings(Settings):
    """What the file may say."""

    mapping: NamespaceMapping | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    files: FileRules | None = None
    tests: bool = True
    labels: Mapping[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How the files of a source are read: the server's settings, narrowed by the repository's."""

    mapping: NamespaceMapping
    include: tuple[Patterns, ...]
    exclude: Patterns
    files: FileLayout | tuple[FileFolder, ...]
    namespaces: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    tests: bool = True

    def included(self, path: str) -> bool:
        """Whether a file is to be read as a flow."""
        return all(not one or one.match(path) for one in self.include)

    @property
    def home(self) -> str | None:
        """The namespace of files whose folder names none."""
        named = self.mapping.target or self.mapping.prefix
        plain = [one for one in self.namespaces if not set(one) & set("*?[")]
        return named or (plain[0] if len(plain) == 1 == len(self.namespaces) else None)


def rules_of(source: Mapping[str, object], said: RepositorySettings | None = None) -> Rules:
    """The rules for a source as a request describes it."""
    plain = _Described.model_validate({key: source.get(key) for key in _KEYS if source.get(key)})
    said = said or RepositorySettings()
    return Rules(
        mapping=said.mapping or plain.mapping,
        include=(Patterns(plain.include), Patterns(said.include)),
        exclude=Patterns([*plain.exclude, *said.exclude]),
        files=said.files if said.files is not None else plain.files,
        namespaces=plain.namespaces,
        labels={key: value for key, value in said.labels.items() if key not in plain.labels},
        tests=said.tests and source.get("tests", True) is True and not source.get("by_task"),
    )


class _Described(Settings):
    mapping: NamespaceMapping = NamespaceMapping()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    files: FileRules = FileLayout()
    namespaces: tuple[str, ...] = ("*",)
    labels: Mapping[str, str] = Field(default_factory=dict)


_KEYS = tuple(_Described.model_fields)


def read_settings(text: str, path: str, mapping: NamespaceMapping) -> RepositorySettings | Fault:
    """Read the file; the first thing that is wrong with it stops the whole look."""
    documents = [one for one in load_documents(text, path) if one.faults or one.data is not None]
    if not documents:
        return RepositorySettings()
    document = documents[0]
    wrong = [fault for fault in document.faults if fault.severity is Severity.ERROR]
    if wrong:
        return wrong[0]
    if not isinstance(document.data, Mapping):
        return document.fault("WRONG_TYPE", "holds settings by name, not a list or text", "")
    try:
        said = RepositorySettings.model_validate(document.data)
    except ValidationError as error:
        first = error.errors()[0]
        return document.fault("BAD_VALUE", first["msg"], pointer_of(*first["loc"]))
    if said.mapping is not None and mapping != NamespaceMapping():
        message = "the server sets `mapping` for this source; remove it here"
        return document.fault("BAD_VALUE", message, "/mapping", key=True)
    return said
