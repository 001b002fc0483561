"""A report from Python, without the command line: rows, advice, a fog, and JSON."""

from __future__ import annotations

import doctest
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rinrcodec.evaluation import measure as measure_module
from rinrcodec.evaluation import report as report_module
from rinrcodec.evaluation import side_by_side as side_by_side_module
from rinrcodec.evaluation.accuracy import Accuracy, Detections
from rinrcodec.evaluation.measure import Measured, measure
from rinrcodec.evaluation.report import fog_scenario, make_report, report_as_json
from rinrcodec.evaluation.rows import SOURCE, Recipe, output, shell_line
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.spread import iterate_pictures, read_pictures


@pytest.fixture(scope="module")
def source(make_picture, tmp_path_factory):
    """Three pictures, the first with a box."""
    folder = tmp_path_factory.mktemp("source") / "fr ames"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(make_picture(48, 32, i)).save(folder / f"{i}.jpg", quality=95)
    (folder / "0.txt").write_text("0 0.4 0.4 0.3 0.4\n", encoding="utf-8")
    return open_source(folder)


@pytest.fixture(scope="module")
def measured(source):
    done = []

    def note(count, total, what):
        done.append((count / total, what))

    found = measure(
        source, [0, 2], ["siren", "av1"], effort="fast", steps=2, device="cpu", on_progress=note
    )
    assert [share for share, _ in done] == sorted(share for share, _ in done)
    assert done[-1] == (1, "comparing JPEG files")
    labels = list(dict.fromkeys(what for _, what in done))
    assert labels[:3] == ["fitting siren", "fitting av1 for psnr", "fitting av1 for accuracy"]
    for name in ("JPEG", "WebP", "AVIF", "AVIF + crops"):
        assert f"comparing {name}, 2 tries" in labels
    return found


@pytest.fixture
def report(measured):
    return make_report(
        measured,
        path="fr ames",
        n_source_frames=3,
        bandwidth=2e6,
        devices=4,
        left_out={"nerv": "why"},
    )


def test_only_the_compared_frames_count(measured):
    assert [picture.name for picture in measured.pictures] == ["0.jpg", "2.jpg"]
    for row in (*measured.rows, measured.source):
        assert len(row.frames) == 2
        assert row.n_bytes == sum(frame.n_bytes for frame in row.frames) / 2
    assert measured.has_objects


def test_every_recipe_is_a_row_of_its_own(measured):
    names = [row.name for row in measured.rows]
    assert names[:6] == [
        f"{name} {objects} objects"
        for name in ("siren", "av1 for PSNR", "av1 for accuracy")
        for objects in ("without", "with")
    ]
    assert len(names) == len(set(names)) == 10
    assert measured.anchor is measured.rows[1]


def test_a_tune_that_changes_nothing_is_no_row(tmp_path):
    """Groups of frames, for example, are coded in the same way with every tune."""
    y, x = np.mgrid[0:64, 0:96]
    for number in range(4):
        moved = x - 1.5 * number
        waves = [127 + 60 * np.sin(moved / 9 + k) + 40 * np.cos(y / 7 * (k + 1)) for k in range(3)]
        pixels = np.clip(np.stack(waves, -1), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    found = measure(open_source(tmp_path), [0], ["av1"], effort="fast", device="cpu")
    assert [row.name for row in found.rows if row.is_ours] == ["av1 for PSNR"]
    why = {"av1 for accuracy": "the same frames as av1 for PSNR"}
    assert found.left_out == why
    report = make_report(found, path="a", n_source_frames=1, bandwidth=2e6, left_out={"b": "c"})
    assert report.left_out == {**why, "b": "c"}


def test_each_frame_that_a_detector_looks_at_is_reported(source, monkeypatch):
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, int))
    monkeypatch.setattr(measure_module, "average_precision", lambda _: Accuracy(0.5, 0.5, 0.5))
    labels = []
    found = measure(
        source,
        [0, 2],
        ["av1"],
        effort="fast",
        device="cpu",
        detector=lambda _: [nothing],
        on_progress=lambda *report: labels.append(report[-1]),
    )
    looked = [what for what in labels if what.startswith("detecting")]
    assert looked == [
        f"detecting in {row.name}, frame {number}"
        for row in (*found.rows, found.source)
        for number in (1, 2)
    ]
    assert {row.accuracy.map50 for row in (*found.rows, found.source)} == {0.5}


def test_jpeg_files_are_sent_as_they_are(measured, source):
    row = measured.source
    sizes = [(source.path / f"{i}.jpg").stat().st_size for i in (0, 2)]
    assert [frame.n_bytes for frame in row.frames] == sizes
    assert row.recipe.command("fr ames") == "cp -RL 'fr ames' 'fr ames-copy'"
    assert [frame.quality.frame for frame in row.frames] == [float("inf")] * 2


@pytest.mark.parametrize(
    ("name", "is_flat", "row"),
    [
        ("a.png", False, "JPEGs of quality 95"),  # larger than they
        ("a.png", True, "source files"),
        ("a.jpg", False, "JPEG files"),
    ],
)
def test_source_files_are_a_row_with_a_command(tmp_path, name, is_flat, row):
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels // 255 if is_flat else pixels).save(tmp_path / name)
    found = measure(open_source(tmp_path / name), [0], ["av1"], effort="fast").source
    assert found.name == row
    if name == "a.png" and not is_flat:
        command = "rinrcodec bench rival x.png -o x-jpeg --codec jpeg --quality 95"
    else:
        command = f"cp x.png x-copy{Path(name).suffix}"
    assert found.recipe.command("x.png") == command


def yaml_copy(tmp_path, make_picture, folders, **keys):
    """The command that copies the pictures of a data yaml with a folder for each split."""
    for folder in folders:
        path = tmp_path / folder
        path.mkdir(parents=True, exist_ok=True)
        Image.fromarray(make_picture(32, 24)).save(path / "a.jpg")
    data = tmp_path / "data.yaml"
    lines = [f"{key}: {value}" for key, value in keys.items()]
    data.write_text("\n".join([*lines, "names: [a]"]), encoding="utf-8")
    numbers = range(len(folders))
    source = open_source(Path("data.yaml"))
    row = measure(source, numbers, ["av1"], effort="fast", device="cpu").source
    return row.recipe.command("data.yaml")


def test_pictures_that_a_yaml_lists_are_copied_with_their_folders(
    tmp_path, make_picture, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folders = ["one/images", "two/images/val", "two/images"]
    line = yaml_copy(tmp_path, make_picture, folders, train=tmp_path / folders[0], val=folders[2])
    assert line == (
        f"mkdir data-copy && cp -RL {tmp_path}/one/images data-copy/1 && "
        "cp -RL two/images data-copy/2"
    )
    subprocess.run(["sh", "-c", line], check=True)
    assert sorted(
        str(file.relative_to("data-copy")) for file in Path("data-copy").rglob("*.jpg")
    ) == ["1/a.jpg", "2/a.jpg", "2/val/a.jpg"]


def test_pictures_of_one_folder_are_copied_with_one_command(tmp_path, make_picture, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = yaml_copy(tmp_path, make_picture, ["-odd"], train="-odd")
    assert line == "cp -RL ./-odd data-copy"


@pytest.mark.parametrize("name", ["pictures", "packs", "-x", "it's new"])
def test_an_output_is_named_after_its_source_and_does_not_exist_yet(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    recipe = Recipe("x", "", ("cp", "-RL", SOURCE, output("-copy")))
    Path(name).mkdir()
    first, second = f"{name}-copy", f"{name}-copy-2"
    for copy in (first, second):
        subprocess.run(["sh", "-c", recipe.command(name)], check=True)
        assert Path(copy).is_dir()
    assert len(list(tmp_path.iterdir())) == 3
    (tmp_path / name / "below").mkdir()
    monkeypatch.chdir(tmp_path / name)
    assert recipe.command(".") == shell_line(["cp", "-RL", ".", str(tmp_path / f"{name}-copy-3")])


def test_of_many_frames_only_the_shown_ones_keep_their_pixels(tmp_path, make_picture):
    for i in range(10):
        Image.fromarray(make_picture(32, 24, i)).save(tmp_path / f"{i}.jpg", quality=95)
    found = measure(open_source(tmp_path), range(10), ["av1"], effort="fast", device="cpu")
    assert found.shown == range(0, 10, 2)
    for row in (*found.rows, found.source):
        assert [frame.pixels.max() > 0 for frame in row.frames] == [True, False] * 5
        assert [frame.pixels.strides == (0, 0, 0) for frame in row.frames] == [False, True] * 5
        assert row.bpp == pytest.approx(8 * row.n_bytes / (32 * 24))
        assert min(frame.quality.frame for frame in row.frames) > 10


def test_frames_are_read_run_by_run(tmp_path, make_picture, monkeypatch):
    for i in range(6):
        Image.fromarray(make_picture(16, 8, i)).save(tmp_path / f"{i}.png")
    source = open_source(tmp_path)
    read = []

    def spy(*arguments):
        for picture in iterate_pictures(*arguments):
            read.append(picture.name)
            yield picture

    monkeypatch.setattr(measure_module, "iterate_pictures", spy)
    known = dict(zip([1, 4], read_pictures(source, [1, 4]), strict=True))
    frames = measure_module._Frames(source, [0, 1, 4, 5], known)
    assert (len(frames), frames[1], frames[2]) == (4, known[1], known[4])
    assert [picture.name for picture in frames[:2]] == ["0.png", "1.png"]
    assert read == ["0.png", "1.png"]
    assert [picture.name for picture in frames[2:4]] == ["4.png", "5.png"]
    alone = measure_module._Frames(source, [1, 4], known)
    assert list(alone[:]) == [known[1], known[4]]
    assert len(read) == 4


def test_the_fog_compares_ours_with_the_sharpest_other_codec(measured):
    scenario, rows = fog_scenario(measured, devices=4)
    assert len(scenario.devices) == 4
    assert scenario.at_fog
    assert rows[0] is measured.anchor
    sharpest = max(
        (row for row in measured.rows if not row.is_ours), key=lambda row: (row.inside, row.outside)
    )
    assert rows[1] is sharpest
    assert scenario.codec.alpha == measured.anchor.n_bytes / measured.source.n_bytes
    # What needs no network, devices encode, too.
    anchor = replace(measured.anchor, at_fog=False)
    others = tuple(row for row in measured.rows if row is not measured.anchor)
    free = Measured(measured.pictures, (anchor, *others), anchor, measured.source)
    scenario, _ = fog_scenario(free, devices=4)
    assert [way.codec for way in scenario.transfers()].count(anchor.name) == 2


def test_json_has_all_figures_and_no_infinity(report, measured):
    values = json.loads(json.dumps(report_as_json(report), allow_nan=False))
    assert values["advice"]["bands"][-1]["below"] is None
    assert values["advice"]["command"] == report.command(report.advice.row)
    assert [row["name"] for row in values["rows"]] == [row.name for row in measured.rows]
    for row, shown in zip(measured.rows, values["rows"], strict=True):
        assert shown["n_bytes"] == row.n_bytes
        assert shown["psnr_objects"] == pytest.approx(row.quality.objects)
        assert shown["command"] == row.recipe.command("fr ames")
        assert [frame["n_bytes"] for frame in shown["frames"]] == [f.n_bytes for f in row.frames]
        assert len(shown["other_settings"]) == len(row.line)
    assert values["source"]["psnr_frame"] == 100.0
    assert [frame["boxes"] for frame in values["frames"]] == [1, 0]
    assert values["rows"][0]["frames"][1]["psnr_objects"] is None
    assert values["left_out"] == {"nerv": "why"}
    assert len(values["fog"]["devices"]) == 4


@pytest.mark.parametrize("module", [measure_module, report_module, side_by_side_module])
def test_the_examples_run(module):
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0
