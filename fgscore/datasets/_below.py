"""All files below a folder, and which of them have the name of a photo."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fgscore import regular
from fgscore.datasets._account import BY_CONTENT, HIDDEN, INSIDE, NO_PHOTO, SHUT, SYSTEM, WITH_HEIF, PassedOver
from fgscore.machine.packages import check_package

SYSTEM_FOLDERS = ("__macosx", "__pycache__", "$recycle.bin", "#recycle", "lost+found", "system volume information")
HEIF = (".heic", ".heif", ".hif")
# pictures that a photographer has and Pillow does not open
OTHERS = (".3fr", ".arw", ".avif", ".avifs", ".bpg", ".cr2", ".cr3", ".dng", ".eps", ".erf", ".exr", ".hdr", ".jp2",
          ".jxl", ".jxr", ".kdc", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".psb", ".raf", ".raw", ".rw2", ".sr2",
          ".srw", ".svg", ".wdp", ".webp", ".x3f")  # fmt: skip
STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*", b"\xff\x0a", b"\0\0\0\x0cJXL ",
          b"\0\0\0\x0cjP  ")  # fmt: skip
BRANDS = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1", b"ftypavif", b"ftypavis")


LINKS = 2  # to folders, one inside the other, that are followed: folders full of links to each other have no end


@dataclass(frozen=True)
class Below:
    """Something below a folder: its ``parts`` from there on. ``is_folder`` of one that is named like a photo and holds
    none, ``is_shut`` of one that may not be looked into."""

    parts: tuple[str, ...]
    is_folder: bool = False
    is_shut: bool = False

    @property
    def path(self) -> str:
        """Its path below the folder, with '/'."""
        return "/".join(self.parts)

    @property
    def suffix(self) -> str:
        """In small letters, with the dot."""
        return os.path.splitext(self.parts[-1])[1].lower()


@cache
def photo_suffixes() -> frozenset[str]:
    """Suffixes, in small letters, of the formats that Pillow opens here. Those that it only recognises, videos and what
    takes another program to draw are none."""
    check_package("PIL", "reading photos")
    from fgscore.datasets import _images

    return frozenset(_images.suffixes())


def is_system(name: str) -> bool:
    """Whether a folder of that name is hidden, or one that an operating system or a program keeps for itself."""
    return name.startswith((".", "@")) or name.casefold().startswith(SYSTEM_FOLDERS)


def below(root: Path) -> list[Below]:
    """Every file below ``root``, links followed (:data:`LINKS`), every folder named like a photo that holds no photo,
    and those that may not be looked into, in the order of their paths. Whatever is no folder counts as a file: pipes,
    devices and links that lead nowhere too."""
    return sorted(_below(os.fspath(root), (), frozenset(), LINKS), key=lambda one: one.parts)


def _below(folder: str, parts: tuple[str, ...], above: frozenset[tuple[int, int]], links: int) -> Iterator[Below]:
    known = os.stat(folder)
    here = (known.st_dev, known.st_ino)
    if here in above:  # a link to a folder that it lies in
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if not _is_folder(entry) or (entry.is_symlink() and not links):
                yield Below((*parts, entry.name))
                continue
            try:
                inside = list(_below(entry.path, (*parts, entry.name), above | {here}, links - entry.is_symlink()))
            except PermissionError:
                yield Below((*parts, entry.name), is_shut=True)
                continue
            itself = Below((*parts, entry.name), is_folder=True)
            if named_as_photo(itself) and not any(named_as_photo(one) for one in inside):
                yield itself
            yield from inside


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def named_as_photo(one: Below) -> bool:
    """Whether it has the name of a photo, and lies in no hidden or system folder."""
    is_hidden = one.parts[-1].startswith(".") or _in_system(one)
    return one.suffix in photo_suffixes() and not is_hidden and not one.is_shut


def _in_system(one: Below) -> bool:
    return any(is_system(part) for part in one.parts[:-1])


def sorted_out(root: Path, found: Iterable[Below]) -> tuple[list[Below], list[PassedOver]]:
    """Those of ``found`` below ``root`` that have the name of a photo, and why the others have not."""
    every = list(found)
    photos = [one for one in every if named_as_photo(one)]
    folders = {one.parts for one in photos if one.is_folder}
    return photos, [_passed_over(root, one, folders) for one in every if not named_as_photo(one)]


def _passed_over(root: Path, one: Below, folders: Collection[tuple[str, ...]]) -> PassedOver:
    if _in_system(one):
        return PassedOver(one.path, SYSTEM)
    if one.parts[-1].startswith("."):
        return PassedOver(one.path, HIDDEN)
    if one.is_shut:
        return PassedOver(one.path, SYSTEM) if is_system(one.parts[-1]) else PassedOver(one.path, SHUT, True)
    if one.suffix in HEIF:
        return PassedOver(one.path, f"{one.suffix} {WITH_HEIF}", True)
    if one.suffix in OTHERS:
        return PassedOver(one.path, f"{one.suffix} is a kind of picture that is not read here", True)
    if _starts_as_picture(root.joinpath(*one.parts)):
        return PassedOver(one.path, BY_CONTENT, True)
    if any(one.parts[:depth] in folders for depth in range(1, len(one.parts))):
        return PassedOver(one.path, INSIDE)
    return PassedOver(one.path, NO_PHOTO)


def _starts_as_picture(path: Path) -> bool:
    start = b""
    with suppress(OSError), regular.opened(path) as file:
        start = file.read(12)
    is_webp = start[:4] == b"RIFF" and start[8:] == b"WEBP"
    return is_webp or start.startswith(STARTS) or start[4:] in BRANDS
