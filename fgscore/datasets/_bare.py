"""The same picture without its metadata: for files whose pixels are sound and whose comments, profiles or EXIF are not.

Nothing is decoded, and what is cut short stays cut short: to tell a sound picture is the decoder's business.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
ORIENTED = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")  # texts in which a PNG may say how it is turned
SHORT = 1 << 16  # bytes of a text that is looked at for the orientation
APP0, APP1, APP14, APP15, COMMENT, SCAN = 0xE0, 0xE1, 0xEE, 0xEF, 0xFE, 0xDA


def bare(content: bytes) -> Iterator[bytes]:
    """``content``, a PNG or JPEG file, without most of its metadata, then without any; each only where that makes a
    difference. Nothing for other formats, and for files that end in the middle of something."""
    strips = {PNG: _png, JPEG: _jpeg}
    last = content
    for strip, oriented in ((s, o) for start, s in strips.items() if content.startswith(start) for o in (True, False)):
        stripped = strip(content, oriented)
        if stripped is not None and stripped != last:
            last = stripped
            yield stripped


def _png(content: bytes, oriented: bool) -> bytes | None:
    """The chunks that no decoder may pass over, and a sound EXIF; where ``oriented``, short texts of
    :data:`ORIENTED` too. Transparency goes: it is dropped in any case. So do all pictures of an animation but the
    first."""
    kept, place = [PNG], len(PNG)
    while place + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        end = place + 12 + length
        if end > len(content):
            return None
        body = content[place + 8 : end - 4]
        sound = zlib.crc32(kind + body) == int.from_bytes(content[end - 4 : end], "big")
        wanted = kind == b"eXIf" or (oriented and length <= SHORT and body.startswith(ORIENTED))
        if not kind[0] & 0x20 or (sound and wanted):  # a small first letter: may be passed over
            kept.append(content[place:end])
        if kind == b"IEND":
            return b"".join(kept)
        place = end
    return None


def _jpeg(content: bytes, oriented: bool) -> bytes | None:
    """All but comments and the segments of applications; where ``oriented``, EXIF stays, and what says how colours are
    stored stays anyhow."""
    kept, place = [content[:2]], 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4], "big")
        segment = content[place : place + 2 + length]
        if marker == SCAN:  # from here on, pixels
            return b"".join([*kept, content[place:]])
        is_metadata = APP0 <= marker <= APP15 or marker == COMMENT
        if not is_metadata or _says_colours(marker, segment[4:]) or (oriented and marker == APP1):
            kept.append(segment)
        place += 2 + length
    return None


def _says_colours(marker: int, body: bytes) -> bool:
    named = {APP0: b"JFIF\0", APP14: b"Adobe"}.get(marker)
    return named is not None and body.startswith(named) and len(body) >= 12
