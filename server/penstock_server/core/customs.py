"""What the settings add to every flow: defaults of types and namespaces, and what is protected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from penstock_runner.executor.customs import Customs, NamespaceDefault
from penstock_runner.flow.defaults import Default
from penstock_server.config import Settings
from penstock_server.sync.settings import SourceSettings


def customs_of(
    settings: Settings, source: Callable[[str], SourceSettings | None] = lambda _id: None
) -> Customs:
    """The customs of a service; `source` gives what is said of a Git source now.

    Only the settings can make a ref a protected one: whoever may declare a source by the API
    should not thereby get at what is kept for others.
    """

    def protected(commit: Mapping[str, object] | None) -> bool:
        if commit is None:
            return False
        said = source(str(commit.get("source")))
        if said is None or said.origin != "config":
            return False
        ref = short_ref(str(commit.get("ref") or ""))
        return any(fnmatchcase(ref, pattern) for pattern in said.protected_refs)

    def namespace(name: str) -> NamespaceDefault:
        said = settings.runner.default_of(name)
        return NamespaceDefault(runs_on=said.runs_on, on_runner_lost=said.on_runner_lost)

    return Customs(
        defaults=global_defaults(settings.plugin_defaults),
        namespace=namespace,
        protected=protected,
    )


def global_defaults(listed: Sequence[Mapping[str, object]]) -> list[Default]:
    """The defaults of the configuration as the language takes them."""
    return [
        Default(
            type=str(one["type"]),
            values=dict(one.get("values") or {}),  # type: ignore[call-overload]
            forced=bool(one.get("forced")),
        )
        for one in listed
        if one.get("type")
    ]


def short_ref(ref: str) -> str:
    """`main` for `refs/heads/main`, `v1` for `refs/tags/v1`."""
    for prefix in ("refs/heads/", "refs/tags/"):
        if ref.startswith(prefix):
            return ref.removeprefix(prefix)
    return ref
