"""Single jobs, without Snakemake: limits, keys, and pods that do what they should not."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pods_on_runpod.api import Client, NotNow, RunPodError
from pods_on_runpod.jobs import PROFILE
from pods_on_runpod.records import Record
from pods_on_runpod.settings import SettingsError, read_key, read_settings

from .conftest import Study, failure, settle, wait_for
from .server import Fault, RunPod


def test_the_request_and_the_result(study: Study, service: RunPod, script, monkeypatch):
    study.change(max_usd_per_hour=6)
    monkeypatch.setenv("HF_HOME", "/workspace/models")
    jobs = study.jobs()
    name = jobs.submit(script("echo said $HF_HOME", gpu=2))
    body = service.ever[0].body
    assert body["gpu"] == {"id": "NVIDIA H100 80GB HBM3", "count": 2}
    assert body["mounts"] == {"network": [{"volumeId": "volume1", "path": "/"}]}
    assert settle(jobs, name) == "success"
    assert Record(jobs.folder / name).log.read_text() == "said /workspace/models\n"


def test_a_job_that_fails(study: Study, script):
    jobs = study.jobs()
    assert failure(jobs, jobs.submit(script("exit 3"))) == "the job script ended with 3"


def test_a_job_does_not_see_a_key(study: Study, service: RunPod, script):
    jobs = study.jobs()
    name = jobs.submit(script("env"))
    assert settle(jobs, name) == "success"
    log = Record(jobs.folder / name).log.read_text()
    assert f"RUNPOD_POD_ID={service.ever[0].id}" in log
    assert "RUNPOD_API_KEY" not in log


def test_the_deadline_ends_job_and_pod_from_within(study: Study, service: RunPod, script):
    study.change(deadline_minutes=0.03)
    jobs = study.jobs()
    name = jobs.submit(script("trap '' TERM; sleep 60 & sleep 60"))
    for guard in study.guards():
        guard.kill()
    # Nobody looks: the pod alone ends job and pod.
    study.nothing_is_left()
    assert Record(jobs.folder / name).result()["failed"] == "its deadline passed"


def test_the_deadline_follows_the_rule_s_runtime(study: Study, script):
    study.change(deadline_minutes=60, start_minutes=10)
    jobs = study.jobs()
    for runtime, minutes in ((20, 30), (500, 60)):
        request = Record(jobs.folder / jobs.submit(script(runtime=runtime, output=str(runtime))))
        request = request.request()
        assert request["deadline"] - request["created"] == pytest.approx(60 * minutes)


def test_a_pod_that_never_starts_is_deleted_without_snakemake(study: Study, service, script):
    service.start_seconds = 1000
    study.change(start_minutes=0.02)
    jobs = study.jobs()
    name = jobs.submit(script())
    # Nobody looks but the guard that came with the pod.
    study.nothing_is_left()
    assert "did not start the job within 0.02 minutes" in failure(jobs, name)


def test_a_container_that_starts_twice(study: Study, service: RunPod, script):
    jobs = study.jobs()
    name = jobs.submit(script("sleep 60"))
    record, pod = Record(jobs.folder / name), service.ever[0]
    wait_for(record.claimed_by)
    for process in [*study.guards(), *pod.processes()]:
        process.kill()
    pod._run()
    study.nothing_is_left()
    assert failure(jobs, name) == "the pod's container was started twice"


def test_a_second_pod_of_the_same_name_does_not_run_the_job(study: Study, service, script):
    jobs = study.jobs()
    name = jobs.submit(script("echo $RUNPOD_POD_ID; sleep 60"))
    record = Record(jobs.folder / name)
    wait_for(record.claimed_by)
    for guard in study.guards():
        guard.kill()
    jobs.client.create(service.ever[0].body)
    # Nobody looks: the second pod finds the job taken and ends itself.
    wait_for(lambda: list(service.pods) == [service.ever[0].id])
    record.cancel()
    study.nothing_is_left()
    assert record.log.read_text().split() == [service.ever[0].id]


def test_a_second_pod_of_the_same_name_is_deleted(study: Study, service: RunPod, script):
    jobs = study.jobs()
    name = jobs.submit(script("sleep 60"))
    wait_for(Record(jobs.folder / name).claimed_by)
    service.start_seconds = 1000
    jobs.client.create(service.ever[0].body)
    wait_for(lambda: len(service.ever) == 2)
    wait_for(lambda: jobs.look(name) == "running" and len(service.pods) == 1)
    assert list(service.pods) == [service.ever[0].id]
    Record(jobs.folder / name).cancel()


def test_the_price_ceiling_holds_before_a_pod_is_asked_for(study: Study, service, script):
    service.price = 2.5
    with pytest.raises(RunPodError, match="above the ceiling of 4"):
        study.jobs().submit(script(gpu=2))
    assert not service.ever


def test_a_pod_that_costs_more_than_the_list_says_is_deleted(study: Study, service, script):
    jobs = study.jobs()
    jobs.client.price = lambda *_: 0.1
    service.price = 9.0
    with pytest.raises(RunPodError, match="above the ceiling"):
        jobs.submit(script("sleep 60"))
    assert len(service.ever) == 1


def test_a_waiting_job_that_is_cancelled_gets_no_pod(study: Study, service: RunPod, script):
    service.capacity = 0
    jobs = study.jobs()
    name = jobs.submit(script())
    subprocess.run(["profiles/runpod/cancel", name], check=True, timeout=2)
    study.nothing_is_left()
    service.capacity = 8
    assert failure(jobs, name) == "it was cancelled"
    assert not service.ever


def test_a_job_is_cancelled_when_snakemake_ends_without_doing_so(study: Study, service, script):
    jobs, kept = study.jobs(), study.workdir / ".snakemake" / "tmp.run"
    kept.mkdir(parents=True)
    name = jobs.submit(script("sleep 60").rename(kept / "jobscript.sh"))
    wait_for(Record(jobs.folder / name).claimed_by)
    shutil.rmtree(kept)
    study.nothing_is_left()
    assert failure(jobs, name) == "it was cancelled"


def test_a_key_that_expires_during_a_job(study: Study, service: RunPod, script, capsys):
    jobs = study.jobs()
    name = jobs.submit(script("sleep 1"))
    wait_for(Record(jobs.folder / name).claimed_by)
    service.key = "rpa_another"
    # The pod has a key of its own, and the volume has its result.
    assert settle(jobs, name) == "success"
    said = capsys.readouterr().err
    assert said.count("RunPod refused the API key (401") == 1
    assert "A pod that runs already ends itself after its job" in said
    # Its guard stays for as long as it cannot see that the pod is gone, and takes up a new key.
    wait_for(lambda: not service.pods)
    assert len(study.guards()) == 1
    study.key_file.write_text(service.key)


def test_pods_are_listed_and_deleted_by_hand(study: Study, service: RunPod, script):
    study.change(start_minutes=0.2)
    jobs = study.jobs()
    name = jobs.submit(script("sleep 60"))
    wait_for(Record(jobs.folder / name).claimed_by)
    foreign = jobs.client.create(service.ever[0].body | {"name": f"{name}-two", "args": "true"})
    pods = ["profiles/runpod/pods"]
    how = {"env": study.environment(), "capture_output": True, "text": True, "check": True}
    listed = subprocess.run(pods, **how).stdout.splitlines()
    assert [line.split("\t")[:3] for line in listed] == [
        [service.ever[0].id, "RUNNING", "2.50 USD/h"]
    ]
    deleted = subprocess.run([*pods, "--delete"], **how).stdout
    assert deleted.split("\t")[:2] == [service.ever[0].id, "deleted"]
    assert list(service.pods) == [foreign["id"]]
    assert failure(jobs, name) == "its pod disappeared without a result"
    jobs.client.delete(foreign["id"])


def test_work_at_hand_is_not_submitted_twice(study: Study, service: RunPod, script):
    jobs = study.jobs()
    first = jobs.submit(script("sleep 2"))
    assert jobs.submit(script("sleep 2")) == first
    assert jobs.submit(script("sleep 2", output="other.txt")) != first
    assert len(service.ever) == 2
    settle(jobs, first)
    assert jobs.submit(script("true")) != first


def test_a_pod_whose_answer_was_lost_is_found_later(study: Study, service: RunPod, script):
    study.change(retry_seconds=0.1)
    service.faults = [Fault(0, method="POST")]
    jobs = study.jobs()
    name = jobs.submit(script("sleep 1"))
    assert "pod" not in Record(jobs.folder / name).request()
    assert jobs.look(name) == "running"
    assert study.guards()
    assert settle(jobs, name) == "success"
    assert len(service.ever) == 1


def test_a_long_wait_that_runpod_asks_for_is_kept(study: Study, service: RunPod, script):
    service.faults = [Fault(429, headers={"Retry-After": "60"})]
    jobs = study.jobs()
    name = jobs.submit(script())
    asked = len(service.requests)
    assert jobs.look(name) == "running"
    assert len(service.requests) == asked == 1
    Record(jobs.folder / name).cancel()


def test_too_little_money_is_said_plainly(study: Study, service: RunPod, script):
    service.faults = [Fault(402, method="POST")]
    with pytest.raises(RunPodError, match="balance is too low"):
        study.jobs().submit(script())


def test_a_redirect_is_not_followed_with_the_key(study: Study, service: RunPod):
    service.faults = [Fault(302, headers={"Location": f"{service.address}/v2/stolen"})]
    with pytest.raises(RunPodError, match="302"):
        study.jobs().living()
    assert len(service.requests) == 1


def test_a_server_that_is_away(tmp_path: Path):
    with pytest.raises(NotNow, match="did not answer"):
        Client("http://127.0.0.1:9", "key", retry_seconds=0).pods()


def test_the_key_file_must_be_private(study: Study):
    study.key_file.chmod(0o640)
    with pytest.raises(SettingsError, match=r"read by others \(mode 0640\): run chmod 600"):
        read_key(read_settings(study.settings_file))


def test_the_key_may_come_from_the_environment(study: Study, monkeypatch):
    settings = read_settings(study.settings_file)
    monkeypatch.setenv("RUNPOD_API_KEY", "of-this-pod")
    assert read_key(settings) == study.service.key
    study.key_file.unlink()
    assert read_key(settings) == "of-this-pod"
    monkeypatch.delenv("RUNPOD_API_KEY")
    with pytest.raises(SettingsError, match="no RunPod API key: write it to"):
        read_key(settings)


def test_a_secret_is_passed_by_its_name_only(study: Study, service: RunPod, script):
    study.change(pod_secret="end_pods")
    jobs = study.jobs()
    name = jobs.submit(script())
    given = service.ever[0].body["env"]["PERSONA_GEOMETRY_API_KEY"]
    assert given == "{{ RUNPOD_SECRET_end_pods }}"
    # This server knows no secrets, so the pod goes on to its own key.
    assert settle(jobs, name) == "success"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_pods": 0}, "max_pods is 0; it must be above zero"),
        ({"max_pods": 1.5}, "max_pods is 1.5, which is not of the right type"),
        ({"max_pods": True}, "not of the right type"),
        ({"network_volume": "<id>"}, "network_volume is not filled in"),
        ({"api": "http://api.runpod.io"}, "must be an https address"),
        ({"api": "https://rest.runpod.io/v1"}, "version 1 is being retired"),
        ({"maximum": 3}, "maximum is not a setting"),
        ({"environment": ["HF_TOKEN"]}, "secrets do not belong in it"),
    ],
)
def test_settings_are_checked(study: Study, change: dict, message: str):
    study.change(**change)
    with pytest.raises(SettingsError, match=message):
        read_settings(study.settings_file)


def test_what_pods_need_must_lie_on_the_volume(study: Study, monkeypatch):
    study.change(mount_path=str(PROFILE.parents[1]))
    with pytest.raises(SettingsError, match=r"The working directory \(.*\) is not on the network"):
        study.jobs()
    study.change(mount_path=str(study.volume))
    with pytest.raises(SettingsError, match=r"This checkout \(.*\) is not on the network"):
        study.jobs()
    monkeypatch.setattr("pods_on_runpod.jobs.PROFILE", study.workdir / "profiles-of-its-own")
    with pytest.raises(SettingsError, match=r"The Python interpreter \(.*\) is not on the network"):
        study.jobs()
    # Pods follow links on the volume, and have none that is outside of it.
    python, outside = study.volume / "python", study.volume.parent / "python"
    for link, target, wrong in ((python, outside, outside), (outside, python, outside)):
        link.symlink_to(target)
        monkeypatch.setattr("sys.executable", str(link))
        with pytest.raises(SettingsError, match=rf"The Python interpreter \({wrong}\) is not on"):
            study.jobs()
        link.unlink()
    # An environment on the volume that needs a Python which is not.
    monkeypatch.setattr("sys.executable", str(study.volume / "env" / "bin" / "python"))
    with pytest.raises(SettingsError, match=r"environment was made with \(.*\) is not on the"):
        study.jobs()
    monkeypatch.setattr("sys.base_prefix", str(study.volume / "python3.11"))
    assert study.jobs().living() == []
