"""Tasks on stored files, on items, on namespaces, and the small older state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.tasks.context import Context, run

from penstock_runner.tasks import places
from penstock_runner.tasks.api import TaskFailed
from penstock_runner.tasks.splitting import bytes_of

FILE = "kestra:///x/file.txt"


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return Context(tmp_path, inputs={"key": "test"}, taskrun={"value": None})


def put(ctx: Context, content: str, uri: str = FILE) -> str:
    return ctx.storage.put_bytes(uri, content.encode())


def text(ctx: Context, uri: str) -> str:
    return ctx.storage.read_bytes(uri).decode()


def items(ctx: Context, *values: object) -> str:
    return put(ctx, "".join(json.dumps(value) + "\n" for value in values), "kestra:///x/items.ion")


def test_concat_writes_the_separator_after_every_file(ctx: Context) -> None:
    put(ctx, "some: yaml")
    outputs = run(ctx, "storage.Concat", files=[FILE, FILE], separator="\n", extension=".yml")
    assert outputs["uri"].endswith(".yml")
    assert text(ctx, outputs["uri"]) == "some: yaml\nsome: yaml\n"
    listed = run(ctx, "storage.Concat", files=json.dumps([FILE]))
    assert text(ctx, listed["uri"]) == "some: yaml"


def test_delete_and_size(ctx: Context) -> None:
    put(ctx, "x" * 42)
    assert run(ctx, "storage.Size", uri=FILE) == {"size": 42}
    assert run(ctx, "storage.Delete", uri=FILE) == {"uri": FILE, "deleted": True}
    assert run(ctx, "storage.Delete", uri=FILE)["deleted"] is False
    with pytest.raises(TaskFailed, match=r"Unable to find file 'kestra:///x/file\.txt'"):
        run(ctx, "storage.Delete", uri=FILE, errorOnMissing=True)
    with pytest.raises(TaskFailed, match="File not found"):
        run(ctx, "storage.Size", uri=FILE)
    with pytest.raises(TaskFailed, match="Invalid internal storage scheme"):
        run(ctx, "storage.Size", uri="file:///etc/passwd")


@pytest.mark.parametrize(
    ("how", "parts"),
    [({"rows": 10}, 100), ({"rows": 300}, 4), ({"bytes": "1KB"}, 21), ({"bytes": "1 MB"}, 1)],
)
def test_split_keeps_all_in_order(ctx: Context, how: dict[str, object], parts: int) -> None:
    content = "".join(f"{n:>20}\n" for n in range(1000))
    put(ctx, content)
    uris = run(ctx, "storage.Split", **{"from": FILE}, **how)["uris"]
    assert len(uris) == parts
    assert all(uri.endswith(".txt") for uri in uris)
    assert "".join(text(ctx, uri) for uri in uris) == content


def test_partitions_are_dealt_out(ctx: Context) -> None:
    put(ctx, "a|b|c|d|e")
    uris = run(ctx, "storage.Split", **{"from": FILE}, partitions=2, separator="|")["uris"]
    assert [text(ctx, uri) for uri in uris] == ["a|c|e|", "b|d|"]
    with pytest.raises(TaskFailed, match="Invalid configuration with no size, count, nor rows"):
        run(ctx, "storage.Split", **{"from": FILE})


def test_sizes_have_units() -> None:
    assert [bytes_of(size) for size in (7, "10", "1KB", "2 mb", "1GiB")] == [
        7, 10, 1024, 2 << 20, 1 << 30,
    ]  # fmt: skip
    with pytest.raises(TaskFailed, match="must be a size"):
        bytes_of("many")


def test_reverse_turns_the_lines_round(ctx: Context) -> None:
    put(ctx, "1\n2\n3")
    outputs = run(ctx, "storage.Reverse", **{"from": FILE})
    assert outputs["uri"].endswith(".txt")
    assert text(ctx, outputs["uri"]) == "3\n2\n1\n"


def test_write_stores_a_text(ctx: Context) -> None:
    outputs = run(ctx, "storage.Write", content="key: {{ inputs.key }}", extension="yml")
    assert outputs["uri"].endswith(".yml")
    assert text(ctx, outputs["uri"]) == "key: test"


def test_the_last_of_equal_items_is_kept_at_its_place(ctx: Context) -> None:
    pairs = [("k1", 1), ("k2", 1), ("k3", 1), ("k1", 2), ("k2", None), ("k3", 2), ("k1", 3)]
    uri = items(ctx, *({"key": key, "value": value} for key, value in pairs))
    outputs = run(ctx, "storage.DeduplicateItems", **{"from": uri}, expr=" {{ key }} ")
    counts = (outputs["numKeys"], outputs["processedItemsTotal"], outputs["droppedItemsTotal"])
    assert counts == (3, 7, 4)
    kept = [json.loads(line) for line in text(ctx, outputs["uri"]).splitlines()]
    assert [(item["key"], item["value"]) for item in kept] == [("k2", None), ("k3", 2), ("k1", 3)]


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        ({"filterType": "INCLUDE"}, None),
        ({"filterType": "INCLUDE", "errorOrNullBehavior": "INCLUDE"}, [2, "x", 4]),
        ({"filterType": "INCLUDE", "errorOrNullBehavior": "EXCLUDE"}, [2, 4]),
        ({"filterType": "EXCLUDE", "errorOrNullBehavior": "EXCLUDE"}, [1, 3]),
        ({"filterType": "EXCLUDE", "errorOrNullBehavior": "INCLUDE"}, [1, "x", 3]),
    ],
)
def test_items_are_filtered(ctx: Context, how: dict[str, object], kept: list[object]) -> None:
    uri = items(ctx, *({"value": value} for value in (1, 2, "x", 3, 4)))
    properties = {"from": uri, "filterCondition": " {{ value % 2 == 0 }} ", **how}
    if kept is None:
        with pytest.raises(TaskFailed):
            run(ctx, "storage.FilterItems", **properties)
        return
    outputs = run(ctx, "storage.FilterItems", **properties)
    found = [json.loads(line)["value"] for line in text(ctx, outputs["uri"]).splitlines()]
    assert found == kept
    assert (outputs["processedItemsTotal"], outputs["droppedItemsTotal"]) == (5, 5 - len(kept))


def test_a_file_that_holds_no_items_is_named(ctx: Context) -> None:
    for content, message in (("1\n", "line 1 is not an item"), ("{a:\n", "line 1")):
        uri = put(ctx, content)
        with pytest.raises(TaskFailed, match=message):
            run(ctx, "storage.DeduplicateItems", **{"from": uri}, expr="{{ a }}")


def test_purge_deletes_the_files_of_this_execution_only(ctx: Context) -> None:
    below = places.execution_prefix(ctx.namespace, ctx.flow_id, ctx.execution_id)
    for name in ("inputs/f/a.txt", "tasks/t/r/b.txt"):
        put(ctx, "", f"{below}/{name}")
    put(ctx, "")
    assert run(ctx, "storage.PurgeCurrentExecutionFiles")["uris"] == [
        f"{below}/inputs/f/a.txt",
        f"{below}/tasks/t/r/b.txt",
        below,
    ]
    assert ctx.storage.exists(FILE)


def test_local_files_go_in_and_out(ctx: Context) -> None:
    put(ctx, "stored")
    inputs = {"in.txt": "Hello", "sub/{{ inputs.key }}.txt": "{{ inputs.key }}", "a.yml": FILE}
    outputs = run(ctx, "storage.LocalFiles", inputs=inputs, outputs=["in.txt", "sub/**"])
    assert {name: text(ctx, uri) for name, uri in outputs["uris"].items()} == {
        "in.txt": "Hello",
        "sub/test.txt": "test",
    }
    assert [path.name for path in ctx.workspace.rglob("*") if path.is_file()] == ["a.yml"]
    with pytest.raises(TaskFailed, match="leads out of the working directory"):
        run(ctx, "storage.LocalFiles", inputs={"../x": "y"})


def test_files_go_to_a_namespace_and_back(ctx: Context) -> None:
    put(ctx, "one")
    (ctx.workspace / "sub").mkdir()
    (ctx.workspace / "sub/application-test.yml").write_text("two")
    uploaded = run(ctx, "namespace.UploadFiles", namespace="io.test", destination="/folder",
                   filesMap={"/path/file.txt": FILE, "gone.txt": "kestra:///gone"},
                   files=["glob:**application**"])  # fmt: skip
    assert sorted(uploaded["files"]) == [
        "/folder/path/file.txt",
        "/folder/sub/application-test.yml",
    ]
    downloaded = run(ctx, "namespace.DownloadFiles", namespace="io.test", files="**.txt",
                     destination="to/")  # fmt: skip
    assert list(downloaded["files"]) == ["/to/folder/path/file.txt"]
    assert text(ctx, downloaded["files"]["/to/folder/path/file.txt"]) == "one"
    assert run(ctx, "namespace.DownloadFiles", namespace="io.test", files=["*.yml"])["files"] == {}
    run(ctx, "namespace.DeleteFiles", namespace="io.test", files=["folder/**"])
    assert list(ctx.storage.walk(places.namespace_files("io.test"))) == []


@pytest.mark.parametrize(("conflict", "expected"), [("SKIP", "first"), ("OVERWRITE", "second")])
def test_a_file_that_is_there_is_skipped_or_replaced(
    ctx: Context, conflict: str, expected: str
) -> None:
    for content in ("first", "second"):
        put(ctx, content)
        run(ctx, "namespace.UploadFiles", namespace="io.test", filesMap={"a.txt": FILE},
            conflict=conflict)  # fmt: skip
    assert text(ctx, places.namespace_file("io.test", "a.txt")) == expected
    with pytest.raises(TaskFailed, match=r"already exists in namespace 'io\.test' and conflict is"):
        run(ctx, "namespace.UploadFiles", namespace="io.test", filesMap={"a.txt": FILE},
            conflict="ERROR")  # fmt: skip


def test_uploads_stay_in_the_namespace(ctx: Context) -> None:
    put(ctx, "x")
    with pytest.raises(TaskFailed, match="files or filesMap is required"):
        run(ctx, "namespace.UploadFiles", namespace="n")
    with pytest.raises(TaskFailed, match="leads out of the namespace"):
        run(ctx, "namespace.UploadFiles", namespace="n", filesMap={"../../x": FILE})
    with pytest.raises(TaskFailed, match="Forbidden path: /_flows"):
        run(ctx, "namespace.UploadFiles", namespace="n", filesMap={"_flows/x.yml": FILE})


def test_state_is_merged_read_and_deleted(ctx: Context) -> None:
    assert run(ctx, "state.Get") == {"count": 0, "data": {}}
    first = run(ctx, "state.Set", data={"{{ inputs.key }}": {"a": "1"}})
    assert first == {"count": 1, "key": "my-flow_states_tasks-states_default"}
    assert run(ctx, "state.Set", data={"test": {"b": "2"}, "other": "3"})["count"] == 2
    assert run(ctx, "state.Get")["data"] == {"test": {"a": "1", "b": "2"}, "other": "3"}
    assert run(ctx, "state.Delete") == {"deleted": True}
    with pytest.raises(TaskFailed, match="Unable to find the state file"):
        run(ctx, "state.Get", errorOnMissing=True)
    with pytest.raises(TaskFailed, match="Unable to find the state file"):
        run(ctx, "state.Delete", errorOnMissing=True)


def test_state_is_apart_by_value_and_shared_by_namespace(ctx: Context) -> None:
    ctx.variables["taskrun"] = {"value": "v"}
    run(ctx, "state.Set", data={"a": 1})
    assert run(ctx, "state.Get", taskrunValue=False)["count"] == 0
    run(ctx, "state.Set", data={"a": 1}, namespace=True)
    ctx.flow_id = "other"
    assert run(ctx, "state.Get", namespace=True)["count"] == 1
    assert run(ctx, "state.Get")["count"] == 0


def test_toggle_is_the_servers(ctx: Context) -> None:
    ctx.answers["triggers.toggle"] = None
    run(ctx, "trigger.Toggle", trigger="daily")
    expected = {
        "namespace": "company.team", "flow_id": "my-flow", "trigger": "daily", "enabled": False,
    }  # fmt: skip
    assert ctx.calls == [("triggers.toggle", expected)]


def test_a_templated_task_runs_what_it_describes(ctx: Context) -> None:
    ctx.variables["type"] = "io.kestra.core.tasks.debugs.Return"
    spec = "type: {{ type }}\nid: ignored\nformat: It's alive!"
    assert run(ctx, "templating.TemplatedTask", spec=spec) == {"value": "It's alive!"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("type: io.kestra.plugin.core.flow.Pause", "The templated task must be a runnable task"),
        (
            "type: io.kestra.plugin.core.templating.TemplatedTask\nspec: x",
            "The templated task cannot be of type 'io.kestra.plugin.core.templating.TemplatedTask'",
        ),
        ("type: x.y.Z", "Invalid type: x.y.Z"),
        ("a: [", "is no YAML"),
        ("text", "must be a map with a `type`"),
    ],
)
def test_a_templated_task_must_be_a_task(ctx: Context, spec: str, message: str) -> None:
    with pytest.raises(TaskFailed, match=message):
        run(ctx, "templating.TemplatedTask", spec=spec)
