"""Slurm with one node on this machine, in a folder of its own: munged, slurmctld and slurmd. They need root."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "srun")
CONFIG = """\
ClusterName=test
SlurmctldHost={host}
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=60
SchedulerParameters=bf_interval=2,sched_min_interval=200000
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:4
"""


def missing() -> str:
    """Why Slurm cannot be started here, or ""."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    absent = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if absent:
        return f"{', '.join(absent)} not installed (Debian: slurm-wlm and munge)"
    if importlib.util.find_spec("submitit") is None:
        return "submitit is not installed"
    return "" if os.geteuid() == 0 else "the daemons of Slurm need root"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def states_of_nodes(environment: dict[str, str]) -> str:
    return subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True, check=False).stdout


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Yields the environment variables by which commands find the cluster."""
    folder.chmod(0o755)
    config = folder / "slurm.conf"
    values = {"folder": folder, "host": socket.gethostname(), "controller": free_port(), "daemon": free_port(), "cpus": os.cpu_count()}
    config.write_text(CONFIG.format(**values))
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    variables = {"SLURM_CONF": str(config), "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    environment = {**os.environ, **variables}
    names = {name: str(folder / f"munge.{name}") for name in ("socket", "pid", "log", "seed")}
    munged = ["munged", "--foreground", "--force", f"--key-file={key}", *(f"--{k}-file={v}" for k, v in names.items() if k != "socket")]
    commands = [[*munged, f"--socket={names['socket']}"], ["slurmctld", "-D", "-i"], ["slurmd", "-D"]]
    with contextlib.ExitStack() as stack:
        for command in commands:
            program = shutil.which(command[0], path=variables["PATH"])
            output = stack.enter_context((folder / f"{command[0]}.out").open("wb"))
            process = subprocess.Popen([program, *command[1:]], env=environment, stdout=output, stderr=subprocess.STDOUT)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            time.sleep(1)
        deadline = time.monotonic() + 60
        while "idle" not in (states := states_of_nodes(environment)):
            logs = "\n".join(path.read_text()[-2000:] for path in sorted(folder.glob("*.log")) + sorted(folder.glob("*.out")))
            assert time.monotonic() < deadline, f"{states}\n{logs}"
            time.sleep(1)
        yield variables
