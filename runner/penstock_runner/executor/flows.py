"""Flows as they run.

A stored revision is parsed once, with its defaults applied and its plan compiled.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from penstock_runner.engine.plan import Plan
from penstock_runner.engine.state import TriggerOrigin
from penstock_runner.executor.customs import NO_CUSTOMS, Customs, NamespaceDefault
from penstock_runner.executor.messages import Refused
from penstock_runner.executor.store import StoredFlow
from penstock_runner.flow.defaults import Given
from penstock_runner.flow.model import Flow, Task
from penstock_runner.flow.parse import parse_flow
from penstock_runner.flow.routing import written_route
from penstock_runner.jobs.secrets import Names, named_in

REMEMBERED = 2000
NOT_FOUND = "Requested Flow is not found."
PUSH = "io.penstock.trigger.Push"


@dataclass(slots=True, kw_only=True)
class LoadedFlow:
    """A revision ready to run, with the names of the secrets that it asks for.

    `inline` remembers which tasks may run in the executor's step; `defaults` are what tasks start
    from; `written` has the tasks without these, where that makes a difference.
    """

    stored: StoredFlow
    flow: Flow
    plan: Plan
    defaults: tuple[Given, ...] = ()
    secrets: Names = frozenset()
    customs: Customs = NO_CUSTOMS
    written: Mapping[str, Task] = field(default_factory=dict)
    inline: dict[str, bool] = field(default_factory=dict)
    _routes: dict[str, dict[str, Any] | None] = field(default_factory=dict)

    def route(self, task: Task) -> dict[str, Any] | None:
        """What is written of where a task runs: by itself, its flow, its type or its namespace."""
        if task.id not in self._routes:
            levels = (self.written.get(task.id, task), self.flow, task, self.default)
            self._routes[task.id] = written_route(levels)
        return self._routes[task.id]

    @property
    def default(self) -> NamespaceDefault:
        """What its namespace says."""
        return self.customs.namespace(self.stored.namespace)

    @property
    def protected(self) -> bool:
        """Whether it is of a protected ref."""
        return self.customs.protected(self.stored.git)

    @property
    def name(self) -> tuple[str, str]:
        """Namespace and id."""
        return (self.stored.namespace, self.stored.id)


class Flows:
    """Gives loaded flows by name and revision; remembers the latest used."""

    def __init__(
        self,
        find: Callable[[str, str, int | None], StoredFlow | None],
        customs: Customs = NO_CUSTOMS,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._changed = changed
        self._find = find
        self._customs = customs
        self._loaded: OrderedDict[tuple[str, str, int], LoadedFlow] = OrderedDict()
        self._heads: dict[tuple[str, str], StoredFlow] = {}

    def forget(self, names: Sequence[tuple[str, str]]) -> None:
        """The heads of these flows have changed."""
        for name in names:
            self._heads.pop(name, None)
        if names:
            self._changed()

    def get(self, namespace: str, flow_id: str, revision: int | None = None) -> LoadedFlow:
        """The flow; raises `Refused` when there is none or when it does not parse."""
        if revision is None:
            stored = self._head(namespace, flow_id)
        else:
            loaded = self._loaded.get((namespace, flow_id, revision))
            if loaded is not None:
                self._loaded.move_to_end((namespace, flow_id, revision))
                return loaded
            stored = self._find(namespace, flow_id, revision)
        if stored is None:
            raise Refused(NOT_FOUND, status=404)
        return self._load(stored)

    def _head(self, namespace: str, flow_id: str) -> StoredFlow | None:
        head = self._heads.get((namespace, flow_id))
        if head is None:
            head = self._find(namespace, flow_id, None)
            if head is not None:
                self._heads[(namespace, flow_id)] = head
        return head

    def _load(self, stored: StoredFlow) -> LoadedFlow:
        key = (stored.namespace, stored.id, stored.revision)
        loaded = self._loaded.get(key)
        if loaded is None:
            loaded = load(stored, self._customs)
            self._loaded[key] = loaded
            while len(self._loaded) > REMEMBERED:
                self._loaded.popitem(last=False)
        elif loaded.stored != stored:
            # The text is the same, but somebody has switched the flow off or on.
            loaded = self._loaded[key] = replace(loaded, stored=stored)
        return loaded


def load(stored: StoredFlow, customs: Customs = NO_CUSTOMS) -> LoadedFlow:
    """Parse and compile a stored revision; raises `Refused` when it is no valid flow."""
    parsed = parse_flow(stored.source, global_defaults=customs.defaults)
    flow = parsed.effective
    if flow is None:
        first = next(iter(parsed.faults), None)
        raise Refused(f"Requested Flow is not valid. Error: {first}", status=409)
    secrets = named_in(stored.source, *(str(default) for default in customs.defaults))
    default = customs.namespace(stored.namespace)
    update: dict[str, object] = {"namespace": stored.namespace, "revision": stored.revision}
    if flow.on_runner_lost is None:
        update["on_runner_lost"] = default.on_runner_lost
    differs = parsed.flow is not None and parsed.flow is not flow
    written = parsed.flow.walk() if parsed.flow is not None and differs else ()
    flow = flow.model_copy(update=update)
    return LoadedFlow(
        stored=stored,
        flow=flow,
        plan=Plan.of(flow),
        defaults=(*flow.plugin_defaults, *customs.defaults),
        secrets=secrets,
        customs=customs,
        written={task.id: task for task in written},
    )


def git_facts(
    revision: Mapping[str, object] | None, trigger: TriggerOrigin | None
) -> dict[str, object]:
    """What is known of the commit an execution is about: the pushed one, else its revision's."""
    facts = dict(revision or {})
    if trigger is not None and trigger.type == PUSH:
        pushed = dict(trigger.variables)
        pushed["subject"] = str(pushed.get("message") or "").split("\n", 1)[0]
        facts.update({name: value for name, value in pushed.items() if value}, event="push")
    return facts


def git_place(facts: Mapping[str, object]) -> dict[str, str]:
    """Where a checkout finds the commit."""
    return {name: str(facts[name]) for name in ("source", "commit") if facts.get(name)}


def git_variables(git: Mapping[str, object] | None) -> dict[str, str]:
    """The CI_* variables of jobs of a Git-managed flow."""
    names = {
        "CI_COMMIT_SHA": "commit",
        "CI_COMMIT_REF": "ref",
        "CI_COMMIT_BRANCH": "branch",
        "CI_COMMIT_TAG": "tag",
        "CI_COMMIT_AUTHOR": "author",
        "CI_COMMIT_AUTHOR_EMAIL": "email",
        "CI_COMMIT_MESSAGE": "subject",
        "CI_PREV_COMMIT_SHA": "before",
        "CI_REPO_URL": "url",
        "CI_PIPELINE_EVENT": "event",
    }
    found = {name: (git or {}).get(source) for name, source in names.items()}
    return {name: str(value) for name, value in found.items() if value}
