from __future__ import annotations

import re
from uuid import UUID

import pytest
from tests.expressions.world import EXPRESSIONS, World, failure, render, value

from penstock_runner.expressions.errors import KeyExpired, KeyMissing, UnknownSecret

FLOW = {"id": "my_flow", "namespace": "my.team"}
MINE = "kestra:///my/team/my-flow/executions/x1/tasks/t/1/a.txt"
PARENTS = "kestra:///other/caller/executions/x0/inputs/f/b.txt"


def test_secrets_are_looked_up_in_upper_case() -> None:
    world = World(secrets={"TOKEN": "t0p", "JSON": '{"user": "ada", "n": 1}'})
    assert value("secret('token')", world) == "t0p"
    assert value("secret('json', subkey='user')", world) == "ada"


def test_a_field_that_a_secret_lacks_is_named() -> None:
    world = World(secrets={"JSON": '{"user": "ada"}', "TEXT": "plain"})
    assert "the field 'nope'" in failure("{{ secret('json', subkey='nope') }}", world)
    assert "the field 'a'" in failure("{{ secret('text', subkey='a') }}", world)


def test_a_missing_secret_is_named_as_written() -> None:
    with pytest.raises(UnknownSecret) as caught:
        value("secret('my_key')")
    assert "Cannot find secret for key 'my_key'." in str(caught.value)


def test_keys_come_from_the_own_namespace_or_the_one_named() -> None:
    world = World(keys={("my.team", "k"): {"a": 1}, ("else", "k"): "other", (None, "k"): 0})
    assert value("kv('k').a", world, flow=FLOW) == 1
    assert value("kv('k', 'else')", world, flow=FLOW) == "other"
    assert value("kv(key='k', namespace='else')", world, flow=FLOW) == "other"


def test_a_missing_key_is_null_unless_an_error_is_asked_for() -> None:
    assert value("kv('gone')", flow=FLOW) is None
    assert value("kv('gone') ?? 'd'", flow=FLOW) == "d"
    with pytest.raises(KeyMissing) as caught:
        value("kv('gone', errorOnMissing=true)", flow=FLOW)
    assert "The key 'gone' does not exist in the namespace 'my.team'." in str(caught.value)
    with pytest.raises(KeyExpired):
        value("kv('expired')", flow=FLOW)


def test_files_of_this_execution_its_parent_and_its_namespace_can_be_read() -> None:
    world = World(
        files={MINE: "mine", PARENTS: "parents", "kestra:///my/team/_files/s/a.sql": "select"}
    )
    context = {
        "flow": FLOW,
        "execution": {"id": "x1"},
        "trigger": {"namespace": "other", "flowId": "caller", "executionId": "x0"},
    }
    assert value(f"read('{MINE}')", world, **context) == "mine"
    assert value(f"read('{PARENTS}')", world, **context) == "parents"
    assert value("read('s/a.sql')", world, **context) == "select"
    assert value("read('/s/a.sql')", world, **context) == "select"
    assert value("read(fileURI('s/a.sql'))", world, **context) == "select"
    assert value("read('nsfile:///s/a.sql')", world, **context) == "select"
    assert value(f"fileSize('{MINE}')", world, **context) == 4
    assert value("fileExists('s/b.sql')", world, **context) is False
    assert value("fileEmpty('s/a.sql')", world, **context) is False


@pytest.mark.parametrize(
    ("path", "part"),
    [
        (PARENTS, "as it didn't belong to the current execution"),
        ("kestra:///my/team/my-flow/executions/x1/../x2/a", "relative '..' path"),
        ("../other/a.txt", "relative '..' path"),
        ("file:///etc/passwd", "only namespace files and files of this execution"),
        ("", "the path is empty"),
    ],
)
def test_other_files_are_refused(path: str, part: str) -> None:
    assert part in failure("{{ read(p) }}", p=path, flow=FLOW, execution={"id": "x1"})


def test_http_gets_what_was_named() -> None:
    world = World()
    assert value("http('http://h/x', method='POST', headers={'a': 'b'}).ok", world) is True
    assert world.requests == [{"uri": "http://h/x", "method": "POST", "headers": {"a": "b"}}]


def test_random_values_come_from_the_services() -> None:
    assert UUID(render("{{ uuid() }}")).version == 4
    assert re.fullmatch(r"[0-9A-Za-z]{22}", render("{{ id() }}") or "")
    assert re.fullmatch(r"[\w-]{21}", render("{{ nanoId() }}") or "")
    assert re.fullmatch(r"[ab]{5}", render("{{ nanoId(5, 'ab') }}") or "")
    assert 0 <= float(render("{{ random() }}") or 2) < 1
    assert 49152 <= int(render("{{ randomPort() }}") or 0) <= 65535
    assert value("randomInt(3, 4)") == 3
    assert value("randomInt(5, 5)") == 5
    assert "with type Integer" in failure("{{ randomInt('1', 2) }}")
    assert "must not be below" in failure("{{ randomInt(2, 1) }}")
    assert value("uuid()", World()) == value("uuid()", World())


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("fromJson('{\"a\": [1, null]}').a", [1, None]),
        ("json('1')", 1),
        ("fromJson(null)", None),
        ("yaml('a: [1, x]')", {"a": [1, "x"]}),
        ("range(1, 3)", [1, 2, 3]),
        ("range(5, 1, -2)", [5, 3, 1]),
        ("range('a', 'c')", ["a", "b", "c"]),
        ("max(1, 2.5, 2)", 2.5),
        ("min(3, 2)", 2),
        (
            "tasksWithState('FAILED')",
            [
                {"taskId": "a", "value": None, "state": "FAILED"},
                {"taskId": "b", "value": "v2", "state": "FAILED"},
            ],
        ),
        ("env('home')", "/x"),
        ("errorLogs()[0].message", "broken"),
        ("printContext().envs.home", "/x"),
    ],
)
def test_a_function_gives_the_value(expression: str, expected: object) -> None:
    tasks = {
        "a": {"state": "FAILED"},
        "b": {"v1": {"state": "SUCCESS"}, "v2": {"state": "FAILED"}},
    }
    assert value(expression, tasks=tasks, envs={"home": "/x"}) == expected


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("fromJson('{')", "Invalid json"),
        ("fromJson(1)", "must be a text"),
        ("yaml('a: [')", "Invalid yaml"),
        ("yaml(1)", "must be a text"),
        ("fromIon('{a:')", "Invalid ion"),
        ("range(1, 5, 0)", "not 0"),
        ("max('a')", "takes numbers"),
        ("block('nope')", "Block [nope] does not exist."),
        ("secret('json', subkey='nope')", "Cannot find"),
        ("env('nope')", "Unable to find `nope`"),
        ("read('a')", "the flow has no namespace here"),
        ("nanoId(0)", "within 1 and 1000"),
        ("decrypt('AAAAAAAAAAAAAAAAAAAAAA==', '!')", "is not base64"),
        ("decrypt('AAAAAAAAAAAAAAAAAAAAAA==', 'AAAA')", "is too short"),
        ("encrypt('!', 'x')", "base64 of 16, 24 or 32 bytes"),
    ],
)
def test_a_function_says_what_it_cannot_take(expression: str, part: str) -> None:
    assert part in failure("{{ " + expression + " }}")


def test_what_is_encrypted_can_be_decrypted() -> None:
    key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    sealed = value("encrypt(k, 'grün')", k=key)
    assert isinstance(sealed, str)
    assert value("decrypt(k, s)", k=key, s=sealed) == "grün"
    assert value("decrypt(k, '')", k=key) == ""
    assert value("encrypt(k, null)", k=key) is None
    other = "MTEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
    assert "Tag mismatch" in failure("{{ decrypt(k, s) }}", k=other, s=sealed)
    assert "base64 of 16, 24 or 32 bytes" in failure("{{ encrypt('short', 'x') }}")


def test_render_goes_on_until_nothing_changes() -> None:
    variables = {"a": "{{ b }}", "b": "{{ c }}", "c": "end", "l": ["{{ a }}", {"{{ c }}": 1}]}
    assert render("{{ a }}", **variables) == "{{ b }}"
    assert render("{{ render(a) }}", **variables) == "end"
    assert render("{{ renderOnce(a) }}", **variables) == "{{ c }}"
    assert value("render(l)", **variables) == ["end", {"end": 1}]
    assert value("render(5)") == 5


def test_render_that_never_ends_is_stopped() -> None:
    assert "Too many rendering attempts" in failure("{{ render(a) }}", a="{{ b }}", b="{{ a }}")
    assert "Too many rendering attempts" in failure("{{ render(a) }}", a="{{ render(a) }}")
    growing = "{{ a }}{{ a }}x{{ a }}"
    assert "expressions in all were rendered again" in failure("{{ render(a) }}", a=growing)


def test_current_each_output_follows_the_loops() -> None:
    outputs = {"t": {"outer": {"inner": {"v": 1}}, "1": {"v": 2}}}
    context: dict[str, object] = {
        "outputs": outputs,
        "taskrun": {"value": "inner"},
        "parents": [{"taskrun": {"value": "outer"}}, {"outputs": {}}],
    }
    assert value("currentEachOutput(outputs.t).v", **context) == 1
    assert value("currentEachOutput(outputs.t) ?? 'none'", outputs=outputs, taskrun={}) == "none"
    assert EXPRESSIONS.compile("{{ currentEachOutput(outputs.t).v }}").pure


def test_public_holidays_are_those_of_a_country_and_its_parts() -> None:
    pytest.importorskip("holidays")
    assert value("isPublicHoliday('2024-07-14', 'FR')") is True
    assert value("isPublicHoliday('2024-07-15', 'fr')") is False
    assert value("isPublicHoliday('2024-01-06', 'DE', subDivision='BY')") is True
    assert "No holidays are known" in failure("{{ isPublicHoliday('2024-01-06', 'QQ') }}")


@pytest.mark.parametrize(
    ("source", "way_out"),
    [
        ("{{ boundedRange(1, 2) }}", "Write range(start, end)."),
        ("{{ 'a' | condenseString }}", "Write regexReplace"),
        ("{{ currentOutput(1) }}", "Write currentEachOutput"),
    ],
)
def test_what_only_others_have_names_the_way_out(source: str, way_out: str) -> None:
    assert way_out in failure(source)
