"""What EXIF and XMP make of a photo, with the tags that drones and phones write."""

from __future__ import annotations

import time
from typing import Any

import pytest
from PIL import ExifTags, Image

from spaceport_sfm.intake.capture import read_capture
from spaceport_sfm.intake.xmp import read_xmp
from spaceport_sfm.photo import Capture, Gimbal

BASE = ExifTags.Base


def exif_of(details: dict[int, Any] | None = None, **tags: Any) -> Image.Exif:
    exif = Image.Exif()
    for name, value in tags.items():
        exif[BASE[name]] = value
    exif.get_ifd(ExifTags.IFD.Exif).update(details or {})
    return exif


def packet(
    form: str = "attributes", namespace: str = "http://www.dji.com/drone-dji/1.0/", **tags: str
) -> bytes:
    """An XMP packet with `tags` of the prefix d."""
    if form == "attributes":
        attributes = " ".join(f'd:{name}="{value}"' for name, value in tags.items())
        inner = f'<rdf:Description xmlns:d="{namespace}" {attributes}/>'
    else:
        elements = "".join(f"<d:{name}>{value}</d:{name}>" for name, value in tags.items())
        inner = f'<rdf:Description xmlns:d="{namespace}">{elements}</rdf:Description>'
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">{inner}</rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>   \0'
    ).encode()


def capture(
    exif: Image.Exif | None = None, xmp: bytes = b"", size: tuple[int, int] = (4000, 3000), scale: float = 0.4
) -> Capture:
    return read_capture(Image.Exif() if exif is None else exif, xmp, size, scale)


PHANTOM_4_RTK = {
    "AbsoluteAltitude": "+512.33",
    "RelativeAltitude": "+80.12",
    "GimbalRollDegree": "+0.00",
    "GimbalYawDegree": "+350.50",
    "GimbalPitchDegree": "-89.90",
    "FlightYawDegree": "+2.10",
    "GpsLatitude": "46.8426071",
    "GpsLongtitude": "-91.9945599",
    "CalibratedFocalLength": "3666.666504",
    "RtkFlag": "50",
    "RtkStdLon": "0.01165",
    "RtkStdLat": "0.01310",
    "RtkStdHgt": "0.02520",
}


@pytest.mark.parametrize("form", ["attributes", "elements"])
def test_what_a_dji_drone_says_in_xmp_is_all_read(form):
    found = capture(xmp=packet(form, **PHANTOM_4_RTK), size=(5472, 3648), scale=0.5)

    assert found.gimbal == Gimbal(yaw=-9.5, pitch=-89.9, roll=0.0)
    assert found.relative_altitude == 80.12
    assert found.position_sigma == (0.0131, 0.0252)
    assert found.focal_px == pytest.approx(3666.666504 / 2)
    assert found.position is not None
    assert (found.position.lat, found.position.lon, found.position.alt) == (46.8426071, -91.9945599, 512.33)


def test_exif_places_the_photo_before_xmp_does():
    exif = exif_of()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (46.0, 30.0, 0.0), 3: "E", 4: (8.0, 0.0, 0.0)})

    found = capture(exif, packet(**PHANTOM_4_RTK))

    assert found.position is not None
    assert (found.position.lat, found.position.lon) == (46.5, 8.0)
    assert found.position.alt == 512.33  # of which EXIF says nothing


def test_a_receiver_without_rtk_claims_nothing():
    assert capture(xmp=packet(**{**PHANTOM_4_RTK, "RtkFlag": "0"})).position_sigma is None
    assert capture(xmp=packet(**{**PHANTOM_4_RTK, "RtkStdHgt": "nan"})).position_sigma is None


PIX4D = "http://pix4d.com/camera/1.0"


@pytest.mark.parametrize(("make", "roll"), [("Parrot", 3.0), ("senseFly", -3.0)])
def test_pitch_in_pix4ds_tags_counts_from_straight_down(make, roll):
    tags = {"Yaw": "181", "Pitch": "10", "Roll": "3", "GPSXYAccuracy": "0.02", "GPSZAccuracy": "0.04"}

    found = capture(exif_of(Make=make), packet(namespace=PIX4D, **tags))

    assert found.gimbal == Gimbal(yaw=-179.0, pitch=-80.0, roll=roll)
    assert found.position_sigma == (0.02, 0.04)


@pytest.mark.parametrize(("orientation", "roll"), [(1, 90.0), (6, 0.0), (3, -90.0), (8, -180.0)])
def test_turning_a_photo_clockwise_rolls_its_camera_the_other_way(orientation, roll):
    # Given a camera held in portrait: rolled clockwise by 90, so that its photo must be turned as 6 says
    angles = {"GimbalYawDegree": "10", "GimbalPitchDegree": "0", "GimbalRollDegree": "90"}

    found = capture(exif_of(Orientation=orientation), packet(**angles, CalibratedFocalLength="3000"))

    assert found.gimbal is not None
    assert found.gimbal.roll == roll
    assert found.focal_px == 1200.0


def test_of_a_mirrored_photo_angles_say_nothing():
    angles = {"GimbalYawDegree": "10", "GimbalPitchDegree": "0", "GimbalRollDegree": "0"}
    assert capture(exif_of(Orientation=2), packet(**angles)).gimbal is None


def details(**tags: Any) -> dict[int, Any]:
    return {BASE[name]: value for name, value in tags.items()}


EQUIVALENTS = {
    # size, mm, 35-mm equivalent, focal length in pixels by calibration
    "Phantom 3, 16:9 of a 4:3 sensor": ((4000, 2250), 3.61, 20, 2325),
    "Phantom 3, 4:3": ((4000, 3000), 3.61, 20, 2325),
    "Phantom 4 Pro, 3:2": ((5472, 3648), 8.8, 24, 3666),
    "Phantom 4 Pro, 4:3 of a 3:2 sensor": ((4864, 3648), 8.8, 24, 3666),
    "Phantom 4 Pro, 16:9 of a 3:2 sensor": ((5472, 3078), 8.8, 24, 3666),
}


@pytest.mark.parametrize("camera", EQUIVALENTS)
def test_a_35_mm_equivalent_is_that_of_the_whole_sensor(camera):
    size, focal, equivalent, calibrated = EQUIVALENTS[camera]
    exif = exif_of(details(FocalLength=focal, FocalLengthIn35mmFilm=equivalent))

    found = capture(exif, size=size, scale=1.0)

    assert found.focal_px == pytest.approx(calibrated, rel=0.012)
    assert capture(exif, size=size[::-1], scale=1.0).focal_px == found.focal_px


def test_the_better_source_of_the_focal_length_wins():
    exif = exif_of(
        details(
            FocalLength=10.0,
            FocalPlaneXResolution=4000 / 13.2 * 25.4,
            FocalPlaneResolutionUnit=2,
            FocalLengthIn35mmFilm=24,
        )
    )

    assert capture(exif, packet(CalibratedFocalLength="3111"), scale=1.0).focal_px == 3111
    assert capture(exif, packet(CalibratedFocalLength="0.0"), scale=1.0).focal_px == pytest.approx(
        3030.3, abs=1
    )
    assert capture(exif, packet(CalibratedFocalLength="9e9"), scale=1.0).focal_px == pytest.approx(
        3030.3, abs=1
    )


def test_of_a_photo_that_was_scaled_before_pixels_count_as_when_it_was_taken():
    # Given a photo taken at 4000x2250 and sent at 1600x900: its EXIF keeps the size
    exif = exif_of(details(ExifImageWidth=4000, ExifImageHeight=2250))
    calibrated = packet(CalibratedFocalLength="2320")

    assert capture(exif, calibrated, size=(1600, 900), scale=0.5).focal_px == pytest.approx(464)
    # Then one that was also cropped counts as it is, for nobody knows what was cut
    assert capture(exif, calibrated, size=(1600, 1200), scale=1.0).focal_px == 2320


@pytest.mark.parametrize("size_told", [{}, {"ExifImageWidth": 2736, "ExifImageHeight": 1824}])
def test_a_35_mm_equivalent_tells_of_a_photo_that_was_scaled_unsaid(size_told):
    # Given a Phantom 4 Pro's photo of 5472x3648, sent at half of its size by a program that told the new one
    exif = exif_of(
        details(
            FocalLength=8.8,
            FocalLengthIn35mmFilm=24,
            FocalPlaneXResolution=5472 / 13.2 * 25.4,
            FocalPlaneResolutionUnit=2,
            **size_told,
        )
    )
    calibrated = packet(CalibratedFocalLength="3666.67")

    found = capture(exif, calibrated, size=(2736, 1824), scale=1.0)

    assert found.focal_px == pytest.approx(3666.67 / 2, rel=0.012)


@pytest.mark.parametrize("value", ["nan", "inf", "-5", "x", "", b"\xff", None, (1, 2), 0])
def test_values_that_cant_be_true_are_left_out(value):
    exif = exif_of(
        details(FocalLength=value, FocalLengthIn35mmFilm=value, ExifImageWidth=value, LensModel=value),
        Make=value,
        Orientation=value,
    )
    text = str(value).replace("\\", "")
    tags = dict.fromkeys(("GimbalYawDegree", "GimbalPitchDegree", "RtkStdLon", "RelativeAltitude"), text)

    found = capture(exif, packet(CalibratedFocalLength=text, **tags))

    assert (found.focal_px, found.focal, found.position) == (None, (0.0, 0.0), None)
    assert found.orientation == 1


HOSTILE = {
    "billion laughs": b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]><x>&j;</x>",
    "a file of ours": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    "in UTF-16": '<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>'.encode("utf-16"),
    "another encoding declared": b'<?xml version="1.0" encoding="utf-7"?><x>+ADw-</x>',
    "deep": b"<a>" * 300_000,
    "deep and closed": b"<a>" * 100_000 + b"</a>" * 100_000,
    "large": b"<x>" + b" " * 5_000_000 + b"</x>",
    "no XML": b"\xff\xfe\x00garbage",
    "empty": b"",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_packet_says_nothing_and_takes_no_time(kind):
    before = time.process_time()

    assert read_xmp(HOSTILE[kind]) == {}

    assert time.process_time() - before < 2
