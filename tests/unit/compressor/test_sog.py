"""The writer and our reader: what comes back is the model, within the steps that the format has."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from spaceport.errors import UserError
from spaceport_compressor.judging.rate_choice import ladder
from spaceport_compressor.sog.axes import nearest_axes
from spaceport_compressor.sog.precision import FULL
from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.sog.scan_order import scan_order
from spaceport_compressor.sog.write import write_sog
from spaceport_render.camera import Camera
from spaceport_render.metrics import psnr
from spaceport_render.render import render


def rotation_angle(one, other):
    """Degrees between rotations given as quaternions (N, 4)."""
    unit = [q / np.linalg.norm(q, axis=1, keepdims=True) for q in (one.astype(float), other.astype(float))]
    return np.degrees(2 * np.arccos(np.clip(np.abs((unit[0] * unit[1]).sum(axis=1)), 0, 1)))


def round_trip(gaussians, path, **options):
    """What was written, in the file's order and with its choice of axes, and what came back."""
    write_sog(path, gaussians, **options)
    ordered = gaussians.select(scan_order(gaussians.means))
    quats, log_scales = nearest_axes(ordered.quats, ordered.log_scales)
    return replace(ordered, quats=quats, log_scales=log_scales), read_sog(path)


@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 65, 1000, 7000])
def test_each_attribute_comes_back_within_its_step(make_gaussians, tmp_path, count):
    written, read = round_trip(make_gaussians(count), tmp_path / "m.sog")
    assert len(read) == count
    # 16 bits of ±log(61 m): 0.06 mm at the origin, 4 mm at 60 m, half of it by rounding
    assert np.abs(read.means - written.means).max() < 0.005
    # three components in steps of √2/255, half a step by rounding: up to 0.9° where all four are alike
    assert rotation_angle(read.quats, written.quats).max() < 1.0
    # 256 levels over a range of 5, closer where there are many: within 5 % of the rarest sizes
    assert np.abs(read.log_scales - written.log_scales).max() < 0.05
    assert np.abs(read.opacities - written.opacities).max() <= 0.5 / 255 + 1e-6
    # 256 levels over a range of 2 (colours: 0.28 of it)
    assert np.abs(read.sh[:, 0] - written.sh[:, 0]).max() < 0.01
    # the palette: what is left is the noise within the forty materials
    assert np.sqrt(((read.sh[:, 1:] - written.sh[:, 1:]) ** 2).mean()) < 0.024


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_every_degree_of_harmonics_has_its_bands(make_gaussians, tmp_path, degree):
    generous = replace(FULL, gaussians_per_entry=1)
    written, read = round_trip(make_gaussians(500, degree=degree), tmp_path / "m.sog", precision=generous)
    assert read.sh_degree == degree
    assert np.abs(read.sh - written.sh).max() < 0.01


def test_each_rung_of_the_ladder_is_larger_and_nearer(make_gaussians, tmp_path):
    # Given a model and a flight over it, written at every third precision
    model = make_gaussians(5000)
    cameras = [looking_down(f"{east}", (east, north, 60)) for east in (-40, 0, 40) for north in (-30, 30)]
    sizes, errors = [], []
    for rung, precision in enumerate(ladder(len(model))[::3]):
        path = tmp_path / f"{rung}.sog"
        write_sog(path, model, cameras, precision)
        sizes.append(path.stat().st_size)
        read = read_sog(path)
        errors.append(np.mean([((render(model, c) - render(read, c)) ** 2).mean() for c in cameras]))
    # Then each costs more bytes than the one before, and its pictures are nearer to the model's
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    assert sizes[-1] > 1.3 * sizes[0]
    assert errors[-1] < 0.4 * errors[0]


def test_colours_are_kept_where_the_flight_saw_them(make_gaussians, tmp_path):
    # Given a flight that looked straight down, and a small palette
    model = make_gaussians(3000)
    cameras = [looking_down(f"{east}", (east, north, 60)) for east in (-40, 0, 40) for north in (-30, 30)]
    small = replace(FULL, gaussians_per_entry=200)
    # When the writer knows the flight, and when it does not
    decibels = []
    for known in (cameras, ()):
        written, read = round_trip(model, tmp_path / "m.sog", cameras=known, precision=small)
        pictures = [(render(written, c).clip(0, 1), render(read, c).clip(0, 1)) for c in cameras]
        decibels.append(np.mean([psnr(one, other) for one, other in pictures]))
    # Then knowing it is worth several decibels
    assert decibels[0] > decibels[1] + 2.5


def looking_down(name, position):
    world_to_camera = np.diag([1.0, -1.0, -1.0, 1.0])
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ position
    return Camera(name, 96, 64, 60.0, 60.0, 48.0, 32.0, world_to_camera)


def test_harmonics_that_are_all_zero_cost_nothing(make_gaussians, tmp_path):
    flat = make_gaussians(500, degree=3)
    flat.sh[:, 1:] = 0
    write_sog(tmp_path / "m.sog", flat)
    assert "shN" not in meta_of(tmp_path / "m.sog")


def test_transparent_and_distant_gaussians_are_not_dropped(make_gaussians, tmp_path):
    # Given a model of which some Gaussians are invisible and one is 40 km away
    model = make_gaussians(100)
    model.opacity_logits[:50] = -30
    model.means[0] = (40_000, 0, 0)
    # When it is written and read
    written, read = round_trip(model, tmp_path / "m.sog")
    # Then each is there still
    assert len(read) == 100
    assert read.opacities.tolist() == pytest.approx(written.opacities.tolist(), abs=0.002)
    assert read.means.max() == pytest.approx(40_000, rel=1e-4)


def test_the_same_model_gives_the_same_bytes(make_gaussians, tmp_path):
    model = make_gaussians(3000)
    for name in ("a.sog", "b.sog"):
        write_sog(tmp_path / name, model, seed=7)
    assert (tmp_path / "a.sog").read_bytes() == (tmp_path / "b.sog").read_bytes()


def test_the_archive_is_stored_and_names_every_image(make_gaussians, tmp_path):
    write_sog(tmp_path / "m.sog", make_gaussians(200))
    with zipfile.ZipFile(tmp_path / "m.sog") as archive:
        infos = archive.infolist()
        meta = json.loads(archive.read("meta.json"))
    assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}
    named = [name for part in ("means", "scales", "quats", "sh0", "shN") for name in meta[part]["files"]]
    assert sorted(info.filename for info in infos) == sorted(["meta.json", *named])
    assert (meta["version"], meta["count"]) == (2, 200)
    assert [len(meta[part]["codebook"]) for part in ("scales", "sh0", "shN")] == [256, 256, 256]


def test_a_small_model_makes_a_small_file(make_gaussians, tmp_path):
    for count in (3, 7000):
        write_sog(
            tmp_path / f"{count}.sog", make_gaussians(count), precision=replace(FULL, gaussians_per_entry=80)
        )
    # Three Gaussians: the three codebooks are nearly all of it, and the palette holds three entries
    assert (tmp_path / "3.sog").stat().st_size < 10_000
    assert meta_of(tmp_path / "3.sog")["shN"]["count"] == 3
    # 7,000: the palette is a small share
    assert meta_of(tmp_path / "7000.sog")["shN"]["count"] <= 7000 // 50
    assert palette_bytes(tmp_path / "7000.sog") < 0.06 * (tmp_path / "7000.sog").stat().st_size


def test_an_empty_model_is_refused(make_gaussians, tmp_path):
    with pytest.raises(ValueError, match="no Gaussians"):
        write_sog(tmp_path / "m.sog", make_gaussians(3).select(np.array([], dtype=np.intp)))


@pytest.mark.parametrize("field", ["means", "quats", "log_scales", "opacity_logits", "sh"])
def test_a_model_with_broken_numbers_is_refused_by_name(make_gaussians, tmp_path, field):
    model = make_gaussians(10)
    getattr(model, field)[4] = np.nan
    with pytest.raises(ValueError, match=f"1 of 10 Gaussians have {field} that are not finite"):
        write_sog(tmp_path / "m.sog", model)


def test_a_rotation_of_length_zero_is_refused(make_gaussians, tmp_path):
    model = make_gaussians(10)
    model.quats[3] = 0
    with pytest.raises(ValueError, match="length zero"):
        write_sog(tmp_path / "m.sog", model)


class TestRefusedFiles:
    def refusal(self, path):
        with pytest.raises(UserError) as caught:
            read_sog(path)
        assert caught.value.code == "not_sog"
        assert path.name in caught.value.message
        return caught.value.message

    def rewritten(self, source, target, **replacements):
        """`source` with files replaced, or left out where the replacement is None."""
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
            for name in old.namelist():
                data = replacements.get(name.partition(".")[0], old.read(name))
                if data is not None:
                    new.writestr(name, data)
        return target

    @pytest.fixture
    def good(self, make_gaussians, tmp_path):
        write_sog(tmp_path / "good.sog", make_gaussians(300))
        return tmp_path / "good.sog"

    def test_something_else(self, tmp_path):
        (tmp_path / "photo.sog").write_bytes(b"\xff\xd8\xff\xe0 a photo")
        assert "zip" in self.refusal(tmp_path / "photo.sog")

    def test_a_download_that_broke_off(self, good, tmp_path):
        (tmp_path / "half.sog").write_bytes(good.read_bytes()[:-2000])
        self.refusal(tmp_path / "half.sog")

    def test_a_byte_that_changed(self, good, tmp_path):
        data = bytearray(good.read_bytes())
        data[len(data) // 2] ^= 0xFF
        (tmp_path / "changed.sog").write_bytes(data)
        assert "damaged" in self.refusal(tmp_path / "changed.sog")

    def test_another_version(self, good, tmp_path):
        meta = json.dumps(meta_of(good) | {"version": 1}).encode()
        assert "version" in self.refusal(self.rewritten(good, tmp_path / "v1.sog", meta=meta))

    def test_a_missing_part(self, good, tmp_path):
        assert "quats.webp is missing" in self.refusal(self.rewritten(good, tmp_path / "m.sog", quats=None))
        assert "meta.json is missing" in self.refusal(self.rewritten(good, tmp_path / "n.sog", meta=None))

    def test_an_image_that_is_none(self, good, tmp_path):
        assert "webp" in self.refusal(self.rewritten(good, tmp_path / "m.sog", scales=b"text"))

    def test_more_gaussians_than_texels(self, good, tmp_path):
        meta = json.dumps(meta_of(good) | {"count": 5000}).encode()
        assert "texels" in self.refusal(self.rewritten(good, tmp_path / "m.sog", meta=meta))

    def test_a_palette_with_too_few_entries(self, good, tmp_path):
        meta = meta_of(good)
        meta["shN"]["count"] = 2
        message = self.refusal(self.rewritten(good, tmp_path / "m.sog", meta=json.dumps(meta).encode()))
        assert "label" in message


def meta_of(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("meta.json"))


def palette_bytes(path):
    with zipfile.ZipFile(path) as archive:
        return archive.getinfo("shN_centroids.webp").file_size


def test_the_model_handed_in_is_left_alone(make_gaussians, tmp_path):
    model = make_gaussians(50)
    copies = {name: getattr(model, name).copy() for name in vars(model)}
    write_sog(tmp_path / "m.sog", model)
    assert all(np.array_equal(getattr(model, name), copy) for name, copy in copies.items())
