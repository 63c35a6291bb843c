"""What the language itself knows of type names, as plain data.

Old names lead to present ones (`canonical`), some present ones are deprecated, and a few types
order other tasks: which of their properties hold child tasks, and which properties they have at
all, is language and is written here. What all other types take is the catalogue's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

CORE = "io.kestra.plugin.core."
_OLD_TASKS = "io.kestra.core.tasks."
_OLD_CONDITIONS = ("io.kestra.core.models.conditions.types.", CORE + "condition.")


def _same(old: str, new: str, *names: str) -> dict[str, str]:
    return {old + name: new + name for name in names}


def _conditions() -> dict[str, str]:
    names = (
        "DateTimeBetween", "ExecutionNamespace", "DayWeek", "ExecutionFlow", "PublicHoliday",
        "TimeBetween", "ExecutionOutputs", "HasRetryAttempt", "Or", "ExecutionStatus",
        "ExecutionLabels", "DayWeekInMonth", "Weekend", "Not", "Expression",
    )  # fmt: skip
    new = CORE + "condition."
    aliases = {f"{old}{name}Condition": new + name for old in _OLD_CONDITIONS for name in names}
    aliases[_OLD_CONDITIONS[0] + "VariableCondition"] = new + "Expression"
    old = _OLD_CONDITIONS[0]
    return aliases | _same(old, new, "FlowCondition", "FlowNamespaceCondition", "MultipleCondition")


def _serdes() -> dict[str, str]:
    new = "io.kestra.plugin.serdes."
    formats = {"csv": "Csv", "json": "Json", "avro": "Avro", "xml": "Xml", "excel": "Excel"}
    formats |= {"parquet": "Parquet"}
    readers = {f"{new}{f}.{n}Reader": f"{new}{f}.{n}ToIon" for f, n in formats.items()}
    return readers | {f"{new}{f}.{n}Writer": f"{new}{f}.IonTo{n}" for f, n in formats.items()}


_ALIASES: dict[str, str] = {
    **_same(_OLD_TASKS + "log.", CORE + "log.", "Log", "Fetch"),
    **_same(_OLD_TASKS + "debugs.", CORE + "debug.", "Return", "Echo"),
    **_same(
        _OLD_TASKS + "flows.", CORE + "flow.",
        "If", "Dag", "EachParallel", "EachSequential", "Sequential", "Parallel", "WorkingDirectory",
        "ForEachItem", "AllowFailure", "Template", "Pause", "Switch", "Subflow",
    ),
    _OLD_TASKS + "flows.Worker": CORE + "flow.WorkingDirectory",
    CORE + "flow.Worker": CORE + "flow.WorkingDirectory",
    _OLD_TASKS + "flows.Flow": CORE + "flow.Subflow",
    CORE + "flow.Flow": CORE + "flow.Subflow",
    **_same("io.kestra.plugin.fs.http.", CORE + "http.", "Request", "Download", "Trigger"),
    _OLD_TASKS + "templating.TemplatedTask": CORE + "templating.TemplatedTask",
    _OLD_TASKS + "trigger.Toggle": CORE + "trigger.Toggle",
    **_same("io.kestra.core.models.triggers.types.", CORE + "trigger.", "Flow", "Schedule",
    "Webhook"),
    **_conditions(),
    CORE + "condition.MultipleCondition": CORE + "condition.MultipleCondition",
    **_same(
        _OLD_TASKS + "storages.", CORE + "storage.",
        "Size", "Delete", "Concat", "DeduplicateItems", "FilterItems", "Reverse", "Split",
        "LocalFiles",
    ),
    _OLD_TASKS + "storages.PurgeExecution": CORE + "storage.PurgeCurrentExecutionFiles",
    CORE + "storage.PurgeExecution": CORE + "storage.PurgeCurrentExecutionFiles",
    _OLD_TASKS + "storages.Purge": CORE + "execution.PurgeExecutions",
    CORE + "storage.Purge": CORE + "execution.PurgeExecutions",
    **_same(_OLD_TASKS + "states.", CORE + "state.", "Set", "Get", "Delete"),
    _OLD_TASKS + "executions.Counts": CORE + "execution.Count",
    CORE + "execution.Counts": CORE + "execution.Count",
    **_same(_OLD_TASKS + "executions.", CORE + "execution.", "Fail", "Labels"),
    _OLD_TASKS + "scripts.Python": "io.kestra.plugin.scripts.python.Script",
    _OLD_TASKS + "scripts.Bash": "io.kestra.plugin.scripts.shell.Commands",
    _OLD_TASKS + "scripts.Node": "io.kestra.plugin.scripts.node.Script",
    "io.kestra.plugin.jdbc.duckdb.DuckDbQuery": "io.kestra.plugin.jdbc.duckdb.Query",
    "io.kestra.plugin.gcp.gcs.CreateDataset": "io.kestra.plugin.gcp.bigquery.CreateDataset",
    **_serdes(),
}  # fmt: skip

# A family that moved as a whole: old prefix, new prefix. The first that matches counts.
_MOVED: tuple[tuple[str, str], ...] = (
    ("io.kestra.plugin.notifications.mail.", "io.kestra.plugin.email."),
    ("io.kestra.plugin.notifications.", "io.kestra.plugin."),
)

_DEPRECATED = frozenset(
    CORE + name
    for name in (
        "debug.Echo", "flow.EachSequential", "flow.EachParallel", "flow.Template", "flow.WaitFor",
        "storage.LocalFiles", "condition.FlowCondition", "condition.FlowNamespaceCondition",
        "condition.MultipleCondition", "state.Set", "state.Get", "state.Delete",
    )
)  # fmt: skip


@lru_cache(maxsize=4096)
def canonical(name: str) -> str:
    """The present name of a type; the name itself when it has no other."""
    if name in _ALIASES:
        return _ALIASES[name]
    for old, new in _MOVED:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def replaced_by(name: str) -> str | None:
    """The present name when another one was written, "" when the type goes away; else None."""
    present = canonical(name)
    if present != name:
        return present
    return "" if name in _DEPRECATED else None


# Properties that went out of use, by the kinds that had them, with the way out.
_OLD_PROPERTIES: tuple[tuple[str, Mapping[str, str]], ...] = (
    (
        "io.kestra.plugin.scripts.",
        dict.fromkeys(("docker", "runner", "dockerOptions"), "write 'taskRunner'"),
    ),
    (
        "io.kestra.plugin.jdbc.",
        {
            "store": "write 'fetchType: STORE'",
            "fetch": "write 'fetchType: FETCH'",
            "fetchOne": "write 'fetchType: FETCH_ONE'",
        },
    ),
    (
        CORE + "trigger.Schedule",
        {"scheduleConditions": "write 'conditions'", "backfill": "start a backfill of the trigger"},
    ),
    (CORE + "flow.Subflow", {"outputs": "declare outputs in the flow that is called"}),
    (CORE + "flow.Pause", {"tasks": "put them after the task"}),
)


@lru_cache(maxsize=4096)
def old_properties(kind: str) -> Mapping[str, str]:
    """The properties of a kind that went out of use, with the way out."""
    for prefix, names in _OLD_PROPERTIES:
        if kind.startswith(prefix):
            return names
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flowable:
    """The properties of a type that orders other tasks.

    `lists` hold child tasks, `single` holds one, `cases` maps texts to lists; `own` are the others.
    """

    lists: tuple[str, ...] = ("tasks",)
    required_lists: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    single: str | None = None
    cases: str | None = None
    edges: bool = False
    branches: frozenset[str] = field(default=frozenset())

    @property
    def names(self) -> frozenset[str]:
        """All properties besides those of every task."""
        return self.own | self.branches


_ENDS = ("errors", "finally")


def _flowable(
    lists: tuple[str, ...] = ("tasks",),
    *,
    required_lists: tuple[str, ...] = (),
    own: tuple[str, ...] = (),
    required: tuple[str, ...] = (),
    single: str | None = None,
    cases: str | None = None,
    edges: bool = False,
) -> Flowable:
    every = (*lists, *_ENDS)
    more = tuple(name for name in (single, cases, "tasks" if edges else None) if name)
    return Flowable(
        lists=every,
        required_lists=frozenset(required_lists),
        own=frozenset(own) | frozenset(required),
        required=frozenset(required),
        single=single,
        cases=cases,
        edges=edges,
        branches=frozenset((*every, *more)),
    )


_SUBFLOW = (
    "namespace", "flowId", "revision", "inputs", "labels", "wait", "transmitFailed",
    "inheritLabels",
    "scheduleDate", "outputs", "restartBehavior",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The properties of a type by name."""

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """All of them."""
        return self.required | self.optional


def shape(required: str = "", optional: str = "") -> Shape:
    """A shape from words in two texts."""
    return Shape(required=frozenset(required.split()), optional=frozenset(optional.split()))


SUBFLOW = CORE + "flow.Subflow"
APPROVAL = CORE + "flow.Approval"
FOR_EACH_ITEM = CORE + "flow.ForEachItem"
WORKING_DIRECTORY = CORE + "flow.WorkingDirectory"
SWITCH = CORE + "flow.Switch"
DAG = CORE + "flow.Dag"

# Tasks that the engine itself carries out and that order no others.
ENGINE_TASKS: Mapping[str, Shape] = {
    SUBFLOW: Shape(
        required=frozenset(("namespace", "flowId")),
        optional=frozenset(_SUBFLOW) - {"namespace", "flowId"},
    ),
    CORE + "flow.Template": shape("namespace templateId", "args"),
    APPROVAL: shape("", "onResume timeout assignment"),
}

FLOWABLES: Mapping[str, Flowable] = {
    CORE + name: spec
    for name, spec in {
        "flow.Sequential": _flowable(),
        "flow.Parallel": _flowable(required_lists=("tasks",), own=("concurrent",)),
        "flow.Dag": _flowable((), edges=True, own=("concurrent",)),
        "flow.If": _flowable(("then", "else"), required_lists=("then",), own=("condition",)),
        "flow.Switch": _flowable(("defaults",), cases="cases", required=("value",)),
        "flow.ForEach": _flowable(
            required=("values",), own=("concurrencyLimit",)
        ),
        "flow.EachSequential": _flowable(required=("value",)),
        "flow.EachParallel": _flowable(
            required=("value",), own=("concurrent",)
        ),
        "flow.AllowFailure": _flowable(),
        "flow.WaitFor": _flowable(
            required_lists=("tasks",),
            required=("condition",),
            own=("failOnMaxReached", "checkFrequency"),
        ),
        "flow.LoopUntil": _flowable(
            required_lists=("tasks",),
            required=("condition",),
            own=("failOnMaxReached", "checkFrequency"),
        ),
        "flow.Loop": _flowable(
            required_lists=("tasks",),
            required=("values",),
            own=("concurrencyLimit", "outputs", "fetchType", "breakWhen", "transmitFailed"),
        ),
        "flow.Pause": _flowable(
            own=("delay", "timeout", "pauseDuration", "behavior", "onResume"), single="onPause"
        ),
        "flow.WorkingDirectory": _flowable(
            own=(
                "cache", "namespaceFiles", "inputFiles", "outputFiles", "checkout", "env",
                "services"
            ),
        ),
        "flow.ForEachItem": _flowable(
            (), own=(*_SUBFLOW, "batch"), required=("items", "namespace", "flowId")
        ),
    }.items()
}  # fmt: skip

COMMON_TASK = frozenset(
    (
        "id", "type", "description", "retry", "timeout", "disabled", "workerGroup",
        "workerSelector",
        "runsOn", "runs-on", "logLevel", "allowFailure", "allowWarning", "logToFile", "runIf",
        "when",
        "interruptible", "taskCache", "assets", "version", "pluginDefaultsRef", "onRunnerLost",
        "queueTimeout", "idleTimeout", "killGrace", "killSignal",
    )
)  # fmt: skip

COMMON_TRIGGER = frozenset(
    (
        "id", "type", "description", "conditions", "disabled", "workerGroup", "workerSelector",
        "runsOn",
        "runs-on", "logLevel", "minLogLevel", "labels", "inputs", "stopAfter", "logToFile", "when",
        "version", "pluginDefaultsRef",
    )
)  # fmt: skip

_LIMITS = frozenset(("min", "max"))
_DATES = frozenset(("after", "before"))
_CHOICE = frozenset(("values", "expression", "allowCustomValue", "autoSelectFirst"))

# The properties that an input has besides those of every input, by type.
INPUT_OPTIONS: Mapping[str, frozenset[str]] = {
    "STRING": frozenset(("validator",)),
    "ENUM": frozenset(("values",)),
    "SELECT": _CHOICE | {"isRadio"},
    "MULTISELECT": _CHOICE | {"options", "itemType"},
    "INT": _LIMITS,
    "FLOAT": _LIMITS,
    "BOOLEAN": frozenset(),
    "BOOL": frozenset(),
    "DATETIME": _DATES,
    "DATE": _DATES,
    "TIME": _DATES,
    "DURATION": _LIMITS,
    "FILE": frozenset(("extension", "allowedFileExtensions", "accept")),
    "JSON": frozenset(),
    "YAML": frozenset(),
    "ION": frozenset(),
    "OBJECT": frozenset(("properties", "schema", "inputs")),
    "TABLE": frozenset(("columns", "schema")),
    "FORM": frozenset(("inputs", "fields", "schema")),
    "URI": frozenset(),
    "SECRET": frozenset(("validator",)),
    "ARRAY": frozenset(("itemType",)),
    "EMAIL": frozenset(),
}

COMMON_INPUT = frozenset(
    (
        "id",
        "name",
        "type",
        "description",
        "displayName",
        "required",
        "defaults",
        "prefill",
        "dependsOn",
    )
)
