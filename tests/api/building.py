# ruff: noqa: A002 - operations of core are called with the names that travel
"""A web process for tests: real store and storage, and a core that does what it is told at once."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.security import generate_password_hash

from penstock_runner.engine.state import Execution, RunKey, State, TaskRun, TriggerOrigin
from penstock_runner.executor.ciphers import Cipher
from penstock_runner.executor.ids import ExecutionIds
from penstock_runner.executor.store import Batch, ExecutionWrite, KvWrite, LogRow
from penstock_runner.expressions.environment import Expressions as Language
from penstock_runner.expressions.environment import NoServices
from penstock_runner.flow import durations
from penstock_runner.flow.labels import of_execution
from penstock_runner.flow.parse import parse_flow
from penstock_runner.jobs.secrets import Secrets
from penstock_runner.tasks import keyvalues
from penstock_runner.tasks.api import KvEntry
from penstock_runner.tasks.namespace_files import NamespaceStorage
from penstock_runner.tasks.registry import Registry
from penstock_runner.tasks.storage import LocalStorage
from penstock_server.api import routes
from penstock_server.api.context import BasicAuth, GitHook, WebContext
from penstock_server.api.stored_files import StoredFiles
from penstock_server.api.veil import Veil
from penstock_server.core.client import CoreGone, CoreRefused, Following
from penstock_server.core.shapes import execution_to_json
from penstock_server.store import flows, namespace_files, queries, schema
from penstock_server.store.engine import Database, open_store
from penstock_server.store.executions import SqlStore
from penstock_server.store.schema import metadata
from penstock_server.sync.measures import Measures

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
CIPHER = Cipher(b64encode(bytes(32)).decode())


@dataclass
class HandClock:
    """A clock that tests move."""

    at: datetime = NOON

    def now(self) -> datetime:
        return self.at

    def forward(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    allowed_hosts: Collection[str] = ("localhost",)
    basic_auth: BasicAuth | None = None
    open_paths: Collection[str] = ()
    url: str | None = None
    version: str = "1.2.3"
    environment: str | None = None
    public_status: bool = False


class TextExpressions:
    """The language without the world."""

    def __init__(self) -> None:
        self._language = Language()

    def render(self, source: str, variables: Mapping[str, object]) -> str | None:
        return self._language.render(source, variables, NoServices(NOON))

    def render_typed(self, source: str, variables: Mapping[str, object]) -> object:
        return self._language.render_typed(source, variables, NoServices(NOON))


@dataclass
class PromptCore:
    """Does each operation at once, in this thread; an execution ends when it is waited for."""

    database: Database
    store: SqlStore
    clock: HandClock
    connected: bool = True
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refusal: Exception | None = None
    ids: ExecutionIds = field(default_factory=ExecutionIds)
    followings: list[Following] = field(default_factory=list)
    waking: Callable[[], None] | None = None
    measures: Measures = field(default_factory=Measures)

    def call(self, operation: str, *, timeout: float = 30, **arguments: Any) -> Any:
        self.calls.append((operation, arguments))
        if self.refusal is not None:
            raise self.refusal
        if not self.connected:
            raise CoreGone("the service is starting; try again in a moment")
        return getattr(self, operation.replace(".", "_"))(**arguments)

    def follow(self, topic: str) -> Following:
        return Following(self, topic)  # type: ignore[arg-type]

    def add(self, following: Following) -> None:
        self.followings.append(following)
        if self.waking is not None:
            following.put({"type": "execution"})

    def remove(self, following: Following) -> None:
        self.followings.remove(following)

    def git_measures(self) -> dict[str, Any]:
        return self.measures.told()

    # -- files of namespaces ----------------------------------------------------------------------

    def files_release(self, *, namespace: str, path: str) -> None:
        with self.database.begin() as tx:
            namespace_files.release(tx.connection, namespace, path)

    # -- flows ------------------------------------------------------------------------------------

    def flow_save(
        self, *, source: str, mode: str, namespace: str, id: str, **rest: Any
    ) -> dict[str, Any]:
        flow = parse_flow(source, namespace=namespace).flow
        assert flow is not None
        with self.database.begin() as tx:
            head = flows.head(tx.connection, namespace, id)
            there = head is not None and not head.deleted
            if mode == "create" and there:
                raise CoreRefused(
                    "flow.id: Flow id already exists", 422, {"reason": "Invalid entity"}
                )
            if mode == "update" and not there:
                raise CoreRefused("", 404)
            saved = flows.save_revision(
                tx.connection,
                flows.Save(
                    namespace=namespace,
                    id=id,
                    source=source,
                    disabled=flow.disabled,
                    labels=flow.labels,
                    via=rest["via"],
                ),
                now=self.clock.now(),
            )
        return {"namespace": namespace, "id": id, "revision": saved.revision}

    def flow_delete(self, *, namespace: str, id: str, **_: Any) -> dict[str, Any]:
        with self.database.begin() as tx:
            flows.mark_deleted(tx.connection, [(namespace, id)], now=self.clock.now())
        return {}

    def flow_disable(self, *, namespace: str, id: str, disabled: bool, **_: Any) -> dict[str, Any]:
        with self.database.begin() as tx:
            override = flows.Override(disabled=disabled)
            flows.set_override(tx.connection, namespace, id, override, now=self.clock.now())
        return {}

    # -- executions -------------------------------------------------------------------------------

    def execution_start(
        self,
        *,
        namespace: str,
        flow_id: str,
        revision: int,
        inputs: dict[str, Any],
        labels: list[list[str]],
        wait: bool = False,
        id: str | None = None,
        trigger: dict[str, Any] | None = None,
        schedule_date: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        with self.database.read() as connection:
            found = flows.stored(connection, namespace, flow_id, revision)
        assert found is not None
        flow = parse_flow(found.source).flow
        assert flow is not None
        name = id or self.ids.new(self.clock.now())
        pairs = dict(labels)
        history = ((State.CREATED, self.clock.now()),)
        if wait:
            history = (*history, (State.SUCCESS, self.clock.now() + timedelta(seconds=1)))
        execution = Execution(
            id=name,
            namespace=namespace,
            flow_id=flow_id,
            flow_revision=revision,
            history=history,
            inputs=inputs,
            labels=of_execution(flow.labels, pairs, name),
            trigger=TriggerOrigin(**trigger) if trigger else None,
            schedule_date=datetime.fromisoformat(schedule_date) if schedule_date else None,
        )
        self.put(execution)
        return {"execution": execution_to_json(execution)}

    def execution_kill(self, *, id: str, cascade: bool, **_: Any) -> dict[str, Any]:
        execution = self.get(id)
        if execution.state.terminal:
            if not cascade:
                raise CoreRefused("Execution is already finished, can't kill it", 409)
            return {}
        self.move(execution, State.KILLING, State.KILLED)
        return {}

    def execution_delete(self, *, id: str, **_: Any) -> dict[str, Any]:
        batch = Batch()
        batch.executions_deleted.append(id)
        self.store.write(batch)
        return {}

    def execution_resume(self, *, id: str, **_: Any) -> dict[str, Any]:
        self.move(self.get(id), State.RESTARTED)
        return {}

    def execution_status(self, *, id: str, status: str, **_: Any) -> dict[str, Any]:
        return {"execution": execution_to_json(self.move(self.get(id), State(status)))}

    def execution_labels(self, *, id: str, labels: list[list[str]]) -> dict[str, Any]:
        execution = self.get(id)
        merged = {**execution.labels, **dict(labels)}
        changed = replace(execution, labels=merged)
        self.put(changed, read=execution.version)
        return {"execution": execution_to_json(changed)}

    def executions_act(
        self, *, action: str, ids: list[str], arguments: dict[str, Any]
    ) -> dict[str, Any]:
        name = {"change-status": "status"}.get(action, action)
        given = {key: value for key, value in arguments.items() if key != "any_state"}
        for one in ids:
            getattr(self, f"execution_{name}")(id=one, **given)
        return {"count": len(ids), "invalids": []}

    def get(self, execution_id: str) -> Execution:
        return self.store.load([execution_id])[execution_id]

    def put(self, execution: Execution, read: int | None = None) -> None:
        batch = Batch()
        batch.executions[execution.id] = ExecutionWrite(
            execution=execution, read_version=read, changed=set(execution.runs)
        )
        self.store.write(batch)

    def move(self, execution: Execution, *states: State) -> Execution:
        steps = tuple((state, self.clock.now()) for state in states)
        changed = replace(execution, history=(*execution.history, *steps))
        self.put(changed, read=execution.version)
        return changed

    # -- the rest ---------------------------------------------------------------------------------

    def kv_put(
        self, *, namespace: str, key: str, value: Any, kind: str, ttl: str | None = None
    ) -> None:
        wanted = None if ttl is None else durations.parse(ttl)
        entry = keyvalues.make_entry(key, value, kind, wanted, self.clock.now(), None)
        self.write_kv(namespace, key, entry)

    def kv_delete(self, *, namespace: str, key: str) -> bool:
        with self.database.read() as connection:
            there = queries.kv_entry(connection, namespace, key) is not None
        self.write_kv(namespace, key, None)
        return there

    def write_kv(self, namespace: str, key: str, entry: KvEntry | None) -> None:
        batch = Batch()
        batch.kv.append(KvWrite(namespace=namespace, key=key, entry=entry))
        self.store.write(batch)

    def flow_save_many(
        self, *, sources: list[str], clear: Sequence[str] = (), **_: Any
    ) -> dict[str, Any]:
        parsed = [parse_flow(source).flow for source in sources]
        kept = {(flow.namespace, flow.id) for flow in parsed if flow is not None}
        with self.database.read() as connection:
            there = queries.all_flows(connection, queries.FlowFilter())
        names = [(record.stored.namespace, record.stored.id) for record in there]
        gone = [name for name in names if name[0] in clear and name not in kept]
        for namespace, flow_id in gone:
            self.flow_delete(namespace=namespace, id=flow_id)
        saved = [
            self.flow_save(
                source=source, mode="upsert", namespace=flow.namespace, id=flow.id, via="api"
            )
            for source, flow in zip(sources, parsed, strict=True)
            if flow is not None
        ]
        return {"saved": saved, "deleted": gone, "refused": []}

    def webhook_fire(
        self, *, namespace: str, flow_id: str, trigger: dict[str, Any], variables: Any, **_: Any
    ) -> dict[str, Any]:
        return self.execution_start(
            namespace=namespace,
            flow_id=flow_id,
            revision=1,
            inputs={},
            labels=[],
            trigger={**trigger, "variables": variables},
        )

    def trigger_set(
        self, *, namespace: str, flow_id: str, trigger_id: str, disabled: bool, **_: Any
    ) -> None:
        self._change_trigger(trigger_id, disabled=disabled)

    def trigger_unlock(self, *, namespace: str, flow_id: str, trigger_id: str) -> None:
        self._change_trigger(trigger_id, execution_id=None)

    def backfill_pause(self, *, namespace: str, flow_id: str, trigger_id: str) -> None:
        self._change_trigger(trigger_id, backfill={"start": "x", "paused": True})

    def _change_trigger(self, trigger_id: str, **changes: Any) -> None:
        with self.database.begin() as tx:
            tx.connection.execute(
                schema.triggers.update()
                .where(schema.triggers.c.trigger_id == trigger_id)
                .values(**changes)
            )

    def git_hint(self, **_: Any) -> dict[str, Any]:
        return {"queued": True}

    def git_check(self, *, source: str) -> dict[str, Any]:
        step = {"name": "dns", "status": "ok", "message": "found"}
        return {"source": source, "url": "x", "ok": True, "checks": [step]}

    def git_rejected(self, **_: Any) -> None:
        return

    def git_sync(self, *, wait: bool, **_: Any) -> dict[str, Any]:
        return {"phase": "Succeeded"} if wait else {"queued": True}

    def git_apply(self, *, found: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {"saved": [file["path"] for file in found["files"]]}

    def logs_delete(self, *, execution_id: str | None = None, **_: Any) -> dict[str, Any]:
        with self.database.begin() as tx:
            tx.raw.execute("DELETE FROM logs WHERE execution_id = ?", (execution_id,))
        return {}


@dataclass
class Web:
    """What a test has in its hands."""

    app: Flask
    client: FlaskClient
    core: PromptCore
    database: Database
    clock: HandClock
    storage: LocalStorage
    context: WebContext

    def trigger(self, trigger_id: str, **values: Any) -> None:
        """Store the state of a trigger of team.greet."""
        row = {
            "namespace": "team",
            "flow_id": "greet",
            "trigger_id": trigger_id,
            "type": "io.kestra.plugin.core.trigger.Schedule",
            "digest": "",
            "disabled": False,
            "updated_at": NOON,
            **values,
        }
        with self.database.begin() as tx:
            tx.connection.execute(schema.triggers.insert(), [row])

    def save(self, source: str) -> dict[str, Any]:
        """Save a flow through the API."""
        answer = self.client.post("/api/v1/flows", data=source, content_type="application/x-yaml")
        assert answer.status_code == 200, answer.text
        return dict(answer.json)

    def start(self, namespace: str, flow_id: str, **form: Any) -> dict[str, Any]:
        """Start an execution through the API."""
        answer = self.client.post(f"/api/v1/executions/{namespace}/{flow_id}", data=form)
        assert answer.status_code == 200, answer.text
        return dict(answer.json)

    def log(self, execution_id: str, *lines: tuple[str, str]) -> None:
        """Store log lines of an execution: level and message."""
        batch = Batch()
        last = self.core.store.last_line(execution_id)
        for n, (level, message) in enumerate(lines, last + 1):
            batch.logs.append(
                LogRow(
                    execution_id=execution_id,
                    n=n,
                    at=self.clock.now() + timedelta(milliseconds=n),
                    level=level,
                    message=message,
                    namespace="team",
                    flow_id="greet",
                )
            )
        self.core.store.write(batch)


def build(
    tmp_path: Path,
    *,
    followers: int = 3,
    git_hooks: Mapping[str, GitHook] | None = None,
    secrets: Mapping[str, str] | None = None,
    **settings: Any,
) -> Web:
    """A web process over a fresh store."""
    database = open_store(f"sqlite:///{tmp_path / 'store.db'}", durability="relaxed")
    with database.begin() as tx:
        metadata.create_all(tx.connection)
    clock = HandClock()
    core = PromptCore(database=database, store=SqlStore(database), clock=clock)
    storage = LocalStorage(tmp_path / "storage")
    veil = Veil(database, secrets or {}, CIPHER.decrypt)
    context = WebContext(
        secrets=Secrets(secrets or {}) if not isinstance(secrets, Secrets) else secrets,
        veil=veil.over,
        veil_json=veil.over_json,
        client=core,
        database=database,
        storage=NamespaceStorage(storage, StoredFiles(database, core)),  # type: ignore[arg-type]
        registry=Registry(),
        settings=WebSettings(**settings),
        clock=clock,
        expressions=TextExpressions(),
        followers=followers,
        git_hooks=git_hooks or {},
    )
    app = Flask("test")
    routes.install(app, context)
    return Web(
        app=app,
        client=app.test_client(),
        core=core,
        database=database,
        clock=clock,
        storage=storage,
        context=context,
    )


def password(name: str, text: str) -> BasicAuth:
    """A cheap hash, so that tests are fast."""
    return BasicAuth(
        username=name, password_hash=generate_password_hash(text, method="scrypt:1024:8:1")
    )


def run(key: str, *states: State, order: int = 0, **more: Any) -> TaskRun:
    """A task run that went through these states."""
    history = tuple((state, NOON + timedelta(seconds=n)) for n, state in enumerate(states))
    return TaskRun(key=RunKey(key), task_id=key, order=order, history=history, **more)
