"""The fog: how many bytes bring a data set to all devices that need it, and when a fog saves any.

Every device holds JPEG frames that others need. *Serverless*, it sends them to each receiver.
With a *fog* node it sends them there once; the fog encodes them and sends the smaller files on.
*Training at the fog* sends the frames there and the model back, round after round (Residual-INR,
the parts on fog computing and communication).

With D_i bytes of JPEG on device i, wanted by r_i receivers, and alpha = bytes of the codec / bytes
of JPEG:

    serverless             T = sum D_i r_i
    through the fog        T = sum D_i + alpha sum D_i r_i
    training at the fog    T = sum D_i + K M N        K rounds, a model of M bytes, N devices

Where one transmission reaches all (`broadcast`), it counts once however many listen, and the fog
saves nothing. All share one link, so bytes follow one another: time = bytes / bandwidth + encoding
and decoding. Sizes are in bytes, times in seconds, bandwidths in bytes a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rinrcodec.errors import RinrInputError

__all__ = [
    "JPEG",
    "Codec",
    "Device",
    "Transfer",
    "break_even_alpha",
    "break_even_rounds",
    "equal_devices",
    "pays_below",
    "serverless",
    "through_fog",
    "train_at_fog",
]


def _check(
    what: str, value: float, want: str, *, least: float = -math.inf, above: float = -math.inf
) -> None:
    if not (math.isfinite(value) and value >= least and value > above):
        raise RinrInputError(f"{what} is {value}: expected {want}")


@dataclass(frozen=True, slots=True)
class Device:
    """The data of one device: `n_frames` frames, `n_bytes` as JPEG, and its number of receivers."""

    n_bytes: float
    n_receivers: int
    n_frames: int = 0

    def __post_init__(self) -> None:
        _check("n_bytes", self.n_bytes, "bytes above 0", above=0)
        _check("n_receivers", self.n_receivers, "0 receivers or more", least=0)
        _check("n_frames", self.n_frames, "0 frames or more", least=0)


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec by its size, as a share of the JPEG files (`alpha`), and its seconds for a frame.

    encode_seconds: at the fog or, where the devices encode for themselves, on a device.
    decode_seconds: at a receiver.
    """

    name: str
    alpha: float
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0

    def __post_init__(self) -> None:
        _check(f"alpha of {self.name}", self.alpha, "a share of the JPEG bytes above 0", above=0)
        _check("encode_seconds", self.encode_seconds, "seconds, 0 or more", least=0)
        _check("decode_seconds", self.decode_seconds, "seconds, 0 or more", least=0)


JPEG = Codec("jpeg", 1.0)


@dataclass(frozen=True, slots=True)
class Transfer:
    """The cost of one way of getting the data to its users.

    n_bytes: sent by all, together. busy_seconds: of encoding and decoding, at any bandwidth.
    """

    way: str
    codec: str
    n_bytes: float
    busy_seconds: float = 0.0

    def seconds(self, bandwidth: float) -> float:
        """Compute the time from first byte to last decoded frame, at `bandwidth` bytes a second."""
        _check("bandwidth", bandwidth, "bytes a second above 0", above=0)
        return self.n_bytes / bandwidth + self.busy_seconds


def equal_devices(
    count: int, *, n_bytes: float, n_frames: int = 0, n_receivers: int | None = None
) -> tuple[Device, ...]:
    """Return `count` devices with equal data, by default with all others as receivers."""
    _check("devices", count, "1 device or more", least=1)
    wanted = count - 1 if n_receivers is None else n_receivers
    return (Device(n_bytes, wanted, n_frames),) * count


def serverless(
    devices: Sequence[Device], codec: Codec = JPEG, *, broadcast: bool = False
) -> Transfer:
    """Compute the cost if every device sends its frames to each receiver.

    Codecs other than JPEG encode them first.
    """
    encode = max(device.n_frames for device in _some(devices)) * codec.encode_seconds
    busy = encode + _decoded_frames(devices) * codec.decode_seconds
    return Transfer("serverless", codec.name, codec.alpha * _sent(devices, broadcast), busy)


def through_fog(devices: Sequence[Device], codec: Codec, *, broadcast: bool = False) -> Transfer:
    """Compute the cost if devices send JPEG to the fog once, which encodes and sends it on.

    Encoding begins when all has arrived: a fog that fits what it has meanwhile is sooner.
    """
    n_bytes = _held(devices) + codec.alpha * _sent(devices, broadcast)
    encode = sum(device.n_frames for device in devices) * codec.encode_seconds
    busy = encode + _decoded_frames(devices) * codec.decode_seconds
    return Transfer("fog", codec.name, n_bytes, busy)


def train_at_fog(
    devices: Sequence[Device], *, rounds: int, model_bytes: float, broadcast: bool = False
) -> Transfer:
    """Compute the cost if devices send JPEG to the fog once and get a model every round.

    The model takes `model_bytes`.
    """
    _check("rounds", rounds, "1 round or more", least=1)
    n_bytes = _held(devices) + rounds * _round_bytes(devices, model_bytes, broadcast)
    return Transfer("train at the fog", JPEG.name, n_bytes)


def break_even_alpha(devices: Sequence[Device], *, broadcast: bool = False) -> float:
    """Compute the alpha below which the fog moves less than direct JPEG; 0 where it never does.

    1 - 1/r, where every device has r receivers.
    """
    sent = _sent(devices, broadcast)
    return max(0.0, 1 - _held(devices) / sent) if sent else 0.0


def break_even_rounds(
    devices: Sequence[Device], way: Transfer, *, model_bytes: float, broadcast: bool = False
) -> float:
    """Compute the rounds K at which training at the fog moves as much as `way`.

    Fewer rounds move less.

    0 where even the frames alone are more than `way` moves. K need not be whole.
    """
    spare = way.n_bytes - _held(devices)
    return max(0.0, spare / _round_bytes(devices, model_bytes, broadcast))


def pays_below(one: Transfer, other: Transfer) -> float:
    """Compute the bandwidth, in bytes a second, below which `one` is sooner than `other`.

    It pays back there the time it takes to encode and decode. Infinity where it is sooner at any
    bandwidth, 0 where it moves no less.
    """
    saved = other.n_bytes - one.n_bytes
    extra = one.busy_seconds - other.busy_seconds
    if saved <= 0:
        return 0.0
    return saved / extra if extra > 0 else math.inf


def _some(devices: Sequence[Device]) -> Sequence[Device]:
    if not devices:
        raise RinrInputError("no devices: expected at least one that holds frames")
    return devices


def _held(devices: Sequence[Device]) -> float:
    """Sum the bytes of JPEG on all devices."""
    return math.fsum(device.n_bytes for device in _some(devices))


def _sent(devices: Sequence[Device], broadcast: bool) -> float:
    """Sum the bytes of JPEG that reach all receivers."""
    return math.fsum(
        device.n_bytes * (min(device.n_receivers, 1) if broadcast else device.n_receivers)
        for device in _some(devices)
    )


def _decoded_frames(devices: Sequence[Device]) -> float:
    """Count the frames that one receiver decodes; all decode equally many at the same time."""
    receivers = max(len(devices), *(device.n_receivers for device in devices))
    return sum(device.n_frames * device.n_receivers for device in devices) / receivers


def _round_bytes(devices: Sequence[Device], model_bytes: float, broadcast: bool) -> float:
    _check("model_bytes", model_bytes, "bytes above 0", above=0)
    return model_bytes * (1 if broadcast else len(devices))
