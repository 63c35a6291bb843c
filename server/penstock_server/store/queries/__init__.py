"""Read models: what lists, pages and searches ask of the store, as values.

Every function is given a connection and reads; nothing here writes. Filters are values that the
caller has checked; a field left None does not filter. Rows become values before they leave.
"""

from __future__ import annotations

from penstock_server.store.queries.conditions import (
    Paging,
    UnknownSort,
)
from penstock_server.store.queries.executions import (
    DayCount,
    ExecutionFilter,
    daily_counts,
    execution,
    execution_states,
    execution_version,
    executions_page,
    latest_executions,
    load_executions,
    state_counts,
    states_of,
)
from penstock_server.store.queries.flows import (
    FlowFilter,
    FlowRecord,
    all_flows,
    flow,
    flow_count,
    flow_heads,
    flow_namespaces,
    flows_page,
    revisions,
)
from penstock_server.store.queries.heads import FlowHead, FlowHeads
from penstock_server.store.queries.lines import (
    LogFilter,
    daily_log_counts,
    logs_after,
    logs_page,
    metric_names,
    metric_tasks,
    metric_values,
    metrics_page,
)
from penstock_server.store.queries.states import (
    SyncRun,
    TriggerRecord,
    delivery_seen,
    kv_entries,
    kv_entry,
    kv_namespaces,
    readable,
    runners_seen_since,
    runs_of_source,
    source,
    sources,
    sync_run,
    trigger,
    triggers_page,
)

__all__ = [
    "DayCount",
    "ExecutionFilter",
    "FlowFilter",
    "FlowHead",
    "FlowHeads",
    "FlowRecord",
    "LogFilter",
    "Paging",
    "SyncRun",
    "TriggerRecord",
    "UnknownSort",
    "all_flows",
    "daily_counts",
    "daily_log_counts",
    "delivery_seen",
    "execution",
    "execution_states",
    "execution_version",
    "executions_page",
    "flow",
    "flow_count",
    "flow_heads",
    "flow_namespaces",
    "flows_page",
    "kv_entries",
    "kv_entry",
    "kv_namespaces",
    "latest_executions",
    "load_executions",
    "logs_after",
    "logs_page",
    "metric_names",
    "metric_tasks",
    "metric_values",
    "metrics_page",
    "readable",
    "revisions",
    "runners_seen_since",
    "runs_of_source",
    "source",
    "sources",
    "state_counts",
    "states_of",
    "sync_run",
    "trigger",
    "triggers_page",
]
