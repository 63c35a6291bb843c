"""Functions that only compute: parsing, ranges, the context itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from penstock_runner.expressions import json_text, limits, operators
from penstock_runner.expressions.callee import Table, offer
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.filters.arguments import text_argument
from penstock_runner.expressions.numbers import is_number, is_whole
from penstock_runner.expressions.scope import Frame
from penstock_runner.expressions.text import printed
from penstock_runner.expressions.variables import current_each_output

VALUES: Table = {}


@offer(VALUES, "fromJson", "json", aliases=("json",), required=1)
def from_json(text: object) -> object:
    """The value of a JSON text; null of null."""
    return None if text is None else json_text.read(text_argument(text, "fromJson", "json"))


@offer(VALUES, "fromIon", "ion", required=1)
def from_ion(text: object) -> object:
    """The first value of an Ion text; null of null."""
    from penstock_runner.expressions import ion

    return None if text is None else ion.read(text_argument(text, "fromIon", "ion"))


@offer(VALUES, "yaml", "yaml", required=1)
def from_yaml(text: object) -> object:
    """The value of a YAML text; null of null."""
    from penstock_runner.expressions import yaml_text

    return None if text is None else yaml_text.read(text_argument(text, "yaml", "yaml"))


@offer(VALUES, "range", "start", "end", "increment", required=2)
def span(start: object, end: object, increment: object) -> list[object]:
    """From start to end, both included."""
    return operators.span(start, end, 1 if increment is None else increment)


@offer(VALUES, "max", variadic=True)
def maximum(*values: object) -> object:
    """The largest of some numbers."""
    return max(_numbers(values, "max"), key=float)


@offer(VALUES, "min", variadic=True)
def minimum(*values: object) -> object:
    """The smallest of some numbers."""
    return min(_numbers(values, "min"), key=float)


def _numbers(values: tuple[object, ...], name: str) -> list[float]:
    given = list(values[0]) if len(values) == 1 and isinstance(values[0], list) else list(values)
    numbers = [value for value in given if is_number(value)]
    if not numbers or len(numbers) != len(given):
        raise ExpressionFailed(f"The '{name}' function takes numbers")
    return numbers  # type: ignore[return-value]


@offer(VALUES, "printContext", aliases=("fetchContext", "dump"), in_frame=True)
def context(frame: Frame) -> object:
    """All variables."""
    return dict(frame.all_variables())


@offer(VALUES, "currentEachOutput", "outputs", required=1, in_frame=True)
def each_output(frame: Frame, outputs: object) -> object:
    """The outputs of the same iteration of another task in the loop."""
    variables = frame.all_variables()
    return current_each_output(outputs, variables.get("taskrun"), variables.get("parents"))


@offer(VALUES, "loopOutputs", "outputs", "id", required=2)
def loop_outputs(outputs: object, name: object) -> list[object]:
    """One output of all iterations of a loop, as a list."""
    if not isinstance(outputs, list | tuple):
        raise ExpressionFailed("The 'loopOutputs' function takes the `outputs` of a loop")
    wanted = text_argument(name, "loopOutputs", "id")
    found = [one.get("outputs") for one in outputs if isinstance(one, Mapping)]
    return [one.get(wanted) for one in found if isinstance(one, Mapping)]


@offer(VALUES, "tasksWithState", "state", required=1, in_frame=True)
def tasks_with_state(frame: Frame, state: object) -> list[object]:
    """The task runs of the execution that are in a state, each with `taskId` and `value`."""
    wanted = text_argument(state, "tasksWithState", "state").upper()
    found: list[object] = []
    tasks = frame.all_variables().get("tasks")
    if isinstance(tasks, Mapping):
        for task_id, runs in tasks.items():
            found.extend(
                {"taskId": task_id, "value": value, "state": state}
                for state, value in _leaves(runs, None)
                if state == wanted
            )
    return found


def _leaves(runs: object, value: object, depth: int = 0) -> Iterator[tuple[object, object]]:
    """The state and value of each run of a task, however deep the loops around it are."""
    if not isinstance(runs, Mapping) or depth > limits.NESTING:
        return
    state = runs.get("state")
    if isinstance(state, str):
        yield state, value
        return
    for key, inner in runs.items():
        yield from _leaves(inner, key, depth + 1)


@offer(VALUES, "block", "name", required=1, in_frame=True)
def block(frame: Frame, name: object) -> str:
    """A block of the template, printed again."""
    known = frame.blocks.get(printed(name))
    if known is None:
        raise ExpressionFailed(f"Block [{printed(name)}] does not exist.")
    return known(frame)


@offer(VALUES, "encrypt", "key", "plaintext", required=2, pure=False, in_frame=True)
def encrypt(frame: Frame, key: object, plaintext: object) -> object:
    """A text encrypted with AES-GCM, in base64; null and empty texts stay."""
    from penstock_runner.expressions import crypt

    if plaintext is None or plaintext == "":
        return plaintext
    secret = text_argument(key, "encrypt", "key")
    start = frame.services.random_bytes(crypt.IV_BYTES)
    return crypt.encrypt(secret, text_argument(plaintext, "encrypt", "plaintext"), start)


@offer(VALUES, "decrypt", "key", "encrypted", required=2, pure=False)
def decrypt(key: object, encrypted: object) -> object:
    """The text that was encrypted; null and empty texts stay."""
    from penstock_runner.expressions import crypt

    if encrypted is None or encrypted == "":
        return encrypted
    secret = text_argument(key, "decrypt", "key")
    return crypt.decrypt(secret, text_argument(encrypted, "decrypt", "encrypted"))


def whole(value: object, function: str, argument: str) -> int:
    """An argument that must be a whole number."""
    if not is_whole(value):
        raise ExpressionFailed(
            f"The '{function}' function expects an argument '{argument}' with type Integer."
        )
    return value
