"""What the runner and the families share: cases, the context of a run, and outcomes."""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import yaml

HERE = Path(__file__).resolve().parent
Case = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one case ended, with the reason when it did not pass."""

    status: Literal["passed", "failed", "not_applicable"]
    reason: str = ""


PASSED = Outcome("passed")


def failed(reason: str) -> Outcome:
    """A case that did not hold."""
    return Outcome("failed", reason)


def not_applicable(reason: str) -> Outcome:
    """A case that asks for something this machine or project does not have."""
    return Outcome("not_applicable", reason)


def outcome(reason: str | None) -> Outcome:
    """Passed when there is no reason against it."""
    return PASSED if reason is None else failed(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where the cases and their flows are, and what the machine offers."""

    cases: Path
    flows: tuple[Path, ...]
    available: frozenset[str]
    now: datetime

    def flow_path(self, name: str) -> Path:
        """The flow file of that name, from the first folder that has it."""
        for folder in self.flows:
            path = folder / name
            if path.is_file():
                return path
        raise FileNotFoundError(f"no flow file {name!r} in {', '.join(map(str, self.flows))}")


def default_cases() -> Path:
    """The folder named by PENSTOCK_CONFORMANCE, else the one beside the checkout."""
    named = os.environ.get("PENSTOCK_CONFORMANCE")
    return Path(named) if named else HERE.parents[1].parent / "shared" / "conformance"


def new_context(
    cases: Path | None = None, flows: tuple[Path, ...] = (), available: frozenset[str] = frozenset()
) -> Context:
    """A context with the usual folders; each case has a `now` of its own."""
    folder = cases or default_cases()
    return Context(
        cases=folder,
        flows=(*flows, folder / "flows"),
        available=available,
        now=datetime.now(UTC),
    )


def family_names() -> list[str]:
    """The families that have a module here."""
    return sorted(m.name for m in pkgutil.iter_modules([str(HERE / "families")]))


def family(name: str) -> Callable[[Case, Context], Outcome]:
    """The `run` of a family."""
    run: Callable[[Case, Context], Outcome] = importlib.import_module(
        f"tests.conformance.families.{name}"
    ).run
    return run


def offers(name: str) -> frozenset[str]:
    """What cases may ask for and their family brings along."""
    module = importlib.import_module(f"tests.conformance.families.{name}")
    return frozenset(getattr(module, "OFFERS", ()))


def read_cases(name: str, context: Context) -> Iterator[Case]:
    """The cases of one family, in the order of the file."""
    path = context.cases / f"{name}.yaml"
    if path.is_file():
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        with path.open(encoding="utf-8") as stream:
            found = yaml.load(stream, loader)
        yield from found.get("cases", ())
        # The corpus lists flow files: each is a case named for its file.
        for flow in found.get("flows", ()):
            yield {**flow, "id": f"{name}.{flow['file']}", "flow_id": flow["id"]}


def not_applicable_ids() -> Mapping[str, str]:
    """Ids of cases that this project leaves out on purpose, each with its reason."""
    path = HERE / "not_applicable.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def run_case(name: str, case: Case, context: Context) -> Outcome:
    """Run one case; what its family raises is a failure of the case."""
    reason = not_applicable_ids().get(case["id"])
    if reason is not None:
        return not_applicable(reason)
    unmet = [need for need in _needs(case) if need not in context.available | offers(name)]
    if unmet:
        return not_applicable(f"needs {', '.join(unmet)}")
    # A case lies around its own present: those before it may have taken long.
    present = replace(context, now=datetime.now(UTC))
    try:
        return family(name)(case, present)
    except Exception as error:  # noqa: BLE001 - the runner goes on with the next case
        return failed(f"{type(error).__name__}: {error}")


def _needs(case: Case) -> list[str]:
    needs = case.get("requires") or []
    return [needs] if isinstance(needs, str) else list(needs)
