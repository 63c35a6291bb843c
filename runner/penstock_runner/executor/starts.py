"""From a request to start to an execution: its flow, its inputs, its labels, its origin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from penstock_runner.engine import commands as c
from penstock_runner.engine.fold import Fold
from penstock_runner.engine.state import GROUP, Execution, State, TriggerOrigin
from penstock_runner.engine.truth import truthy
from penstock_runner.executor.children import WANTED
from penstock_runner.executor.context import Context
from penstock_runner.executor.flows import NOT_FOUND, Flows, LoadedFlow
from penstock_runner.executor.inline import InlineRender, InlineServices, Surroundings
from penstock_runner.executor.links import link
from penstock_runner.executor.live import PARENT_RUN, Live, masked
from penstock_runner.executor.messages import Refused, Start
from penstock_runner.executor.values import Values
from penstock_runner.expressions.errors import ExpressionFailed, NotInline
from penstock_runner.flow.checks import (
    BLOCK,
    CREATE,
    FAIL,
    CheckFailed,
    failed_checks,
    told,
    verdict,
)
from penstock_runner.flow.inputs import resolve
from penstock_runner.flow.labels import CORRELATION_ID, REPLAY, RESTARTED, is_system, text_of
from penstock_runner.flow.model import Check, Level

COMMIT = "system.gitCommit"
# What is known of the commit of a revision, and the labels that say so.
OF_COMMIT = {COMMIT: "commit", "system.gitSource": "source", "system.gitRef": "ref"}
LONGEST_GROUP = 200
# Where somebody waits for the answer and reads why there is no execution.
ASKING = frozenset({"api", "ui", "cli", "subflow"})
DEEPEST_SUBFLOWS = 50
DISABLED = "Requested Flow is disabled."


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An execution as created.

    `failure` is why it must fail before it begins, `notes` are checks that it did not pass and that
    let it begin all the same.
    """

    loaded: LoadedFlow
    execution: Execution
    failure: str | None = None
    notes: tuple[Check, ...] = ()


class Starts:
    """Prepares executions; touches nothing."""

    def __init__(
        self,
        flows: Flows,
        around: Surroundings,
        values: Values,
        now: Callable[[], datetime],
        encrypt: Callable[[str], str] | None = None,
        decrypt: Callable[[str], str] | None = None,
    ) -> None:
        self._flows = flows
        self._around = around
        self._values = values
        self._now = now
        self._encrypt = encrypt
        self._decrypt = decrypt

    def prepare(self, start: Start, execution_id: str) -> Prepared:
        """The execution as created; raises `Refused` when there can be none."""
        loaded = self._flows.get(start.namespace, start.flow_id, start.revision)
        if loaded.stored.deleted:
            raise Refused(NOT_FOUND, status=404)
        if loaded.stored.disabled or loaded.flow.disabled:
            raise Refused(DISABLED, status=409)
        labels = self._labels(loaded, start, execution_id)
        if start.replay_from is not None and start.replay_of is not None:
            copied = _copied(start.replay_of, execution_id, loaded.stored.revision, labels)
            return Prepared(loaded=loaded, execution=copied)
        execution = self._created(loaded, start, execution_id, labels)
        exempt = start.replay_of or start.failure
        failed = () if exempt else self._failed_checks(loaded, execution)
        behavior = verdict(failed)
        if behavior == BLOCK and start.origin in ASKING:
            raise Refused(f"Flow execution blocked: {told(failed, BLOCK)}")
        failure = told(failed, behavior) if behavior in (BLOCK, FAIL) else None
        try:
            execution = self._in_group(loaded, execution)
        except (ExpressionFailed, NotInline) as unknown:
            failure = failure or f"The concurrency group cannot be told: {unknown}"
        return Prepared(
            loaded=loaded,
            execution=execution,
            failure=start.failure or failure,
            notes=failed if behavior == CREATE else (),
        )

    def _created(
        self, loaded: LoadedFlow, start: Start, execution_id: str, labels: Mapping[str, str]
    ) -> Execution:
        at, old = self._now(), start.replay_of
        resolves = start.resolve and start.failure is None
        return Execution(
            id=execution_id,
            namespace=loaded.stored.namespace,
            flow_id=loaded.stored.id,
            flow_revision=loaded.stored.revision,
            history=((State.CREATED, at),),
            inputs=self._inputs(loaded, start) if resolves else start.inputs,
            labels=labels,
            trigger=start.trigger,
            parent_id=old.id if old else None,
            original_id=(old.original_id if old else None) or execution_id,
            original_created=(old.original_created if old else None) or at,
            attempt_number=old.attempt_number + 1 if old else 1,
            schedule_date=start.schedule_date,
            variables=start.variables,
            facts=start.facts,
        )

    def failed_checks(self, start: Start) -> tuple[Check, ...]:
        """The checks of a flow that a start with these inputs would not pass."""
        loaded = self._flows.get(start.namespace, start.flow_id, start.revision)
        execution = Execution(
            id="unknown",
            namespace=loaded.stored.namespace,
            flow_id=loaded.stored.id,
            flow_revision=loaded.stored.revision,
            history=((State.CREATED, self._now()),),
            inputs=start.inputs,
            labels=self._labels(loaded, start, "unknown"),
        )
        return self._failed_checks(loaded, execution)

    def _failed_checks(self, loaded: LoadedFlow, execution: Execution) -> tuple[Check, ...]:
        if not loaded.flow.checks:
            return ()
        variables, services = self._view(loaded, execution)

        def render(condition: str) -> object:
            try:
                return self._around.expressions.render_typed(condition, variables, services)
            except (ExpressionFailed, NotInline) as failed:
                raise CheckFailed(masked(str(failed), set(services.secrets_used))) from failed

        return failed_checks(loaded.flow.checks, render)

    def _in_group(self, loaded: LoadedFlow, execution: Execution) -> Execution:
        """The execution in its concurrency group, if it is in one."""
        rule = loaded.flow.concurrency
        if rule is None or rule.group is None:
            return execution
        variables, services = self._view(loaded, execution)
        name = InlineRender(self._around.expressions, variables, services).text(rule.group) or ""
        if any(secret and secret in name for secret in services.secrets_used):
            raise ExpressionFailed("it shows a secret, and the names of groups are logged")
        if not name.strip() or len(name) > LONGEST_GROUP:
            raise ExpressionFailed(f"its name must have 1 to {LONGEST_GROUP} characters")
        return replace(execution, facts={**execution.facts, GROUP: name.strip()})

    def _view(
        self, loaded: LoadedFlow, execution: Execution
    ) -> tuple[dict[str, Any], InlineServices]:
        """What expressions about an execution see that does not exist yet."""
        context = Context(loaded, Fold(loaded.plan, execution), {}, self._decrypt)
        services = InlineServices(
            self._around, self._values, execution.namespace, self._now(), protected=loaded.protected
        )
        services.secrets_used.extend(context.secrets)
        return context.of_execution(execution), services

    def _inputs(self, loaded: LoadedFlow, start: Start) -> Mapping[str, Any]:
        services = InlineServices(
            self._around,
            self._values,
            loaded.stored.namespace,
            self._now(),
            protected=loaded.protected,
        )
        constant = {
            "flow": {"id": loaded.flow.id, "namespace": loaded.stored.namespace},
            "vars": loaded.flow.variables,
        }
        if start.trigger is not None:
            constant["trigger"] = start.trigger.variables

        def render_typed(source: str, variables: Mapping[str, object]) -> object:
            return self._around.expressions.render_typed(
                source, {**constant, **variables}, services
            )

        resolved = resolve(
            loaded.flow.inputs, start.inputs or {}, render_typed=render_typed, encrypt=self._encrypt
        )
        if resolved.blocking:
            raise Refused(f"Invalid entity: {resolved.blocking[0]}")
        return resolved.values

    def _labels(self, loaded: LoadedFlow, start: Start, execution_id: str) -> dict[str, str]:
        labels = {k: v for k, v in loaded.flow.labels.items() if not is_system(k)}
        labels.update(start.labels)
        if start.correlate:
            labels.setdefault(CORRELATION_ID, start.correlation_id or execution_id)
        git = loaded.stored.git or {}
        labels.update({label: str(git[name]) for label, name in OF_COMMIT.items() if git.get(name)})
        return labels

    def of_subflow(self, parent: Live, command: c.StartSubflow, child_id: str) -> Start:
        """The start of the child execution that a task run asks for."""
        request = command.request
        origin = parent.base
        depth = int(str(origin.facts.get("depth", 0))) + 1
        if depth > DEEPEST_SUBFLOWS:
            raise Refused(
                f"Subflows are nested {depth} deep; does {request.get('namespace')}."
                f"{request.get('flowId')} start itself?"
            )
        task = parent.task(command.key)
        trigger = TriggerOrigin(
            id=task.id,
            type=task.type,
            variables={
                "executionId": origin.id,
                "namespace": origin.namespace,
                "flowId": origin.flow_id,
                "flowRevision": origin.flow_revision,
            },
        )
        revision = request.get("revision")
        return Start(
            namespace=str(request.get("namespace") or origin.namespace),
            flow_id=str(request["flowId"]),
            revision=int(str(revision)) if revision is not None else None,
            inputs=request.get("inputs") or {},  # type: ignore[arg-type]
            resolve=True,
            labels=_labels_of_child(parent, request),
            trigger=trigger,
            schedule_date=_date(request.get("scheduleDate")),
            origin="subflow",
            id=child_id,
            correlation_id=parent.execution().labels.get(CORRELATION_ID),
            facts={
                PARENT_RUN: [origin.id, command.key, command.attempt, command.index],
                "depth": depth,
                **({WANTED: request["outputs"]} if request.get("outputs") else {}),
            },
        )

    def of_retry(self, live: Live, execution_id: str) -> Start:
        """The start of a new execution that tries again what `live` failed to do."""
        old = live.execution()
        return Start(
            namespace=old.namespace,
            flow_id=old.flow_id,
            revision=old.flow_revision,
            inputs=old.inputs,
            labels=dict(old.labels),
            trigger=old.trigger,
            variables=old.variables,
            origin="retry",
            id=execution_id,
            correlation_id=old.labels.get(CORRELATION_ID),
            replay_of=old,
        )

    def log_creation(
        self, parent: Live, command: c.StartSubflow, child: Execution, at: datetime
    ) -> None:
        """Say in the parent's log which execution was made."""
        message = f"Created new execution {link(child.id, child.flow_id, child.namespace)}"
        parent.log(at, Level.INFO, message, key=command.key, attempt=command.attempt)


# What is true of one execution only, and not of those that it starts.
OWN = frozenset({*OF_COMMIT, REPLAY, RESTARTED})


def _copied(old: Execution, execution_id: str, revision: int, labels: dict[str, str]) -> Execution:
    """What a replay from the middle begins as: all that has happened in the old execution."""
    return replace(
        old,
        id=execution_id,
        flow_revision=revision,
        parent_id=old.id,
        original_id=old.original_id or old.id,
        original_created=old.original_created or old.history[0][1],
        labels=labels,
        version=0,
    )


def refusal(command: c.StartSubflow, refused: Refused) -> str:
    """Why there is no child, in the words of the parent's log."""
    request = command.request
    if str(refused) == NOT_FOUND:
        return (
            f"Unable to find flow '{request.get('namespace')}'.'{request.get('flowId')}' "
            f"with revision '{request.get('revision') or 0}'"
        )
    return "Cannot execute a flow which is disabled" if str(refused) == DISABLED else str(refused)


def _labels_of_child(parent: Live, request: Mapping[str, object]) -> dict[str, str]:
    """The parent's labels as far as they are passed on, then those that the task says."""
    theirs = parent.execution().labels
    inherits = truthy(request.get("inheritLabels"))
    passed = {k: v for k, v in theirs.items() if (inherits or is_system(k)) and k not in OWN}
    return {**passed, **_map(request.get("labels"))}


def _date(value: object) -> datetime | None:
    if value in (None, ""):
        return None
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise Refused(f"`scheduleDate` must be a date with a time, not {value!r}") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _map(value: object) -> dict[str, str]:
    if isinstance(value, Mapping):
        return {str(k): text_of(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return {str(item["key"]): text_of(item["value"]) for item in value}
    return {}
