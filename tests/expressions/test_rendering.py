from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from tests.expressions.world import EXPRESSIONS, World, failure

from penstock_runner.expressions.environment import Expressions, NoServices, is_pure
from penstock_runner.expressions.errors import ExpressionFailed, NotInline
from penstock_runner.expressions.truth import truthy

RECURSIVE = Expressions(recursive=True)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ m }}", {"a": [1]}),
        ("{{ n }}", None),
        ("", None),
        ("text", "text"),
        ("{{ one }}", 1),
        ("{{ one }}{{ one }}", 2),
        ("{{ one }}{{ n }}", 1),
        ("{{ t }} and more\n", "text and more\n"),
        ("pre-{{ t }}", "pre-text"),
        ("{{ m }}\n", '{"a":[1]}\n'),
        ("{{ t }}{{ t }}", "texttext"),
        ("{% if one == 1 %}{{ m }}{% endif %}", {"a": [1]}),
        ("{{ d }}", datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)
def test_typed_rendering_keeps_a_single_value(source: str, expected: object) -> None:
    variables = {
        "m": {"a": [1]},
        "n": None,
        "one": 1,
        "t": "text",
        "d": datetime(2024, 1, 1, tzinfo=UTC),
    }
    assert EXPRESSIONS.render_typed(source, variables, World()) == expected


def test_values_that_cannot_be_joined_are_named() -> None:
    with pytest.raises(ExpressionFailed, match=r"Tried to add .* join values with `~`"):
        EXPRESSIONS.render_typed("{{ a }}{{ b }}", {"a": {}, "b": 1}, World())


def test_maps_and_lists_are_rendered_deeply() -> None:
    given = {"{{ k }}": ["{{ v }}", 1, None, True, {"x": "{{ v }}"}], "key": "{{ lost }}"}
    rendered = EXPRESSIONS.render_deep(given, {"k": "key", "v": "value"}, World())
    assert rendered == {"key": ["value", 1, None, True, {"x": "value"}]}


def test_recursive_rendering_is_a_setting() -> None:
    variables = {"a": "{{ b }}", "b": "end", "m": {"x": "{{ b }}"}}
    assert RECURSIVE.render("{{ a }}", variables, World()) == "end"
    assert RECURSIVE.render("{{ m }}", variables, World()) == '{"x":"end"}'
    assert RECURSIVE.render("{% raw %}{{ a }}{% endraw %}{{ a }}", variables, World()) == (
        "{{ a }}end"
    )
    assert RECURSIVE.render_typed("{{ a }}", variables, World()) == "end"
    assert RECURSIVE.render_deep({"{{ a }}": ["{{ a }}"]}, variables, World()) == {"end": ["end"]}
    with pytest.raises(ExpressionFailed, match=r"Function or Macro \[render\] does not exist"):
        RECURSIVE.render("{{ render(a) }}", variables, World())


@pytest.mark.parametrize(
    ("source", "pure"),
    [
        ("{{ a.b ?? 'c' | upper }}", True),
        ("{{ secret('x') ~ kv('y') ~ now() ~ uuid() }}", True),
        ("{{ render(vars.x) }}", True),
        ("{{ a | jq('.x[0]') | first }}", True),
        ("{{ a | jq('map(.x)') }}", False),
        ("{{ a | jq(p) }}", False),
        ("{{ a | split(',') }}", True),
        ("{{ a | split('[,;]') }}", False),
        ("{{ a | replace({'a': 'b'}) }}", True),
        ("{{ a | replace({'a': 'b'}, regexp=true) }}", False),
        ("{{ read('x') }}", False),
        ("{{ http('x') }}", False),
        ("{{ errorLogs() }}", False),
        ("{{ fileExists('x') }}", False),
        ("{% if a %}{{ b }}{% endif %}", True),
        ("{% for i in l %}{% endfor %}", False),
        ("{% set a = 1 %}", False),
        ("x" * 70_000 + "{{ a }}", False),
    ],
)
def test_a_template_knows_whether_it_is_pure(source: str, pure: bool) -> None:
    assert EXPRESSIONS.compile(source).pure is pure
    assert is_pure({"k": [1, source]}, EXPRESSIONS) is pure


def test_a_template_knows_what_it_uses() -> None:
    template = EXPRESSIONS.compile(
        "{% set t = 1 %}{% for i in inputs.l %}{{ i | upper ~ t ~ loop.index }}{% endfor %}"
        "{{ kv(outputs['a'].k) ?? vars.x | default('') }}"
    )
    assert template.roots == {"inputs", "outputs", "vars"}
    assert template.functions == {"kv"}
    assert template.filters == {"upper", "default"}


def test_inline_rendering_refuses_what_only_shows_at_run_time() -> None:
    variables = {"v": "{{ l | jq('map(.)') }}", "l": [1]}
    assert EXPRESSIONS.render("{{ render(v) }}", variables, World()) == "[[1]]"
    with pytest.raises(NotInline):
        EXPRESSIONS.render("{{ render(v) }}", variables, World(), inline=True)
    assert EXPRESSIONS.render("{{ l | jq('.[0]') }}", variables, World(), inline=True) == "[1]"


def test_too_long_a_text_is_not_rendered_inline() -> None:
    with pytest.raises(NotInline):
        EXPRESSIONS.render("{{ render(v) }}", {"v": "{{ x }}" * 10_000}, World(), inline=True)


def test_a_source_that_is_no_template_is_pure_because_it_fails_at_once() -> None:
    assert is_pure("{{ a b }}", EXPRESSIONS)


def test_raw_blocks_may_stand_beside_any_text() -> None:
    assert EXPRESSIONS.render("raw {{ 1 }}", {}, World()) == "raw 1"
    marked = "\ue0f0" + "7\ue0f0"
    assert EXPRESSIONS.render("{% raw %}x{% endraw %}{{ m }}\ue0f0", {"m": marked}, World()) == (
        f"x{marked}\ue0f0"
    )
    every = "".join(map(chr, range(0xE0F0, 0xE120)))
    with pytest.raises(ExpressionFailed, match="Too many private characters"):
        EXPRESSIONS.compile("{% raw %}x{% endraw %}" + every)


def test_raw_blocks_are_left_alone_however_often_a_text_is_rendered() -> None:
    variables = {
        "a": "{% raw %}{{ a }}{% endraw %}{{ b }}",
        "b": "{{ c }}{% raw %}{{ b }}{% endraw %}",
        "c": "end",
    }
    assert EXPRESSIONS.render("{{ render(a) }}", variables, World()) == "{{ a }}end{{ b }}"
    assert EXPRESSIONS.render("{{ renderOnce(b) }}", variables, World()) == "end{{ b }}"
    assert RECURSIVE.render("{{ a }}", variables, World()) == "{{ a }}end{{ b }}"


def test_an_error_that_nobody_foresaw_is_an_expression_that_failed() -> None:
    class Broken(dict[str, object]):
        def __getitem__(self, key: str) -> object:
            raise ValueError("broken mapping")

    for source in ("{{ a }}", "{% if a %}{% endif %}"):
        with pytest.raises(ExpressionFailed, match="broken mapping"):
            EXPRESSIONS.render(source, Broken(), World())
        with pytest.raises(ExpressionFailed, match="broken mapping"):
            EXPRESSIONS.render_typed(source, Broken(), World())


def test_a_value_of_an_unknown_type_is_not_printed() -> None:
    with pytest.raises(ExpressionFailed, match="type object cannot be printed"):
        EXPRESSIONS.render("{{ o }}", {"o": object()}, World())


def test_every_part_of_a_template_can_be_rendered_by_many_threads() -> None:
    template = EXPRESSIONS.compile("{% for i in 1..50 %}{{ n }}{% endfor %}")
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: template.render({"n": n}, World()), range(10)))
    assert results == [str(n) * 50 for n in range(10)]


def test_without_services_every_question_says_so() -> None:
    for source in (
        "{{ secret('x') }}",
        "{{ kv('x') }}",
        "{{ uuid() }}",
        "{{ http('x') }}",
        "{{ read('x') }}",
        "{{ fileSize('x') }}",
        "{{ fileExists('x') }}",
        "{{ errorLogs() }}",
    ):
        with pytest.raises(ExpressionFailed, match="is not available here"):
            EXPRESSIONS.render(source, {"flow": {"namespace": "n"}}, NoServices())
    assert EXPRESSIONS.render("{{ now('yyyy') }}", {}, NoServices()) == "1970"


@pytest.mark.parametrize(
    ("text", "true"),
    [
        (None, False),
        ("", False),
        ("false", False),
        ("0", False),
        ("-0", False),
        (" ", True),
        ("False", True),
        ("no", True),
        ("0.0", True),
        ("false\n", True),
        ("true", True),
    ],
)
def test_the_truth_of_a_text(text: str | None, true: bool) -> None:
    assert truthy(text) is true


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in 1..99999 %}{% for j in 1..99999 %}{% endfor %}{% endfor %}",
        "{% set s = 'xxxxxxxxxx' %}{% for i in 1..99 %}{% set s = s ~ s %}{% endfor %}",
        "{% set l = [1] %}{% for i in 1..99 %}{% set l = l + l %}{% endfor %}",
        "{% set l = [1] %}{% for i in 1..40 %}{% set l = [l, l] %}{% endfor %}{{ l }}",
        "{% set l = [1] %}{% for i in 1..40 %}{% set l = [l, l] %}{% endfor %}{{ '' ~ l }}",
        "{% set l = [1] %}{% for i in 1..40 %}{% set l = [l, l] %}{% endfor %}{{ l | toIon }}",
        "{% set l = [1] %}{% for i in 1..40 %}{% set l = [l, l] %}{% endfor %}{{ l | yaml }}",
        "{% set l = ['x'] %}{% for i in 1..40 %}{% set l = [l, l] %}{% endfor %}{{ render(l) }}",
        "{% set n = 2 %}{% for i in 1..99 %}{% set n = n * n %}{% endfor %}",
        "{{ 'a' | nindent(99999999999) }}",
        "{{ 'aaaaaaaaaa' | replace({'a': b}) | replace({'b': b}) | replace({'b': b}) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% block b %}{{ block('b') }}{% endblock %}",
        "{{ 1..9999999999 }}",
        "{{ 'b' | indent(1, b) | join }}",
    ],
)
def test_what_would_explode_is_stopped(source: str) -> None:
    assert failure(source, b="b" * 1000)
