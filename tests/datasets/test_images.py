"""Odd image files, each by its rule: what is read, and what is refused with which reason."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fgscore.datasets import _images
from fgscore.errors import BadImage

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
PICTURE = Image.fromarray(PIXELS)


def saved(path, picture=PICTURE, **options):
    picture.save(path, **options)
    return path


def png_of_size(path, width, height):
    """A PNG of a few bytes whose header promises width x height pixels."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")))
    return path


class TestRead:
    """Every case gives (H, W, 3) uint8 with these very pixels."""

    def test_rgb(self, tmp_path):
        path = saved(tmp_path / "a.png")
        np.testing.assert_array_equal(_images.read_rgb(path), PIXELS)
        assert _images.read_header(path) == (30, 20, 1)

    def test_grey(self, tmp_path):
        grey = PICTURE.convert("L")
        expected = np.repeat(np.asarray(grey)[..., None], 3, axis=2)
        np.testing.assert_array_equal(_images.read_rgb(saved(tmp_path / "a.png", grey)), expected)

    def test_bilevel(self, tmp_path):
        bits = RNG.integers(0, 2, (8, 9)).astype(bool)
        found = _images.read_rgb(saved(tmp_path / "a.png", Image.fromarray(bits)))
        np.testing.assert_array_equal(found, np.repeat(bits[..., None] * np.uint8(255), 3, axis=2))

    @pytest.mark.parametrize("transparent", [False, True])
    def test_palette(self, tmp_path, transparent):
        colours = RNG.integers(0, 256, (16, 3), dtype=np.uint8)
        indices = RNG.integers(0, 16, (20, 30), dtype=np.uint8)
        picture = Image.frombytes("P", (30, 20), indices.tobytes())
        picture.putpalette(colours.tobytes())
        options = {"transparency": 3} if transparent else {}
        np.testing.assert_array_equal(_images.read_rgb(saved(tmp_path / "a.png", picture, **options)), colours[indices])

    @pytest.mark.parametrize("mode", ["RGBA", "LA"])
    def test_alpha_is_dropped(self, tmp_path, mode):
        alpha = Image.fromarray(RNG.integers(0, 256, (20, 30), dtype=np.uint8))
        opaque = PICTURE.convert(mode[:-1])
        picture = opaque.convert(mode)
        picture.putalpha(alpha)
        np.testing.assert_array_equal(
            _images.read_rgb(saved(tmp_path / "a.png", picture)), np.asarray(opaque.convert("RGB"))
        )

    def test_cmyk(self, tmp_path):
        cmyk = RNG.integers(0, 256, (20, 30, 4), dtype=np.uint8)
        picture = Image.frombytes("CMYK", (30, 20), cmyk.tobytes())
        found = _images.read_rgb(saved(tmp_path / "a.tif", picture)).astype(int)
        ink = 255 - cmyk[..., :3].astype(int)
        expected = ink * (255 - cmyk[..., 3:].astype(int)) / 255
        assert np.abs(found - expected).max() <= 1.5

    @pytest.mark.parametrize("top", [200, 65535])
    def test_sixteen_bits_keep_the_high_byte_however_dark(self, tmp_path, top):
        values = RNG.integers(0, top + 1, (20, 30), dtype=np.uint16)
        found = _images.read_rgb(saved(tmp_path / "a.png", Image.fromarray(values)))
        np.testing.assert_array_equal(found, np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2))

    @pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
    def test_the_first_frame_of_an_animation(self, tmp_path, suffix):
        frames = [Image.new("RGB", (30, 20), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
        options = {"lossless": True} if suffix == "webp" else {}
        path = saved(tmp_path / f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:], **options)
        assert Image.open(path).n_frames == 3
        assert (_images.read_rgb(path) == (255, 0, 0)).all()

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_orientation(self, tmp_path, orientation):
        turned = {
            1: lambda a: a,
            2: np.fliplr,
            3: lambda a: np.rot90(a, 2),
            4: np.flipud,
            5: lambda a: a.transpose(1, 0, 2),
            6: lambda a: np.rot90(a, -1),
            7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
            8: np.rot90,
        }
        exif = Image.Exif()
        exif[_images.ORIENTATION_TAG] = orientation
        path = saved(tmp_path / "a.png", exif=exif)
        expected = turned[orientation](PIXELS)
        np.testing.assert_array_equal(_images.read_rgb(path), expected)
        assert _images.read_header(path) == (expected.shape[1], expected.shape[0], orientation)

    @pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1)])
    def test_one_pixel_wide(self, tmp_path, size):
        found = _images.read_rgb(saved(tmp_path / "a.png", Image.new("RGB", size, (9, 8, 7))))
        assert found.shape == (size[1], size[0], 3) and (found == (9, 8, 7)).all()

    def test_a_banner_is_cut_off(self, tmp_path):
        np.testing.assert_array_equal(_images.read_rgb(saved(tmp_path / "a.png"), banner=5), PIXELS[:15])


class TestRefused:
    """Each with its reason, which never quotes the path."""

    @staticmethod
    def reason(path, read=_images.read_rgb):
        with pytest.raises(BadImage) as refused:
            read(path)
        assert str(path.parent) not in str(refused.value)
        return str(refused.value)

    def test_missing(self, tmp_path):
        assert self.reason(tmp_path / "none.jpg") == "the file is missing"

    @pytest.mark.parametrize("content", [b"", b"\0", b"not an image at all", b"<svg/>"])
    def test_not_an_image(self, tmp_path, content):
        (tmp_path / "a.jpg").write_bytes(content)
        assert self.reason(tmp_path / "a.jpg") == "not an image: unknown format"

    @pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif"])
    def test_truncated(self, tmp_path, suffix):
        path = saved(tmp_path / f"a.{suffix}")
        path.write_bytes(path.read_bytes()[:-60])
        assert "cannot be decoded" in self.reason(path) or "not an image" in self.reason(path)

    @pytest.mark.parametrize("read", [_images.read_header, _images.read_rgb])
    @pytest.mark.parametrize("size", [(20_000, 20_000), (1 << 30, 1 << 30)])
    def test_a_bomb_is_refused_by_its_header(self, tmp_path, size, read):
        assert str(_images.MAX_PIXELS) in self.reason(png_of_size(tmp_path / "a.png", *size), read)

    def test_nothing_but_banner(self, tmp_path):
        path = saved(tmp_path / "a.png")
        with pytest.raises(BadImage, match="20 pixels high, expected more than the banner's 20"):
            _images.read_rgb(path, banner=20)
