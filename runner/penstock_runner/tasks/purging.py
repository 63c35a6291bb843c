"""What a purge of keys takes away, pure: which namespaces, which keys of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from penstock_runner.tasks.api import KvEntry
from penstock_runner.tasks.keyvalues import expired

BOTH = (
    "Properties `namespaces` and `namespacePattern` can't be used at the same time — "
    "use one or the other."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """Keys to delete; no namespaces and no pattern mean all of them."""

    namespaces: tuple[str, ...] = ()
    namespace_pattern: str | None = None
    children: bool = True
    key_pattern: str | None = None
    expired_only: bool = True

    @classmethod
    def from_wire(cls, plain: Mapping[str, Any]) -> Purge:
        """As it came with a message."""
        return cls(**{**plain, "namespaces": tuple(plain["namespaces"])})

    def to_wire(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def among(self, known: Iterable[str]) -> list[str]:
        """Those of the namespaces that are meant."""
        return [namespace for namespace in known if self._means(namespace)]

    def keys(self, entries: Iterable[KvEntry], now: datetime) -> list[str]:
        """The keys to delete, of the entries of one namespace."""
        return [
            entry.key
            for entry in entries
            if (not self.expired_only or expired(entry, now))
            and (not self.key_pattern or matches(entry.key, self.key_pattern))
        ]

    def _means(self, namespace: str) -> bool:
        if self.namespace_pattern:
            return matches(namespace, self.namespace_pattern)
        return not self.namespaces or any(
            namespace == top or (self.children and namespace.startswith(f"{top}."))
            for top in self.namespaces
        )


def matches(name: str, pattern: str) -> bool:
    """Whether a name is what `*` and `?` of a pattern leave open."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))
