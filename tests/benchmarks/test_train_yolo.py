"""The smallest difference that `benchmarks/train_yolo.py` can detect."""

import argparse
import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import ttest_ind

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("train_yolo")


def test_a_detectable_difference_is_found_in_80_percent_of_trials(script):
    seeds, trials = 5, 2000
    rng = np.random.default_rng(0)
    # Two arms whose standard deviation is exactly 1.
    exact = np.array([-1.0, -1.0, 0.0, 1.0, 1.0])
    difference = script.detectable({"a": list(exact), "b": list(exact + 3)})
    samples = rng.standard_normal((2, trials, seeds))
    seen = ttest_ind(samples[0], samples[1] + difference, axis=1).pvalue < 0.05
    assert np.mean(seen) == pytest.approx(0.8, abs=0.04)


def test_one_seed_gives_no_detectable_difference(script):
    assert script.detectable({"a": [0.5], "b": [0.6]}) is None


def test_an_interval_of_a_difference_is_that_of_the_t_test(script):
    one, other = [0.20, 0.24, 0.25], [0.30, 0.33, 0.36]
    interval = ttest_ind(one, other).confidence_interval()
    found = script.difference({"a": one, "original": other}, "a", "original")
    assert found == f"-0.100 ({interval.low:+.3f} to {interval.high:+.3f})"


def test_no_difference_has_no_sign_of_its_own(script):
    scores = {"original": [0.3, 0.3, 0.3001], "a": [0.3, 0.3, 0.3]}
    assert script.difference(scores, "a", "original") == "+0.000 (+0.000 to +0.000)"


@pytest.mark.parametrize(
    ("scores", "arm"),
    [
        ({"original": [0.5, 0.6], "a": [0.4, 0.5]}, "original"),
        ({"a": [0.4, 0.5]}, "a"),
        ({"original": [0.5], "a": [0.6]}, "a"),
    ],
)
def test_no_difference_without_another_arm_and_two_seeds(script, scores, arm):
    assert script.difference(scores, arm, "original") == "-"


def test_more_seeds_detect_smaller_differences(script):
    few = script.detectable({"a": [0.1, 0.3, 0.2], "b": [0.2, 0.4, 0.3]})
    many = script.detectable({"a": [0.1, 0.3, 0.2] * 3, "b": [0.2, 0.4, 0.3] * 3})
    assert many < few / 2


def test_frames_coded_with_other_options_are_refused(script, tmp_path, monkeypatch):
    sizes = iter([900.0, 700.0])
    monkeypatch.setattr(script, "load_split", lambda *_: ("none", script.Split([], []), {}))
    monkeypatch.setattr(script, "write_pictures", lambda *_: next(sizes))
    chosen = {"arms": ["webp"], "frames": 4, "preset": "fast", "steps": None, "bytes": 900}
    options = argparse.Namespace(**chosen, seed=0, device="cpu", jobs=1)
    script.write_arms(tmp_path, options)
    assert script.write_arms(tmp_path, options)["webp"][1] == 900
    options.bytes = 700
    with pytest.raises(SystemExit, match=r"--bytes 900 \(now 700\)"):
        script.write_arms(tmp_path, options)
    (tmp_path / "options.json").unlink()
    with pytest.raises(SystemExit, match=r"--bytes unknown \(now 700\)"):
        script.write_arms(tmp_path, options)


@pytest.mark.parametrize("asked", [0, 900])
def test_every_arm_is_printed_once_and_has_the_size_of_the_first_family(
    script, tmp_path, monkeypatch, capsys, asked
):
    wanted = {}

    def write(_folder, _split, arm, n_bytes, reference=None):
        wanted[arm] = n_bytes, reference
        return n_bytes or 700.0

    monkeypatch.setattr(script, "load_split", lambda *_: ("none", script.Split([], []), {}))
    monkeypatch.setattr(script, "write_pictures", write)
    monkeypatch.setattr(script, "write_pack", lambda *given: write(*given[:3], given[4]))
    chosen = {"arms": ["webp", "siren", "av1", "webp"], "frames": 4, "preset": "fast"}
    options = argparse.Namespace(
        **chosen,
        steps=None,
        bytes=asked,
        seed=0,
        device="cpu",
        jobs=1,
        threads=torch.get_num_threads(),
    )
    size = asked or 700
    for _ in range(2):  # the second run finds the files of the first
        arms = script.write_arms(tmp_path, options)
        assert [(arm, written) for arm, (_, written) in arms.items()] == [
            ("webp", size), ("siren", size), ("av1", size),
        ]  # fmt: skip
        printed = capsys.readouterr().out.splitlines()
        assert sorted(printed) == [
            f"{arm}: {size} bytes a frame" for arm in ("av1", "siren", "webp")
        ]
    reference = tmp_path / "siren" / "train.rinr"
    assert wanted == {"siren": (asked, None), "webp": (size, reference), "av1": (size, None)}
