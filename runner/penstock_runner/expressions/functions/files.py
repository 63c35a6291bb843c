"""Functions that read files of the execution and of the namespace."""

from __future__ import annotations

from collections.abc import Mapping

from penstock_runner.expressions.callee import Table, offer
from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.expressions.filters.texts import slugify
from penstock_runner.expressions.functions.world import own_namespace
from penstock_runner.expressions.scope import Frame
from penstock_runner.expressions.text import printed

FILES: Table = {}
_STORAGE = "kestra://"


@offer(FILES, "read", "path", required=1, pure=False, in_frame=True)
def read(frame: Frame, path: object) -> str:
    """The text of a namespace file or of a file of this execution."""
    return frame.services.read(_uri(frame, path))


@offer(FILES, "fileSize", "path", required=1, pure=False, in_frame=True)
def file_size(frame: Frame, path: object) -> int:
    """The length of a file in bytes."""
    return frame.services.file_size(_uri(frame, path))


@offer(FILES, "fileExists", "path", required=1, pure=False, in_frame=True)
def file_exists(frame: Frame, path: object) -> bool:
    """Whether a file is there."""
    return frame.services.file_exists(_uri(frame, path))


@offer(FILES, "fileEmpty", "path", aliases=("isFileEmpty",), required=1, pure=False, in_frame=True)
def file_empty(frame: Frame, path: object) -> bool:
    """Whether a file has no content."""
    return frame.services.file_size(_uri(frame, path)) == 0


@offer(FILES, "fileURI", "path", required=1, in_frame=True)
def file_uri(frame: Frame, path: object) -> str:
    """The URI of a namespace file."""
    return _namespace_file(printed(path), own_namespace(frame))


def _uri(frame: Frame, path: object) -> str:
    """The storage URI of what a flow may name: its own files only."""
    text = printed(path)
    if text.startswith(f"{_STORAGE}/"):
        if ".." in text:
            raise ExpressionFailed(_refused(text))
        if _owned(frame.all_variables(), text.removeprefix(_STORAGE)):
            return text
        raise ExpressionFailed(
            f"Unable to read the file '{text}' as it didn't belong to the current execution"
        )
    if text.startswith("nsfile://"):
        namespace, _, inner = text.removeprefix("nsfile://").partition("/")
        return _namespace_file(inner, namespace or own_namespace(frame))
    if "://" in text:
        raise ExpressionFailed(
            f"Unable to read the file '{text}': only namespace files and files of this execution"
            " can be read"
        )
    if not text:
        raise ExpressionFailed("Unable to read the file '': the path is empty")
    return _namespace_file(text, own_namespace(frame))


def _namespace_file(path: str, namespace: str | None) -> str:
    if namespace is None:
        raise ExpressionFailed(f"Unable to read the file '{path}': the flow has no namespace here")
    if ".." in path.replace("\\", "/").split("/"):
        raise ExpressionFailed(_refused(path))
    return f"{_STORAGE}/{namespace.replace('.', '/')}/_files/{path.lstrip('/')}"


def _refused(path: str) -> str:
    return (
        f"Unable to read the file '{path}': files should be accessed with their full path and not "
        "using relative '..' path."
    )


def _owned(variables: Mapping[str, object], path: str) -> bool:
    """Files of this execution, of those it replays or was started by, and of the namespace."""
    flow, trigger = _map(variables, "flow"), _map(variables, "trigger")
    execution = _map(variables, "execution")
    own = _prefix(flow.get("namespace"), flow.get("id"), execution.get("id"))
    original = _prefix(flow.get("namespace"), flow.get("id"), execution.get("originalId"))
    parent = _prefix(trigger.get("namespace"), trigger.get("flowId"), trigger.get("executionId"))
    namespace = flow.get("namespace")
    files = f"/{namespace.replace('.', '/')}/_files/" if isinstance(namespace, str) else None
    prefixes = (own, original, parent, files)
    return any(prefix is not None and path.startswith(prefix) for prefix in prefixes)


def _map(variables: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = variables.get(name)
    return value if isinstance(value, Mapping) else {}


def _prefix(namespace: object, flow: object, execution: object) -> str | None:
    if not (isinstance(namespace, str) and isinstance(flow, str) and isinstance(execution, str)):
        return None
    return f"/{namespace.replace('.', '/')}/{slugify(flow)}/executions/{execution}/"
