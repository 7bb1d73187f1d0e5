"""Photos that were read black, white, lying or not at all, each after a public report; all others are as before."""

from __future__ import annotations

import hashlib
import io
import itertools
import logging
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from fgscore.datasets import _images
from fgscore.errors import BadImage

H, W = 48, 64
RAMP = np.linspace(0, 1, H * W).reshape(H, W)
PIXELS = np.kron(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))


def encoded(picture: Any, form: str = "TIFF", **options: Any) -> bytes:
    buffer = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(buffer, form, **options)
    return buffer.getvalue()


def read(content: bytes) -> np.ndarray:
    return _images.read_rgb(io.BytesIO(content))


@pytest.fixture(autouse=True)
def lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What is said of photos, as if none had been read before."""
    caplog.set_level(logging.INFO, "fgscore")
    monkeypatch.setattr(_images, "_stretched", itertools.count())
    monkeypatch.setattr(_images, "_black", itertools.count())
    return lambda: [record.getMessage() for record in caplog.records]


def plain_tiff(values: np.ndarray, sample_format: int, photometric: int = 1) -> bytes:
    """A TIFF of one strip of whatever numbers, as no encoder here writes them."""
    data, (height, width) = values.tobytes(), values.shape
    tags = {256: width, 257: height, 258: values.itemsize * 8, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height,
            279: len(data), 339: sample_format}  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


class TestNumbers:
    """tiff_float_0_to_1: a grey ramp is read as a ramp, whatever its numbers."""

    @pytest.mark.parametrize(
        ("values", "top"),
        [
            (RAMP.astype(np.float32), 255),
            ((RAMP * 51_000).astype(np.float32), 51_000 / 65_535 * 255),
            ((RAMP * 255).astype(np.float32), 255),
            ((RAMP * 4095).astype(np.uint16), 255),
            ((RAMP * 60_000).astype(np.uint16), 60_000 >> 8),
            ((RAMP * 60_000).astype(np.int32), 60_000 >> 8),
            ((RAMP * 200).astype(np.int32), 200),
        ],
        ids=["float 0..1", "float 0..51000", "float 0..255", "12 bits", "16 bits", "int32 16 bits", "int32 8 bits"],
    )
    def test_by_the_scale_that_they_fit_and_nothing_is_said(self, values, top, lines):
        found = read(encoded(values))
        assert np.abs(found[..., 0] - RAMP * top).max() <= 1.01
        assert (found == found[..., :1]).all() and lines() == []

    @pytest.mark.parametrize(
        "content",
        [
            encoded((RAMP * 2 - 1).astype(np.float32)),
            encoded((RAMP * 1e-3).astype(np.float32)),
            encoded((RAMP * 1e30).astype(np.float32), compression="tiff_lzw"),
            encoded((RAMP * 4000 - 1000).astype(np.int32)),
            encoded((RAMP * 2e9).astype(np.int32)),
            encoded((RAMP * 10).astype(np.uint16)),
            plain_tiff((RAMP * (2**32 - 1)).astype(np.uint32), 1),
            plain_tiff((RAMP * 3000 - 1000).astype(np.int16), 2),
        ],
        ids=["-1..1", "tiny", "huge", "negative", "31 bits", "0..10", "uint32", "int16"],
    )
    def test_others_by_the_files_own_range_which_is_said_once(self, content, lines):
        found = read(content)[..., 0]
        assert found.min() == 0 and found.max() == 255
        assert (np.diff(found.ravel().astype(int)) >= 0).all()
        read(content)
        (line,) = lines()
        assert "own range" in line

    def test_one_hot_pixel_does_not_make_the_rest_black(self):
        values = RAMP.astype(np.float32)
        values[0, 0] = 1e20
        assert 100 < read(encoded(values)).mean() < 150

    def test_nan_and_what_the_file_names_as_no_data_are_black(self):
        values = RAMP.astype(np.float32)
        values[:4] = np.nan
        assert read(encoded(values))[:4].max() == 0
        values[:4] = -9999
        found = read(encoded(values, tiffinfo={42113: "-9999"}))
        assert found[:4].max() == 0 and found.max() == 255 and abs(int(found[24, 0, 0]) - 127) <= 2

    def test_white_is_zero_where_the_tag_says_so(self):
        found = read(plain_tiff((RAMP * 65_535).astype(np.uint16), 1, photometric=0))
        assert found[0, 0, 0] == 255 and found[-1, -1, 0] == 0

    def test_a_black_picture_is_black_and_nothing_is_said(self, lines):
        assert read(encoded(np.zeros((4, 5), np.float32))).max() == 0 and lines() == []

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (encoded(np.full((4, 5), np.nan, np.float32)), "none is a number"),
            (encoded(np.full((4, 5), -7, np.int32)), "one number throughout, -7"),
            (plain_tiff(RAMP, 3), "a TIFF of numbers that are not read here"),
        ],
    )
    def test_what_shows_nothing_is_refused_with_the_reason(self, content, reason):
        with pytest.raises(BadImage, match=reason):
            read(content)

    def test_a_png_of_sixteen_bits_that_comes_out_black_is_said(self, lines):
        assert read(encoded((RAMP * 200).astype(np.uint16), "PNG")).max() == 0
        (line,) = lines()
        assert "black by the high byte" in line


def turned_jpeg(entries: bytes, count: int) -> bytes:
    """A sound JPEG of orientation 6 whose EXIF has more ``entries``."""
    orientation = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", count) + orientation + entries
    content = encoded(PIXELS, "JPEG", quality=95, subsampling=0)
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:]


class TestOrientation:
    """jpeg_rotated_with_bad_tag: what turns a photo is its tag alone."""

    @pytest.mark.parametrize(
        ("entries", "count"),
        [
            (struct.pack("<HHI4s", 0x011A, 2, 4, b"72\0\0") + bytes(4), 2),
            (struct.pack("<HHII", 0x8769, 4, 1, 0xFFFFFFF0) + bytes(4), 2),
            (struct.pack("<HHII", 0x011A, 5, 1, 9_999) + struct.pack("<HHII", 0x0131, 2, 0xFFFFFF, 8), 3),
            (b"\x1a", 40),
        ],
        ids=["resolution as text", "pointer beyond the end", "offsets beyond the end", "cut short"],
    )
    def test_whatever_else_is_broken(self, entries, count, tmp_path):
        path = tmp_path / "a.jpg"
        path.write_bytes(turned_jpeg(entries, count))
        found = _images.read_rgb(path)
        assert found.shape == (W, H, 3)
        assert np.abs(found.astype(int) - np.rot90(PIXELS, -1)).mean() < 10
        assert _images.read_header(path) == (H, W, 6)

    def test_exif_without_a_head_costs_no_photo(self):
        content = turned_jpeg(bytes(4), 1).replace(b"II*\0", b"????")
        assert read(content).shape == (H, W, 3)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_a_tiff_has_the_size_of_its_pixels(self, orientation, tmp_path):
        exif = Image.Exif()
        exif[_images.ORIENTATION_TAG] = orientation
        (tmp_path / "a.tif").write_bytes(encoded(PIXELS, exif=exif))
        width, height, _ = _images.read_header(tmp_path / "a.tif")
        assert _images.read_rgb(tmp_path / "a.tif").shape == (height, width, 3)


def chunk(kind: bytes, body: bytes, sound: bool = True) -> bytes:
    return (
        struct.pack(">I", len(body))
        + kind
        + body
        + struct.pack(">I", zlib.crc32(kind + body) + (not sound) & 0xFFFFFFFF)
    )


LONG = zlib.compress(bytes(3 << 20))
METADATA = {
    "long profile": chunk(b"iCCP", b"p\0\0" + LONG),
    "long zTXt": chunk(b"zTXt", b"Comment\0\0" + LONG),
    "long iTXt": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LONG),
    "many texts": 3 * chunk(b"tEXt", b"Comment\0" + b"x" * (1 << 15)),
    "wrong checksum": chunk(b"tEXt", b"Comment\0hello", sound=False),
    "short gamma": chunk(b"gAMA", b"\0"),
    "damaged profile": chunk(b"iCCP", b"p\0\0not zlib"),
    "damaged animation": chunk(b"acTL", b"\0"),
}


class TestMetadata:
    """png_large_metadata: metadata are not used, so they cost no picture."""

    @pytest.mark.parametrize("end", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("name", METADATA)
    def test_of_a_png_before_and_after_its_pixels(self, name, end, tmp_path, monkeypatch):
        monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", 1 << 16)
        content = encoded(PIXELS, "PNG")
        at = content.index(b"IEND") - 4 if end else content.index(b"IDAT") - 4
        path = tmp_path / "a.png"
        path.write_bytes(content[:at] + METADATA[name] + content[at:])
        np.testing.assert_array_equal(_images.read_rgb(path), PIXELS)
        assert _images.read_header(path) == (W, H, 1)

    def test_the_orientation_beside_it_counts(self):
        exif = Image.Exif()
        exif[_images.ORIENTATION_TAG] = 6
        content = encoded(PIXELS, "PNG", exif=exif)
        at = content.index(b"IDAT") - 4
        found = read(content[:at] + METADATA["long profile"] + content[at:])
        np.testing.assert_array_equal(found, np.rot90(PIXELS, -1))

    @pytest.mark.parametrize(
        "segment", [b"\xff\xe0\0\x07JFIF\0", b"\xff\xee\0\x08Adobe\0", b"\xff\xed\0\x10Photoshop 3.0\0"]
    )
    def test_short_segments_of_a_jpeg(self, segment):
        content = encoded(PIXELS, "JPEG")
        np.testing.assert_array_equal(read(content[:2] + segment + content[2:]), read(content))

    @pytest.mark.parametrize("name", METADATA)
    def test_a_truncated_picture_stays_refused(self, name):
        content = encoded(PIXELS, "PNG")
        at = content.index(b"IDAT") - 4
        cut = content[:at] + METADATA[name] + content[at:-60]
        with pytest.raises(BadImage):
            read(cut)


def palette(indices: np.ndarray) -> Image.Image:
    picture = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    picture.putpalette(PIXELS[:1, :16].tobytes())
    return picture


ORDINARY: dict[str, Callable[[], Image.Image]] = {
    "RGB": lambda: Image.fromarray(PIXELS),
    "L": lambda: Image.fromarray(PIXELS).convert("L"),
    "LA": lambda: Image.fromarray(PIXELS).convert("LA"),
    "RGBA": lambda: Image.fromarray(np.dstack([PIXELS, PIXELS[..., :1]])),
    "P": lambda: palette(PIXELS[..., 0] % 16),
    "1": lambda: Image.fromarray(PIXELS).convert("1"),
    "I;16": lambda: Image.fromarray((RAMP * 65_535).astype(np.uint16)),
}
# of what was read before there were rules for other numbers
DIGESTS = {
    "RGB": "fcdb2d15da1579d2",
    "L": "002ee49a6f703c4f",
    "LA": "002ee49a6f703c4f",
    "RGBA": "fcdb2d15da1579d2",
    "P": "d837d54af891c0e9",
    "1": "d43dff4715b11060",
    "I;16": "06e8d35599c66865",
}


def ordinary(mode: str) -> bytes:
    return encoded(ORDINARY[mode](), "PNG", **({"transparency": 3} if mode == "P" else {}))


@pytest.mark.parametrize("mode", ORDINARY)
def test_pixels_of_ordinary_pngs_are_what_they_were(mode, lines):
    assert hashlib.sha256(read(ordinary(mode)).tobytes()).hexdigest()[:16] == DIGESTS[mode]
    assert lines() == []


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_pixels_of_ordinary_jpegs_are_what_the_decoder_gives(mode):
    content = encoded(Image.fromarray(PIXELS).convert(mode), "JPEG")
    np.testing.assert_array_equal(read(content), np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))
