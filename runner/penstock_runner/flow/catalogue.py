"""What the language needs to know of the types that exist, without importing any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import BaseModel

TypeKind = Literal["task", "trigger", "condition", "taskrunner", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeInfo:
    """One type: its present name, and the model of its own properties when Penstock has it.

    `properties` is None for a type that is only known by name: its properties are not checked, and
    a task of it fails when reached. `flowable` types order other tasks and are the engine's,
    `polling` triggers are evaluated by runners at an interval.
    """

    name: str
    kind: TypeKind
    properties: type[BaseModel] | None = None
    flowable: bool = False
    polling: bool = False
    available: bool = True
    extra: str | None = None


class Catalogue(Protocol):
    """Looks types up by present name or alias."""

    def find(self, name: str) -> TypeInfo | None:
        """The type of this name or alias; None when nobody knows it."""
        ...

    def similar(self, name: str) -> Sequence[str]:
        """Names close to a misspelt one, nearest first."""
        ...
