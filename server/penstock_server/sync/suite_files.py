"""What a file says that is a test suite: its name, its flow, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_runner.flow.binding import FLOW_ID, NAMESPACE
from penstock_runner.flow.document import Document
from penstock_runner.flow.faults import Fault

_LONGEST = 100


def is_suite(document: Document) -> bool:
    """Whether a document is a test suite and no flow."""
    data = document.data
    if not isinstance(data, Mapping):
        return False
    return "testCases" in data and "flowId" in data and "tasks" not in data


def suite_faults(document: Document, namespace: str) -> list[Fault]:
    """What keeps a suite from being stored."""
    data = document.data
    assert isinstance(data, Mapping)  # noqa: S101 - a suite is a map
    found: list[Fault] = []
    for name in ("id", "flowId"):
        value = data.get(name)
        if value is None:
            found.append(document.fault("MISSING_PROPERTY", f"a test suite needs {name!r}", ""))
        elif not isinstance(value, str) or len(value) > _LONGEST or not FLOW_ID.fullmatch(value):
            message = f"{name!r} is up to {_LONGEST} letters, digits, '-', '_' and '.'"
            found.append(document.fault("BAD_ID", message, f"/{name}"))
    if not namespace:
        found.append(document.fault("MISSING_PROPERTY", "a test suite needs 'namespace'", ""))
    elif NAMESPACE.fullmatch(namespace) is None:
        message = f"{namespace!r} is no namespace"
        found.append(document.fault("BAD_NAMESPACE", message, "/namespace"))
    return found + _case_faults(document, data.get("testCases"))


def _case_faults(document: Document, cases: object) -> list[Fault]:
    if not isinstance(cases, list) or not cases:
        message = "'testCases' is a list of cases, each with an 'id'"
        return [document.fault("WRONG_TYPE", message, "/testCases")]
    found: list[Fault] = []
    ids: set[str] = set()
    for number, case in enumerate(cases):
        name = case.get("id") if isinstance(case, Mapping) else None
        if not isinstance(name, str):
            message = "a test case needs an 'id', a text"
            found.append(document.fault("MISSING_PROPERTY", message, f"/testCases/{number}"))
        elif name in ids:
            message = f"Duplicate test case with name [{name}]"
            found.append(document.fault("DUPLICATE_TEST_ID", message, f"/testCases/{number}/id"))
        else:
            ids.add(name)
    return found


def suite_data(document: Document, namespace: str, text: str) -> dict[str, Any]:
    """A suite as plain data."""
    data = document.data
    assert isinstance(data, Mapping)  # noqa: S101 - a suite is a map
    return {"namespace": namespace, "id": data["id"], "flowId": data["flowId"], "text": text}
