"""The outside world as expressions of a job see it: secrets, keys, files, the network."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from penstock_runner.expressions.errors import ExpressionFailed
from penstock_runner.jobs.calls import Call, RemoteKeyValues
from penstock_runner.jobs.derived import derived
from penstock_runner.jobs.masking import Masker
from penstock_runner.jobs.protocol import Job
from penstock_runner.jobs.secrets import secret_of
from penstock_runner.tasks import places
from penstock_runner.tasks.storage import BadAddress, FileMissing, Storage

LONGEST_READ = 64 * 1024 * 1024
NAMESPACE_FILE = "nsfile://"


def readable_executions(job: Job) -> tuple[str, ...]:
    """Where the files are that a job may read: its execution's, its original's, its parent's."""
    own: list[tuple[Any, ...]] = [(job.namespace, job.flow_id, job.execution_id)]
    execution, trigger = (job.variables.get(name) for name in ("execution", "trigger"))
    if isinstance(execution, Mapping):
        own.append((job.namespace, job.flow_id, execution.get("originalId")))
    if isinstance(trigger, Mapping):
        own.append(tuple(trigger.get(name) for name in ("namespace", "flowId", "executionId")))
    return tuple(
        places.execution_prefix(*name) for name in own if all(isinstance(one, str) for one in name)
    )


class JobServices:
    """Implements `Services`; every secret that is given out is masked from then on."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        secrets: Mapping[str, str],
        masker: Masker,
        storage: Storage,
        namespace: str,
        protected: bool = False,
        execution_prefixes: Sequence[str],
        call: Call,
    ) -> None:
        self._now = now
        self._secrets = secrets
        self._masker = masker
        self._storage = storage
        self._namespace = namespace
        self._protected = protected
        self._execution_prefixes = execution_prefixes
        self._call = call

    @property
    def keeps_secrets(self) -> bool:
        """Whether this job knows a secret."""
        return not self._masker.empty

    def made_of(self, given: Sequence[object], result: object) -> None:
        """What is made of a secret is masked, too."""
        for text in list(derived(given, result, self._masker.hides)):
            self._masker.add(text)

    def now(self) -> datetime:
        """The current instant."""
        return self._now()

    def secret(self, name: str, namespace: str | None) -> str:  # noqa: ARG002 - one set for all
        """A secret by name, in any case."""
        value = secret_of(self._secrets, name, self._namespace, protected=self._protected)
        self._masker.add(value)
        return value

    def kv(self, key: str, namespace: str | None) -> object:
        """A value of the key-value store."""
        return RemoteKeyValues(self._call, namespace or self._namespace).value(key)

    def read(self, uri: str) -> str:
        """The text of a file of this execution or of a namespace."""
        address = self._allowed(uri)
        size = self._facts(address)
        if size > LONGEST_READ:
            raise ExpressionFailed(f"{uri} has {size} bytes; read() takes {LONGEST_READ} at most")
        return self._storage.read_bytes(address).decode("utf-8", "replace")

    def file_size(self, uri: str) -> int:
        """The length of a file in bytes."""
        return self._facts(self._allowed(uri))

    def file_exists(self, uri: str) -> bool:
        """Whether there is such a file."""
        try:
            return self._storage.exists(self._allowed(uri))
        except BadAddress as error:
            raise ExpressionFailed(str(error)) from None

    def error_logs(self) -> list[dict[str, object]]:
        """The ERROR log lines of the execution, asked from core."""
        return list(self._call("logs.errors", {}))

    def http(self, request: Mapping[str, object]) -> object:
        """The body of the answer to a request, read as JSON where it says so."""
        import httpx2 as httpx

        wanted: dict[str, Any] = dict(request)
        uri = str(wanted.pop("uri"))
        try:
            answer = httpx.request(
                str(wanted.get("method") or "GET"),
                uri,
                params=wanted.get("query") or None,
                headers=_headers(wanted),
                content=_body(wanted.get("body")),
                timeout=30.0,
                follow_redirects=True,
            )
        except httpx.HTTPError as error:
            raise ExpressionFailed(f"{uri}: {error}") from error
        if answer.status_code >= 400:
            raise ExpressionFailed(f"{uri} answered {answer.status_code}")
        if "json" in answer.headers.get("content-type", ""):
            return answer.json()
        return answer.text

    def random_bytes(self, count: int) -> bytes:
        """So many random bytes."""
        return os.urandom(count)

    def _allowed(self, uri: str) -> str:
        """The address of a file that expressions of this execution may read."""
        if uri.startswith(NAMESPACE_FILE):
            return places.namespace_file(self._namespace, uri.removeprefix(NAMESPACE_FILE))
        if places.execution_of(uri) is None:
            return uri
        path = places.path_of(uri)
        if not any(path.startswith(places.path_of(p) + "/") for p in self._execution_prefixes):
            raise ExpressionFailed(
                f"Unable to read the file '{uri}' as it didn't belong to the current execution"
            )
        return uri

    def _facts(self, address: str) -> int:
        try:
            return self._storage.facts(address).size
        except (FileMissing, BadAddress) as error:
            raise ExpressionFailed(str(error)) from None


def _headers(wanted: Mapping[str, Any]) -> dict[str, str]:
    headers = {str(name): str(value) for name, value in (wanted.get("headers") or {}).items()}
    for key, header in (("contentType", "Content-Type"), ("accept", "Accept")):
        if wanted.get(key):
            headers[header] = str(wanted[key])
    return headers


def _body(body: object) -> bytes | None:
    import orjson

    if body is None or isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else orjson.dumps(body, default=str)
