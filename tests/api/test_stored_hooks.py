from __future__ import annotations

from typing import Any

from tests.api.building import NOON, Web

from penstock_runner.jobs.secrets import Secrets
from penstock_server.app.git_hooks import StoredHooks
from penstock_server.store import sources

HOOK = {"webhook": {"secretSecret": ["NEW", "OLD"], "forge": "gitea"}}


def put(web: Web, source_id: str, **more: Any) -> None:
    plain: dict[str, Any] = {"url": "https://git.example.org/x.git", "ref_kind": "branch"}
    plain |= {"ref": "main", "config": HOOK, "config_digest": "", "origin": "api"}
    source = sources.GitSource(**{"id": source_id, **plain, "updated_at": NOON, **more})
    with web.database.begin() as tx:
        sources.put_source(tx.connection, source)


def test_hooks_are_as_the_sources_say_at_this_moment(web: Web) -> None:
    hooks = StoredHooks(web.database, Secrets({"NEW": "n3w", "OLD": "0ld"}))
    assert (dict(hooks), "main" in hooks) == ({}, False)
    put(web, "main")
    assert (hooks["main"].secrets, hooks["main"].forge) == (("n3w", "0ld"), "gitea")
    put(web, "silent", config={})
    put(web, "gone", conditions=[{"code": "NOT_CONFIGURED"}])
    assert [*hooks] == [name for name, _ in hooks.items()] == ["main"]
    assert len(StoredHooks(web.database, Secrets({}))) == 0
