#!/usr/bin/env bash
# Install what the SLURM tests need on Debian or Ubuntu: the scheduler and its authentication.
set -euo pipefail
if command -v slurmctld && command -v slurmd && command -v munged; then
    exit
fi >/dev/null
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
