#!/usr/bin/env bash
# Start a SLURM cluster of one node, this machine, with two pretended H100s. Run it as root.
#
#   tests/slurm/start_cluster.sh FOLDER
#
# With slurmdbd and mariadbd installed it has accounting: users need an account, "lab" for root.
# Jobs of the partition "urgent" preempt those of the others, which are cancelled.
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

storage=accounting_storage/none
if command -v slurmdbd >/dev/null && command -v mariadbd >/dev/null; then
    storage=accounting_storage/slurmdbd
fi

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
AccountingStorageType=$storage
AccountingStorageHost=127.0.0.1
AccountingStorageEnforce=associations
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
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
PartitionName=short Nodes=$node MaxTime=1
PartitionName=urgent Nodes=$node PriorityTier=10
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
if [[ $storage == */slurmdbd ]]; then
    cat > "$folder/slurmdbd.conf" <<END
AuthType=auth/munge
DbdHost=$node
DbdAddr=127.0.0.1
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=33306
StorageUser=slurm
StoragePass=slurm
PidFile=$folder/slurmdbd.pid
LogFile=$folder/slurmdbd.log
END
    chmod 600 "$folder/slurmdbd.conf"
    ln -sfn "$folder/slurmdbd.conf" /etc/slurm/slurmdbd.conf
    mariadb-install-db --no-defaults --user=root --datadir="$folder/database" \
        --auth-root-authentication-method=normal --skip-test-db >/dev/null
    mariadbd --no-defaults --user=root --datadir="$folder/database" --port=33306 \
        --bind-address=127.0.0.1 --socket="$folder/database.socket" \
        --pid-file="$folder/mariadbd.pid" >"$folder/mariadbd.log" 2>&1 &
    until mariadb --socket="$folder/database.socket" -u root -e \
        "GRANT ALL ON slurm_acct_db.* TO slurm@'%' IDENTIFIED BY 'slurm'" 2>/dev/null; do
        sleep 0.5
    done
    slurmdbd
    until sacctmgr -i add cluster pretended >/dev/null 2>&1; do sleep 0.5; done
    sacctmgr -i add account lab >/dev/null
    sacctmgr -i add user root account=lab >/dev/null 2>&1 || \
        sacctmgr -i modify user root set defaultaccount=lab >/dev/null
fi
slurmctld
slurmd
for _ in $(seq 60); do
    [[ $(sinfo --noheader --partition h100 --format %T 2>/dev/null) == idle ]] && exit
    sleep 0.5
done
echo "The node did not come up; see $folder/slurmctld.log and $folder/slurmd.log." >&2
exit 1
