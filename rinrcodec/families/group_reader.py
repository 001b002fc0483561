"""The rows of one group on a device, as families read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rinrcodec.compute.devices import torch_device
from rinrcodec.pack import GroupInfo, PackSource

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["GroupReader"]


class GroupReader:
    """The rows of one group, read when a family asks for them.

    info: the group without its weights.
    gpu: where to decode; None for the CPU. A family that needs no torch asks this.
    memory: what the family remembers of the group between two calls. Threads may share a reader, so
        take an item out with `pop` before you use it.

    Args:
        source: A pack in memory or an open file.
        number: The number of the group in the source.
        device: Where weights go, and where to decode; None for the CPU.
        resident: Read the weights of the whole group once and keep them on the device; keep coded
            bytes, too.
    """

    def __init__(
        self,
        source: PackSource,
        number: int,
        device: torch.device | None,
        *,
        resident: bool = False,
    ) -> None:
        self.info: GroupInfo = source.groups[number]
        self.gpu = None if device is None or device.type == "cpu" else device
        self._source = source
        self._number = number
        self._resident = resident
        self._weights: Tensor | None = None
        self._coded: dict[int, bytes] = {}
        self.memory: dict[str, Any] = {}

    @property
    def device(self) -> torch.device:
        """Where weights go, and where to decode, for families that need torch."""
        return torch_device(self.gpu)

    def weights(self, rows: Sequence[int], sizes: Sequence[int]) -> Tensor:
        """Return the weights of some rows: float32 [rows, params] on the device.

        Args:
            rows: Numbers of rows, in the order wanted; a number may come twice.
            sizes: How many parameters each tensor has, each of which has one scale.
        """
        if not self._resident:
            return self._read(rows, sizes)
        import torch

        if self._weights is None:
            self._weights = self._read(range(self.info.n_rows), sizes)
        return self._weights.index_select(0, torch.tensor(list(rows), device=self.device))

    def coded(self, rows: Sequence[int]) -> dict[int, bytes]:
        """Return the coded bytes of some rows, by the number of the row.

        Args:
            rows: Numbers of rows of a group that has coded bytes (`info.coded`).
        """
        missing = [row for row in dict.fromkeys(rows) if row not in self._coded]
        read = self._source.read_rows(self._number, missing).coded if missing else ()
        fresh = dict(zip(missing, read, strict=True))
        if self._resident:
            self._coded.update(fresh)
        return {row: fresh[row] if row in fresh else self._coded[row] for row in rows}

    def _read(self, rows: Sequence[int], sizes: Sequence[int]) -> Tensor:
        from rinrcodec.compute.quantize import dequantize

        return dequantize(self._source.read_rows(self._number, rows), sizes, self.device)
