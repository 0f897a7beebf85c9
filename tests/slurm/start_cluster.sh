#!/usr/bin/env bash
# Start a SLURM cluster of one node, this machine, with two pretended H100s. Run it as root.
#
#   tests/slurm/start_cluster.sh FOLDER
#
# Configuration, state and logs go to FOLDER. Clients read /etc/slurm, where links to FOLDER are
# put. To stop: kill $(cat FOLDER/*.pid), then remove the links.
set -euo pipefail

folder=$(realpath -m "$1")
node=$(hostname -s)

if [[ -e /etc/slurm/slurm.conf && ! -L /etc/slurm/slurm.conf ]]; then
    echo "This machine has a SLURM configuration of its own; it is left alone." >&2
    exit 1
fi
mkdir -p "$folder/state" "$folder/spool" /etc/slurm
touch "$folder/gpu0" "$folder/gpu1"

# Processes are tracked by control groups, as clusters do: what outlives its step is ended.
# There are more cores and memory on paper than in fact, for two GPU jobs side by side. Without a
# lifetime this short, the credential of a requeued job keeps it waiting for two minutes.
cat > "$folder/slurm.conf" <<END
ClusterName=pretended
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=cred_expire=5
ProctrackType=proctrack/cgroup
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=5
MpiDefault=none
ReturnToService=0
SlurmdParameters=config_overrides
MinJobAge=900
KillWait=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
GresTypes=gpu
NodeName=$node NodeAddr=127.0.0.1 CPUs=32 RealMemory=128000 Gres=gpu:h100:2
PartitionName=cpu Nodes=$node Default=YES
PartitionName=h100 Nodes=$node
END
echo "NodeName=$node Name=gpu Type=h100 File=$folder/gpu[0-1]" > "$folder/gres.conf"
version=v1
[[ -e /sys/fs/cgroup/cgroup.controllers ]] && version=v2
echo "CgroupPlugin=cgroup/$version" > "$folder/cgroup.conf"
for file in slurm.conf gres.conf cgroup.conf; do
    ln -sfn "$folder/$file" "/etc/slurm/$file"
done

if ! munge --no-input >/dev/null 2>&1; then
    install -d -o munge -g munge /run/munge /var/log/munge /var/lib/munge
    su -s /bin/sh munge -c munged
fi
slurmctld
slurmd
for _ in $(seq 60); do
    [[ $(sinfo --noheader --partition h100 --format %T 2>/dev/null) == idle ]] && exit
    sleep 0.5
done
echo "The node did not come up; see $folder/slurmctld.log and $folder/slurmd.log." >&2
exit 1
