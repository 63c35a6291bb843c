"""A pipeline that people run today, unchanged: CSV by shell and SQL into PostgreSQL.

The flow file names its host and its port, so the machine obeys the flow: the service runs in a
mount namespace whose hosts file has `pgdatabase`, and finds a `wget` of the test on its path.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from tests import postgres
from tests.e2e.courses import course_flow
from tests.e2e.gitting import clone, needs_git
from tests.live import AS_OURSELVES, Service, live_service, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.postgres, needs_git]

# An address of the loopback that nobody else listens on, not even the same tests of a neighbour.
ADDRESS, PORT = f"127.57.{os.getpid() >> 8 & 255}.{os.getpid() & 255}", 5432
ROWS = 100_000
FLOW = "/api/v1/main/flows/zoomcamp/04_postgres_taxi"
COLUMNS = {
    "yellow": "VendorID tpep_pickup_datetime tpep_dropoff_datetime passenger_count trip_distance "
    "RatecodeID store_and_fwd_flag PULocationID DOLocationID payment_type fare_amount extra "
    "mta_tax tip_amount tolls_amount improvement_surcharge total_amount congestion_surcharge",
    "green": "VendorID lpep_pickup_datetime lpep_dropoff_datetime store_and_fwd_flag RatecodeID "
    "PULocationID DOLocationID passenger_count trip_distance fare_amount extra mta_tax tip_amount "
    "tolls_amount ehail_fee improvement_surcharge total_amount payment_type trip_type "
    "congestion_surcharge",
}
WGET = """#!/bin/sh
# Gives what lies in a folder for the last part of an address.
for address; do :; done
exec cat "{folder}/$(basename "$address")"
"""
NAMESPACE = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
WITH_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'


def write_rides(folder: Path, taxi: str) -> None:
    """A month of rides as the taxi commission publishes them, each ride different."""
    columns = COLUMNS[taxi].split()
    began = datetime(2019, 1, 1)  # noqa: DTZ001 - the files have no zone
    with gzip.open(folder / f"{taxi}_tripdata_2019-01.csv.gz", "wt", compresslevel=1) as file:
        file.write(",".join(columns) + "\n")
        for number in range(ROWS):
            ride = {
                "VendorID": number % 2 + 1,
                "store_and_fwd_flag": "N",
                "ehail_fee": "",
                "trip_distance": f"{number % 300 / 10:.2f}",
                "fare_amount": f"{number % 70 + 2.5:.2f}",
                "PULocationID": number % 263 + 1,
                "DOLocationID": number // 263 % 263 + 1,
            }
            pickup = began + timedelta(seconds=number * 20)
            for column in columns:
                if column.endswith("pickup_datetime"):
                    ride[column] = pickup.isoformat(" ")
                elif column.endswith("dropoff_datetime"):
                    ride[column] = (pickup + timedelta(minutes=9)).isoformat(" ")
            file.write(",".join(str(ride.get(column, 1)) for column in columns) + "\n")


@pytest.fixture(scope="module")
def database() -> Iterator[postgres.Cluster]:
    """The database that the flow expects, at the port that it expects."""
    if postgres.binaries() is None:
        pytest.skip("PostgreSQL is not installed: there is no initdb")
    with postgres.running(ADDRESS, PORT) as cluster:
        with psycopg.connect(cluster.conninfo(), autocommit=True) as connection:
            connection.execute("CREATE ROLE root SUPERUSER LOGIN PASSWORD 'root'")
            connection.execute("CREATE DATABASE ny_taxi OWNER root")
        yield cluster


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, database: postgres.Cluster
) -> Iterator[Service]:
    top = tmp_path_factory.mktemp("taxi")
    within = _hosts_of_its_own(top)
    files, programs = top / "files", top / "programs"
    for folder in (files, programs):
        folder.mkdir()
    for taxi in COLUMNS:
        write_rides(files, taxi)
    (programs / "wget").write_text(WGET.format(folder=files))
    (programs / "wget").chmod(0o755)
    environment = {**AS_OURSELVES, "PATH": f"{programs}:{os.environ['PATH']}"}
    text = course_flow("04_postgres_taxi.yaml")
    with live_service(
        top, options=["--examples"], environment=environment, within=within
    ) as running:
        wait_for(
            lambda: running.get("/api/v1/main/git/sources").json(),
            lambda sources: all(one.get("appliedCommit") for one in sources),
        )
        clone(running.home / "examples.git", top / "clone").push({"taxi.yaml": text})
        wait_for(lambda: running.get(FLOW).status_code, lambda status: status == 200)
        yield running


def _hosts_of_its_own(top: Path) -> tuple[str, ...]:
    hosts = top / "hosts"
    hosts.write_text(f"{Path('/etc/hosts').read_text()}\n{ADDRESS} pgdatabase\n")
    within = (*NAMESPACE, WITH_HOSTS, str(hosts))
    if shutil.which("unshare") is None:
        pytest.skip("the flow names the host `pgdatabase`: there is no `unshare` to give it one")
    tried = subprocess.run(
        [*within, "getent", "hosts", "pgdatabase"], capture_output=True, timeout=10, check=False
    )
    if tried.returncode != 0:
        pytest.skip("the flow names the host `pgdatabase`: giving it one needs to be root here")
    return within


@pytest.mark.parametrize("taxi", ["yellow", "green"])
def test_a_month_of_rides_arrives_once_however_often_it_is_loaded(
    service: Service, database: postgres.Cluster, taxi: str
) -> None:
    for _ in range(2):
        execution_id = service.start_flow("zoomcamp", "04_postgres_taxi", taxi=taxi)
        execution = service.ended(execution_id, seconds=120)
        said = service.get(f"/api/v1/main/logs/{execution_id}/download").text
        assert execution["state"]["current"] == "SUCCESS", said
        with psycopg.connect(database.conninfo("ny_taxi")) as connection:
            counted = connection.execute(
                "SELECT count(*), count(DISTINCT unique_row_id), min(filename), max(filename)"
                f" FROM {taxi}_tripdata"
            ).fetchone()
        name = f"{taxi}_tripdata_2019-01.csv"
        assert counted == (ROWS, ROWS, name, name)
        labels = {label["key"]: label["value"] for label in execution["labels"]}
        assert labels["file"] == name
        assert labels["taxi"] == taxi
        states = {run["taskId"]: run["state"]["current"] for run in execution["taskRunList"]}
        assert f"{taxi}_merge_data" in states
        assert not [task for task in states if task.startswith(("yellow", "green"))
                    and not task.startswith(taxi)]  # fmt: skip
        [extract] = [run for run in execution["taskRunList"] if run["taskId"] == "extract"]
        uri = extract["outputs"]["outputFiles"][name]
        gone = service.get(f"/api/v1/main/executions/{execution_id}/file", params={"path": uri})
        assert gone.status_code == 404, "the flow purges its files at its end"
