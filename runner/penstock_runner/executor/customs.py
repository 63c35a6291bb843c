"""What the configuration adds to every flow: defaults, and which flows it trusts with more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from penstock_runner.flow.defaults import Default
from penstock_runner.flow.model import OnRunnerLost


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceDefault:
    """What holds for the jobs of a namespace where its flows say nothing."""

    runs_on: object | None = None
    worker_group: None = None
    worker_selector: None = None
    on_runner_lost: OnRunnerLost | None = None


NO_DEFAULT = NamespaceDefault()


@dataclass(frozen=True, slots=True, kw_only=True)
class Customs:
    """Defaults of types, defaults by namespace, and whether a commit is of a protected ref."""

    defaults: Sequence[Default] = ()
    namespace: Callable[[str], NamespaceDefault] = lambda _namespace: NO_DEFAULT
    protected: Callable[[Mapping[str, object] | None], bool] = lambda _git: False


NO_CUSTOMS = Customs()
