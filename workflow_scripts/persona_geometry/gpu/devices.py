"""Different GPUs for concurrent jobs on one machine.

Snakemake counts GPUs but does not hand out their ids, and a program that asks for "the" GPU gets
the first. A job therefore claims its devices by locking one file each. The kernel drops a lock
with the process that held it, however it died, so a claim can never be left behind.
"""

import fcntl
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from persona_geometry.errors import InputError

# Inside an allocation device ids may be counted from zero, so two allocations on one node must
# not share locks.
ALLOCATIONS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")
POLL_SECONDS = 0.5


def visible_devices() -> tuple[str, ...]:
    """Ids of the GPUs this process may use, found without starting CUDA.

    In this order: `CUDA_VISIBLE_DEVICES` where it is set (a scheduler's choice, or the user's),
    `PERSONA_GEOMETRY_DEVICES` (ids separated by commas, for tests and for odd machines), what
    nvidia-smi lists, and the device files of the NVIDIA driver. Empty where there is none.
    """
    for variable in ("CUDA_VISIBLE_DEVICES", "PERSONA_GEOMETRY_DEVICES"):
        if variable in os.environ:
            names = [name.strip() for name in os.environ[variable].split(",")]
            # CUDA ignores an invalid id and everything after it.
            stop = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))
            return tuple(names[:stop])
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True
        ).stdout
        count = len(re.findall(r"^GPU \d+:", listed, re.MULTILINE))
    except (OSError, subprocess.SubprocessError):
        count = sum(bool(re.fullmatch(r"nvidia\d+", path.name)) for path in Path("/dev").iterdir())
    return tuple(map(str, range(count)))


@contextmanager
def claim_device(n: int = 1, report: Callable[[str], object] = print) -> Iterator[tuple[str, ...]]:
    """Hold `n` GPUs that no other job holds, and show CUDA no others; yield their ids.

    Waits while too few are free; the devices are free again when the context or the process
    ends. Only devices that `CUDA_VISIBLE_DEVICES` already shows are claimed, so an allocation is
    never left. Without a GPU this does nothing and yields no ids.

    Where the temporary folder takes no locks, an allocation of a scheduler, whose devices are its
    own, is served without.

    Raises InputError where the machine can never serve the job, or takes no locks, and RuntimeError
    where CUDA has started already, which would make the claim void.
    """
    devices = visible_devices()
    if not devices or n == 0:
        yield ()
        return
    if n > len(devices):
        raise InputError(
            f"The job needs {n} GPUs and {len(devices)} are visible ({', '.join(devices)}): "
            f"ask for fewer in the config's model section, or run where there are more."
        )
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        raise RuntimeError("claim_device must be called before CUDA starts")
    with ExitStack() as held:
        try:
            claimed = _lock(devices, n, held, report)
        except OSError as error:
            claimed = _unlocked(devices[:n], error, report)
        before = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(claimed)
        try:
            yield claimed
        finally:
            if before is None:
                del os.environ["CUDA_VISIBLE_DEVICES"]
            else:
                os.environ["CUDA_VISIBLE_DEVICES"] = before


def _lock(
    devices: Sequence[str], n: int, held: ExitStack, report: Callable[[str], object]
) -> tuple[str, ...]:
    """Lock the first `n` free devices: all of them or, for now, none."""
    folder = _lock_folder()
    waiting = False
    while True:
        with ExitStack() as taken:
            claimed: list[str] = []
            for device in devices:
                if len(claimed) < n and _try_lock(folder, device, taken):
                    claimed.append(device)
            if len(claimed) == n:
                held.push(taken.pop_all())
                return tuple(claimed)
        if not waiting:
            report(f"Waiting for {n} free GPU(s) among {', '.join(devices)}")
            waiting = True
        time.sleep(POLL_SECONDS)


def _unlocked(
    devices: tuple[str, ...], error: OSError, report: Callable[[str], object]
) -> tuple[str, ...]:
    """The devices to take without locks, which only an allocation can."""
    trouble = f"No file can be locked in the temporary folder {tempfile.gettempdir()} ({error})"
    if _allocation() is None:
        raise InputError(
            f"{trouble}, so two jobs could take one GPU: let TMPDIR name a folder on a local disk."
        ) from error
    report(f"{trouble}; taking the allocation's first GPUs: {', '.join(devices)}")
    return devices


def _allocation() -> str | None:
    return next((os.environ[name] for name in ALLOCATIONS if name in os.environ), None)


def _lock_folder() -> Path:
    allocation = _allocation() or "machine"
    name = f"persona-geometry-devices-{os.getuid()}"
    folder = Path(tempfile.gettempdir()) / name / re.sub(r"\W", "_", allocation)
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _try_lock(folder: Path, device: str, taken: ExitStack) -> bool:
    descriptor = os.open(folder / re.sub(r"\W", "_", device), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return False
        raise
    taken.callback(os.close, descriptor)
    return True
