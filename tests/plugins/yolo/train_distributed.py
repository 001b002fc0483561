"""One of two processes that train together on the CPU: `train_distributed.py SETS OUT MODEL`.

As the processes that Ultralytics starts for several GPUs, it imports the trainer class and enables
nothing. Prints, as JSON, which frames were this process's and the losses, from packs and pictures.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from ultralytics.utils import RANK

from rinrcodec.plugins.ultralytics_adapter import RinrDetectionTrainer


class Parallel(nn.parallel.DistributedDataParallel):
    """Without the GPU that Ultralytics names."""

    def __init__(self, model: nn.Module, **_: Any) -> None:
        super().__init__(model)


class OnCpu(RinrDetectionTrainer):
    """Where Ultralytics would take a GPU for each process, all stay on the CPU."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.world_size = 2

    def _do_train(self, *world_size: int) -> None:
        # Releases before 8.4 count the GPUs and hand the number on.
        super()._do_train(*[2 for _ in world_size])

    def _setup_ddp(self, *_: Any) -> None:
        self.device = torch.device("cpu")
        # A file brings the processes together: a port might be taken.
        meeting = self.save_dir.with_suffix(".meeting").absolute().as_uri()
        distributed.init_process_group("gloo", init_method=meeting, rank=RANK, world_size=2)

    def final_eval(self) -> None:
        """Nothing: it validates on one GPU, alone."""


def train(data: Path, out: Path, model: str) -> tuple[list[int], list[float]]:
    """Train an epoch: the frames that were this process's, and the loss of every step."""
    output = {"project": str(out), "name": data.parent.name}
    options = {"model": model, "data": str(data), **output}
    options |= {"epochs": 1, "batch": 8, "imgsz": 64, "workers": 0, "seed": 3, "device": "cpu"}
    quiet = {"amp": False, "plots": False, "verbose": False, "exist_ok": True}
    trainer = OnCpu(overrides={**options, **quiet})
    losses: list[float] = []
    trainer.add_callback("on_train_batch_end", lambda trainer: losses.append(trainer.loss.item()))
    trainer.train()
    distributed.destroy_process_group()
    return sorted(trainer.train_loader.sampler), losses


if __name__ == "__main__":
    nn.parallel.DistributedDataParallel = Parallel  # type: ignore[misc]
    sets, out = map(Path, sys.argv[1:3])
    report = {kind: train(sets / kind / "data.yaml", out, sys.argv[3]) for kind in ("packs", "png")}
    print("\n" + json.dumps(report))
