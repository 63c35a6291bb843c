"""The expressions of a flow are judged before it runs, each fault at its place in the file."""

from __future__ import annotations

from textwrap import dedent

import pytest

from penstock_runner.expressions.check import check_expressions
from penstock_runner.expressions.findings import examine
from penstock_runner.flow.faults import Fault, Severity
from penstock_runner.flow.parse import parse_flow

LOG = "io.kestra.plugin.core.log.Log"

INPUTS = """
inputs:
  - {id: count, type: INT}
  - {id: max-rows, type: INT}
  - {id: a.b, type: INT}
  - {name: old, type: INT}
"""


def flow(tasks: str, more: str = "") -> str:
    return f"id: one\nnamespace: team\n{dedent(more)}\ntasks:\n{dedent(tasks)}"


def logging(message: str, more: str = "") -> str:
    return flow(f"- id: say-it\n  type: {LOG}\n  message: {message}\n", more)


def told(text: str) -> list[Fault]:
    return list(check_expressions(parse_flow(text, "one.yaml")))


def only(text: str) -> Fault:
    [fault] = told(text)
    return fault


@pytest.mark.parametrize(
    ("message", "code", "part"),
    [
        ('"{{ inputs.a | }}"', "EXPRESSION_SYNTAX", "expected token of type NAME"),
        ('"{{ inputs.a "', "EXPRESSION_SYNTAX", "Unexpected end"),
        ('"{% if a %}x"', "EXPRESSION_SYNTAX", "{% endif %}"),
        ('"{{ now( }}"', "EXPRESSION_SYNTAX", "expected ')'"),
        ('"{{ nwo() }}"', "UNKNOWN_FUNCTION", "no function 'nwo'"),
        ('"{{ inputs.a | uper }}"', "UNKNOWN_FUNCTION", "no filter 'uper'"),
        ('"{% filter uper %}x{% endfilter %}"', "UNKNOWN_FUNCTION", "no filter 'uper'"),
        ('"{{ inputs.a is emty }}"', "UNKNOWN_FUNCTION", "no test 'emty'"),
    ],
)
def test_what_can_never_be_rendered_is_an_error(message: str, code: str, part: str) -> None:
    fault = only(logging(message))
    assert (fault.code, fault.severity) == (code, Severity.ERROR)
    assert part in fault.message
    assert (fault.pointer, fault.flow, fault.path) == ("/tasks/0/message", "team.one", "one.yaml")


@pytest.mark.parametrize(
    ("message", "code", "hint"),
    [
        ('"{{ nwo() }}"', "UNKNOWN_FUNCTION", "did you mean 'now'?"),
        ('"{{ inputs.a | uper }}"', "UNKNOWN_FUNCTION", "did you mean 'upper'?"),
        ('"{{ outputs.sayit.value }}"', "UNKNOWN_TASK_OUTPUT", "did you mean 'say-it'?"),
        ('"{{ outputs.say-it.value }}"', "UNKNOWN_TASK_OUTPUT", "written outputs['say-it']"),
        ("\"{{ outputs['sayit'].value }}\"", "UNKNOWN_TASK_OUTPUT", "did you mean 'say-it'?"),
        ('"{{ env.HOME }}"', "UNKNOWN_VARIABLE", "did you mean 'envs'?"),
        ('"{{ variables.x | upper }}"', "UNKNOWN_VARIABLE", "did you mean 'vars'?"),
        ('"{{ secrets.TOKEN }}"', "UNKNOWN_VARIABLE", "secret('NAME')"),
        ("\"{{ credential('x') }}\"", "UNKNOWN_FUNCTION", "secret('NAME')"),
        ('"{{ boundedRange(1, 2) }}"', "UNKNOWN_FUNCTION", "range(start, end)"),
        ('"{{ inputs.a | condenseString }}"', "UNKNOWN_FUNCTION", "regexReplace"),
        ("\"docker ps --format '{{.Names}}'\"", "EXPRESSION_SYNTAX", "{% raw %}"),
        ('"echo ${#list[@]}"', "EXPRESSION_SYNTAX", "{% raw %}"),
    ],
)
def test_a_fault_says_what_was_probably_meant(message: str, code: str, hint: str) -> None:
    fault = only(logging(message))
    assert fault.code == code
    assert fault.hint is not None
    assert hint in fault.hint


@pytest.mark.parametrize(
    "message",
    [
        '"{{ outputs.nobody.value }}"',
        '"{{ env.HOME }}"',
        "\"{{ secret('a', b='c') }}\"",
        "\"{{ assets('x') }}\"",
    ],
)
def test_what_may_be_right_after_all_is_a_warning(message: str) -> None:
    assert only(logging(message)).severity is Severity.WARNING


@pytest.mark.parametrize(
    "message",
    [
        "\"{{ outputs['say-it'].value }} {{ outputs[inputs.which] }} {{ outputs | keys }}\"",
        '"{% raw %}{{ not ours | at all }}{% endraw %}"',
        '"{% for outputs in inputs.list %}{{ outputs.anything }}{% endfor %}"',
        '"{% macro hello(env) %}{{ env.x }}{% endmacro %}{{ hello(1) }}"',
        "\"{{ trigger.date ?? now() | date('yyyy') }} {# a comment #}\"",
        '"{ not: a template } } }} %}"',
        "'${{ inputs.price }}'",
    ],
)
def test_what_is_right_is_left_alone(message: str) -> None:
    assert told(logging(message)) == []


def test_texts_that_are_never_rendered_are_not_judged() -> None:
    text = flow(
        f"""\
        - id: it
          type: {LOG}
          description: "{{{{ broken"
          message: hello
        """,
        """\
        description: "{{ broken"
        inputs:
          - {id: a, type: STRING, description: "{{ broken", validator: "a{{1}"}
        """,
    )
    assert told(text) == []


def test_variables_are_judged_softly_as_they_may_never_be_rendered() -> None:
    fault = only(logging("hello", 'variables: {a: "{{ | }}"}'))
    assert (fault.code, fault.severity) == ("EXPRESSION_SYNTAX", Severity.WARNING)


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ('"{{ inputs.cout }}"', "did you mean 'count'?"),
        ('"{{ inputs.cout + 1 }}"', "did you mean 'count'?"),
        ('"{{ inputs.max-rows }}"', "written inputs['max-rows']"),
        ("\"{{ inputs['nobody'] ?? 1 }}\"", None),
    ],
)
def test_an_input_that_is_not_declared_is_a_warning(message: str, hint: str | None) -> None:
    fault = only(logging(message, INPUTS))
    assert (fault.code, fault.severity) == ("UNKNOWN_INPUT", Severity.WARNING)
    assert (fault.hint or "").endswith(hint or "")
    assert told(logging(message)) == []


def test_declared_inputs_are_left_alone() -> None:
    message = "\"{{ inputs.count }} {{ inputs.a.b }} {{ inputs['max-rows'] }} {{ inputs.old }}\""
    assert told(logging(message, INPUTS)) == []


def test_outputs_of_other_executions_are_not_looked_for_in_this_flow() -> None:
    text = flow(
        """\
        - id: call
          type: io.kestra.plugin.core.flow.Subflow
          namespace: team
          flowId: other
          outputs: {found: "{{ outputs.its_task.value }}"}
        - id: items
          type: io.kestra.plugin.core.flow.ForEachItem
          items: "{{ outputs.call.outputs.file }}"
          batch: {rows: 1}
          namespace: team
          flowId: other
        - id: merged
          type: io.kestra.plugin.core.debug.Return
          format: "{{ outputs.items_merge.subflowOutputs }}"
        """,
        """\
        triggers:
          - id: after
            type: io.kestra.plugin.core.trigger.Flow
            inputs: {file: "{{ outputs.their_task.uri }}"}
            conditions:
              - {type: io.kestra.plugin.core.condition.ExecutionStatus, in: [SUCCESS]}
        """,
    )
    assert told(text) == []


def test_tasks_inside_tasks_of_unknown_types_have_outputs_too() -> None:
    text = flow(
        """\
        - id: around
          type: io.kestra.plugin.ee.Something
          steps:
            - {id: inner, type: io.kestra.plugin.ee.Other}
        - id: after
          type: io.kestra.plugin.core.debug.Return
          format: "{{ outputs.inner.value }}"
        """
    )
    assert told(text) == []


@pytest.mark.parametrize(
    ("written", "line", "column"),
    [
        ('"ab {{ nope() }}"', 7, 19),
        ("'it''s {{ nope() }}'", 7, 22),
        ("|\n    first\n    of {{ nope() }}", 9, 11),
        (">-\n    folded\n    of {{ nope() }}", 9, 11),
        ('"a\\tb {{ nope() }}"', 7, 21),
        ("plain {{ nope() }}", 7, 21),
        ('"{% raw %}{{ skipped }}{% endraw %}{{ nope() }}"', 7, 50),
        ('"{% raw %}\\n{% endraw %} {{ nope( }}"', 7, 46),
    ],
)
def test_the_place_is_that_in_the_file(written: str, line: int, column: int) -> None:
    fault = only(logging(written))
    assert (fault.line, fault.column) == (line, column)


def test_keys_are_rendered_and_judged_too() -> None:
    text = flow(
        """\
        - id: it
          type: io.kestra.plugin.core.output.OutputValues
          values:
            "{{ nope() }}": 1
        """
    )
    fault = only(text)
    assert (fault.code, fault.line) == ("UNKNOWN_FUNCTION", 8)


def test_every_fault_of_a_flow_is_told_in_the_order_of_the_file() -> None:
    text = flow(
        f"""\
        - id: first
          type: {LOG}
          message: "{{{{ nope() }}}} {{{{ inputs.a | neither }}}}"
        - id: second
          type: {LOG}
          message: "{{{{ inputs.a | }}}}"
        """
    )
    assert [(fault.code, fault.line) for fault in told(text)] == [
        ("UNKNOWN_FUNCTION", 7),
        ("UNKNOWN_FUNCTION", 7),
        ("EXPRESSION_SYNTAX", 10),
    ]


def test_plain_paths_are_told_alike_with_and_without_the_parser() -> None:
    for path in ("outputs.a.b", "outputs['a-b'].c", "outputs[0]", "inputs.a", "env.A", "a.b[1]"):
        short, long = examine(f"x {{{{ {path} }}}}"), examine(f"x {{{{ {path} | upper }}}}")
        assert short is not None
        assert long is not None
        assert short.found == long.found
        assert [use.name for use in short.uses] == [use.name for use in long.uses]


def test_a_template_too_long_to_parse_is_noted() -> None:
    long = "{{ now() }} " * 10_000
    fault = only(logging(f'"{long}"'))
    assert (fault.code, fault.severity) == ("EXPRESSION_NOT_CHECKED", Severity.NOTE)
