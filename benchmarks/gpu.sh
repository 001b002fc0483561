#!/usr/bin/env bash
# What a GPU has to show: the tests that need one, and the benchmarks whose pages end in `_cuda`.
#
#     benchmarks/gpu.sh [DEVICE] [OUT]
#
# DEVICE: cuda (default), cuda:N, or cpu to try the script. OUT: docs/results (default). Takes about
# six minutes on a GPU. A page that is there already is left as it is: delete it to have it made
# again. Frames come from the folder that $RINRCODEC_DATA names, as in all benchmarks.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [[ ${1:-} == -* ]]; then
    sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//p}' "$0"
    case $1 in -h | --help) exit 0 ;; *) exit 2 ;; esac
fi
device=${1:-cuda}
out=${2:-$here/../docs/results}
mkdir -p "$out"
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT

page() { # SCRIPT OPTIONS...
    local name=$1 kind=${device%%:*}
    shift
    if [ -e "$out/${name}_$kind.md" ]; then
        echo "already there: $out/${name}_$kind.md"
        return
    fi
    python "$here/$name.py" --device "$device" --out "$new" "$@"
    mv "$new/$name.json" "$out/${name}_$kind.json"
    mv "$new/$name.md" "$out/${name}_$kind.md"
}

tested=0
(cd "$here/.." && python -m pytest -q -m "not slow" tests/rinrcodec/test_cuda.py \
    tests/rinrcodec/test_decoder.py tests/rinrcodec/families) || tested=$?
page grouping --frames "${FRAMES:-24}" --one-in 1 --repeats 12 --frame-batches 1 8 64
page dataloader --frames "${FRAMES:-32}" --workers 0 4 8
page presets --frames "${FRAMES:-3}" --one-in 7
page encode_siren --frames 2 --reference-steps "${STEPS:-2000}"
page sequences
echo "done: $out"
exit "$tested"
