"""What RunPod, its network and its clocks can do wrong: each time no pod is left over."""

import stat
import subprocess
import sys
import time

import pytest

from pods_on_runpod import api, runner
from pods_on_runpod.api import Client, NotNow, NotPlaced, RunPodError
from pods_on_runpod.records import Record

from .conftest import Study, failure, settle, wait_for
from .server import HTML, Fault, RunPod


def end_guards(study: Study) -> None:
    for guard in study.guards():
        guard.kill()
        guard.wait()


def test_a_pod_that_may_not_delete_itself_for_long_ends_and_is_deleted(study, service, script):
    jobs = study.jobs()
    name = jobs.submit(script("sleep 1"))
    wait_for(Record(jobs.folder / name).claimed_by)
    end_guards(study)
    service.faults = [Fault(429, method="DELETE", headers={"Retry-After": "4000"})]
    # It does not sleep through the hour on a GPU that is paid for.
    wait_for(lambda: service.ever[0].status() == "EXITED")
    assert settle(jobs, name) == "success"


def test_a_quota_that_others_used_up(study: Study, service: RunPod, script):
    jobs, go = study.jobs(), study.volume / "go"
    name = jobs.submit(script(f"until [ -e {go} ]; do sleep 0.1; done"))
    wait_for(Record(jobs.folder / name).claimed_by)
    service.quota = (20, 6.0)
    other = Client(service.address, service.key, retry_seconds=0)
    with pytest.raises(NotNow):
        while True:
            other.pods()
    go.touch()
    wait_for(lambda: 429 in service.answers("DELETE"))
    assert settle(jobs, name) == "success"


def test_deleting_is_refused_for_a_while(study: Study, service: RunPod, script):
    service.faults = [Fault(403, times=8, method="DELETE")]
    jobs = study.jobs()
    assert settle(jobs, jobs.submit(script())) == "success"
    study.nothing_is_left()
    assert service.answers("DELETE").count(403) == 8


def test_a_pod_whose_key_may_not_delete_it_has_runpodctl(study: Study, service: RunPod, script):
    service.pods_may_delete = False
    service.tools.mkdir()
    tool = service.tools / "runpodctl"
    tool.write_text(
        f"#!{sys.executable}\n"
        "import sys, urllib.request as u\n"
        f"u.urlopen(u.Request('{service.address}/runpodctl/' + sys.argv[3], method='DELETE'))\n"
    )
    tool.chmod(stat.S_IRWXU)
    jobs = study.jobs()
    name = jobs.submit(script("sleep 1"))
    wait_for(Record(jobs.folder / name).claimed_by)
    end_guards(study)
    # Nobody looks: the pod alone ends itself.
    study.nothing_is_left()
    assert settle(jobs, name) == "success"


def test_a_pod_made_by_a_request_that_was_answered_too_late(study, service, script, monkeypatch):
    monkeypatch.setattr(api, "TIMEOUT", 0.3)
    study.change(start_minutes=0.08, retry_seconds=30)
    service.faults = [Fault(0, method="POST", delay=2.0)]
    service.start_seconds = 1000
    jobs = study.jobs()
    name = jobs.submit(script())
    # Snakemake ends before there is a pod, and the pod never starts.
    Record(jobs.folder / name).cancel()
    assert not service.ever
    wait_for(lambda: service.ever)
    study.nothing_is_left()
    assert failure(jobs, name) == "it was cancelled"


def test_a_late_pod_that_never_starts_under_a_living_snakemake(study, service, script, monkeypatch):
    monkeypatch.setattr(api, "TIMEOUT", 0.3)
    study.change(start_minutes=0.05, retry_seconds=0.5)
    service.faults = [Fault(0, method="POST", delay=2.0)]
    service.start_seconds = 1000
    jobs = study.jobs()
    name = jobs.submit(script())
    assert "did not start the job within" in failure(jobs, name)
    wait_for(lambda: len(service.ever) == 2)


def test_all_jobs_share_one_list_a_poll(study: Study, service: RunPod, script):
    study.change(max_pods=2, poll_seconds=1.0)
    jobs = study.jobs()
    names = [jobs.submit(script("sleep 60", output=str(n))) for n in range(16)]
    asked, end = len(service.requests), time.monotonic() + 3
    while time.monotonic() < end:
        assert {jobs.look(name) for name in names} == {"running"}
    # 16 jobs and two guards: four lists in three seconds, and one to see that there is no room.
    assert len(service.requests) - asked <= 5
    subprocess.run(["profiles/runpod/cancel", *names], check=True)
    study.nothing_is_left()
    assert len(service.ever) == 2


def test_waiting_jobs_do_not_all_ask_for_a_machine(study: Study, service: RunPod, script):
    study.change(poll_seconds=1.0)
    service.capacity = 0
    jobs = study.jobs()
    names = [jobs.submit(script(output=str(n))) for n in range(8)]
    end = time.monotonic() + 2
    while time.monotonic() < end:
        assert {jobs.look(name) for name in names} == {"running"}
    assert 1 <= len(service.answers("POST")) <= 4
    for name in names:
        Record(jobs.folder / name).cancel()


def test_the_last_requests_of_a_quota_are_kept_for_deleting(study: Study, service, script):
    service.quota = (16, 2.0)
    jobs = study.jobs()
    name = jobs.submit(script("sleep 1"))
    assert settle(jobs, name) == "success"
    study.nothing_is_left()
    assert all(status != 429 for *_, status in service.requests)


def test_a_wait_that_runpod_asks_for_holds_while_a_pod_runs(study: Study, service, script):
    study.change(retry_seconds=0.1)
    jobs = study.jobs()
    name = jobs.submit(script("sleep 4"))
    wait_for(Record(jobs.folder / name).claimed_by)
    service.faults = [Fault(429, method="GET", headers={"Retry-After": "2"})]
    wait_for(lambda: 429 in service.answers("GET"))
    time.sleep(0.2)
    asked = len(service.requests)
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        assert jobs.look(name) == "running"
    assert len(service.requests) == asked
    assert settle(jobs, name) == "success"


def test_a_page_from_elsewhere_says_nothing_of_the_key(study: Study, service, script, capsys):
    study.change(retry_seconds=1, start_minutes=0.1)
    service.faults = [
        Fault(403, method="GET", answer=HTML),
        Fault(403, method="POST", answer=HTML),
        Fault(404, method="DELETE", answer=HTML, times=2),
    ]
    jobs = study.jobs()
    assert settle(jobs, jobs.submit(script())) == "success"
    study.nothing_is_left()
    assert all(fault.times == 0 for fault in service.faults)
    assert "lacks the right" not in capsys.readouterr().err


def test_a_list_that_forgets_a_pod(study: Study, service: RunPod, script):
    study.change(max_pods=1)
    jobs = study.jobs()
    first = jobs.submit(script("sleep 3"))
    service.faults = [Fault(200, times=1000, path="/v2/pods", method="GET", answer={"pods": []})]
    second = jobs.submit(script(output="another"))
    assert settle(jobs, first) == "success"
    assert len(service.ever) == 1
    assert jobs.look(second) == "running"
    service.faults = []
    assert settle(jobs, second) == "success"
    assert service.most == 1


def test_a_pod_that_runpod_does_not_know_for_a_while(study: Study, service: RunPod, script):
    service.start_seconds = 1000
    jobs = study.jobs()
    name = jobs.submit(script())
    service.faults = [
        Fault(200, times=1000, path="/v2/pods", method="GET", answer={"pods": []}),
        Fault(404, times=1000, path=f"/v2/pods/{service.ever[0].id}"),
    ]
    assert failure(jobs, name) == "its pod disappeared without a result"
    # Its guard does not believe it, and deletes the pod when it can.
    wait_for(lambda: service.answers("DELETE").count(404) > 2)
    assert service.pods
    service.faults = []
    wait_for(lambda: not service.pods)


def test_a_pod_that_is_not_known_any_more_is_watched_until_it_cannot_start(study, service, script):
    service.start_seconds = 1000
    study.change(start_minutes=0.08)
    jobs = study.jobs()
    name = jobs.submit(script())
    service._delete(service.ever[0].id)
    assert failure(jobs, name) == "its pod disappeared without a result"
    request = Record(jobs.folder / name).request
    wait_for(lambda: request().get("gone"))
    assert time.time() > request()["created"] + 60 * 0.08


def test_a_list_of_several_pages(study: Study, service: RunPod, script):
    service.page, service.start_seconds = 1, 1000
    jobs = study.jobs()
    names = [jobs.submit(script(output=str(n))) for n in range(3)]
    assert {pod["name"] for pod in jobs.living()} == set(names)
    for name in names:
        Record(jobs.folder / name).cancel()


def test_a_deadline_does_not_hang_on_the_pod_s_clock(study, service, script, monkeypatch):
    record = Record.new(study.workdir / "record", "#!/bin/sh\ntrue\n", minutes=1, deadline=0)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 1e6)
    assert runner.run(record, 0.1) is None
    monkeypatch.setattr(time, "time", lambda: now() - 1e6)
    record.note(minutes=0.01)
    record.script.write_text("sleep 60")
    assert runner.run(record, 0.1) == "its deadline passed"


def test_a_pod_whose_price_is_not_said(study: Study, service: RunPod, script):
    service.strange, service.start_seconds = {"cost": None}, 1000
    jobs = study.jobs()
    name = jobs.submit(script())
    for cost in (None, ..., "0.44"):
        service.strange = {"cost": cost}
        assert [pod["cost"] for pod in jobs.living()] == [None]
    how = {"env": study.environment(), "capture_output": True, "text": True, "check": True}
    listed = subprocess.run(["profiles/runpod/pods"], **how).stdout
    assert listed.split("\t")[2] == "price unknown"
    # It becomes known, and is too high: the pod is not kept.
    service.ever[0].price, service.strange = 9.0, {}
    assert "above the ceiling" in failure(jobs, name)


@pytest.mark.parametrize("answer", [{}, {"pods": None}, {"pods": [{"id": "x"}]}, [], HTML])
def test_a_list_that_is_none(service: RunPod, answer):
    service.faults = [Fault(200, method="GET", path="/v2/pods", answer=answer)]
    with pytest.raises(NotNow):
        Client(service.address, service.key, retry_seconds=0).pods()


def test_lists_that_are_none_end_no_job(study: Study, service: RunPod, script):
    jobs = study.jobs()
    name = jobs.submit(script("sleep 1"))
    service.faults = [Fault(200, times=3, method="GET", path="/v2/pods", answer={})]
    assert settle(jobs, name) == "success"
    study.nothing_is_left()
    assert service.faults[0].times == 0


@pytest.mark.parametrize("header", ["nan", "inf", "-5", "soon", ""])
def test_a_wait_that_makes_no_sense(service: RunPod, header):
    service.faults = [Fault(429, headers={"Retry-After": header})]
    with pytest.raises(NotNow) as refusal:
        Client(service.address, service.key, retry_seconds=0).pods()
    assert refusal.value.wait == 0


def test_a_request_that_breaks_a_rule_does_not_wait_for_a_machine(study, service, script):
    study.change(network_volume="volume2")
    jobs = study.jobs()
    with pytest.raises(RunPodError, match="400: network volume not found"):
        jobs.submit(script())
    assert not service.ever


@pytest.mark.parametrize(
    "detail",
    [
        "There are no longer any instances available with the requested specifications. "
        "Please refresh and try again.",
        "There are no longer any instances available with the request specifications.",
        "There are no instances currently available",
        "create pod: This machine does not have the resources to deploy your pod. "
        "Please try a different machine",
        "There are not enough free GPUs on the host machine to start this pod.",
        "the GPU type is out of stock",
        "insufficient capacity",
    ],
)
def test_words_that_mean_no_machine_is_free(service: RunPod, detail: str):
    service.faults = [Fault(400, method="POST", detail=detail)]
    with pytest.raises(NotPlaced):
        Client(service.address, service.key, retry_seconds=0).create({})


@pytest.mark.parametrize(
    "detail",
    [
        "network volume not available in data center US-TX-3",
        "NVIDIA H100 80GB HBM3 is not available in this data center",
        "network volumes are only available in secure cloud",
        "no such image is available",
        "available instances must be named by their id",
        "the volume has not enough free space",
        "resources.gpu is unknown",
        "the capacity of the volume must be at least 10 GB",
        "stockholm is not a data center",
    ],
)
def test_words_that_mean_something_else(service: RunPod, detail: str):
    service.faults = [Fault(400, method="POST", detail=detail)]
    with pytest.raises(RunPodError, match="refused the request") as refusal:
        Client(service.address, service.key, retry_seconds=0).create({})
    assert type(refusal.value) is RunPodError


def test_a_guard_that_died_is_replaced(study: Study, service: RunPod, script):
    jobs = study.jobs()
    name = jobs.submit(script("sleep 60"))
    end_guards(study)
    wait_for(lambda: service.ever[0].status() == "RUNNING")
    jobs.look(name)
    wait_for(lambda: len(study.guards()) == 1)
    Record(jobs.folder / name).cancel()


def test_a_record_that_someone_removes(study: Study, service: RunPod, script):
    service.start_seconds = 1000
    jobs = study.jobs()
    jobs.submit(script())
    wait_for(lambda: len(service.requests) > 5)  # the guard looks around
    jobs.folder.rename(jobs.folder.with_name("removed"))  # at once: the guard writes there
    wait_for(lambda: not service.pods)
