"""The variables of expressions for one execution, kept up to date instead of built anew.

The tree of `outputs` grows as task runs end, so that a sequence of a hundred tasks costs a hundred
steps and not ten thousand. `tasks` is looked up only when an expression reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from penstock_runner.engine.flowables.table import ITERATION_KIND, LOOP_KIND
from penstock_runner.engine.fold import Fold
from penstock_runner.engine.state import Execution, RunKey, TaskRun
from penstock_runner.executor.flows import LoadedFlow
from penstock_runner.executor.ids import derived_id
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.variables import labels_map
from penstock_runner.flow.inputs import default_values
from penstock_runner.flow.model import Input, Task

# How tasks mark an output that they have had encrypted.
ENCRYPTED = "io.kestra.datatype:aes_encrypted"


ON_RESUME = "onResume"


class OutputsTree:
    """`outputs.<task>[<values...>]`, one branch per task run that has outputs."""

    def __init__(self, reveal: Callable[[str], str] = str) -> None:
        self.tree: dict[str, Any] = {}
        self._reveal = reveal

    def add(self, task_id: str, values: tuple[str, ...], outputs: Mapping[str, Any]) -> None:
        """Put the outputs of one run at its place; a later run of the same place replaces keys."""
        outputs = self._shown(outputs)
        if not values:
            self.tree[task_id] = {**self.tree.get(task_id, {}), **outputs}
            return
        branch = self.tree.setdefault(task_id, {})
        for value in values[:-1]:
            branch = branch.setdefault(value, {})
        branch[values[-1]] = {**branch.get(values[-1], {}), **outputs}

    def _shown(self, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The outputs with what is kept encrypted as plain text."""
        if not any(isinstance(value, Mapping) for value in outputs.values()):
            return outputs
        return {
            name: (
                (self._reveal(str(value.get("value"))) if _encrypted(value) else self._shown(value))
                if isinstance(value, Mapping)
                else value
            )
            for name, value in outputs.items()
        }


def _encrypted(value: Mapping[str, Any]) -> bool:
    return value.get("type") == ENCRYPTED and isinstance(value.get("value"), str)


class TaskStates(Mapping[str, Any]):
    """`tasks.<id>.state` and `tasks.<id>[<value>].state`, read from the runs when asked."""

    def __init__(self, fold: Fold) -> None:
        self._fold = fold

    def __getitem__(self, task_id: str) -> Any:
        found: dict[str, Any] = {}
        for run in self._fold.runs.values():
            if run.task_id == task_id:
                facts = {"state": run.state.value}
                found.update(facts if run.value is None else {run.value: facts})
        if not found:
            raise KeyError(task_id)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(run.task_id for run in self._fold.runs.values()))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def plain(self) -> dict[str, Any]:
        """All of it, for a job that runs elsewhere."""
        return {task_id: self[task_id] for task_id in self}


class Context:
    """Builds the variables of one execution and of its task runs."""

    def __init__(
        self,
        loaded: LoadedFlow,
        fold: Fold,
        constant: Mapping[str, Any],
        decrypt: Callable[[str], str] | None = None,
    ) -> None:
        self._loaded = loaded
        self._fold = fold
        self._constant = constant
        self._inputs, self.secrets = revealed(loaded.flow.inputs, fold.head.inputs or {}, decrypt)
        self._decrypt = decrypt
        self._outputs = OutputsTree(self._reveal)
        self._inside: dict[RunKey, OutputsTree] = {}
        self._states = TaskStates(fold)
        for run in fold.runs.values():
            self.ended(run)

    def ended(self, run: TaskRun) -> None:
        """The run has outputs now."""
        if run.outputs is not None:
            outputs = run.outputs
            if ON_RESUME in outputs:
                outputs = self._resumed(run, outputs)
            around = next(self._iterations(run), None)
            if around is None:
                self._outputs.add(run.task_id, self.values_of(run), outputs)
            elif around is not run:
                tree = self._inside.setdefault(around.key, OutputsTree(self._reveal))
                tree.add(run.task_id, self.values_of(run), outputs)

    def rebuild(self) -> None:
        """Runs were removed: build the tree of outputs again."""
        self._outputs = OutputsTree(self._reveal)
        self._inside.clear()
        for run in self._fold.runs.values():
            self.ended(run)

    def _resumed(self, run: TaskRun, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a pause was resumed with, its secrets as plain text."""
        asked = self._fold.plan.node_of(run.key).task.properties.get(ON_RESUME)
        given = outputs[ON_RESUME]
        if not isinstance(asked, list | tuple) or not isinstance(given, Mapping):
            return outputs
        names = {one.get("id") for one in asked if _is_secret(one)}
        shown = {n: self._reveal(str(v)) if n in names else v for n, v in given.items()}
        return {**outputs, ON_RESUME: shown}

    def _reveal(self, value: str) -> str:
        shown = _plain_text(value, self._decrypt)
        self.secrets.append(shown)
        return shown

    def values_of(self, run: TaskRun) -> tuple[str, ...]:
        """The loop values above the run and its own, outermost first."""
        own = () if run.value is None else (run.value,)
        above = []
        loops = self._fold.plan.has_kind(LOOP_KIND)
        for around in self._ancestors(run):
            if loops and self._is_iteration(around):
                break
            if around.value is not None:
                above.append(around.value)
        return (*reversed(above), *own)

    def _is_iteration(self, run: TaskRun) -> bool:
        return self._fold.plan.node_of(run.key).task.kind == ITERATION_KIND

    def _iterations(self, run: TaskRun) -> Iterator[TaskRun]:
        """The iterations of loops that a task run is in, or is, innermost first."""
        if self._fold.plan.has_kind(LOOP_KIND):
            yield from (one for one in (run, *self._ancestors(run)) if self._is_iteration(one))

    def of_execution(self, execution: Execution) -> dict[str, Any]:
        """What every expression of the execution sees."""
        flow = self._loaded.flow
        state = {"id": execution.id, "startDate": execution.history[0][1]}
        state["originalId"] = execution.original_id or execution.id
        state["state"] = self._fold.state.value
        variables: dict[str, Any] = dict(self._constant)
        variables["flow"] = {
            "id": flow.id,
            "namespace": execution.namespace,
            "revision": execution.flow_revision,
        }
        variables["execution"] = state
        variables["namespace"] = {"id": execution.namespace}
        if flow.variables or execution.variables:
            merged = {**flow.variables, **(execution.variables or {})}
            variables["vars"] = {k: v for k, v in merged.items() if v is not None}
        if self._inputs:
            variables["inputs"] = self._inputs
        if execution.labels:
            variables["labels"] = labels_map(execution.labels)
        if execution.trigger is not None:
            variables["trigger"] = execution.trigger.variables
            if "date" in execution.trigger.variables:
                variables["schedule"] = execution.trigger.variables
        if self._fold.runs:
            variables["outputs"] = self._outputs.tree
            variables["tasks"] = self._states
        return variables

    def of_run(self, execution: Execution, run: TaskRun, task: Task) -> dict[str, Any]:
        """What the expressions of one task run see."""
        variables = self.of_execution(execution)
        variables["task"] = {"id": task.id, "type": task.type}
        seen: dict[str, Any] = {
            "id": taskrun_id(execution.id, run.key),
            "startDate": run.history[0][1],
            "attemptsCount": max(run.attempt - 1, 0),
        }
        if run.parent is not None:
            seen["parentId"] = taskrun_id(execution.id, run.parent)
        if run.value is not None:
            seen["value"] = run.value
        iterations = list(self._iterations(run))
        if iterations:
            variables["item"] = self._item(iterations)
            trees = [self._inside[one.key].tree for one in iterations if one.key in self._inside]
            for tree in reversed(trees):
                variables["outputs"] = {**variables["outputs"], **tree}
        if run.iteration is not None:
            seen["iteration"] = run.iteration
        variables["taskrun"] = seen
        parents = [_as_parent(parent) for parent in self._ancestors(run)]
        parents = [parent for parent in parents if parent]
        variables["parents"] = parents
        if parents:
            variables["parent"] = parents[0]
        return variables

    def _item(self, iterations: list[TaskRun]) -> dict[str, Any]:
        """What an iteration is about, and what those around it are about."""
        items: list[dict[str, Any]] = []
        for one in iterations:
            item: dict[str, Any] = {"value": one.value, "index": one.place[-1]}
            loop = None if one.parent is None else self._fold.runs.get(one.parent)
            keys = None if loop is None else loop.facts.get("keys")
            if isinstance(keys, list | tuple):
                item["key"] = keys[one.place[-1]]
            items.append(item)
        found, parents = items[0], items[1:]
        if parents:
            found = {**found, "parent": parents[0], "parents": parents}
        return found

    def _ancestors(self, run: TaskRun) -> Iterator[TaskRun]:
        parent = run.parent
        while parent is not None and parent in self._fold.runs:
            above = self._fold.runs[parent]
            yield above
            parent = above.parent


def _is_secret(declared: object) -> bool:
    return isinstance(declared, Mapping) and declared.get("type") == "SECRET"


def revealed(
    declared: Sequence[Input], inputs: Mapping[str, Any], decrypt: Callable[[str], str] | None
) -> tuple[dict[str, Any], list[str]]:
    """The inputs as expressions see them, and the secrets among them."""
    shown = {**default_values(declared), **inputs}
    secrets: list[str] = []
    for one in declared:
        if one.type != "SECRET":
            continue
        *path, last = one.id.split(".")
        at = shown
        for step in path:
            if not isinstance(at.get(step), Mapping):
                break
            at[step] = dict(at[step])
            at = at[step]
        else:
            value = at.get(last)
            if isinstance(value, str) and value:
                at[last] = _plain_text(value, decrypt)
                secrets.append(at[last])
    return shown, secrets


def _plain_text(value: str, decrypt: Callable[[str], str] | None) -> str:
    try:
        return value if decrypt is None else decrypt(value)
    except ExpressionFailed:
        # It was stored under another key, or as it is: nobody can tell, and it stays what it is.
        return value


@lru_cache(maxsize=50_000)
def taskrun_id(execution_id: str, key: RunKey) -> str:
    """The id of a task run as clients see it."""
    return derived_id(execution_id, key)


def _as_parent(run: TaskRun) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    if run.value is not None:
        seen["taskrun"] = {"value": run.value}
    if run.outputs:
        seen["outputs"] = run.outputs
    return seen
