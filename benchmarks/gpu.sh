#!/usr/bin/env bash
# What a GPU has to show: the tests that need one, and the benchmarks whose pages end in `_cuda`.
#
#     benchmarks/gpu.sh [DEVICE] [OUT]
#
# DEVICE: cuda (default), cuda:N, or cpu to try the script. OUT: docs/results (default). Ends after
# at most ten minutes ($LIMIT seconds), with exit code 3 if pages are missing: run it again, and it
# continues. A page that is there already is left as it is: delete it to have it made again. `pyramid`
# takes minutes a frame, so it is left out. Frames come from the folder that $RINRCODEC_DATA names,
# as in all benchmarks.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [[ ${1:-} == -* ]]; then
    sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//p}' "$0"
    case $1 in -h | --help) exit 0 ;; *) exit 2 ;; esac
fi
device=${1:-cuda}
out=${2:-$here/../docs/results}
if [[ $# -gt 2 || ! $device =~ ^(cpu|cuda(:[0-9]+)?)$ ]]; then
    echo "error: expected benchmarks/gpu.sh [DEVICE] [OUT], with DEVICE cuda, cuda:N or cpu" >&2
    exit 2
fi
kind=${device%%:*}
limit=${LIMIT:-600}
# What a cut run had measured of its page (only `speed` keeps that), and a note that the tests passed.
unfinished=$out/unfinished_$kind
mkdir -p "$unfinished"

within_limit() { # COMMAND...
    local left=$((limit - SECONDS)) code=0
    if [ "$left" -gt 0 ]; then
        timeout --signal=INT --kill-after=20 "$left" "$@" || code=$?
    else
        code=124
    fi
    if [ "$code" = 124 ] || [ "$code" = 137 ]; then
        echo "The $limit seconds are over. Run the same command again to continue." >&2
        exit 3
    fi
    return "$code"
}

page() { # NAME SCRIPT OPTIONS...
    local name=$1 script=$2
    shift 2
    if [ -e "$out/${name}_$kind.md" ]; then
        echo "already there: $out/${name}_$kind.md"
        return
    fi
    within_limit python "$here/$script.py" --device "$device" --out "$unfinished" "$@"
    local made
    # A script names its report after itself, or after the page.
    for made in "$unfinished/$script" "$unfinished/$name"; do
        [ -e "$made.md" ] || continue
        mv "$made.json" "$out/${name}_$kind.json"
        mv "$made.md" "$out/${name}_$kind.md"
        return
    done
    echo "$script.py wrote no page $name" >&2
    exit 1
}

tested=0
if [ ! -e "$unfinished/tests_passed" ]; then
    cd "$here/.."
    within_limit python -m pytest -q -m "not slow" tests/rinrcodec/test_cuda.py \
        tests/rinrcodec/test_decoder.py tests/rinrcodec/families || tested=$?
    cd - >/dev/null
    if [ "$tested" = 0 ]; then touch "$unfinished/tests_passed"; fi
fi
page grouping grouping --frames "${FRAMES:-24}" --one-in 1 --repeats 12 --frame-batches 1 8 64
page dataloader dataloader --frames "${FRAMES:-32}" --workers 0 4 8 --families av1 siren nerv
page dataloader_epoch dataloader --part epoch --frames "${FRAMES:-32}" --copies 8 \
    --yolo-workers 4 --families av1 siren nerv
page presets presets --frames "${FRAMES:-3}" --one-in 7
page speed speed --frames "${FRAMES:-32}" --fitted-frames "${FRAMES:-32}" --families av1 siren nerv
page encode_siren encode_siren --frames 2 --reference-steps "${STEPS:-2000}"
page sequences sequences
rm -rf "$unfinished"
echo "done: $out"
exit "$tested"
