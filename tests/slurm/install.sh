#!/usr/bin/env bash
# Install what the SLURM tests need on Debian or Ubuntu: the scheduler, its authentication
# and its accounting.
set -euo pipefail
if command -v slurmctld && command -v slurmd && command -v munged && command -v slurmdbd \
    && command -v mariadbd; then
    exit
fi >/dev/null
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends slurm-wlm munge slurmdbd \
    mariadb-server >/dev/null
