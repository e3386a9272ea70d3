"""Small video files, sound and broken, made of plain frames and edited byte by byte."""

import struct

import numpy as np

from smplcli.videos import write_video

WIDTH, HEIGHT, FPS = 96, 64, 25.0
UNTURNED = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
QUARTER_TURN = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, HEIGHT << 16, 0, 1 << 30)


def bright_frame(number, size=(WIDTH, HEIGHT)):
    """Grey 40, 48, 56 ... by number, with a red left third."""
    frame = np.full((size[1], size[0], 3), 40 + 8 * number, np.uint8)
    frame[:, : size[0] // 3] = (220, 20, 20)
    return frame


def write_clip(path, frames=10, *, fps=FPS, size=(WIDTH, HEIGHT)):
    """An mp4 of frames that tell their numbers by their brightness."""
    pictures = (
        [bright_frame(i, size) for i in range(frames)] if isinstance(frames, int) else frames
    )
    with write_video(path, fps=fps, size=size) as video:
        for picture in pictures:
            video.add(picture)
    return path


def number_of(pixels):
    """The number that `bright_frame` was given."""
    return round((float(np.median(pixels[:, -10:])) - 37) / 8)


def turned_clip(path):
    """A clip whose header asks for a quarter turn clockwise, as phones write it."""
    content = bytearray(write_clip(path).read_bytes())
    at = content.index(UNTURNED, content.index(b"tkhd"))
    content[at : at + len(UNTURNED)] = QUARTER_TURN
    path.write_bytes(content)
    return path


def irregular_clip(path):
    """Ten frames of which the last five last three times as long as the first five."""
    content = write_clip(path).read_bytes()
    at = content.index(b"stts")
    (step,) = struct.unpack_from(">I", content, at + 16)
    entries = struct.pack(">5I", 2, 5, step // 2, 5, step + step // 2)
    data = bytearray(content[: at + 8] + entries + content[at + 20 :])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        size_at = content.index(name) - 4
        (size,) = struct.unpack_from(">I", data, size_at)
        struct.pack_into(">I", data, size_at, size + len(entries) - 12)
    path.write_bytes(data)
    return path
