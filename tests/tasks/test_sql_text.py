"""SQL text is taken apart at the right places."""

from __future__ import annotations

import pytest

from penstock_runner.tasks.sql_text import gives_rows, statements, with_named, with_positions


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1", ["select 1"]),
        ("select 1; select 2;", ["select 1", "select 2"]),
        (" ;; select 1 ; ", ["select 1"]),
        ("select ';'; select 'it''s;'", ["select ';'", "select 'it''s;'"]),
        (r"select E'\';'; select 2", [r"select E'\';'", "select 2"]),
        ('select ";"; select 2', ['select ";"', "select 2"]),
        ("select 1 -- ; not here\n; select 2", ["select 1 -- ; not here", "select 2"]),
        ("select /* ; /* ; */ ; */ 1; select 2", ["select /* ; /* ; */ ; */ 1", "select 2"]),
        ("do $$ begin; end $$; select 2", ["do $$ begin; end $$", "select 2"]),
        ("do $a$ ; $$ ; $a$; select 2", ["do $a$ ; $$ ; $a$", "select 2"]),
        ("select $1; select 2", ["select $1", "select 2"]),
        ("-- only a comment", []),
        ("select 1; -- the end", ["select 1"]),
        ("select 'open ; end", ["select 'open ; end"]),
        ("select '日本;'; select 2", ["select '日本;'", "select 2"]),
        ("", []),
    ],
)
def test_statements(sql: str, expected: list[str]) -> None:
    assert statements(sql) == expected


def test_named_parameters_are_marked_and_percents_doubled() -> None:
    sql = "select :a, ':a', x::text, :b, '50%' -- :a"
    assert with_named(sql, {"a"}) == "select %(a)s, ':a', x::text, :b, '50%%' -- :a"


def test_question_marks_are_marked_outside_of_quotes() -> None:
    assert with_positions("insert into t values (?, '?', ?)") == (
        "insert into t values (%s, '?', %s)"
    )


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", True),
        ("/* first */ with a as (select 1) select * from a", True),
        ("values (1)", True),
        ("select 'insert'", True),
        ("select * into t from a", False),
        ("with a as (delete from t returning *) select * from a", False),
        ("insert into t values (1)", False),
        ("", False),
    ],
)
def test_what_surely_gives_rows(sql: str, expected: bool) -> None:
    assert gives_rows(sql) is expected
