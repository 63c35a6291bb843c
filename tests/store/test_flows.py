"""Flows: when a save makes a revision, what a deletion leaves, who owns what."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock_server.store import flows
from penstock_server.store.engine import Database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
NAME = ("team", "load")
COMMIT = flows.Commit(
    source_id="main",
    sha="a" * 40,
    author="Ada",
    email="ada@example.com",
    time=NOON,
    subject="Load more",
    path="flows/load.yml",
    blob="b" * 40,
    ref="refs/heads/main",
    run_id="run",
)


def text(source: str = "id: load\n", **more: Any) -> flows.Save:
    return flows.Save(namespace="team", id="load", source=source, **more)


def save(database: Database, *saves: flows.Save, **more: Any) -> list[flows.Head]:
    with database.begin() as tx:
        return flows.save_revisions(tx.connection, saves, now=more.pop("now", NOON), **more)


def delete(database: Database, **more: Any) -> list[flows.Head]:
    with database.begin() as tx:
        return flows.mark_deleted(tx.connection, [NAME], now=LATER, **more)


def head(database: Database) -> flows.Head:
    with database.read() as connection:
        found = flows.head(connection, *NAME)
    assert found is not None
    return found


def history(database: Database) -> list[tuple[int, str, bool]]:
    with database.read() as connection:
        return [(r.revision, r.source, r.deleted) for r in flows.revisions(connection, *NAME)]


def test_a_first_save_is_revision_one(database: Database) -> None:
    [made] = save(database, text(labels={"a": "b"}, description="d", disabled=True))
    assert (made.revision, made.labels, made.description) == (1, {"a": "b"}, "d")
    assert not made.enabled
    assert head(database) == made


def test_the_same_text_makes_no_revision(database: Database) -> None:
    save(database, text("id: load\n"))
    [made] = save(database, text("id: load\r\n\n"), now=LATER)
    assert (made.revision, made.updated) == (1, NOON)
    assert history(database) == [(1, "id: load\n", False)]


def test_another_text_is_the_next_revision(database: Database) -> None:
    save(database, text("a"))
    save(database, text("b", by="ada", via="ui", disabled=True), now=LATER)
    assert history(database) == [(1, "a", False), (2, "b", False)]
    with database.read() as connection:
        last = flows.revision(connection, *NAME)
        first = flows.revision(connection, *NAME, 1)
        assert flows.revision(connection, *NAME, 3) is None
    assert first is not None
    assert last is not None
    assert (last.revision, last.by, last.via, last.created) == (2, "ada", "ui", LATER)
    assert (first.digest, last.digest) == (flows.digest("a"), flows.digest("b"))


def test_numbering_goes_on_after_a_deletion(database: Database) -> None:
    save(database, text("a"))
    [gone] = delete(database, by="ada", via="git", commit=COMMIT)
    assert (gone.revision, gone.deleted) == (2, True)
    assert delete(database) == []
    assert history(database) == [(1, "a", False), (2, "a", True)]
    save(database, text("a"), now=LATER)
    assert history(database)[2:] == [(3, "a", False)]
    assert not head(database).deleted


def test_a_commit_makes_its_source_the_owner_also_without_a_new_revision(
    database: Database,
) -> None:
    save(database, text("a"))
    [made] = save(database, text("a", commit=COMMIT, via="git"))
    assert (made.revision, made.managed_by) == (1, "main")
    [made] = save(database, text("b", commit=COMMIT, via="git"))
    with database.read() as connection:
        last = flows.revision(connection, *NAME)
        found = flows.stored(connection, *NAME, None)
    assert last is not None
    assert last.commit == COMMIT
    assert found is not None
    assert found.git is not None
    assert (found.git["commit"], found.git["path"]) == ("a" * 40, "flows/load.yml")


def test_a_hand_edit_of_a_managed_flow_drifts_until_its_source_saves(database: Database) -> None:
    save(database, text("a", commit=COMMIT))
    [edited] = save(database, text("b"), drifted=True)
    assert (edited.managed_by, edited.drifted) == ("main", True)
    [back] = save(database, text("a", commit=COMMIT))
    assert (back.revision, back.drifted) == (3, False)


def test_an_override_survives_saves_until_it_is_removed(database: Database) -> None:
    override = flows.Override(disabled=True, by="ada", at=NOON, until=LATER, reason="noise")
    save(database, text("a"))
    with database.begin() as tx:
        assert flows.set_override(tx.connection, *NAME, override, now=NOON)
        assert not flows.set_override(tx.connection, "team", "other", override, now=NOON)
    save(database, text("b"))
    assert head(database).override == override
    with database.read() as connection:
        found = flows.stored(connection, *NAME, None)
    assert found is not None
    assert found.disabled
    with database.begin() as tx:
        flows.set_override(tx.connection, *NAME, None, now=NOON)
    assert head(database).enabled


def test_heads_are_listed_by_namespace_with_children_and_by_source(database: Database) -> None:
    names = [("team", "b"), ("team.sub", "a"), ("teams", "c"), ("team", "a")]
    saves = [flows.Save(namespace=n, id=i, source=f"{n}/{i}") for n, i in names]
    save(database, *saves, replace(text(commit=COMMIT), namespace="other"), text())
    delete(database)
    with database.begin() as tx:
        flows.set_managed(tx.connection, [("team", "b")], "main", now=NOON)
    with database.read() as connection:

        def listed(**by: Any) -> list[tuple[str, str]]:
            return [(h.namespace, h.id) for h in flows.list_heads(connection, **by)]

        assert listed(namespace="team") == [("team", "a"), ("team", "b"), ("team.sub", "a")]
        assert listed(managed_by="main") == [("other", "load"), ("team", "b")]
        assert ("team", "load") in listed(deleted=True)
        assert flows.sources(connection, namespace="team.sub") == {("team.sub", "a"): "team.sub/a"}


@pytest.mark.parametrize("count", [450])
def test_a_large_commit_is_saved_at_once(database: Database, count: int) -> None:
    saves = [
        flows.Save(namespace="team", id=f"f{n}", source=str(n), commit=COMMIT) for n in range(count)
    ]
    assert {h.revision for h in save(database, *saves)} == {1}
    changed = [replace(s, source="new") if s.id == "f7" else s for s in saves]
    assert sorted(h.revision for h in save(database, *changed)) == [1] * (count - 1) + [2]
    with database.read() as connection:
        assert len(flows.sources(connection, managed_by="main")) == count
