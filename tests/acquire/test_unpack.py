"""Archives from elsewhere: unpacked whole into their folder, or refused by name with nothing written anywhere."""

import gzip
import io
import os
import tarfile

import pytest

from fgscore.acquire.unpack import Refused, unpack
from fgscore.errors import DataError


def member(name, content=b"x", kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    return info, content


def archive(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return path


GOOD = member("photos/a.jpg", b"a photo")


@pytest.fixture
def place(tmp_path):
    """A folder to unpack into, inside one that shows whatever escapes."""
    folder = tmp_path / "outside" / "raw"
    folder.mkdir(parents=True)
    return folder


def everything_below(folder):
    return sorted(os.path.relpath(os.path.join(d, f), folder) for d, ds, fs in os.walk(folder) for f in (*ds, *fs))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz"])
def test_tar_or_gzipped_tar_whatever_the_name_says(tmp_path, place, mode, name):
    made = archive(tmp_path / name, [GOOD, member("lists.txt"), member("photos/b.jpg", b"b" * 1000)], mode)
    assert unpack(made, place) == ["lists.txt", "photos"]
    assert everything_below(place) == ["lists.txt", "photos", "photos/a.jpg", "photos/b.jpg"]
    assert (place / "photos" / "b.jpg").read_bytes() == b"b" * 1000


@pytest.mark.parametrize(
    "bad",
    [
        member("/tmp/absolute.txt"),
        member("\\\\host\\share.txt"),
        member("C:/windows.txt"),
        member("../up.txt"),
        member("photos/../../up.txt"),
        member("photos\\..\\..\\up.txt"),
        member("link", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        member("link", kind=tarfile.SYMTYPE, link="../.."),
        member("link", kind=tarfile.SYMTYPE, link="photos"),
        member("hard", kind=tarfile.LNKTYPE, link="../../secret"),
        member("hard", kind=tarfile.LNKTYPE, link="/etc/passwd"),
        member("null", kind=tarfile.CHRTYPE),
        member("disk", kind=tarfile.BLKTYPE),
        member("pipe", kind=tarfile.FIFOTYPE),
        member("/".join(["deep"] * 50)),
    ],
    ids=lambda m: f"{m[0].name[:20]}-{m[0].type.decode()}",
)
def test_what_would_escape_is_refused_by_name_and_nothing_is_written(tmp_path, place, bad):
    made = archive(tmp_path / "evil.tgz", [GOOD, bad, member("after.txt")])
    before = everything_below(tmp_path)
    with pytest.raises(Refused) as caught:
        unpack(made, place)
    assert "evil.tgz: refused at " in str(caught.value) and bad[0].name.split("/")[0].strip("\\")[:4] in str(
        caught.value
    )
    assert everything_below(tmp_path) == before
    assert not os.path.exists("/tmp/absolute.txt")


def test_a_hard_link_within_the_archive_is_the_same_file_twice(tmp_path, place):
    made = archive(tmp_path / "x.tgz", [GOOD, member("photos/b.jpg", kind=tarfile.LNKTYPE, link="photos/a.jpg")])
    unpack(made, place)
    assert (place / "photos" / "b.jpg").read_bytes() == b"a photo"


def test_a_link_to_nothing_is_damage(tmp_path, place):
    made = archive(tmp_path / "x.tgz", [GOOD, member("photos/b.jpg", kind=tarfile.LNKTYPE, link="photos/none.jpg")])
    with pytest.raises(DataError, match="a damaged archive"):
        unpack(made, place)
    assert everything_below(place) == []


def test_a_bomb_is_refused(tmp_path, place):
    with tarfile.open(tmp_path / "bomb.tgz", "w:gz") as tar:
        info = tarfile.TarInfo("zeros.bin")
        info.size = 64 << 20
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    with pytest.raises(Refused, match="bomb.tgz: refused at 'zeros.bin': unpacks to more than"):
        unpack(tmp_path / "bomb.tgz", place)
    assert everything_below(place) == []


def test_a_member_that_claims_a_size_is_refused_before_it_is_written(tmp_path, place):
    made = archive(tmp_path / "x.tar", [GOOD], "w")
    info = tarfile.TarInfo("huge")
    info.size = 1 << 40
    made.write_bytes(made.read_bytes()[:1024] + info.tobuf() + bytes(1024))
    with pytest.raises(Refused, match="refused at 'huge'"):
        unpack(made, place)
    assert everything_below(place) == []


def test_a_header_that_asks_for_endless_memory_is_refused(tmp_path, place):
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 1 << 33
    with gzip.open(tmp_path / "x.tgz", "wb") as file:
        file.write(info.tobuf() + bytes(4096))
    with pytest.raises(DataError, match="x.tgz"):
        unpack(tmp_path / "x.tgz", place)
    assert everything_below(place) == []


def test_too_many_members_are_refused(tmp_path, place):
    made = archive(tmp_path / "x.tgz", [member(f"{i}.txt") for i in range(11)])
    with pytest.raises(Refused, match="refused at '10.txt': unpacks to more than 10 members"):
        unpack(made, place, max_files=10)
    assert everything_below(place) == []


def test_a_cut_archive_leaves_nothing(tmp_path, place):
    made = archive(tmp_path / "x.tgz", [GOOD, member("photos/b.jpg", os.urandom(50_000))])
    made.write_bytes(made.read_bytes()[:20_000])
    with pytest.raises(DataError, match="a damaged archive"):
        unpack(made, place)
    assert everything_below(place) == []


@pytest.mark.parametrize("content", [b"", b"not a tar at all" * 100, b"\x1f\x8bnot gzip"])
def test_what_is_no_archive_is_refused(tmp_path, place, content):
    (tmp_path / "x.tgz").write_bytes(content)
    with pytest.raises(DataError, match="x.tgz"):
        unpack(tmp_path / "x.tgz", place)
    assert everything_below(place) == []


def test_what_is_there_is_never_written_over(tmp_path, place):
    (place / "photos").mkdir()
    (place / "photos" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(DataError, match="expected no photos in .* yet, found one; move it away"):
        unpack(archive(tmp_path / "x.tgz", [member("lists.txt"), GOOD]), place)
    assert everything_below(place) == ["photos", "photos/mine.jpg"]


def test_modes_and_owners_of_the_archive_do_not_count(tmp_path, place):
    info, content = member("setuid")
    info.mode, info.uid = 0o6777, 0
    unpack(archive(tmp_path / "x.tgz", [(info, content)]), place)
    assert (place / "setuid").stat().st_mode & 0o7111 == 0
