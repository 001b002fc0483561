"""Labels of videos belong to frames by their numbers, from 0 or from 1, and never silently."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rinrcodec.datasets.shards import shards_of
from rinrcodec.errors import RinrInputError
from rinrcodec.sources.discover import open_source
from rinrcodec.sources.video_labels import VideoLabels, find_video_labels

from .tiny_videos import make_video

N = 4
VIDEO = Path("clip.mp4")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_video(tmp_path / "clip.avi", "mjpeg", n=N)


def write_labels(folder: Path, *names: str) -> None:
    """Files whose class is their position among the names."""
    folder.mkdir(parents=True, exist_ok=True)
    for class_id, name in enumerate(names):
        (folder / name).write_text(f"{class_id} 0.5 0.5 0.2 0.2\n")


def classes(path: Path, **options: object) -> tuple[list[int | None], tuple[str, ...]]:
    """The class of the box of each frame, and all warnings and lost labels."""
    source = open_source(path, **options)  # type: ignore[arg-type]
    readings = list(source.series[0].read())
    found = [
        reading.picture.boxes[0].class_id if reading.picture and reading.picture.boxes else None
        for reading in readings
    ]
    assert not any(reading.error for reading in readings)
    late = [text for one in readings for text in (*one.warnings, *one.lost)]
    return found, (*source.warnings, *source.lost_labels, *late)


@pytest.mark.parametrize(
    "pattern",
    [
        "{:06d}.txt",
        "{}.txt",
        "frame_{:06d}.txt",
        "frame_{:06d}.PNG.txt",
        "img{:04d}.txt",
        "clip_{}.txt",
        "clip-frame-{:03d}.txt",
        "clip.avi.{}.txt",
        "a b.c_{}.txt",
    ],
)
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("place", ["labels/clip", "mine", "mine/clip"])
def test_all_names_of_the_field(clip: Path, pattern: str, first: int, place: str) -> None:
    names = [pattern.format(number) for number in range(first, N + first)]
    write_labels(clip.parent / place, *names)
    labels = "auto" if place == "labels/clip" else clip.parent / "mine"
    found, warnings = classes(clip, labels=labels)
    assert found == list(range(N))
    zero = f"the labels are numbered from 0: {names[0]} belongs to the first frame, clip/000001.png"
    assert any(zero in warning for warning in warnings) == (first == 0)
    if "a b" not in pattern:
        assert len(warnings) == (first == 0)


def test_label_files_that_ultralytics_predicts_are_read(clip: Path) -> None:
    # Counted from 1, and no file for frames in which nothing was found.
    write_labels(clip.parent / "predict/labels", "clip_2.txt", "clip_4.txt")
    found, warnings = classes(clip, labels=clip.parent / "predict/labels")
    assert found == [None, 0, None, 1]
    (warning,) = warnings
    assert "2 frames have no label file, of 4 frames of clip.avi (numbered from 1); they" in warning


def test_labels_next_to_the_video_count_if_they_have_its_name(clip: Path) -> None:
    write_labels(clip.parent / "labels", "clip_1.txt", "clip_2.txt", "clip_3.txt", "clip_4.txt")
    write_labels(clip.parent / "labels", "other_1.txt", "000002.txt", "clip2_1.txt")
    assert classes(clip) == ([0, 1, 2, 3], ())


def test_labels_next_to_the_video_without_its_name_are_not_its_own(clip: Path) -> None:
    write_labels(clip.parent / "labels", "000001.txt", "other_2.txt")
    found, (warning,) = classes(clip)
    assert found == [None] * N
    assert warning.startswith(f"{clip}: no labels were found, so there are no boxes and no objects")
    first = clip.parent / "labels/000001.txt"
    assert f"2 files have another name, such as {first}; name labels by video" in warning
    assert classes(clip, labels="none") == ([None] * N, ())


def test_a_folder_without_labels_is_named(clip: Path) -> None:
    (clip.parent / "mine").mkdir()
    _, (warning,) = classes(clip, labels=clip.parent / "mine")
    assert warning.startswith(f"{clip.parent / 'mine'}: no labels of clip.avi")


def test_one_summary_of_frames_without_a_label_file(clip: Path) -> None:
    write_labels(clip.parent / "labels/clip", "000002.txt")
    found, (warning,) = classes(clip)
    assert found == [None, 0, None, None]
    assert "3 frames have no label file, of 4 frames" in warning


@pytest.mark.parametrize("first", [0, 1])
def test_labels_beyond_the_last_frame_are_named(clip: Path, first: int) -> None:
    names = [f"{number}.txt" for number in (*range(first, N + first), 7, 9)]
    write_labels(clip.parent / "labels/clip", *names)
    found, warnings = classes(clip)
    assert found == list(range(N))
    assert "labels beyond the last frame (4 frames): 7.txt, 9.txt; they are not" in warnings[-1]


def test_many_labels_beyond_the_last_frame_are_counted(clip: Path) -> None:
    write_labels(clip.parent / "labels/clip", *(f"{number}.txt" for number in range(1, 41)))
    _, (warning,) = classes(clip)
    assert "14.txt and 26 more; they are not used" in warning


def test_one_number_too_many_cannot_be_assigned(clip: Path) -> None:
    write_labels(clip.parent / "labels/clip", *(f"{number:06d}.txt" for number in range(N + 1)))
    with pytest.raises(RinrInputError, match=r"from 000000\.txt to 000004\.txt, but clip\.avi has"):
        open_source(clip)


def test_two_files_for_one_number(clip: Path) -> None:
    names = ("000001.txt", "000002.txt", "000003.txt", "000004.txt", "2.txt")
    write_labels(clip.parent / "labels/clip", *names)
    found, (warning,) = classes(clip)
    assert found == [0, 1, 2, 3]
    assert "2.txt and 000002.txt have the same number; only 000002.txt is used" in warning


def test_names_without_a_number_are_named(clip: Path) -> None:
    write_labels(clip.parent / "labels/clip", "1.txt", "2.txt", "3.txt", "4.txt")
    for name in ("classes.txt", "notes.txt", "cars.txt", "readme.md", "5.json"):
        (clip.parent / "labels/clip" / name).write_text("x")
    found, (warning,) = classes(clip)
    assert found == [0, 1, 2, 3]
    assert "label files without a frame number: cars.txt; they are not used" in warning


def test_labels_of_several_videos_and_none_of_this_one(clip: Path) -> None:
    write_labels(clip.parent / "mine", "a_1.txt", "a_2.txt", "b_1.txt")
    with pytest.raises(RinrInputError, match=r"a_1\.txt and b_1\.txt both have the number of fr"):
        open_source(clip, labels=clip.parent / "mine")


def test_labels_of_another_name_are_used_with_a_warning(clip: Path) -> None:
    write_labels(clip.parent / "mine", *(f"other_{number}.txt" for number in range(1, N + 1)))
    found, (warning,) = classes(clip, labels=clip.parent / "mine")
    assert found == [0, 1, 2, 3]
    assert "no label file begins with 'clip'; those that begin with 'other_' are used" in warning


def test_a_video_whose_name_ends_in_a_number(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels", "clip1_1.txt", "clip1_2.txt", "clip12.txt", "clip12_1.txt")
    labels, warnings = find_video_labels(tmp_path / "clip1.mp4", None, n_frames=2)
    assert labels is not None
    assert sorted(name for name, _ in labels.files.values()) == ["clip1_1.txt", "clip1_2.txt"]
    assert warnings == ()


def test_a_label_removed_or_changed_is_reported(clip: Path) -> None:
    folder = clip.parent / "labels/clip"
    write_labels(folder, *(f"{number}.txt" for number in range(1, N + 1)))
    series = open_source(clip).series[0]
    (folder / "2.txt").unlink()
    (folder / "3.txt").write_text("7 0.5 0.5 0.3 0.3\n9 0.5 0.5 0.3 0.3\n")
    readings = list(series.read())
    said = [str(reading.error) + str(reading.warnings) for reading in readings]
    assert "2.txt" in said[1]
    assert "3.txt" in said[2]
    assert said[0] == said[3] == "None()"


def test_labels_are_part_of_a_run(clip: Path) -> None:
    def stamps() -> list[str]:
        return [shard.stamps for shard in shards_of(open_source(clip), 2)]

    without = stamps()
    write_labels(clip.parent / "labels/clip", "1.txt")
    one = stamps()
    write_labels(clip.parent / "labels/clip", "1.txt", "2.txt")
    two = stamps()
    assert len({*without, *one, *two}) == 6
    assert stamps() == two


def test_labels_of_frames_that_did_not_come(tmp_path: Path) -> None:
    # The packets promise more frames than there are: one is not used, and that is said.
    files = {number: (f"{number}.txt", "") for number in range(1, 6)}
    labels = VideoLabels(tmp_path, 1, files, 4, "")
    assert labels.lost_after(4) == ()
    (warning,) = labels.lost_after(3)
    assert "beyond the last frame (3 frames): 4.txt; they are not used" in warning


@given(st.data())
def test_every_label_belongs_to_a_frame_or_is_named(data: st.DataObject) -> None:
    n_frames = data.draw(st.integers(1, 12))
    first = data.draw(st.sampled_from([0, 1]))
    prefix = data.draw(st.sampled_from(["", "frame_", "clip_", "clip-", "x", "img"]))
    width = data.draw(st.integers(1, 6))
    frames = data.draw(st.sets(st.integers(0, n_frames - 1), min_size=1))
    frames |= {0} if first == 0 else set()
    extra = data.draw(st.sets(st.integers(n_frames + 1, 40), max_size=12))
    with TemporaryDirectory() as folder:
        names = {number: f"{prefix}{number + first:0{width}d}.txt" for number in frames | extra}
        write_labels(Path(folder), *names.values())
        labels, warnings = find_video_labels(VIDEO, Path(folder), n_frames=n_frames)
        assert labels is not None
        for number in range(n_frames):
            path, stamp = labels.of_frame(number)
            assert (path and path.name) == (names[number] if number in frames else None)
            assert bool(stamp) == (number in frames)
        text = "\n".join([*warnings, *labels.lost])
        assert all("not used" not in warning for warning in warnings)
        assert ("no label file, of" in text) == (len(frames) < n_frames)
        assert ("numbered from 0" in text) == (first == 0)
        named = sum(names[number] in text for number in extra)
        assert named == min(len(extra), 10)
