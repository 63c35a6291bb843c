"""Template: tasks that are kept apart from the flows that bring them in."""

from __future__ import annotations

import pytest
from tests.executor.harness import World, stored
from tests.executor.test_executor import report_of

from penstock_runner.engine import events as e
from penstock_runner.engine.state import RunKey, State
from penstock_runner.executor.memory import MemoryStore

LOG = "io.kestra.plugin.core.log.Log"
RETURN = "io.kestra.plugin.core.debug.Return"
TEMPLATE = "io.kestra.plugin.core.flow.Template"

TELL = f"""
id: tell
namespace: shared
tasks:
  - {{id: say, type: {LOG}, message: "to {{{{ parent.outputs.args.whom }}}}"}}
  - {{id: give, type: {RETURN}, logLevel: INFO, format: "{{{{ parent.outputs.args.whom }}}}"}}
"""


def flow(tasks: str, more: str = "") -> str:
    return f"id: build\nnamespace: team\n{more}\ntasks:\n{tasks}"


def tell(task_id: str, whom: str = "Ada", template: str = "tell", indent: int = 2) -> str:
    task = f"- {{id: {task_id}, type: {TEMPLATE}, namespace: shared, templateId: {template}"
    return f'{" " * indent}{task}, args: {{whom: "{whom}"}}}}\n'


def world(tasks: str, *templates: str, more: str = "") -> World:
    made = World(flow(tasks, more))
    for source in templates or (TELL,):
        keep(made, source)
    return made


def keep(made: World, source: str) -> None:
    assert isinstance(made.store, MemoryStore)
    one = stored(source)
    made.store.put_template(one.namespace, one.id, source)


def test_the_tasks_of_a_template_run_below_its_task() -> None:
    made = world(tell("first"))
    execution = made.execution(made.start("build"))
    assert execution.state is State.SUCCESS
    assert made.states(execution.id) == {
        "first": "SUCCESS",
        "first/say": "SUCCESS",
        "first/give": "SUCCESS",
    }
    assert [run.task_id for run in execution.runs.values()] == ["first", "say", "give"]
    assert execution.runs[RunKey("first")].outputs == {"args": {"whom": "Ada"}}
    assert made.messages(execution.id) == ["to Ada"]


def test_one_template_may_be_brought_in_many_times() -> None:
    made = world(tell("first", "Ada") + tell("second", "Bob"))
    execution_id = made.start("build")
    assert made.messages(execution_id) == ["to Ada", "to Bob"]
    assert len(made.execution(execution_id).runs) == 6


def test_a_template_in_a_loop_is_run_for_each_value() -> None:
    loop = "  - id: each\n    type: io.kestra.plugin.core.flow.ForEach\n    values: [a, b]\n"
    made = world(loop + "    tasks:\n" + tell("inner", "{{ taskrun.value }}", indent=6))
    execution_id = made.start("build")
    assert made.execution(execution_id).state is State.SUCCESS
    assert made.messages(execution_id) == ["to a", "to b"]
    assert RunKey("inner/say.1") in made.execution(execution_id).runs


def test_a_missing_template_fails_its_task_and_says_so() -> None:
    made = world(tell("first", template="nobody"))
    execution_id = made.start("build")
    assert made.states(execution_id) == {"first": "FAILED"}
    [message] = made.messages(execution_id)
    assert message.endswith("Can't find flow template 'shared.nobody'")


def test_the_errors_of_a_template_run_when_a_task_of_it_fails() -> None:
    source = f"""
id: tell
namespace: shared
tasks:
  - {{id: break, type: io.kestra.plugin.core.execution.Fail}}
  - {{id: never, type: {LOG}, message: never}}
errors:
  - {{id: care, type: {LOG}, message: cared for}}
"""
    made = world(tell("first"), source)
    execution_id = made.start("build")
    assert made.states(execution_id) == {
        "first": "FAILED",
        "first/break": "FAILED",
        "first/care": "SUCCESS",
    }


def test_the_defaults_of_a_flow_reach_the_tasks_of_a_template() -> None:
    more = f"pluginDefaults: [{{type: {LOG}, values: {{message: by default}}}}]"
    source = f"id: tell\nnamespace: shared\ntasks: [{{id: say, type: {LOG}}}]"
    made = world(tell("first"), source, more=more)
    assert made.messages(made.start("build")) == ["by default"]


def test_templates_bring_in_templates() -> None:
    outer = "id: outer\nnamespace: shared\ntasks:\n" + tell(
        "inner", "{{ parent.outputs.args.whom }}"
    )
    made = world(tell("first", template="outer"), TELL, outer)
    execution_id = made.start("build")
    assert made.messages(execution_id) == ["to Ada"]
    assert RunKey("first/inner/say") in made.execution(execution_id).runs


def test_a_template_that_brings_itself_in_ends_with_a_message() -> None:
    made = world(tell("first"), "id: tell\nnamespace: shared\ntasks:\n" + tell("again"))
    execution_id = made.start("build")
    assert made.execution(execution_id).state is State.FAILED
    assert "does 'shared.tell' bring itself in?" in made.messages(execution_id)[0]


SHELL = f"""
id: tell
namespace: shared
tasks:
  - {{id: work, type: io.kestra.plugin.scripts.shell.Commands, commands: ["true"]}}
  - {{id: say, type: {LOG}, message: first words}}
"""


@pytest.mark.parametrize("stops", [False, True])
def test_a_template_that_changes_leaves_an_execution_that_has_begun_it_as_it_is(
    *, stops: bool
) -> None:
    made = world(tell("first"), SHELL)
    made.runner()
    execution_id = made.start("build")
    keep(made, SHELL.replace("first words", "second thoughts").replace("id: work", "id: labour"))
    if stops:
        made.sent.clear()
        made.restart()
        made.runner()
    made.executor.report(report_of(made.sent[-1]))
    made.settle()
    assert made.execution(execution_id).state is State.SUCCESS
    assert "first words" in made.messages(execution_id)


def test_a_restart_goes_on_with_the_tasks_that_were_found_and_a_new_execution_finds_anew() -> None:
    made = world(tell("first"), SHELL)
    made.runner()
    execution_id = made.start("build")
    made.executor.report(report_of(made.sent[-1], "FAILED"))
    made.settle()
    keep(made, TELL)
    made.executor.tell(execution_id, e.RestartRequested(at=made.now))
    made.settle()
    made.executor.report(report_of(made.sent[-1]))
    made.settle()
    assert made.states(execution_id) == {
        "first": "SUCCESS",
        "first/work": "SUCCESS",
        "first/say": "SUCCESS",
    }
    again = made.start("build")
    assert made.messages(again) == ["to Ada"]


def test_a_replay_from_a_task_of_a_template_goes_on_with_what_the_original_found() -> None:
    made = world(tell("first"))
    old = made.execution(made.start("build"))
    keep(made, SHELL)
    execution_id = made.start("build", replay_of=old, replay_from=RunKey("first/give"))
    assert made.execution(execution_id).state is State.SUCCESS
    assert RunKey("first/say") in made.execution(execution_id).runs


def test_a_task_of_a_template_goes_where_it_asks_to_whatever_a_task_of_the_flow_asks() -> None:
    work = "{id: work, type: io.kestra.plugin.scripts.shell.Commands, commands: [a], runsOn: %s}"
    source = f"id: tell\nnamespace: shared\ntasks:\n  - {work % 'gpu'}\n"
    made = world(f"  - {work % 'cpu'}\n" + tell("first"), source)
    made.runner(labels=["cpu"], name="r1")
    made.runner(labels=["gpu"], name="r2")
    execution_id = made.start("build")
    for _ in range(2):
        made.executor.report(report_of(made.sent[-1]))
        made.settle()
    assert [one["required"] for one in made.sent] == [("cpu",), ("gpu",)]
    assert made.execution(execution_id).state is State.SUCCESS


@pytest.mark.parametrize("stops", [False, True])
def test_secrets_that_a_template_names_are_masked_whoever_shows_them(*, stops: bool) -> None:
    source = f"""
id: tell
namespace: shared
tasks:
  - {{id: pause, type: io.kestra.plugin.core.flow.Sleep, duration: PT1S}}
  - {{id: say, type: {LOG}, message: "{{{{ parent.outputs.args.whom }}}}"}}
  - {{id: last, type: {LOG}, message: "{{{{ secret('KEY') }}}}"}}
"""
    made = World(flow(tell("first", "open sesame")), secrets={"KEY": "open sesame"})
    keep(made, source)
    execution_id = made.start("build")
    if stops:
        made.restart()
    made.wait(1)
    assert made.messages(execution_id)[-2:] == ["******", "******"]
