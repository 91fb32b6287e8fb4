"""The zip policy: every refusal is made with a real broken archive."""

from __future__ import annotations

import io
import stat
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from zip_writer import end_record
from zip_writer import photos as entries

from spaceport.archive import Limits, has_digest, inspect, is_junk, is_safe_name
from spaceport.errors import UserError


def zip_of(files: dict[str, bytes]) -> io.BytesIO:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    out.seek(0)
    return out


def photos(count: int, folder: str = "") -> dict[str, bytes]:
    return {f"{folder}DJI_{i:04}.JPG": f"{folder}{i}".encode().ljust(100) for i in range(count)}


def refusal(file: io.BytesIO, limits: Limits | None = None) -> UserError:
    with pytest.raises(UserError) as caught:
        inspect(file, "flight.zip", limits)
    assert "flight.zip" in caught.value.message
    assert caught.value.hint
    return caught.value


def test_lists_photos_in_name_order_and_the_other_files():
    # Given photos of one name in two folders, a log, and what a Mac leaves behind
    files = {**photos(2, "b/"), **photos(2, "a/"), "flight.srt": b"x", "__MACOSX/a/._DJI_0000.JPG": b"x"}
    # When the archive is judged
    contents = inspect(zip_of(files), "flight.zip")
    # Then both folders' photos are there, the log is an other file, and the fork is neither
    assert [photo.name for photo in contents.photos] == [
        "a/DJI_0000.JPG",
        "a/DJI_0001.JPG",
        "b/DJI_0000.JPG",
        "b/DJI_0001.JPG",
    ]
    assert contents.others == ("flight.srt",)


def test_refuses_what_is_no_zip():
    assert refusal(io.BytesIO(b"just some text, not an archive")).code == "not_a_zip"


def test_refuses_an_empty_file():
    assert refusal(io.BytesIO(b"")).code == "not_a_zip"


def test_tells_a_truncated_zip_from_no_zip():
    whole = zip_of(photos(5)).getvalue()
    assert refusal(io.BytesIO(whole[: len(whole) // 2])).code == "truncated_zip"


def test_refuses_an_empty_zip():
    assert refusal(zip_of({})).code == "empty_zip"


def test_refuses_a_zip_of_text_files_and_says_what_is_in_it():
    refused = refusal(zip_of({"notes.txt": b"x", "log.txt": b"x", "plan.txt": b"x"}))
    assert refused.code == "too_few_photos"
    assert "no photos" in refused.message
    assert "3 other files (notes.txt, ...)." in refused.hint
    assert "1 other file (notes.txt)." in refusal(zip_of({"notes.txt": b"x"})).hint


@pytest.mark.parametrize("suffix", ["JPG", "heic", "HEIF", "dng", "webp", "TIFF", "png", "bmp"])
def test_photos_are_known_by_every_suffix_that_sfm_reads(suffix: str):
    contents = inspect(zip_of({f"{i}.{suffix}": bytes([i]) for i in range(5)}), "flight.zip")
    assert len(contents.photos) == 5


def test_finds_the_outermost_list_of_ground_control_points_however_it_is_written():
    files = {**photos(3), "deep/er/gcp_list.txt": b"x", "b/GCP_List.TXT": b"x", "__MACOSX/gcp_list.txt": b"x"}
    assert inspect(zip_of(files), "flight.zip").ground_control == "b/GCP_List.TXT"
    assert inspect(zip_of(photos(3)), "flight.zip").ground_control is None


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_refuses_a_photo_packed_by_a_method_that_could_fill_the_memory(method: int):
    # Given a photo packed so that 4 KB may unpack to gigabytes, When it is judged, Then it is named
    out = zip_of(photos(3))
    with zipfile.ZipFile(out, "a", method) as archive:
        archive.writestr("z.jpg", b"x" * 100)
    refused = refusal(out)
    assert (refused.code, "z.jpg" in refused.message) == ("unusual_compression", True)
    # Other files are never unpacked
    out = zip_of(photos(3))
    with zipfile.ZipFile(out, "a", method) as archive:
        archive.writestr("film.mp4", b"x" * 100)
    assert len(inspect(out, "flight.zip").photos) == 3


def test_refuses_two_photos():
    refused = refusal(zip_of(photos(2)))
    assert (refused.code, "only 2 photos" in refused.message) == ("too_few_photos", True)


@pytest.mark.parametrize(
    "name", ["../evil.jpg", "/etc/evil.jpg", "a/../../b.jpg", "C:/x.jpg", "a\x01.jpg", "a\\..\\b.jpg"]
)
def test_refuses_names_that_could_land_elsewhere(name: str):
    assert refusal(zip_of({**photos(3), name: b"x"})).code == "unsafe_name"


def test_refuses_names_that_name_nothing():
    assert refusal(zip_of({**photos(3), ".": b"x"})).code == "unsafe_name"
    # Given a file without any name, which zipfile itself would not write
    nameless = zipfile.ZipInfo("x")
    nameless.filename = ""
    out = zip_of(photos(3))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(nameless, b"x")
    assert refusal(out).code == "unsafe_name"


def test_a_name_in_an_extra_field_is_judged_too():
    # Given a file of a plain name, with another name in its Unicode path field (APPNOTE 4.6.9)
    evil = b"x/../../evil.jpg"
    entry = zipfile.ZipInfo("a.jpg")
    entry.extra = struct.pack("<HHBL", 0x7075, 5 + len(evil), 1, zlib.crc32(b"a.jpg")) + evil
    out = zip_of(photos(3))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(entry, b"x")
    # Then it is refused where Python unpacks it under that name, which it does from 3.12 on
    if zipfile.ZipFile(out).infolist()[-1].filename == "a.jpg":
        assert len(inspect(out, "flight.zip").photos) == 4
    else:
        assert refusal(out).code == "unsafe_name"


def test_a_long_name_does_not_make_a_long_message():
    long = "n" * 60_000
    for files in (
        {**photos(3), f"{long}\x01.jpg": b"x"},
        {f"{long}.heic": b"x"},
        {f"{long}.txt": b"x"},
        {**photos(3), f"{long}.jpg": bytes(20 * 2**20)},
    ):
        assert len(str(refusal(zip_of(files)))) < 1000


def test_refuses_links():
    link = zipfile.ZipInfo("link.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, body in photos(3).items():
            archive.writestr(name, body)
        archive.writestr(link, "/etc/passwd")
    assert refusal(out).code == "link"


def test_refuses_an_encrypted_zip():
    # Given a zip whose entries carry the encryption flag (bit 0), in both headers as APPNOTE has it
    body = bytearray(zip_of(photos(3)).getvalue())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = body.find(signature)
        while at >= 0:
            body[at + offset] |= 1
            at = body.find(signature, at + 4)
    assert refusal(io.BytesIO(bytes(body))).code == "encrypted"


def test_refuses_a_bomb_by_ratio():
    assert refusal(zip_of({**photos(3), "big.jpg": bytes(20 * 2**20)})).code == "zip_bomb"


def test_refuses_by_declared_total_and_by_count():
    assert refusal(zip_of(photos(5)), Limits(max_unpacked_bytes=300)).code == "zip_bomb"
    assert refusal(zip_of(photos(5)), Limits(max_photos=4)).code == "too_many_photos"
    assert refusal(zip_of(photos(5)), Limits(max_entries=4)).code == "too_many_files"


def test_refuses_a_huge_directory_without_reading_it():
    # Given a zip of so many entries that listing them would need more memory than a small Lambda has
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for i in range(100_000):
            archive.writestr(f"{'folder/' * 6}{i:08}.jpg", b"")
    # When it is judged
    tracemalloc.start()
    refused = refusal(out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Then it is refused, and nothing near that was used
    assert refused.code == "too_many_files"
    assert peak < 20 * 2**20


def test_knows_junk_and_safe_names():
    assert is_junk("a/.DS_Store")
    assert is_junk("Thumbs.db")
    assert not is_junk("100MEDIA/DJI_0001.JPG")
    assert is_safe_name("100MEDIA/DJI 0001 (ü).JPG")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_files_with_one_name_the_last_counts():
    # Given a zip that a photo was put into again
    file = zip_of(photos(3))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("DJI_0001.JPG", b"taken again")
    file.seek(0)

    contents = inspect(file, "flight.zip")

    assert [(photo.name, photo.size) for photo in contents.photos] == [
        ("DJI_0000.JPG", 100),
        ("DJI_0001.JPG", len(b"taken again")),
        ("DJI_0002.JPG", 100),
    ]


def test_a_zip_over_4_gb_whose_offsets_have_lost_their_upper_bits_is_told_from_a_bomb(tmp_path: Path):
    # Given a zip as a program without ZIP64 writes it: the third photo and the directory lie behind 4 GB
    first, second, third = entries(3)
    behind = 2**32 + 100
    directory = first.central(0) + second.central(2000) + third.central(100)
    large = tmp_path / "flight.zip"
    with large.open("wb") as file:
        file.seek(behind)
        file.write(third.local() + directory + end_record(3, len(directory), 100 + len(third.local())))
    # When it is judged, Then its owner hears what is wrong with the program
    with large.open("rb") as file, pytest.raises(UserError) as caught:
        inspect(file, "flight.zip")
    assert caught.value.code == "no_zip64"


def test_a_sidecar_is_one_that_stands_for_the_whole_zip():
    for name, found in {
        "spaceport.json": True,
        "beach/spaceport.json": True,
        "beach/100/spaceport.json": False,  # of some of the photos only
        "Spaceport.json": False,
    }.items():
        contents = inspect(
            zip_of({**photos(2, "beach/100/"), **photos(2, "beach/101/"), name: b"{}"}), "f.zip"
        )
        assert (contents.sidecar is not None) == found


def test_a_sidecar_in_a_folder_beside_the_photos_is_none():
    assert inspect(zip_of({**photos(3), "settings/spaceport.json": b"{}"}), "flight.zip").sidecar is None


def test_zips_of_the_same_files_have_one_digest_and_no_other_zip_has_it():
    # Given a zip, and the same files zipped once more, in another order, by another Mac
    files = photos(4, "100MEDIA/")
    digest = inspect(zip_of(files), "a.zip").digest
    again = dict(reversed([*files.items(), ("__MACOSX/._DJI_0001.JPG", b"fork")]))
    # Then
    assert has_digest(zip_of(again), digest)
    # And one with a photo that is another, is called otherwise or is not there is not the same
    name, photo = next(iter(files.items()))
    rest = {other: body for other, body in files.items() if other != name}
    for others in ({**files, name: photo[::-1] + b"x"}, {**rest, f"{name}.JPG": photo}, rest):
        assert not has_digest(zip_of(others), digest)
    # And nor is what the policy refuses
    assert not has_digest(io.BytesIO(b"no zip"), digest)
