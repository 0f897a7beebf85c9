"""Concurrent jobs on one machine take different GPUs."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from persona_geometry.errors import InputError
from persona_geometry.gpu import devices
from persona_geometry.gpu.devices import claim_device, visible_devices

# Claims, says what it sees, and holds until its standard input closes.
JOB = """
import os, sys
from persona_geometry.gpu.devices import claim_device
with claim_device(int(sys.argv[1]), report=lambda line: print(line, flush=True)):
    print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with two fake GPUs, no scheduler, and its own temporary folder."""
    for name in ("CUDA_VISIBLE_DEVICES", *devices.ALLOCATIONS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PERSONA_GEOMETRY_DEVICES", "0,1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return monkeypatch


@pytest.fixture
def start(machine):
    started = []

    def start(n=1, **environment):
        job = subprocess.Popen(
            [sys.executable, "-c", JOB, str(n)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        started.append(job)
        return job

    yield start
    for job in started:
        job.kill()
        job.wait()


def sees(job):
    return job.stdout.readline().strip()


def test_two_jobs_see_different_devices(start):
    jobs = [start(), start()]
    assert sorted(map(sees, jobs)) == ["0", "1"]


def test_a_third_job_waits_until_a_device_is_free(start):
    first, second = start(), start()
    seen = sees(first)
    assert sees(second) != seen
    third = start()
    assert sees(third) == "Waiting for 1 free GPU(s) among 0, 1"
    first.stdin.close()
    assert sees(third) == seen


def test_a_killed_job_leaves_its_device_free(start):
    first = start(2)
    assert sees(first) == "0,1"
    second = start(2)
    assert sees(second).startswith("Waiting for 2")
    first.send_signal(signal.SIGKILL)
    assert sees(second) == "0,1"


def test_a_job_that_needs_two_does_not_keep_the_one_it_found(start):
    first = start()
    sees(first)
    both = start(2)
    assert sees(both).startswith("Waiting for 2")
    assert sees(start()) == "1"


def test_a_scheduler_s_choice_is_kept(machine):
    machine.setenv("CUDA_VISIBLE_DEVICES", "5")
    with claim_device() as claimed:
        assert claimed == ("5",)
    with pytest.raises(InputError, match="needs 2 GPUs and 1 are visible"), claim_device(2):
        pass


def test_allocations_on_one_node_do_not_wait_for_each_other(start):
    jobs = [start(CUDA_VISIBLE_DEVICES="0", SLURM_JOB_ID=number) for number in ("11", "12")]
    assert [sees(job) for job in jobs] == ["0", "0"]


def test_jobs_inside_one_allocation_share_it(start):
    shared = {"CUDA_VISIBLE_DEVICES": "3,4", "SLURM_JOB_ID": "11"}
    assert sorted(sees(start(**shared)) for _ in range(2)) == ["3", "4"]


def test_the_environment_is_restored(machine):
    with claim_device():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    machine.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    with claim_device():
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,0"


def test_a_claim_after_cuda_started_is_refused(machine):
    class Started:
        class cuda:
            is_initialized = staticmethod(lambda: True)

    machine.setitem(sys.modules, "torch", Started)
    with pytest.raises(RuntimeError, match="before CUDA starts"), claim_device():
        pass


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_without_a_gpu_nothing_is_claimed(machine, hidden, tmp_path):
    machine.setenv("CUDA_VISIBLE_DEVICES", hidden)
    with claim_device() as claimed:
        assert claimed == ()
        assert os.environ["CUDA_VISIBLE_DEVICES"] == hidden
    assert not list(tmp_path.iterdir())


def test_devices_are_counted_by_nvidia_smi(machine, tmp_path):
    machine.delenv("PERSONA_GEOMETRY_DEVICES")
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        "#!/bin/sh\necho 'GPU 0: NVIDIA H100 (UUID: GPU-a)'\n"
        "echo '  MIG 1g.10gb Device 0: (UUID: MIG-a)'\necho 'GPU 1: NVIDIA H100 (UUID: GPU-b)'\n"
    )
    tool.chmod(0o755)
    machine.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert visible_devices() == ("0", "1")


def test_devices_are_counted_by_device_files_without_nvidia_smi(machine, tmp_path):
    machine.delenv("PERSONA_GEOMETRY_DEVICES")
    machine.setenv("PATH", str(tmp_path))
    expected = len(list(Path("/dev").glob("nvidia[0-9]*")))
    assert visible_devices() == tuple(map(str, range(expected)))


def refuse_locks(monkeypatch):
    """A file system without locks, which this machine has not."""

    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)


def test_without_locks_an_allocation_takes_its_own_devices(machine):
    refuse_locks(machine)
    machine.setenv("SLURM_JOB_ID", "7")
    said = []
    with claim_device(1, said.append) as claimed:
        assert claimed == ("0",)
    assert "No locks available" in said[0] and said[0].endswith("first GPUs: 0")


def test_without_locks_or_an_allocation_the_remedy_is_named(machine, tmp_path):
    refuse_locks(machine)
    with pytest.raises(InputError, match=f"{tmp_path}.* let TMPDIR name a folder"), claim_device(1):
        raise AssertionError("nothing was claimed")
