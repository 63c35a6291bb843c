"""Podman does what Docker does: the tests of a real daemon, once more on a Podman."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.taskrunners import real_docker
from tests.taskrunners import test_docker_cut as cut
from tests.taskrunners import test_docker_resume as resume
from tests.taskrunners import test_docker_services as services
from tests.taskrunners import test_real_docker as real
from tests.taskrunners.podman import podman
from tests.taskrunners.real_docker import NoDaemon
from tests.tasks import test_docker_tasks as tasks

SAME = (
    real.test_a_container_without_a_network_has_only_loopback,
    real.test_a_folder_of_this_machine_can_be_the_workspace_itself,
    real.test_a_job_that_writes_nothing_has_an_empty_working_directory,
    real.test_a_job_whose_worker_dies_leaves_no_container,
    real.test_a_job_without_files_brings_back_what_it_wrote,
    real.test_a_kill_gives_the_job_time_to_tidy_up,
    real.test_a_kill_that_is_asked_for_twice_leaves_no_time,
    real.test_a_link_out_of_the_folder_does_not_come_back,
    real.test_a_task_names_the_signal_that_stops_its_container,
    real.test_a_volume_is_mounted_once_it_is_allowed,
    real.test_another_user_can_use_the_files_of_the_job,
    real.test_files_go_in_and_come_back,
    real.test_limits_reach_the_container,
    real.test_much_output_arrives_whole_and_in_order,
    real.test_no_container_is_left_after_a_job_that_failed,
    real.test_what_a_container_wrote_belongs_to_the_user_of_the_job,
    resume.test_a_container_that_is_taken_up_can_be_killed,
    resume.test_a_killed_runner_leaves_it_to_the_next_one,
    resume.test_a_restarted_runner_takes_up_the_container_instead_of_running_twice,
    resume.test_a_task_that_does_not_wait_leaves_its_container_running,
    resume.test_what_nobody_takes_up_is_removed_after_a_while,
    cut.test_a_daemon_that_stays_away_fails_the_task_with_the_name_of_its_container,
    services.test_a_service_that_is_not_healthy_is_not_waited_for_any_longer,
    services.test_tasks_find_services_by_their_alias_and_processes_by_their_port,
    tasks.test_a_container_runs_with_its_arguments_and_gives_its_files_back,
    tasks.test_an_image_is_built_of_the_files_of_the_task_and_run_by_its_id,
    tasks.test_the_entry_point_of_the_image_stays_unless_another_is_named,
    tasks.test_what_a_flow_started_it_may_stop_and_nothing_else,
    cut.test_nothing_is_missing_or_doubled_when_the_connection_breaks,
)
globals().update({test.__name__: test for test in SAME})
way = cut.way
tag = tasks.tag

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("podman")]


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """One Podman for all, which can run a container."""
    try:
        with podman() as host, pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOCKER_HOST", host)
            found = real_docker.prepared()
            try:
                real_docker.client(found).containers.run(real_docker.IMAGE, "true", remove=True)
            except Exception as error:  # noqa: BLE001 - whatever it is, nothing can be tested here
                raise NoDaemon(f"Podman runs no container here: {error}") from None
            yield host
    except NoDaemon as reason:
        pytest.skip(str(reason))


@pytest.fixture(autouse=True)
def on_podman(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", service)
