"""Which types exist, found by reading the source files of task packages, not by importing them.

A package is named by an entry point of the group `penstock.tasks`; Penstock's own tasks are one of
them. A type is the line `@task("its.name", ...)` above a class, so adding one touches one file, and
looking names up is cheap; its module is imported when its properties or the class are asked for.

Types of the language that Penstock does not have are known by name: flows that use one are kept,
and such a task fails when it is reached.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast

from pydantic import BaseModel

from penstock_runner.flow.catalogue import TypeInfo, TypeKind
from penstock_runner.flow.types import canonical
from penstock_runner.tasks.api import TaskProperties

GROUP: Final = "penstock.tasks"
BUILT_IN: Final = "penstock_runner.tasks"
SHIPPED_IN_FULL: Final = ("io.kestra.plugin.core.", "io.penstock.")
"""Under these prefixes a name that is not registered is a mistake."""

NOT_SHIPPED: Final = frozenset(
    f"io.kestra.plugin.core.{name}"
    for name in (
        "flow.PurgeFlows",
        "flow.Version",
        "kv.Version",
        "namespace.Version",
    )
)
"""Names of later releases under those prefixes: no mistakes, only not here."""

NEAR: Final = 4
"""As many slips of the finger and a name is still proposed."""

_REGISTRATION = re.compile(r"^@task\((.*?)\)\nclass (\w+)", re.MULTILINE | re.DOTALL)
_WELL_FORMED = re.compile(
    r"io\.kestra\.(?:plugin|core\.tasks\.scripts)\.(?:[a-z][\w-]*\.)*[A-Z]\w*", re.ASCII
)
_OTHER_PARTS: Final = frozenset(
    {"provider", "embeddings", "retriever", "tool", "memory", "assets", "data", "chart"}
)


class UnknownType(LookupError):
    """Nothing is registered under this name."""

    def __init__(self, name: str, similar: Sequence[str] = ()) -> None:
        hint = f"; did you mean {similar[0]}?" if similar else ""
        super().__init__(f"Invalid type: {name}{hint}")
        self.name = name
        self.similar = tuple(similar)


class TypeTaken(Exception):
    """Two classes are registered under one name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One registration as read from a source file."""

    name: str
    module: str
    class_name: str
    aliases: tuple[str, ...] = ()
    kind: TypeKind = "task"
    inline: bool = False
    flowable: bool = False
    polling: bool = False
    extra: str | None = None


class Registry:
    """The types of all installed task packages; implements `flow.catalogue.Catalogue`."""

    def __init__(self, packages: Iterable[str] | None = None) -> None:
        self._given = None if packages is None else tuple(packages)
        self._infos: dict[str, TypeInfo | None] = {}

    def find(self, name: str) -> TypeInfo | None:
        """The type of this name or alias; None when nobody knows it."""
        if name not in self._infos:
            self._infos[name] = self._look_up(name)
        return self._infos[name]

    def similar(self, name: str) -> list[str]:
        """Names close to a misspelt one, nearest first."""
        last = name.rpartition(".")[2].lower()
        near: list[tuple[int, str]] = []
        for known in self._entries:
            distance = edit_distance(name, known, limit=NEAR)
            if distance <= NEAR:
                near.append((distance, known))
            elif known.rpartition(".")[2].lower() == last:
                near.append((NEAR + 1, known))
        return [known for _, known in sorted(near)[:5]]

    def load(self, name: str) -> type[TaskProperties]:
        """The class behind a name or alias; imports its module."""
        entry = self._entry(name)
        if entry is None:
            raise UnknownType(name, self.similar(name))
        return cast("type[TaskProperties]", self._class(entry))

    def names(self, kind: TypeKind | None = None) -> list[str]:
        """The present names of all types, sorted."""
        return sorted(e.name for e in self._entries.values() if kind in {None, e.kind})

    def is_inline(self, name: str) -> bool:
        """Whether a task of this type may run inside the executor's step."""
        entry = self._entry(name)
        return entry is not None and entry.inline

    def is_flowable(self, name: str) -> bool:
        """Whether the type orders other tasks."""
        entry = self._entry(name)
        return entry is not None and entry.flowable

    def is_polling(self, name: str) -> bool:
        """Whether a trigger of this type is evaluated by runners, at an interval."""
        entry = self._entry(name)
        return entry is not None and entry.polling

    @cached_property
    def _built_in(self) -> Mapping[str, Entry]:
        """Most flows need no others, and looking for other packages takes longer than this."""
        if self._given is not None:
            return {}
        return {entry.name: entry for entry in read_package(BUILT_IN)}

    @cached_property
    def _entries(self) -> Mapping[str, Entry]:
        entries = dict(self._built_in)
        for package in installed_packages()[1:] if self._given is None else self._given:
            for entry in read_package(package):
                if entry.name in entries:
                    first = entries[entry.name]
                    raise TypeTaken(
                        f"{entry.name} is registered by {first.module} and by {entry.module}; "
                        "rename one of them"
                    )
                entries[entry.name] = entry
        return entries

    @cached_property
    def _aliases(self) -> Mapping[str, Entry]:
        return {alias: entry for entry in self._entries.values() for alias in entry.aliases}

    def _entry(self, name: str) -> Entry | None:
        if name in self._built_in:
            return self._built_in[name]
        present = canonical(name)
        for known in (self._entries, self._aliases):
            if name in known or present in known:
                return known.get(name) or known[present]
        return None

    def _look_up(self, name: str) -> TypeInfo | None:
        entry = self._entry(name)
        if entry is not None:
            return TypeInfo(
                name=entry.name,
                kind=entry.kind,
                properties=self._class(entry),
                flowable=entry.flowable,
                polling=entry.polling,
                extra=entry.extra,
            )
        present = canonical(name)
        if present not in NOT_SHIPPED and (not known_by_name(present) or self._misspelt(present)):
            return None
        return TypeInfo(name=present, kind=kind_by_name(present), available=False)

    def _misspelt(self, name: str) -> bool:
        return any(edit_distance(name, known, limit=2) <= 2 for known in self._entries)

    def _class(self, entry: Entry) -> type[BaseModel]:
        found: Any = getattr(importlib.import_module(entry.module), entry.class_name)
        return cast("type[BaseModel]", found)


def installed_packages() -> list[str]:
    """The task packages of this installation, Penstock's own first."""
    named = (point.value for point in importlib.metadata.entry_points(group=GROUP))
    return list(dict.fromkeys([BUILT_IN, *sorted(named)]))


def read_package(package: str) -> Iterator[Entry]:
    """The registrations in the source files of a package, or of a single module."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(
            f"the entry point of {GROUP} names {package}, which is not installed"
        )
    if spec.submodule_search_locations is None:
        yield from _read_file(Path(str(spec.origin)), package)
        return
    for folder in spec.submodule_search_locations:
        for path in sorted(Path(folder).glob("*.py")):
            yield from _read_file(path, f"{package}.{path.stem}")


def _read_file(path: Path, module: str) -> Iterator[Entry]:
    for found in _REGISTRATION.finditer(path.read_text("utf-8")):
        call = ast.parse(f"task({found[1]})", mode="eval").body
        if not isinstance(call, ast.Call):  # pragma: no cover - the text is a call
            continue
        name, *_ = [ast.literal_eval(argument) for argument in call.args]
        options = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        options["aliases"] = tuple(options.get("aliases", ()))
        kind = options.pop("kind", "task")
        options["flowable"] = kind == "flowable"
        options["polling"] = kind == "polling"
        yield Entry(
            name=name,
            module=module,
            class_name=found[2],
            kind={"flowable": "task", "polling": "trigger"}.get(kind, kind),
            **options,
        )


def known_by_name(name: str) -> bool:
    """Whether a name may be a type of the language that Penstock does not have."""
    return bool(_WELL_FORMED.fullmatch(name)) and not name.startswith(SHIPPED_IN_FULL)


def kind_by_name(name: str) -> TypeKind:
    """What a type is, as far as its name tells."""
    *parts, last = name.split(".")
    if last.endswith("Trigger"):
        return "trigger"
    if "condition" in parts:
        return "condition"
    if "runner" in parts:
        return "taskrunner"
    return "other" if _OTHER_PARTS & set(parts) else "task"


def edit_distance(left: str, right: str, *, limit: int) -> int:
    """Insertions, deletions and replacements between two texts, counted up to `limit` + 1."""
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
        if min(row) > limit:
            return limit + 1
    return row[-1]
