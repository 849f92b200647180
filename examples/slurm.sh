#!/bin/bash
# A cycle on the GPUs of one node of a Slurm cluster: sbatch examples/slurm.sh, from the folder that holds examples/ and runs/ on a disk
# that all nodes see. The run directory is the truth: a job that is requeued goes on where it stopped.
#SBATCH --job-name=errata
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=errata-%j.log
#SBATCH --signal=B:USR1@120

set -u
run=runs/slurm

# In the background, as bash handles a signal only once a command in the foreground has ended. Errata starts torchrun itself.
errata cycle --config examples/qwen_gsm8k.yaml --run "$run" --set train.devices="$SLURM_GPUS_ON_NODE" &
errata=$!

# Two minutes before the time is over: end cleanly, and queue the same job again.
over() {
    kill -TERM "$errata"
    wait "$errata"
    scontrol requeue "$SLURM_JOB_ID"
    exit
}
trap over USR1
# Preempted: Slurm queues the job again by itself.
trap 'kill -TERM "$errata"' TERM
wait "$errata"
