"""Read image files: headers for the index, pixels for the stages. One rule for every odd kind of file.

Palette, alpha, grey and CMYK become RGB (alpha is dropped, as CLIP does); 16-bit keeps its high byte; of an animation
the first frame counts; EXIF orientation is applied; one pixel is enough. What cannot be decoded whole, or has more
pixels than Pillow's limit for decompression bombs, is a :class:`BadImage` with the reason.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from fgscore import regular
from fgscore.errors import BadImage

ORIENTATION_TAG = 0x0112
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
MAX_PIXELS = 2 * 89_478_485  # Pillow's own limit for decompression bombs

# once, and not around each photo: threads would take each other's filters. The limit is the rule; its warning is half
warnings.filterwarnings("ignore", module=r"PIL\.")


def read_header(path: Path) -> tuple[int, int, int]:
    """Width and height, upright, and EXIF orientation; only the header is read. Raises :class:`BadImage`."""
    with _open(path) as picture:
        orientation = _orientation(picture)
        width, height = picture.size
        return (height, width, orientation) if orientation in SIDEWAYS else (width, height, orientation)


def read_rgb(source: Path | BinaryIO, banner: int = 0) -> np.ndarray:
    """(H, W, 3) uint8, upright, without the bottom ``banner`` rows. Raises :class:`BadImage` with the reason."""
    with _open(source) as picture:
        try:
            upright = ImageOps.exif_transpose(picture)
            pixels = np.asarray(_to_rgb(upright))
        except Exception as error:  # what decoders raise over damaged files has no common base
            raise BadImage(f"cannot be decoded: {_reason(error)}") from error
    if banner and pixels.shape[0] <= banner:
        raise BadImage(f"is {pixels.shape[0]} pixels high, expected more than the banner's {banner}")
    return pixels[: pixels.shape[0] - banner]


def _open(source: Path | BinaryIO) -> Image.Image:
    try:
        if isinstance(source, Path):
            regular.check(source)
        picture = Image.open(source)
    except FileNotFoundError:
        raise BadImage("the file is missing") from None
    except regular.Irregular as error:
        raise BadImage(f"is {error}") from None
    except Image.DecompressionBombError:
        raise BadImage(f"has more than {MAX_PIXELS} pixels") from None
    except Exception as error:  # as above
        raise BadImage(f"not an image: {_reason(error)}") from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        picture.close()
        raise BadImage(f"has {width} x {height} pixels, more than {MAX_PIXELS}")
    return picture


def _orientation(picture: Image.Image) -> int:
    try:
        value = picture.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF: the pixels may be sound
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        values = np.asarray(picture, np.float64)
        high = values if picture.mode == "F" else values // 256
        return Image.fromarray(np.clip(high, 0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode == "P":
        return picture.convert("RGBA").convert("RGB")
    return picture.convert("RGB")


def _reason(error: Exception) -> str:
    # Pillow's message may quote the path, which a store must not hold
    text = str(error).partition("\n")[0]
    return "unknown format" if "cannot identify" in text else (text or type(error).__name__)[:120]
