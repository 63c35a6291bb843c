"""The forms that flows are really written in: each renders to what its author expects."""

from __future__ import annotations

import pytest
from tests.expressions.world import World, render, value

CONTEXT: dict[str, object] = {
    "flow": {"id": "load", "namespace": "my.team"},
    "execution": {"id": "x1", "startDate": "2024-03-05T10:00:00Z", "state": "SUCCESS"},
    "inputs": {"taxi": "green", "count": 7, "list": ["a", "b"], "on": True},
    "vars": {"file": "{{ inputs.taxi }}.csv", "table": "t_{{ render(vars.file) }}"},
    "envs": {"home": "/data"},
    "taskrun": {"value": '{"id": 3, "name": "three"}', "id": "r1", "attemptsCount": 0},
    "parents": [{"taskrun": {"value": "outer"}}],
    "outputs": {
        "extract": {"outputFiles": {"green_2024-03.csv": "kestra:///f"}, "uri": "kestra:///u"},
        "query": {"rows": [{"n": 1}, {"n": 2}], "size": 2},
        "request": {"body": '{"items": [{"name": "one"}, {"name": "two"}]}', "code": 200},
        "each": {"outer": {"uri": "kestra:///e"}},
        "my-task": {"value": "hyphen"},
    },
    "tasks": {"a": {"state": "SUCCESS"}, "b": {"one": {"state": "FAILED"}}},
    "trigger": {"date": "2024-03-05T00:00:00Z", "body": {"user": {"name": "ada"}}},
    "labels": {"env": "prod"},
}
WORLD = World(
    secrets={"TOKEN": "s3cret"},
    keys={("my.team", "limit"): 10},
)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        # Filters
        ("{{ trigger.date | date('yyyyMMddHHmmss') }}", "20240305000000"),
        ("{{ trigger.date | date('MMMM yyyy') }}", "March 2024"),
        ("{{ trigger.date | date('Q') }} {{ trigger.date | date('yyyy-MMM') }}", "1 2024-Mar"),
        ("{{ trigger.date | date(\"yyyy-MM-dd'T'HH:mm:ssXXX\") }}", "2024-03-05T00:00:00Z"),
        ("{{ trigger.date | date('HH:mm', 'Europe/Paris') }}", "01:00"),
        ("{{ trigger.date | dateAdd(-1, 'MONTHS') | date('yyyy-MM') }}", "2024-02"),
        ("{{ trigger.date | date('yyyy') | int - 1 }}", "2023"),
        ("{{ 1.26 | round(1) }} {{ 2.5 | round }}", "1.3 3"),
        ("{{ outputs.request.body | jq('.items[].name') | first }}", "one"),
        ("{{ outputs.request.body | jq('.items | length') | first }}", "2"),
        ("{{ taskrun.value | jq('.id') | first }}", "3"),
        ("{{ outputs.query.rows | jqFirst('sort_by(.n) | reverse | .[0].n') }}", "2"),
        ("{{ outputs.query.rows | jq('map(.n)') }}", "[[1,2]]"),
        ("{{ outputs.query.rows | length }} {{ inputs.list | length }}", "2 2"),
        ("{{ outputs.query.rows[0] | keys }}", '["n"]'),
        ("{{ inputs.nothing | default('x') }}", "x"),
        ("{{ [[1], [2, 3]] | flatten }}", "[1,2,3]"),
        ("{{ 'a-b' | replace({'-': '_'}) }}", "a_b"),
        ("{{ 'a,b' | split(',') | last }}", "b"),
        ("{{ [3, 1] | reverse | toJson }} {{ [3, 1] | json }}", "[1,3] [3,1]"),
        ("{{ 'ab' | base64encode }} {{ 'a b' | urlencode }}", "YWI= a+b"),
        ("{{ 'Hello, World' | slugify }}", "hello-world"),
        ("{{ '7' | number + 1 }} {{ '7' | int + 1 }}", "8 8"),
        ("{{ ' A ' | trim | lower }} {{ 'a' | upper }}", "a A"),
        ("{{ 'a long text' | truncate(9) }}", "a long..."),
        ("{{ [1, 1, 2] | distinct }}", "[1,2]"),
        ("{{ [{'a': 1}, {'b': 2}] | selectattr('a') | list }}", '[{"a":1}]'),
        ("{{ 'a.csv' | endsWith('.csv') }} {{ 'a.csv' | startsWith('b') }}", "true false"),
        ("{{ 'a.csv' | substringBefore('.') }} {{ [1, 2] | join('-') }}", "a 1-2"),
        ("{{ trigger.date | timestamp }}", "1709596800"),
        # Functions
        ("{{ secret('TOKEN') }} {{ kv('limit') }}", "s3cret 10"),
        ("{{ render(vars.file) }} {{ render(vars.table) }}", "green.csv t_green.csv"),
        ("{{ vars.file }}", "{{ inputs.taxi }}.csv"),
        ("{{ json(taskrun.value).name }} {{ fromJson(taskrun.value).id }}", "three 3"),
        ("{{ tasksWithState('FAILED') | length }}", "1"),
        ("{{ tasksWithState('failed')[0].taskId }}", "b"),
        ("{% for n in range(1, 3) %}{{ n }}{% endfor %}", "123"),
        ("{{ now() | date('yyyy-MM-dd') }}", "2024-03-05"),
        ("{{ now(format='yyyy') }}", "2024"),
        # Operators and forms
        (
            "{{ outputs.extract.outputFiles[inputs.taxi ~ '_'"
            " ~ (trigger.date | date('yyyy-MM')) ~ '.csv'] }}",
            "kestra:///f",
        ),
        ("{{ outputs.each[parents[0].taskrun.value].uri }}", "kestra:///e"),
        ("{{ outputs['my-task'].value }}", "hyphen"),
        ("{{ schedule.date ?? trigger.date | date('yyyy-MM-dd') }}", "2024-03-05"),
        ("{{ outputs.skipped.value ?? inputs.none ?? 'last' }}", "last"),
        ("{{ outputs.skipped is defined ? 'yes' : 'no' }}", "no"),
        ("{{ inputs.taxi is defined and inputs.taxi ? inputs.list | length : 0 }}", "2"),
        ("{{ (inputs.count > 5 and not (inputs.count == 6)) ? 'many' : 'few' }}", "many"),
        ("{{ 'is ' ~ (inputs.on ? 'on' : 'off') ~ '!' }}", "is on!"),
        ("{{ inputs.count % 2 }} {{ inputs.count * 2 - 1 }} {{ inputs.count + 1 }}", "1 13 8"),
        ("{{ inputs.list contains 'a' }} {{ 'a' in inputs.list }}", "true true"),
        ("{{ outputs.request.code equals 200 }} {{ inputs.count != 7 }}", "true false"),
        ("{{ {'a': inputs.count}.a ?? ({'a': inputs.count}).a }}", None),
        ("{{ trigger.body.user.name }} {{ labels.env }} {{ envs.home }}", "ada prod /data"),
        ("${{ inputs.count }}", "$7"),
        ("{% if inputs.on %}yes{% else %}no{% endif %}{# nothing #}", "yes"),
        ("{% raw %}{{ theirs }}{% endraw %}", "{{ theirs }}"),
        ("{%- if inputs.on -%} a {%- endif -%}", "a"),
        ("{{ inputs.nothing is null ? 1 : 2 }}", None),
        ("{{ '{}' is json }} {{ '' is empty }}", "true true"),
    ],
)
def test_what_flows_write_renders(source: str, text: str | None) -> None:
    if text is None:
        # These fail for everybody: a map needs brackets, and `is null` asks for what is there.
        with pytest.raises(Exception, match=r"brackets|Unable to find"):
            render(source, WORLD, **CONTEXT)
    else:
        assert render(source, WORLD, **CONTEXT) == text


def test_an_index_outside_of_a_value_keeps_the_filters_order() -> None:
    """A filter binds tighter than arithmetic, so only 200 is rounded here."""
    assert value("0.5 * 200 | round(0)") == 100
    assert value("random() * 0 | round(0)") == 0


def test_what_is_read_may_be_parsed_and_rendered_again() -> None:
    world = World(files={"kestra:///my/team/_files/scripts/a.sql": "select {{ inputs.count }}"})
    assert render("{{ render(read('scripts/a.sql')) }}", world, **CONTEXT) == "select 7"
