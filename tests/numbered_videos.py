"""Videos whose frames show their number, in whatever codec and container."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

FRAMES = 80


def numbered(count: int = FRAMES) -> list[np.ndarray]:
    """Frames that show their number: seven bars, each a bit; and something that moves."""
    frames = []
    for number in range(count):
        frame = np.full((48, 96, 3), 120, np.uint8)
        for bit in range(7):
            frame[:16, bit * 12 : (bit + 1) * 12] = 235 if number >> bit & 1 else 20
        frame[24:40, 2 * number % 80 : 2 * number % 80 + 16] = 200
        frames.append(frame)
    return frames


def number_of(frame: np.ndarray) -> int:
    return sum(1 << bit for bit in range(7) if frame[4:12, bit * 12 + 3 : bit * 12 + 9].mean() > 128)


def write_numbered(path: Path, codec: str, form: str, options: dict[str, str]) -> None:
    try:
        av.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this FFmpeg has no {codec}")
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate, stream.options = 4_000_000, options
        for frame in numbered():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def copied(source: Path, target: Path, change: Callable[[av.Packet], av.Packet]) -> None:
    """The video with other packets."""
    with av.open(str(source)) as a, av.open(str(target), "w") as b:
        stream = b.add_stream_from_template(a.streams.video[0])
        for packet in a.demux(video=0):
            if packet.size:
                changed = change(packet)
                changed.time_base, changed.stream = packet.time_base, stream
                b.mux(changed)


def with_times(packet: av.Packet, pts: int | None, dts: int | None) -> av.Packet:
    packet.pts, packet.dts = pts, dts
    return packet
