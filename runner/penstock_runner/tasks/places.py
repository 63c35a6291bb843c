"""The addresses of the internal storage: where executions, namespaces and caches keep their files.

An address is `kestra:///` and a path. The dots of a namespace become folders; ids of flows, tasks
and triggers are slugs, so that every part is a plain folder name on any system.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import quote

from penstock_runner.tasks.hashing import murmur3_128
from penstock_runner.tasks.storage import BadAddress

SCHEME = "kestra://"


def slug(text: str) -> str:
    """The text in lower case, with `-` for everything that is no letter or digit."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def address(path: str) -> str:
    """The address of a path of the storage."""
    return f"{SCHEME}/{path.lstrip('/')}"


def path_of(uri: str) -> str:
    """The path of an address, without the scheme, starting with `/`."""
    return "/" + uri.removeprefix(SCHEME).lstrip("/")


def namespace_prefix(namespace: str) -> str:
    """Where everything of a namespace is."""
    return address(namespace.replace(".", "/"))


def flow_prefix(namespace: str, flow_id: str) -> str:
    """Where everything of a flow is."""
    return f"{namespace_prefix(namespace)}/{slug(flow_id)}"


def execution_prefix(namespace: str, flow_id: str, execution_id: str) -> str:
    """Where the files of an execution are."""
    return f"{flow_prefix(namespace, flow_id)}/executions/{execution_id}"


def task_prefix(
    namespace: str, flow_id: str, execution_id: str, task_id: str, taskrun_id: str
) -> str:
    """Where the files of one task run are."""
    below = execution_prefix(namespace, flow_id, execution_id)
    return f"{below}/tasks/{slug(task_id)}/{taskrun_id}"


def task_file(
    namespace: str, flow_id: str, execution_id: str, task_id: str, taskrun_id: str, name: str
) -> str:
    """One file that a task run made."""
    return f"{task_prefix(namespace, flow_id, execution_id, task_id, taskrun_id)}/{name}"


def input_file(
    namespace: str, flow_id: str, execution_id: str, input_id: str, file_name: str
) -> str:
    """One file given as an input."""
    below = execution_prefix(namespace, flow_id, execution_id)
    return f"{below}/inputs/{input_id}/{PurePosixPath(file_name).name}"


def trigger_prefix(namespace: str, flow_id: str, execution_id: str, trigger_id: str) -> str:
    """Where the files that a trigger brought are."""
    return f"{execution_prefix(namespace, flow_id, execution_id)}/trigger/{slug(trigger_id)}"


def trigger_file(
    namespace: str, flow_id: str, execution_id: str, trigger_id: str, name: str
) -> str:
    """One file that a trigger brought."""
    return f"{trigger_prefix(namespace, flow_id, execution_id, trigger_id)}/{name}"


def cache_file(namespace: str, flow_id: str, task_id: str, value: str | None = None) -> str:
    """The cache of a working directory, one for each value of a loop."""
    below = f"{flow_prefix(namespace, flow_id)}/{slug(task_id)}/cache"
    return f"{below}/cache.zip" if value is None else f"{below}/{murmur3_128(value)}/cache.zip"


def task_cache_file(namespace: str, flow_id: str, task_id: str, digest: str) -> str:
    """The outputs that a task keeps for one set of rendered properties."""
    return f"{flow_prefix(namespace, flow_id)}/{slug(task_id)}/task-cache/{digest}.json"


def named_caches(namespace: str) -> str:
    """Where the caches with a key of a namespace are."""
    return f"{namespace_prefix(namespace)}/_caches"


def named_cache(namespace: str, key: str) -> str:
    """The cache with a key; the key can be read back from the name of the file."""
    name = quote(key, safe="").replace(".", "%2E")
    return f"{named_caches(namespace)}/{name}.zip"


def namespace_files(namespace: str) -> str:
    """Where the files of a namespace are."""
    return f"{namespace_prefix(namespace)}/_files"


def namespace_file(namespace: str, path: str) -> str:
    """One file of a namespace."""
    return f"{namespace_files(namespace)}/{path.removeprefix('./').lstrip('/')}"


def path_in_namespace(namespace: str, uri: str) -> str:
    """The path of a namespace file from its address, or from its path in the namespace."""
    if "://" not in uri:
        return uri.removeprefix("./").lstrip("/")
    top = f"{namespace_files(namespace)}/"
    if not uri.startswith(top):
        raise BadAddress(f"'{uri}' is not a file of the namespace '{namespace}'")
    return uri.removeprefix(top)


def state_key(flow_id: str | None, state: str, name: str | None, value: str | None) -> str:
    """The key of one state of the older state store; for all flows when `flow_id` is None."""
    parts = [f"{slug(flow_id)}_states" if flow_id else "states", state]
    parts += [part for part in (name, murmur3_128(value) if value is not None else None) if part]
    return "_".join(parts)


def execution_of(uri: str) -> str | None:
    """The id of the execution that a file belongs to."""
    found = re.search(r"/executions/([^/]+)", uri)
    return found[1] if found else None
