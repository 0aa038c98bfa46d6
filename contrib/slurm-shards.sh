#!/bin/sh
# herd check in parts as a Slurm array, one task for each part:
#
#   mkdir -p parts && id=$(sbatch --parsable slurm-shards.sh)
#   sbatch --dependency="afterany:$id" --wrap 'herd merge parts/*.json --output whole.json'
#
# The array may begin at any number, but must have no gaps. Whatever is given after
# the name of the script goes to herd check. HERD names the binary, HERD_PARTS the
# folder (default: parts), which all nodes must see.
#
# Tried: shellcheck; in tests/recipes.rs with the variables set as Slurm does. Not
# tried under Slurm.
#
#SBATCH --job-name=herd
#SBATCH --array=1-4
#SBATCH --exclusive
#SBATCH --ntasks=1
#SBATCH --time=30
set -eu

: "${SLURM_ARRAY_TASK_ID:?is not set; start this with sbatch --array=1-4}"
part=$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN + 1))
exec "${HERD:-herd}" check --shard "$part/$SLURM_ARRAY_TASK_COUNT" --output "${HERD_PARTS:-parts}" "$@"
