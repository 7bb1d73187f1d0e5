"""Read image files: headers for the index, pixels for the stages. One rule for every odd kind of file.

Palette, alpha, grey and CMYK become RGB (alpha is dropped, as CLIP does); of an animation the first frame counts; the
orientation that EXIF or XMP states is applied; one pixel is enough. 16 bits of a PNG, which span black to white by its
definition, and of colours keep their high byte.

Other grey of more than 8 bits, and floating point, is read by the scale it fits: 0 to 1 (floating point alone), to 255,
to 4095 (12 bits) or to 65535 (16 bits), the least of these that holds all of its values, where they reach a sixteenth
of it. What fits none (negative, tiny or huge numbers) is stretched from the file's own least value to its greatest, or
where a few stand far apart from all others, from its first percentile to its last. NaN, and what a TIFF names as no
data, is black.

Nothing turns black or white in silence: that photos are stretched, or are black by their high byte, a line says once.
Broken or oversized metadata never cost a picture. What cannot be decoded whole, has more pixels than Pillow's limit for
decompression bombs, or shows nothing by these rules, is a :class:`BadImage` with the reason.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin

from fgscore import regular
from fgscore.datasets._account import WITH_HEIF
from fgscore.datasets._bare import bare
from fgscore.errors import BadImage

ORIENTATION_TAG, PHOTOMETRIC_TAG, SAMPLE_FORMAT_TAG, NO_DATA_TAG = 0x0112, 0x0106, 0x0153, 0xA481
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)  # orientations that swap width and height
MAX_PIXELS = 2 * 89_478_485  # Pillow's own limit for decompression bombs
DEPTHS = (255, 4095, 65535)
TIFF, HEIF = (b"II*\0", b"MM\0*"), (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1")
UNKNOWN = "not an image: unknown format"
REACH = 16  # a scale is a file's own where its greatest value is at least this part of it

NO_PHOTOS = {"EPS", "MPEG"}  # Pillow opens them and runs another program, or cannot show them

with suppress(ImportError):  # not needed, and used where it is installed
    import pillow_heif  # type: ignore[import-not-found]

    pillow_heif.register_heif_opener()

# once, and not around each photo: threads would take each other's filters. The limit is the rule; its warning is half
warnings.filterwarnings("ignore", module=r"PIL\.")

Source = Path | BinaryIO
T = TypeVar("T")
_log = logging.getLogger("fgscore")
_stretched, _black = count(), count()  # photos that were, by this process


def suffixes() -> set[str]:
    """Suffixes of the formats that are read here, in small letters with the dot; none that is only recognised."""
    formats, stub = Image.registered_extensions(), ImageFile.StubImageFile
    stubs = {name for name, (opener, _) in Image.OPEN.items() if isinstance(opener, type) and issubclass(opener, stub)}
    return {suffix.lower() for suffix, name in formats.items() if name in set(Image.OPEN) - stubs - NO_PHOTOS}


def read_header(path: Path) -> tuple[int, int, int]:
    """Width and height, upright, and EXIF orientation; only the header is read. Raises :class:`BadImage`."""
    return _read(path, _header)


def read_rgb(source: Source, banner: int = 0) -> np.ndarray:
    """(H, W, 3) uint8, upright, without the bottom ``banner`` rows. Raises :class:`BadImage` with the reason."""
    pixels = _read(source, lambda picture: _pixels(picture, source))
    if banner and pixels.shape[0] <= banner:
        raise BadImage(f"is {pixels.shape[0]} pixels high, expected more than the banner's {banner}")
    return pixels[: pixels.shape[0] - banner]


def _read(source: Source, use: Callable[[Image.Image], T]) -> T:
    """What ``use`` makes of the picture or, where that fails, of the same file without its metadata."""
    try:
        with _open(source) as picture:
            return use(picture)
    except BadImage as error:
        refused = error
    content = _content(source)
    for stripped in bare(content):
        with suppress(BadImage), _open(io.BytesIO(stripped)) as picture:
            return use(picture)
    if str(refused) == UNKNOWN and content[4:12] in HEIF:
        raise BadImage(f"HEIC, which {WITH_HEIF}") from refused
    if str(refused) == UNKNOWN and content[:4] in TIFF:
        raise BadImage("a TIFF of numbers that are not read here, such as 64-bit or coloured floating point; save it "
                       "with 8 or 16 bits") from refused  # fmt: skip
    raise refused


def _content(source: Source) -> bytes:
    if not isinstance(source, Path):
        source.seek(0)
        return source.read()
    try:
        return regular.read(source)
    except OSError:
        return b""


def _open(source: Source) -> Image.Image:
    try:
        if isinstance(source, Path):
            regular.check(source)
        picture = Image.open(source)
    except FileNotFoundError:
        raise BadImage("the file is missing") from None
    except PermissionError as error:
        raise BadImage(f"cannot be read: {error.strerror}") from None
    except regular.Irregular as error:
        raise BadImage(f"is {error}") from None
    except Image.DecompressionBombError:
        raise BadImage(f"has more than {MAX_PIXELS} pixels") from None
    except Exception as error:  # what decoders raise over damaged files has no common base
        raise BadImage(f"not an image: {_reason(error)}") from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        picture.close()
        raise BadImage(f"has {width} x {height} pixels, more than {MAX_PIXELS}")
    return picture


def _header(picture: Image.Image) -> tuple[int, int, int]:
    orientation = _orientation(picture)
    width, height = picture.size
    turned = isinstance(picture, TiffImagePlugin.TiffImageFile) and ORIENTATION_TAG in picture.tag_v2  # by Pillow
    return (height, width, orientation) if orientation in SIDEWAYS and not turned else (width, height, orientation)


def _pixels(picture: Image.Image, source: Source) -> np.ndarray:
    by_high_byte = _by_high_byte(picture)
    try:
        picture.load()
        pixels = np.asarray(_upright(_to_rgb(picture, source), _orientation(picture)))
    except BadImage:
        raise
    except Exception as error:  # as above
        raise BadImage(f"cannot be decoded: {_reason(error)}") from error
    if by_high_byte and pixels.max() < REACH:
        if not isinstance(picture, PngImagePlugin.PngImageFile):
            raise BadImage("colours of 16 bits that are black, or use fewer bits than they have; save it with 8 bits")
        _say(_black, source, "comes out black by the high byte of its 16 bits; where it uses fewer, save it with 8")
    return pixels


def _by_high_byte(picture: Image.Image) -> bool:
    """Whether of each number the picture holds the high byte alone is read."""
    return any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ())) and (
        len(picture.getbands()) > 1 or isinstance(picture, PngImagePlugin.PngImageFile)
    )


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    return picture.transpose(TURNS[orientation]) if orientation in TURNS else picture


def _orientation(picture: Image.Image) -> int:
    """What the tag says, 1 where it cannot be read; of all EXIF nothing else is looked at. A TIFF that is loaded has
    been turned by Pillow, and says 1."""
    try:
        value = picture.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF: the pixels may be sound
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _to_rgb(picture: Image.Image, source: Source) -> Image.Image:
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        is_png = isinstance(picture, PngImagePlugin.PngImageFile)
        grey = (np.asarray(picture) >> 8).astype(np.uint8) if is_png else _to_bytes(_values(picture), source)
        return Image.fromarray(255 - grey if _white_is_zero(picture) else grey).convert("RGB")
    if picture.mode == "P":
        return picture.convert("RGBA").convert("RGB")
    return picture.convert("RGB")


def _white_is_zero(picture: Image.Image) -> bool:
    return isinstance(picture, TiffImagePlugin.TiffImageFile) and picture.tag_v2.get(PHOTOMETRIC_TAG) == 0


def _values(picture: Image.Image) -> np.ndarray:
    """(H, W): whole numbers, or floating point of which some may be NaN."""
    values = np.asarray(picture)
    tags = picture.tag_v2 if isinstance(picture, TiffImagePlugin.TiffImageFile) else {}
    if tags and picture.mode == "I" and tags.get(SAMPLE_FORMAT_TAG, (1,))[0] == 1:
        values = values.view(np.uint32)  # Pillow knows 32 bits with a sign alone
    if picture.mode != "F":
        values = values.astype(np.int64)
    with suppress(ValueError, OverflowError):
        no_data = values.dtype.type(float(str(tags[NO_DATA_TAG]).strip("\0 "))) if NO_DATA_TAG in tags else np.nan
        values = values if np.isnan(no_data) else np.where(values == no_data, np.nan, values)
    return values


def _to_bytes(values: np.ndarray, source: Source) -> np.ndarray:
    """``values`` (H, W) as (H, W) uint8, see the head of this file. Raises :class:`BadImage` where all are one number
    beyond every scale, or none is a number."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise BadImage("floating point values of which none is a number")
    least, greatest = finite.min(), finite.max()
    whole = values.dtype.kind != "f"
    top = next((top for top in (DEPTHS if whole else (1, *DEPTHS)) if greatest <= top), None)
    if not whole:
        values = np.nan_to_num(values, nan=min(least, 0), posinf=greatest, neginf=min(least, 0))
    if top is not None and least >= 0 and (greatest * REACH >= top or greatest == 0):
        scaled = values >> (top.bit_length() - 8) if whole else np.rint(values * (255 / top))
    elif least == greatest:
        raise BadImage(f"one number throughout, {least:g}, of which no scale is known")
    else:
        black, white = _range(finite)
        how = f"values {black:g} to {white:g} are stretched from black to white by the photo's own range"
        _say(_stretched, source, f"{how}, and so are those of every photo of such numbers")
        scaled = np.rint((values.astype(np.float64) - black).clip(0, white - black) * (255 / (white - black)))
    return scaled.astype(np.uint8)


def _range(finite: np.ndarray) -> tuple[float, float]:
    """What is black and what is white among numbers that fit no scale."""
    least, low, high, greatest = np.percentile(finite.astype(np.float64), [0, 1, 99, 100]).tolist()
    return (low, high) if low < high and (high - low) * REACH < greatest - least else (least, greatest)


def _say(before: Iterator[int], source: Source, what: str) -> None:
    """A line about ``source``, if it is the first of this process that ``before`` counts."""
    if next(before) == 0:
        _log.info("%s: %s", source.name if isinstance(source, Path) else "a photo", what)


def _reason(error: Exception) -> str:
    # Pillow's message may quote the path, which a store must not hold
    text = str(error).partition("\n")[0]
    return "unknown format" if "cannot identify" in text else (text or type(error).__name__)[:120]
