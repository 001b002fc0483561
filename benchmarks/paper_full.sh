#!/usr/bin/env bash
# The paper's own settings at full size: every frame of a data set, and every sequence.
#
#     benchmarks/paper_full.sh [DEVICE] [OUT] [DATA]
#
# DEVICE: cuda (default), cuda:N or cpu. OUT: bench-out/paper (default). DATA: a folder with
# dacsdc/dacsdc.yaml and sequences/NAME (default: $RINRCODEC_DATA, or bench-data in the checkout);
# $SEQUENCE is the NAME (default: otb_crossing). First says how long it will take, from a
# few steps of each fit. Interrupted? Rerun the same command to continue.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [[ ${1:-} == -* ]]; then
    sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//p}' "$0"
    case $1 in -h | --help) exit 0 ;; *) exit 2 ;; esac
fi
device=${1:-cuda}
out=${2:-bench-out/paper}
data=${3:-${RINRCODEC_DATA:-$here/../bench-data}}
sequence=${SEQUENCE:-otb_crossing}

for path in "$data/dacsdc/dacsdc.yaml" "$data/sequences/$sequence"; do
    if [ ! -e "$path" ]; then
        echo "error: $path is not there; give the folder of the data as the third argument" >&2
        exit 1
    fi
done
if ! python -c "import rinrcodec" 2>/dev/null || ! command -v rinrcodec >/dev/null; then
    echo "error: no rinrcodec here; activate the environment in which it is installed" >&2
    exit 1
fi
mkdir -p "$out"

echo "timing a few steps of every fit: seconds on a GPU, minutes on a CPU"
RINRCODEC_DATA=$data python "$here/paper_time.py" --device "$device" --sequence "$sequence" --out "$out"

compress() { # SRC OUT OPTIONS...
    local source=$1 target=$2
    shift 2
    rinrcodec compress "$source" -o "$target" --preset paper --device "$device" --resume \
        --json "$target.json" "$@"
}

compress "$data/sequences/$sequence" "$out/nerv" --labels none --background nerv
compress "$data/dacsdc/dacsdc.yaml" "$out/siren" --background siren
if [ ! -e "$out/ladder.md" ]; then
    RINRCODEC_DATA=$data python "$here/ladder.py" --preset paper --epochs 0 \
        --device "$device" --sequence "$sequence" --out "$out"
fi
rinrcodec verify "$out/siren" "$out/nerv"
echo "done: $out"
