"""Pictures of every kind of source become packs, and the figures are those of the files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import rinrcodec
from rinrcodec.compute.devices import resolve_device
from rinrcodec.metrics import frame_quality

from .conftest import LABELS, QUICK, Run, picture, put, video, write


def files(folder: Path) -> list[str]:
    """The visible files below a folder, but for the manifest."""
    paths = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in paths if not name.startswith(".") and name != "manifest.json")


def names(path: Path) -> list[str]:
    with rinrcodec.open(path) as file:
        return [file.frame(i).name for i in range(file.n_frames)]


def test_one_picture_to_a_file_or_into_a_folder(run: Run, folder: Path, tmp_path: Path) -> None:
    run("compress", folder / "0.png", "-o", tmp_path / "x.rinr", *QUICK)
    run("compress", folder / "0.png", "-o", tmp_path / "out", *QUICK)
    assert files(tmp_path / "out") == ["0.rinr"]
    assert (tmp_path / "x.rinr").read_bytes() == (tmp_path / "out/0.rinr").read_bytes()
    assert names(tmp_path / "x.rinr") == ["0.png"]
    # Nothing else is left behind, neither next to the file nor in the folder.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["frames", "out", "x.rinr"]


def test_a_folder_becomes_packs_of_the_size_asked_for(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    run("compress", folder, "-o", tmp_path / "out", "--shard-size", 2, *QUICK)
    out = tmp_path / "out"
    assert files(out) == [f"frames-0000{i}.rinr" for i in range(3)]
    assert [names(out / name) for name in files(out)] == [
        ["0.png", "1.png"],
        ["2.png", "3.png"],
        ["more/4.jpg"],
    ]


def test_a_folder_into_one_file(run: Run, folder: Path, tmp_path: Path) -> None:
    run("compress", folder, "-o", tmp_path / "all.rinr", "--shard-size", 2, *QUICK)
    assert len(names(tmp_path / "all.rinr")) == 5


def test_one_file_per_picture_mirrors_the_folder(run: Run, folder: Path, tmp_path: Path) -> None:
    put(folder / "0.jpg", picture(9))
    run("compress", folder, "-o", tmp_path / "out", "--layout", "files", *QUICK)
    assert files(tmp_path / "out") == [
        "0.jpg.rinr",
        "0.png.rinr",
        "1.rinr",
        "2.rinr",
        "3.rinr",
        "more/4.rinr",
    ]
    assert names(tmp_path / "out/more/4.rinr") == ["more/4.jpg"]
    run("verify", tmp_path / "out")


def test_single_files_know_their_class_names(run: Run, dataset: Path, tmp_path: Path) -> None:
    run("compress", dataset, "-o", tmp_path / "out", "--layout", "files", *QUICK)
    for path in (tmp_path / "out").rglob("*.rinr"):
        with rinrcodec.open(path) as file:
            assert json.loads(file.info["names"]) == ["person", "car", "bus"]


def test_a_data_yaml_gives_a_data_yaml_of_packs(run: Run, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("compress", dataset, "-o", out, *QUICK)
    assert files(out) == ["data.yaml", "train/train-00000.rinr", "val/val-00000.rinr"]
    assert yaml.safe_load((out / "data.yaml").read_text()) == {
        "train": "train",
        "val": "val",
        "names": {0: "person", 1: "car", 2: "bus"},
    }
    with rinrcodec.open(out / "train/train-00000.rinr") as file:
        assert json.loads(file.info["names"]) == ["person", "car", "bus"]
        assert [box.class_id for box in file.boxes(0)] == [0, 2]
        assert file.boxes(1) == ()
    run("compress", dataset, "-o", tmp_path / "bare", "--labels", "none", *QUICK)
    with rinrcodec.open(tmp_path / "bare/train/train-00000.rinr") as file:
        assert file.boxes(0) == ()


def test_a_missing_test_split_is_a_warning(run: Run, dataset: Path, tmp_path: Path) -> None:
    with dataset.open("a") as file:
        file.write("test: ../test/images\n")
    result = run("compress", dataset, "-o", tmp_path / "out", *QUICK)
    assert "test: no such folder or list" in result.stderr
    assert "test" not in yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    dataset.write_text(re.sub("(?m)^val: .*$", "val: gone", dataset.read_text()))
    result = run("compress", dataset, "-o", tmp_path / "two", *QUICK, code=1)
    assert "val: no such folder or list" in result.stderr


def test_the_printed_quality_is_that_of_the_files(run: Run, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("compress", dataset, "-o", out, "--json", "-", "--steps", 60, "--device", "cpu")
    figures = json.loads(result.stdout)
    assert [row["name"] for row in figures["series"]] == ["train", "val"]
    qualities = []
    for split, name in (key.split("/", 1) for key in LABELS):
        with rinrcodec.open(out / split / f"{split}-00000.rinr") as file:
            index = names(out / split / f"{split}-00000.rinr").index(f"{name}.png")
            pixels = file.decode(index).permute(1, 2, 0).numpy()
            with Image.open(dataset.parent / "images" / split / f"{name}.png") as image:
                source = np.asarray(image)
            qualities.append(frame_quality(source, pixels, file.boxes(index)))
    total = figures["total"]
    backgrounds = [quality.background for quality in qualities if quality.background]
    objects = [quality.objects for quality in qualities if quality.objects]
    assert total["psnr_background"] == pytest.approx(np.mean(backgrounds), abs=1e-6)
    assert total["psnr_objects"] == pytest.approx(np.mean(objects), abs=1e-6)
    assert len(objects) == 2
    on_disk = sum(path.stat().st_size for path in out.rglob("*.rinr"))
    sources = sum(path.stat().st_size for path in dataset.parent.rglob("*.png"))
    assert total["bytes"] == on_disk
    assert total["source_bytes"] == sources
    assert total["ratio"] == pytest.approx(sources / on_disk)
    assert total["bits_per_pixel"] == pytest.approx(8 * on_disk / (3 * 24 * 16))
    assert (total["frames"], total["boxes"]) == (3, 3)


def test_the_summary_and_quiet(run: Run, dataset: Path, tmp_path: Path) -> None:
    result = run("compress", dataset, "-o", tmp_path / "a", *QUICK)
    for word in ("train", "val", "total", "ratio", "bpp", "background", "objects", "seconds"):
        assert word in result.stdout
    assert result.stdout.count("PSNR dB") == 2
    assert result.stderr == ""
    report = tmp_path / "figures.json"
    result = run("compress", dataset, "-o", tmp_path / "b", "--quiet", "--json", report, *QUICK)
    assert result.output == ""
    assert json.loads(report.read_text(encoding="utf-8"))["total"]["frames"] == 3


def test_pictures_of_every_mode_and_size_are_compressed(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "odd"
    rgb = picture(1)
    put(source / "grey.png", rgb.convert("L"))
    put(source / "alpha.png", rgb.convert("RGBA"))
    put(source / "palette.png", rgb.convert("P"))
    put(source / "cmyk.jpg", rgb.convert("CMYK"))
    put(source / "bits16.png", Image.fromarray(np.full((3, 5), 40000, np.uint16)))
    put(source / "one.png", rgb.resize((1, 1)))
    put(source / "thin.png", rgb.resize((1, 500)))
    put(source / "ünï ☃.png", rgb)
    put(source / ("n" * 251 + ".png"), rgb)
    turned = rgb.getexif()
    turned[0x0112] = 6
    put(source / "turned.jpg", rgb, exif=turned)
    count = len(list(source.iterdir()))
    run("compress", source, "-o", tmp_path / "out", "--shard-size", 4, *QUICK)
    run("verify", tmp_path / "out")
    sizes = {}
    for pack in (tmp_path / "out").glob("*.rinr"):
        with rinrcodec.open(pack) as file:
            for frame in map(file.frame, range(file.n_frames)):
                sizes[frame.name] = (frame.width, frame.height, frame.mode)
    assert len(sizes) == count
    assert sizes["grey.png"] == (24, 16, "L")
    assert sizes["bits16.png"] == (5, 3, "L")
    assert sizes["thin.png"] == (1, 500, "RGB")
    assert sizes["turned.jpg"] == (16, 24, "RGB")
    run("compress", source, "-o", tmp_path / "single", "--layout", "files", *QUICK)
    assert len(files(tmp_path / "single")) == count


def test_unreadable_pictures_do_not_stop_the_others(run: Run, folder: Path, tmp_path: Path) -> None:
    write(folder / "1.png", "text")
    (folder / "9.png").write_bytes(b"")
    result = run("compress", folder, "-o", tmp_path / "out", "--json", "-", *QUICK, code=1)
    assert "1.png: not a picture" in result.stderr
    assert "9.png: the file is empty" in result.stderr
    assert "2 pictures failed (see above)" in result.stderr
    assert names(tmp_path / "out/frames-00000.rinr") == ["0.png", "2.png", "3.png", "more/4.jpg"]
    assert len(json.loads(result.stdout)["failures"]) == 2
    assert not (tmp_path / "out/.rinr-work").exists()
    verified = run("verify", tmp_path / "out").output
    assert "1 run, 1 file as written, without 2 unreadable pictures\n" in verified


def test_where_no_picture_can_be_read_nothing_is_written(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "bad/1.png", "text")
    result = run("compress", tmp_path / "bad", "-o", tmp_path / "out", *QUICK, code=1)
    assert "1.png: not a picture" in result.stderr
    assert files(tmp_path / "out") == []


def test_lost_labels_are_reported_before_and_after_fitting(
    run: Run, dataset: Path, tmp_path: Path
) -> None:
    label = dataset.parent / "labels/train/a.txt"
    label.write_text("0 0.5 0.5\n1 0.5 0.5 0.2 0.2\n0 1.5 0.5 0.2 0.2\n")
    write(dataset.parent / "labels/train/gone.txt", "")
    result = run("compress", dataset, "-o", tmp_path / "out", "--json", tmp_path / "j", *QUICK)
    first, second, *_ = result.stderr.splitlines()
    assert first.endswith("a.txt:1: expected 5 columns (class cx cy w h), found 3")
    assert second.startswith("warning: 2 labels cannot be understood; ")
    assert result.stderr.count("a.txt:1: ") == 1
    assert "a.txt:3: a box of 0.2 x 0.2 of the picture" in result.stderr
    assert "gone.txt: labels without a picture" in result.stderr
    assert len(json.loads((tmp_path / "j").read_text())["lost_labels"]) == 3
    with rinrcodec.open(tmp_path / "out/train/train-00000.rinr") as file:
        frames = {frame.name: frame for frame in map(file.frame, range(len(file)))}
    assert [box.class_id for box in frames["a.png"].boxes] == [1]
    assert [name for name, frame in frames.items() if not frame.labelled] == ["a.png"]


def test_quiet_prints_lost_labels_only(run: Run, dataset: Path, tmp_path: Path) -> None:
    (dataset.parent / "labels/train/a.txt").write_text("car\n")
    write(dataset.parent / "labels/train/gone.txt", "")
    result = run("compress", dataset, "-o", tmp_path / "out", "--quiet", *QUICK)
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("warning: ") for line in lines)
    assert ["a.txt" in line for line in lines] == [True, False, False]
    assert lines[1].startswith("warning: 1 label cannot be understood; ")
    assert lines[2].endswith("gone.txt: labels without a picture; they are left out")


def test_labels_that_are_given_twice(run: Run, dataset: Path, tmp_path: Path) -> None:
    args = ("compress", dataset, "-o", tmp_path / "out", *QUICK)
    result = run(*args, "--labels", "a.json", "--labels", "b.json", code=2)
    assert "--labels: given 2 times, but takes one value; merge COCO files first" in result.stderr
    assert "[default: auto]" in " ".join(run("compress", "--help").stdout.split())


def test_strict_stops_before_anything_is_written(run: Run, dataset: Path, tmp_path: Path) -> None:
    (dataset.parent / "labels/train/a.txt").write_text("0 0,5 0,5 0,2 0,2\n")
    args = ("compress", dataset, "-o", tmp_path / "out", "--strict", *QUICK)
    result = run(*args, code=1)
    assert result.stderr.startswith("error: 1 label cannot be understood. Correct them, or run")
    assert "'0,5' is not a number" in result.stderr
    assert not (tmp_path / "out").exists()
    (dataset.parent / "labels/train/a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    run(*args)


def test_existing_output_is_kept_without_overwrite(
    run: Run, folder: Path, dataset: Path, tmp_path: Path
) -> None:
    for source, layout in ((folder, "pack"), (folder, "files"), (dataset, "pack")):
        out = tmp_path / f"{source.name}-{layout}"
        args = ("compress", source, "-o", out, "--layout", layout, *QUICK)
        run(*args)
        before = {name: (out / name).read_bytes() for name in files(out)}
        result = run(*args, "--seed", 1, code=2)
        assert "already there; --overwrite replaces" in result.stderr
        assert {name: (out / name).read_bytes() for name in files(out)} == before
        run(*args, "--seed", 1, "--overwrite")
        after = {name: (out / name).read_bytes() for name in files(out)}
        assert after.keys() == before.keys()
        assert after != before


def test_overwriting_removes_packs_of_the_earlier_run(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run("compress", folder, "-o", out, "--shard-size", 2, *QUICK)
    write(out / "frames-notes.rinr", "not one of ours")
    run("compress", folder, "-o", out, "--overwrite", *QUICK)
    assert files(out) == ["frames-00000.rinr", "frames-notes.rinr"]


def test_impossible_outputs_and_devices_are_errors(
    run: Run, folder: Path, dataset: Path, tmp_path: Path
) -> None:
    write(tmp_path / "file", "")
    run("compress", folder, "-o", tmp_path / "file", *QUICK, code=2)
    run("compress", dataset, "-o", tmp_path / "x.rinr", *QUICK, code=2)
    run("compress", dataset, "-o", dataset.parent, *QUICK, code=2)
    run("compress", folder, "-o", tmp_path / "x.rinr", "--layout", "files", *QUICK, code=2)
    run("compress", folder, "-o", tmp_path / "x", "--resume", "--overwrite", *QUICK, code=2)
    result = run("compress", folder, "-o", tmp_path / "x", "--device", "cuda:99", code=1)
    assert "cuda:99" in result.stderr
    assert not (tmp_path / "x").exists()


def test_figures_that_cannot_be_written_are_refused_before_the_fit(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    write(tmp_path / "file", "")
    for figures in (tmp_path / "file/figures.json", folder):
        result = run("compress", folder, "-o", tmp_path / "x", "--json", figures, *QUICK, code=2)
        assert str(figures) in result.stderr
        assert not (tmp_path / "x").exists()
    run("compress", folder, "-o", tmp_path / "x", "--json", tmp_path / "new/f.json", *QUICK)
    assert (tmp_path / "new/f.json").exists()


def test_seeds_that_a_fit_can_take(run: Run, folder: Path, tmp_path: Path) -> None:
    args = ("compress", folder / "0.png", "-o", tmp_path / "a.rinr", *QUICK, "--seed")
    for seed in (-1, 2**31):
        run(*args, seed, code=2)
        run("demo", "-o", tmp_path / "demo", "--seed", seed, code=2)
    run(*args, 2**31 - 1)


def test_advice_names_options_of_the_command_line(run: Run, folder: Path, tmp_path: Path) -> None:
    put(folder / "large.png", Image.new("1", (2**14, 2**12 + 1)))
    result = run("compress", folder, "-o", tmp_path / "out", "--json", "-", *QUICK, code=1)
    (failure,) = json.loads(result.stdout)["failures"]
    advice = "allow more with --max-pixels, or cut it into tiles"
    assert failure.endswith(f"is over the limit max_pixels = 67,108,864; {advice}")
    assert "Limits(" not in result.stderr


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1)])
def test_very_thin_pictures_there_and_back(run: Run, tmp_path: Path, size: tuple[int, int]) -> None:
    put(tmp_path / "thin.png", picture(1, *size))
    quick = ("--steps", 2, "--device", "cpu")
    run("compress", tmp_path / "thin.png", "-o", tmp_path / "thin.rinr", *quick)
    run("decompress", tmp_path / "thin.rinr", "-o", tmp_path / "out", "--device", "cpu")
    with Image.open(tmp_path / "out/thin.png") as image:
        assert image.size == size


def test_a_cut_video_is_exit_code_one(run: Run, tmp_path: Path) -> None:
    path = video(tmp_path / "clip.avi", 5)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"00dc", data.index(b"movi") + 200)])
    result = run("compress", path, "-o", tmp_path / "out", *QUICK, code=1)
    frames = names(tmp_path / "out/clip-00000.rinr")
    assert f"the file ends after {len(frames)} of 5 frames" in result.stderr


@pytest.mark.parametrize("more", [0, 9, 60])
def test_a_video_without_frames_writes_nothing(run: Run, tmp_path: Path, more: int) -> None:
    path = video(tmp_path / "clip.mkv", 3)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(bytes.fromhex("1f43b675")) + more])
    result = run("compress", path, "-o", tmp_path / "out", *QUICK, code=1)
    assert "clip.mkv: it has no frames; was the recording interrupted?" in result.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_labels_of_a_video_that_count_from_zero(run: Run, tmp_path: Path) -> None:
    path = video(tmp_path / "clip.avi", 3)
    for number in range(3):
        write(tmp_path / f"labels/clip/frame_{number:06d}.txt", f"{number} 0.5 0.5 0.4 0.4\n")
    result = run("compress", path, "-o", tmp_path / "out.rinr", *QUICK)
    assert "frame_000000.txt belongs to the first frame, clip/000001.png" in result.stderr
    with rinrcodec.open(tmp_path / "out.rinr") as file:
        assert [[box.class_id for box in file.boxes(i)] for i in range(3)] == [[0], [1], [2]]


def test_a_video(run: Run, tmp_path: Path) -> None:
    video(tmp_path / "clip.avi", 5)
    result = run("compress", tmp_path / "clip.avi", "-o", tmp_path / "out", "--json", "-", *QUICK)
    assert names(tmp_path / "out/clip-00000.rinr") == [f"clip/{i:06d}.png" for i in range(1, 6)]
    total = json.loads(result.stdout)["total"]
    assert total["source_bytes"] == (tmp_path / "clip.avi").stat().st_size
    run("compress", tmp_path / "clip.avi", "-o", tmp_path / "files", "--layout", "files", *QUICK)
    assert files(tmp_path / "files")[0] == "clip/000001.rinr"


def test_large_pictures_come_in_smaller_batches(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rinrcodec.datasets import batches, work_folder
    from rinrcodec.datasets.shards import Shard

    monkeypatch.setattr(batches, "BATCH_PIXELS", 2 * 24 * 16)
    starts = []
    original = work_folder.Work.add

    def add(self: work_folder.Work, shard: Shard, part: work_folder.FittedPart) -> None:
        starts.append((part.start, part.count))
        original(self, shard, part)

    monkeypatch.setattr(work_folder.Work, "add", add)
    run("compress", folder, "-o", tmp_path / "out", "--background", "siren", *QUICK)
    # 24x16 twice; 24x16, 12x16 and 24x16.
    assert starts == [(0, 2), (2, 3)]
    assert len(names(tmp_path / "out/frames-00000.rinr")) == 5


def test_an_invalid_file_name_does_not_stop_the_others(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    try:
        put(folder / "bad\udcff.png", picture(1))
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    result = run("compress", folder, "-o", tmp_path / "out", "--json", "-", *QUICK, code=1)
    assert "is not valid Unicode" in result.stderr
    assert json.loads(result.stdout)["total"]["frames"] == 5


def test_names_are_shown_as_they_are(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "[red]mark/a\nb.png", picture(1))
    siren = ("--background", "siren")
    result = run("compress", tmp_path / "[red]mark", "-o", tmp_path / "out", *siren, *QUICK)
    assert "[red]mark" in result.stdout
    text = run("info", tmp_path / "out", "--frames").stdout
    assert "group 0: 1 INR of" in text
    assert "  a\\nb.png: 24x16 RGB, 0 boxes, 0 objects\n" in text


def test_counts_use_singular_and_plural(run: Run, dataset: Path, tmp_path: Path) -> None:
    run("compress", dataset, "-o", tmp_path / "out", *QUICK)
    text = run("info", tmp_path / "out", "--frames").stdout
    assert "c.png: 24x16 RGB, 1 box, " in text
    assert "a.png: 24x16 RGB, 2 boxes, " in text


def test_one_bad_picture_is_one_line(run: Run, tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.png", "text")
    result = run("compress", bad, "-o", tmp_path / "out", *QUICK, code=1)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {bad}: not a picture")


def test_a_pack_is_for_decompress(run: Run, tmp_path: Path) -> None:
    pack = write(tmp_path / "a.rinr", "")
    result = run("compress", pack, "-o", tmp_path / "out", code=2)
    assert "rinrcodec decompress makes pictures of it" in result.stderr
    assert not (tmp_path / "out").exists()


def test_no_labels_at_all_are_one_warning(run: Run, tmp_path: Path) -> None:
    for i in range(2):
        put(tmp_path / f"set/images/{i}.png", picture(i))
    (tmp_path / "set/labels").mkdir()
    args = ("compress", tmp_path / "set/images", "-o", tmp_path / "out", "--overwrite", *QUICK)
    (line,) = run(*args).stderr.splitlines()
    assert "no labels were found (looked in labels/" in line
    assert line.endswith("Name their folder with --labels, or pass --labels none.")
    assert run(*args, "--labels", "none").stderr == ""
    write(tmp_path / "set/labels/0.txt", "")
    no_box, line = run(*args).stderr.splitlines()
    assert "1 label file without a box" in no_box
    assert "1.txt: there is no such label file" in line


def test_many_missing_labels_end_in_one_line(run: Run, tmp_path: Path) -> None:
    for i in range(24):
        put(tmp_path / f"set/images/{i:02d}.png", picture(i, 2, 2))
    write(tmp_path / "set/labels/00.txt", "0 0.5 0.5 1 1")
    result = run("compress", tmp_path / "set/images", "-o", tmp_path / "out", *QUICK)
    *lines, last = result.stderr.splitlines()
    assert len(lines) == 20
    assert last == "warning: and 3 more; --json lists them all"


def test_a_pack_larger_than_its_source_gives_advice(run: Run, tmp_path: Path) -> None:
    advice = "larger than its source: pass a lower --quality or another --background"
    put(tmp_path / "flat.png", Image.new("RGB", (2, 2)))
    args = ("compress", tmp_path / "flat.png", "-o", tmp_path / "flat.rinr", *QUICK)
    assert run(*args).stdout.splitlines()[-1] == advice
    assert run(*args, "--overwrite", "--quiet").stdout == ""
    noise = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    put(tmp_path / "large.png", Image.fromarray(noise))
    result = run("compress", tmp_path / "large.png", "-o", tmp_path / "large.rinr", *QUICK)
    assert advice not in result.stdout


def test_the_figures_name_the_device_that_was_used(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "a.png", picture(1))
    args = ("--steps", 8, "--device", "auto", "--json", "-")
    result = run("compress", tmp_path / "a.png", "-o", tmp_path / "a.rinr", *args)
    assert json.loads(result.stdout)["device"] == str(resolve_device("auto"))


def test_quiet_still_reports_classes_without_a_name(
    run: Run, dataset: Path, tmp_path: Path
) -> None:
    write(dataset.parent / "labels/train/a.txt", "3 0.5 0.5 0.2 0.2\n")
    args = ("compress", dataset, "-o", tmp_path / "packs", "--quiet", *QUICK)
    (line,) = run(*args).stderr.splitlines()
    assert "labels use class 3 (1 box), but names has 3 classes, 0 to 2" in line


def test_splits_that_share_pictures_warn_once(run: Run, dataset: Path, tmp_path: Path) -> None:
    write(dataset, "train: images/train\nval: images/train\nnames: [person, car, bus]\n")
    write(dataset.parent / "labels/train/a.txt", "0 0.5 0.5 0 0.2\n")
    stderr = run("compress", dataset, "-o", tmp_path / "packs", *QUICK).stderr
    assert stderr.count("a box without area") == 1
