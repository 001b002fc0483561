#!/usr/bin/env bash
# Make all pages of docs/results again, on a CPU, but for fuzzing.
#
#     benchmarks/all.sh [OUT] [PAGE...]
#
# OUT: bench-out (default). PAGE: the pages to make; all where none is named. First prints what it
# will make and about how long that takes on two cores. A page that is in OUT already is left as it
# is, so the same command continues a run that was cut. So write pages of other settings, made by
# hand, to another folder. Copy OUT to docs/results when all is there.
# With PLAN=1 it prints the plan and ends.
#
# Frames come from the folder that $RINRCODEC_DATA names (default: bench-data), as in all benchmarks.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [[ ${1:-} == -* ]]; then
    sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//p}' "$0"
    case $1 in -h | --help) exit 0 ;; *) exit 2 ;; esac
fi
out=${1:-bench-out}
shift $(($# > 0 ? 1 : 0))
chosen=" $* "
data=${RINRCODEC_DATA:-$here/../bench-data}
weights=$data/weights/yolov5n_v6.0_coco_state_dict.pt

pages() { # Calls `page NAME MINUTES SCRIPT OPTIONS...` for every page.
    page label_bytes 1 label_bytes
    page av1_frames 10 av1_frames --frames 24 --presets fast balanced best --qualities 10 22 40
    page av1_objects 6 av1_objects
    page presets 20 presets
    page grouping 5 grouping --cpu-time --threads 1
    page rate_distortion 10 rate_distortion
    page speed 10 speed
    page dataloader 20 dataloader
    page dataloader_epoch 20 dataloader --part epoch --copies 4
    page dataloader_otb_crossing 1 dataloader --sequence otb_crossing --families av1 nerv
    page av1_sequences 12 av1_sequences --frames 0 --crfs 22 28 34 40 \
        --sequences otb_crossing otb_jogging1 vot_bag uavdt_s1301 otb_motorrolling
    page real_data 10 real_data --steps 4 --sets coco128/coco128.yaml sequences/dtb70_mountainbike6
    page real_data_video 20 real_data --steps 4 --sets video/vtest.avi
    page sequences 15 sequences
    page sequences_moving 15 sequences --sequence otb_jogging1 --frames 60
    page encode_siren 20 encode_siren --frames 2
    page fleet_equal 10 fleet --part equal
    page fleet_kills 20 fleet --part kills
    page fleet_scale 20 fleet --part scale
    page fleet_cost 6 fleet --part cost
    page fleet_capacity 1 fleet --part capacity --pages "$out" # of the two before it
    page ladder 30 ladder
    page accuracy 120 accuracy # writes fog.md, too
    page accuracy_networks 60 accuracy --networks
    page pyramid_frames 60 pyramid --part frames --steps 500 --threads 1
    page pyramid_objects 20 pyramid --part objects --steps 500 --threads 1
    page pyramid_sequences 30 pyramid --part sequences --steps 200 --threads 1
    # Of the pages that are in OUT by then.
    page overview 1 overview --pages "$out"
    page train_yolo 90 train_yolo --weights "$weights" --work "$out/unfinished/train_yolo/work" \
        --model yolov5n.yaml --preset fast --freeze 24 --single-class --imgsz 256 --epochs 10 \
        --batch 8 --frames 210 --seeds 8 --threads 1 --jobs 2
}

is_missing() { # NAME
    [[ $chosen == "  " || $chosen == *" $1 "* ]] && [ ! -e "$out/$1.md" ]
}

known=" "
total=0
page() { # Print the plan.
    known+="$1 "
    if is_missing "$1"; then
        printf '%-24s %4d minutes\n' "$1" "$2"
        total=$((total + $2))
    fi
}
pages
if [[ $known == *" $out "* ]]; then
    echo "'$out' is a page. The folder comes first: benchmarks/all.sh bench-out $out" >&2
    exit 2
fi
for name in $chosen; do
    if [[ $known != *" $name "* ]]; then
        echo "There is no page '$name'. There are:$known" >&2
        exit 2
    fi
done
echo "About $((total / 60)) hours and $((total % 60)) minutes, into $out."
if [ -n "${PLAN:-}" ]; then exit 0; fi

page() { # Make one page, named as its script or by the options.
    local name=$1 script=$3
    is_missing "$name" || return 0
    shift 3
    # Each in a folder of its own, as two pages may have one script.
    local work=$out/unfinished/$name
    mkdir -p "$work"
    python "$here/$script.py" --out "$work" "$@"
    local made
    for made in "$work"/*.md "$work"/*.json "$work"/*.png; do
        [ -e "$made" ] || continue
        case $(basename "$made") in
            "$script".*) mv "$made" "$out/$name.${made##*.}" ;;
            *) mv "$made" "$out" ;;
        esac
    done
    # Only this page's: the folders of other pages hold work that a later run continues.
    rm -rf "$work"
    rmdir "$out/unfinished" 2>/dev/null || true
}
pages
echo "done: $out"
