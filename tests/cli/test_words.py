from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.actions.composite import heredocs

from penstock_runner.git.history import CommitInfo
from penstock_runner.git.provenance import Provenance, committed, provenance
from penstock_runner.git.seed import seed_bare
from penstock_server.cli import backfill, github
from penstock_server.cli.connection import checked_url
from penstock_server.cli.exits import Stop
from penstock_server.cli.following import Event, events
from penstock_server.cli.origins import origin_of
from penstock_server.cli.screen import counted, duration, table

HEAD = CommitInfo(
    sha="a" * 40,
    tree="b" * 40,
    parents=(),
    author_name="Ana Ruiz",
    author_email="ana@example.org",
    author_time=datetime(2026, 3, 1, 12, tzinfo=UTC),
    committer_time=datetime(2026, 3, 1, 12, tzinfo=UTC),
    subject="first",
    message="first\n\nmore",
)
CHECKOUT = Provenance(root=Path("/x"), commit=HEAD, ref="refs/heads/main", url="https://h/x.git")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.004, "0.00 s"), (59.9, "59.90 s"), (192, "3 m 12 s"), (7500, "2 h 5 m")],
)
def test_durations_are_said_as_people_do(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_day_that_ends_a_backfill_is_run_to_its_end() -> None:
    assert backfill.instant("--start", "2026-11-02") == "2026-11-02T00:00:00Z"
    assert backfill.instant("--end", "2026-11-06", backfill.LAST) == "2026-11-06T23:59:59Z"
    timed = backfill.instant("--end", "2026-11-06T08:00+02:00", backfill.LAST)
    assert timed == "2026-11-06T06:00:00Z"


def test_one_is_not_many() -> None:
    assert [counted(n, "error") for n in (0, 1, 2)] == ["0 errors", "1 error", "2 errors"]


def test_a_table_is_aligned_and_moves_no_cursor() -> None:
    shown = table(("STATE", "FLOW"), [("FAILED", "a\x1b[2Jb\nc"), ("OK", "d")], colour=0)
    assert shown.splitlines()[0] == "STATE   FLOW"
    assert "a [2Jb c" in shown
    assert len(shown.splitlines()) == 3


def test_an_output_cannot_end_itself_early(tmp_path: Path) -> None:
    path = tmp_path / "outputs"
    values = {"a": "x\nend\nb<<end\ny", "b": True, "c": 3}
    github.put_outputs({"GITHUB_OUTPUT": str(path)}, values)
    assert heredocs(path.read_text()) == {"a": "x\nend\nb<<end\ny", "b": "true", "c": "3"}
    github.put_outputs({}, values)


def test_a_summary_shows_text_of_others_as_text(tmp_path: Path) -> None:
    record = {"path": "a|b.yml", "line": 1, "column": 2, "code": "X", "message": "<img> `x`\n# y"}
    text = github.fault_summary([record], "1 fault")
    [row] = [line for line in text.splitlines() if "img" in line]
    assert row.count("|") == 3
    assert "<img>" not in text
    assert "`x`" not in text
    path = tmp_path / "summary"
    github.put_summary({"GITHUB_STEP_SUMMARY": str(path)}, "line\n" * 300_000)
    assert path.stat().st_size < 1024 * 1024
    assert path.read_text().endswith("cut here\n\n")


def test_the_ci_system_is_believed_before_the_checkout() -> None:
    github_says = {"GITHUB_SHA": "c" * 40, "GITHUB_REF": "refs/heads/x", "GITHUB_ACTOR": "li"}
    found = origin_of(github_says, CHECKOUT).body()
    assert found == {
        "commit": "c" * 40,
        "ref": "refs/heads/x",
        "repository": "https://h/x.git",
        "actor": "li",
    }
    tagged = {"CI_COMMIT_SHA": "a" * 40, "CI_COMMIT_TAG": "v1", "CI_PROJECT_PATH": "acme/x"}
    found = origin_of(tagged, CHECKOUT).body()
    assert (found["ref"], found["repository"], found["author"]) == (
        "refs/tags/v1",
        "acme/x",
        "Ana Ruiz",
    )
    assert origin_of({}, None).body() == {}


def test_a_pull_request_without_its_event_is_named_by_the_merge() -> None:
    environment = {
        "GITHUB_SHA": "c" * 40,
        "GITHUB_EVENT_NAME": "pull_request",
        "GITHUB_EVENT_PATH": "/none",
    }
    assert origin_of(environment, None).commit == "c" * 40


def test_a_checkout_says_where_it_stands(tmp_path: Path) -> None:
    assert provenance(tmp_path) is None
    sha = seed_bare(
        tmp_path / "x.git",
        {"a.yml": (b"id: a\n", False)},
        message="first",
        author="Ana Ruiz <ana@example.org>",
        at=1_700_000_000,
    )
    config = tmp_path / "x.git" / "config"
    config.write_text(config.read_text() + '[remote "origin"]\n\turl = https://u:pw@h/x.git\n')
    found = provenance(tmp_path / "x.git")
    assert found is not None
    assert found.commit is not None
    assert (found.commit.sha, found.ref, found.url) == (sha, "refs/heads/main", "https://h/x.git")


def test_only_files_as_they_are_committed_carry_the_commit(tmp_path: Path) -> None:
    files = {"flows/a.yml": (b"id: a\r\n", False), "b.yml": (b"id: b\n", False)}
    made = tmp_path / "x.git"
    seed_bare(made, files, message="m", author="A <a@example.org>", at=1_700_000_000)
    found = provenance(made)
    assert found is not None
    assert committed(found, {"flows/a.yml": "id: a\n", "b.yml": "id: b\n"})
    for other in ({"b.yml": "id: c\n"}, {"new.yml": "id: b\n"}, {"flows": ""}, {"b.yml/x": ""}):
        assert not committed(found, other)
    assert not committed(replace(found, commit=None), {})


def test_events_are_read_and_heartbeats_passed_over() -> None:
    lines = [": alive", "", "id: 7", 'data: {"a": 1}', "", "id: end", "data: {}", ""]
    assert list(events(iter(lines))) == [Event("7", {"a": 1}), Event("end", {})]


@pytest.mark.parametrize(
    "address", ["", "example.org", "ftp://x", "http://", "http://x:99999", "http://u:pw@x"]
)
def test_what_is_no_address_is_refused_without_the_password(address: str) -> None:
    with pytest.raises(Stop) as stop:
        checked_url(address)
    assert stop.value.exit_code == 2
    assert ":pw@" not in str(stop.value)


def test_an_address_may_have_a_path() -> None:
    assert checked_url("https://example.org/penstock/?x=1#y") == "https://example.org/penstock"
