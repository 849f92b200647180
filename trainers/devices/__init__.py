"""Several devices of one machine: which there are (gpus), and what the processes of one training agree on (ranks)."""
