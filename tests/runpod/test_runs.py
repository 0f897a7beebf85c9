"""Whole runs: a real Snakemake, the profile as it is, and every way that a run can go wrong.

After each of them no pod lives, and the study is complete or says plainly why not.
"""

import os
import signal
import threading

import psutil

from .conftest import Study, wait_for
from .server import Fault, RunPod


def test_a_normal_run(study: Study, service: RunPod):
    study.change(max_pods=2)
    assert study.run(shards="a b c") == 0, study.output
    *shards, report = study.report()
    assert [name for name, _ in shards] == ["a", "b", "c"]
    # Every GPU job had a pod of its own, every other job ran here.
    assert {pod for _, pod in shards} == {pod.id for pod in service.ever}
    assert len(service.ever) == 3
    assert report == ["report", "here"]
    assert {pod.body["gpu"]["count"] for pod in service.ever} == {1}
    assert service.most <= 2
    study.nothing_is_left()
    asked = len(service.requests)
    assert study.run(shards="a b c") == 0
    assert "Nothing to be done" in study.output
    assert len(service.requests) == asked


def test_no_capacity_for_a_while(study: Study, service: RunPod):
    service.capacity = 0

    def free_a_machine():
        wait_for(lambda: service.answers("POST").count(400) >= 3)
        service.capacity = 1

    threading.Thread(target=free_a_machine).start()
    assert study.run(shards="a") == 0, study.output
    assert "waiting: RunPod found no machine for the pod" in study.output
    assert len(service.ever) == 1


def test_no_capacity_at_all(study: Study, service: RunPod):
    service.capacity = 0
    study.change(capacity_minutes=0.02)
    assert study.run("--restart-times", "0", shards="a") != 0
    assert "RunPod found no machine for the pod (400: there are no inst" in study.output
    assert "for 0.02 minutes" in study.output
    assert not service.ever


def test_rate_limits_and_faults(study: Study, service: RunPod):
    study.change(retry_seconds=3, start_minutes=0.25)
    service.faults = [
        Fault(429, method="GET", headers={"Retry-After": "1"}),
        Fault(503, method="POST"),
        # The pod is created, and the answer is lost.
        Fault(0, method="POST"),
        Fault(500, times=2, method="GET"),
        Fault(429, method="DELETE", headers={"Retry-After": "1"}),
        Fault(500, times=2, method="DELETE"),
    ]
    assert study.run(shards="a") == 0, study.output
    assert all(fault.times == 0 for fault in service.faults)
    assert len(service.ever) == 1, "a lost answer led to a second pod"


def test_a_pod_that_dies(study: Study, service: RunPod):
    snakemake = study.start(shards="a", seconds=3)
    wait_for(lambda: any(record.claimed_by() for record in study.records()))
    service.ever[0].kill()
    assert study.finish(snakemake) == 0, study.output
    assert "its pod ended without a result (status EXITED)" in study.output
    assert len(service.ever) == 2


def test_snakemake_killed(study: Study, service: RunPod):
    snakemake = study.start(seconds=2)
    wait_for(lambda: sum(record.claimed_by() is not None for record in study.records()) == 2)
    # Everything on this machine dies at once, the guards of the pods too.
    for process in [psutil.Process(snakemake.pid), *study.guards()]:
        process.send_signal(signal.SIGKILL)
    study.finish(snakemake)
    assert service.pods, "the pods were to be still at work"
    study.nothing_is_left()
    assert all(record.result()["failed"] is None for record in study.records())
    assert sorted(os.listdir("results/store")) == ["a.txt", "b.txt"]
    assert not os.path.exists("results/report.txt")
    assert study.run("--unlock") == 0
    assert study.run() == 0, study.output
    assert len(study.report()) == 3


def test_a_run_goes_on_with_the_pods_of_a_killed_one(study: Study, service: RunPod):
    snakemake = study.start(shards="a", seconds=5)
    wait_for(lambda: any(record.claimed_by() for record in study.records()))
    os.killpg(snakemake.pid, signal.SIGKILL)
    study.finish(snakemake)
    assert study.run("--unlock", shards="a", seconds=5) == 0
    assert study.run(shards="a", seconds=5) == 0, study.output
    assert len(service.ever) == 1


def test_an_interrupt_ends_the_pods(study: Study, service: RunPod):
    snakemake = study.start(seconds=60)
    wait_for(lambda: sum(record.claimed_by() is not None for record in study.records()) == 2)
    snakemake.send_signal(signal.SIGINT)
    assert study.finish(snakemake) != 0
    study.nothing_is_left()
    assert {record.result()["failed"] for record in study.records()} == {"it was cancelled"}


def test_an_expired_key(study: Study, service: RunPod):
    service.key = "rpa_another"
    assert study.run(shards="a") != 0
    assert "RunPod refused the API key (401" in study.output
    assert "put a valid key in its place" in study.output
    assert not service.ever
