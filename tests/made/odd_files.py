"""Photos and zips that are not as they should be, made from good ones."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from fractions import Fraction

import cv2
import numpy as np
import pillow_heif
from dng_writer import write_dng
from PIL import ExifTags, Image, ImageFilter

GPS = ExifTags.IFD.GPSInfo
Files = Mapping[str, bytes]


def saved(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """`image` as a file of the format `kind`; a JPEG of good quality."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 95} if kind == "JPEG" else {}), **options)
    return buffer.getvalue()


def noise(seed: int, size: tuple[int, int] = (320, 256)) -> Image.Image:
    """A picture unlike every other seed's."""
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


class Frame:
    """One photo of the real flight, made small: its picture and its EXIF, to be given in another form."""

    def __init__(self, content: bytes, width: int) -> None:
        given = Image.open(io.BytesIO(content))
        self.exif = given.getexif()
        self.exif.get_ifd(GPS)  # read now: it lies in the file, which is closed soon
        self.exif.get_ifd(ExifTags.IFD.Exif)
        self.picture = given.resize(
            (width, round(given.height * width / given.width)), Image.Resampling.LANCZOS
        )

    def jpeg(self, **options: object) -> bytes:
        return saved(self.picture, exif=self.exif, **options)

    def turned(self) -> bytes:
        """Stored lying on its side, with the EXIF orientation that sets it upright."""
        self.exif[ExifTags.Base.Orientation] = 6
        return saved(self.picture.transpose(Image.Transpose.ROTATE_90), exif=self.exif)

    def sixteen_bit(self) -> bytes:
        """A PNG with 16 bits of grey."""
        grey = np.asarray(self.picture.convert("L"), dtype=np.uint16) * 257
        return saved(Image.fromarray(grey), "PNG", exif=self.exif)

    def sixteen_bit_colour(self) -> bytes:
        """A PNG with 16 bits a channel; it has no EXIF."""
        colour = np.asarray(self.picture, dtype=np.uint16)[..., ::-1] * 257
        return bytes(cv2.imencode(".png", colour)[1])

    def heic(self) -> bytes:
        buffer = io.BytesIO()
        pillow_heif.from_pillow(self.picture).save(buffer, quality=95, exif=self.exif.tobytes())
        return buffer.getvalue()

    def mpo(self) -> bytes:
        """A JPEG with a second picture behind the first, as 3-D cameras and some phones write."""
        thumbnail = self.picture.resize((160, 90))
        return saved(
            self.picture, "MPO", save_all=True, append_images=[thumbnail], exif=self.exif, quality=95
        )

    def with_long_exif(self) -> bytes:
        """With as much EXIF as a JPEG can hold."""
        self.exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] = b"\0" * 55_000
        return self.jpeg()

    def of_another_camera(self) -> bytes:
        self.exif[ExifTags.Base.Make], self.exif[ExifTags.Base.Model] = "Canon", "EOS R5"
        return saved(self.picture.resize((560, 315), Image.Resampling.LANCZOS), exif=self.exif)

    def blurred(self) -> bytes:
        return saved(self.picture.filter(ImageFilter.GaussianBlur(12)), exif=self.exif)

    def without_gps(self) -> Frame:
        del self.exif[GPS]
        self.exif.get_ifd(GPS).clear()
        return self

    def half_transparent(self) -> Image.Image:
        transparent = self.picture.convert("RGBA")
        transparent.putalpha(128)
        return transparent

    def rotated(self, degrees: float) -> Frame:
        """As a camera sees it that has turned about its viewing direction, and a little aside."""
        width, height = self.picture.size
        focal = 0.58 * width  # the drone's
        yaw = np.radians(degrees / 2)
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        lens = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        seen = cv2.warpPerspective(
            np.asarray(self.picture), lens @ turn @ np.linalg.inv(lens), (width, height)
        )
        # Cut to what every turn of this size still shows.
        self.picture = Image.fromarray(seen).crop(
            (width // 8, height // 8, width - width // 8, height - height // 8)
        )
        return self

    def moved(self, north: float, east: float) -> Frame:
        """The same photo so many degrees further north and east."""
        latitude, longitude, altitude = self._place()
        return self.at(latitude + north, longitude + east, altitude)

    def climbed(self, altitude: float) -> Frame:
        """The same photo at another altitude, metres."""
        latitude, longitude, _ = self._place()
        return self.at(latitude, longitude, altitude)

    def _place(self) -> tuple[float, float, float]:
        gps = self.exif.get_ifd(GPS)
        latitude = sum(float(part) / 60**power for power, part in enumerate(gps[ExifTags.GPS.GPSLatitude]))
        longitude = sum(float(part) / 60**power for power, part in enumerate(gps[ExifTags.GPS.GPSLongitude]))
        south, west = gps[ExifTags.GPS.GPSLatitudeRef] == "S", gps[ExifTags.GPS.GPSLongitudeRef] == "W"
        return (
            -latitude if south else latitude,
            -longitude if west else longitude,
            float(gps[ExifTags.GPS.GPSAltitude]),
        )

    def at(self, latitude: float, longitude: float, altitude: float) -> Frame:
        """The same photo with another place in its EXIF, degrees and metres."""
        self.exif.get_ifd(GPS).update(
            {
                ExifTags.GPS.GPSLatitudeRef: "S" if latitude < 0 else "N",
                ExifTags.GPS.GPSLatitude: _sexagesimal(abs(latitude)),
                ExifTags.GPS.GPSLongitudeRef: "W" if longitude < 0 else "E",
                ExifTags.GPS.GPSLongitude: _sexagesimal(abs(longitude)),
                ExifTags.GPS.GPSAltitudeRef: b"\x01" if altitude < 0 else b"\0",
                ExifTags.GPS.GPSAltitude: Fraction(abs(altitude)).limit_denominator(1000),
            }
        )
        return self

    def dng(self) -> bytes:
        """A raw file, without GPS."""
        return write_dng(np.asarray(self.picture))


def _sexagesimal(degrees: float) -> tuple[Fraction, ...]:
    minutes = degrees % 1 * 60
    return (
        Fraction(int(degrees)),
        Fraction(int(minutes)),
        Fraction(minutes % 1 * 60).limit_denominator(100_000),
    )


HOSTILE_XMP = b"""<?xpacket begin=""?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;">
<!ENTITY e SYSTEM "file:///etc/passwd">]>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/" drone-dji:RelativeAltitude="1e999"
drone-dji:GimbalPitchDegree="NaN" drone-dji:GimbalYawDegree="&d;" drone-dji:GimbalRollDegree="&e;"/>
</rdf:RDF>"""


def flat(size: tuple[int, int], grey: int) -> bytes:
    """A JPEG of one colour."""
    return saved(Image.new("RGB", size, (grey, grey, grey)))


def animation() -> bytes:
    return saved(noise(1), "WEBP", save_all=True, append_images=[noise(2)])


def floating_point() -> bytes:
    return saved(Image.fromarray(np.random.default_rng(3).random((300, 400), dtype=np.float32)), "TIFF")


def zipped(files: Files, method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of `files`, in the given order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def with_packed(content: bytes, name: str, zeros: int) -> bytes:
    """The zip `content` and a file of so many zeros, deflated."""
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b"\0" * zeros)
    return buffer.getvalue()


def overwritten(content: bytes) -> bytes:
    """`content` with 3,000 random bytes in its middle."""
    middle, garbage = len(content) // 2, np.random.default_rng(0).bytes(3_000)
    return content[:middle] + garbage + content[middle + len(garbage) :]


def with_link(files: Files, name: str, target: str) -> bytes:
    """A zip of `files` and a symbolic link."""
    buffer = io.BytesIO(zipped(files))
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo(name)
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, target)
    return buffer.getvalue()


def encrypted(content: bytes) -> bytes:
    """The zip `content` whose entries say that they are encrypted."""
    return _each_entry(content, lambda entry: entry[:8] + struct.pack("<H", entry[8] | 1) + entry[10:])


def declaring(content: bytes, name: str, size: int) -> bytes:
    """The zip `content`, whose directory says that `name` unpacks to `size` bytes."""
    wanted = name.encode()
    return _each_entry(
        content,
        lambda entry: entry[:24] + struct.pack("<I", size) + entry[28:] if wanted in entry else entry,
    )


def with_broken_bytes(content: bytes, name: str) -> bytes:
    """The zip `content` with a bit of `name`, stored as it is, turned over."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = archive.getinfo(name)
    at = info.header_offset + 30 + len(name.encode()) + info.compress_size // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def deflated_bomb(megabytes: int) -> bytes:
    """A zip whose photos are zeros: a thousandth of what they unpack to."""
    zeros = b"\0" * (megabytes << 20)
    return zipped({f"{number}.jpg": zeros for number in range(3)}, zipfile.ZIP_DEFLATED)


def _each_entry(content: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """`content` with each entry of its central directory (APPNOTE.TXT 4.3.12) changed, its length kept."""
    begin = content.index(b"PK\x01\x02")
    head, directory = content[:begin], content[begin:]
    entries = directory.split(b"PK\x01\x02")[1:]
    changed = [change(b"PK\x01\x02" + entry) for entry in entries]
    assert sum(map(len, changed)) == len(directory)
    return head + b"".join(changed)
