import numpy as np
import pytest

from spaceport.errors import UserError
from spaceport_render.gaussians import AntialiasedGaussians, Gaussians
from spaceport_render.ply import read_ply, write_ply


def some_gaussians(count: int, degree: int) -> Gaussians:
    rng = np.random.default_rng(count + degree)

    def values(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return Gaussians(
        means=values(count, 3),
        quats=values(count, 4),
        log_scales=values(count, 3),
        opacity_logits=values(count),
        sh=values(count, (degree + 1) ** 2, 3),
    )


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 37, 40_000])
def test_what_is_written_is_read_bit_for_bit(tmp_path, count, degree):
    gaussians = some_gaussians(count, degree)
    write_ply(tmp_path / "model.ply", gaussians)

    back = read_ply(tmp_path / "model.ply")

    assert len(back) == count
    assert back.sh_degree == degree
    for name in ("means", "quats", "log_scales", "opacity_logits", "sh"):
        assert np.array_equal(getattr(back, name), getattr(gaussians, name)), name
        assert getattr(back, name).dtype == np.float32


def test_how_a_model_is_to_be_drawn_is_kept(tmp_path):
    usual = some_gaussians(3, 1)
    model = AntialiasedGaussians(usual.means, usual.quats, usual.log_scales, usual.opacity_logits, usual.sh)
    for each in (usual, model):
        write_ply(tmp_path / "model.ply", each)
        assert type(read_ply(tmp_path / "model.ply")) is type(each)
        assert type(each.select(np.arange(2))) is type(each)


def test_rest_coefficients_are_stored_channel_by_channel(tmp_path):
    gaussians = some_gaussians(1, 3)
    write_ply(tmp_path / "model.ply", gaussians)

    header, body = (tmp_path / "model.ply").read_bytes().split(b"end_header\n")
    names = [line.split()[-1].decode() for line in header.splitlines() if line.startswith(b"property")]
    row = dict(zip(names, np.frombuffer(body, "<f4"), strict=True))

    # f_rest_0..14 are red's coefficients 1 to 15, then green's, then blue's.
    assert row["f_rest_0"] == gaussians.sh[0, 1, 0]
    assert row["f_rest_14"] == gaussians.sh[0, 15, 0]
    assert row["f_rest_15"] == gaussians.sh[0, 1, 1]
    assert row["f_dc_2"] == gaussians.sh[0, 0, 2]
    assert row["rot_0"] == gaussians.quats[0, 0]


def test_reads_other_writers_files_with_normals_another_order_and_faces(tmp_path):
    fields = ["opacity", "nx", "ny", "nz", "x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2"]
    fields += ["rot_0", "rot_1", "rot_2", "rot_3", "scale_0", "scale_1", "scale_2"]
    header = ["ply", "format binary_little_endian 1.0", "comment by hand", "element vertex 1"]
    header += [f"property double {field}" for field in fields]
    header += ["element face 0", "property list uchar int vertex_indices", "end_header\n"]
    values = np.arange(len(fields), dtype="<f8")
    (tmp_path / "other.ply").write_bytes("\n".join(header).encode() + values.tobytes())

    gaussians = read_ply(tmp_path / "other.ply")

    assert gaussians.opacity_logits[0] == 0
    assert gaussians.means[0].tolist() == [4, 5, 6]
    assert gaussians.quats[0].tolist() == [10, 11, 12, 13]
    assert gaussians.sh_degree == 0


def written(tmp_path) -> bytes:
    write_ply(tmp_path / "good.ply", some_gaussians(3, 1))
    return (tmp_path / "good.ply").read_bytes()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda good: b"", "does not start"),
        (lambda good: b"PK\x03\x04" + good, "does not start"),
        (lambda good: good[:100], "no complete header"),
        (lambda good: good[:-4], "ends after 2 of its 3"),
        # More than any memory holds: refused, not reserved
        (lambda good: good.replace(b"vertex 3", b"vertex 9" + b"0" * 14), "ends after 3 of its 9"),
        (lambda good: good.replace(b"binary_little_endian", b"ascii"), "written as ascii"),
        (lambda good: good.replace(b"float scale_1", b"float size_1"), "lacks scale_1"),
        (lambda good: good.replace(b"float f_rest_0", b"float f_other"), "8 f_rest properties"),
        (lambda good: good.replace(b"float opacity", b"list uchar float opacity"), "don't have"),
        (lambda good: good.replace(b"vertex 3", b"vertex -3"), "'-3' for a number of vertices"),
        (lambda good: b"ply\nformat binary_little_endian 1.0\nend_header\n", "has no vertices"),
        (lambda good: b"ply\n" + b"comment\n" * 20_000, "no complete header"),
    ],
)
def test_a_file_that_is_not_a_splat_is_refused_saying_why(tmp_path, spoil, told):
    path = tmp_path / "bad.ply"
    path.write_bytes(spoil(written(tmp_path)))

    with pytest.raises(UserError, match=r"bad\.ply") as refusal:
        read_ply(path)

    assert refusal.value.code == "bad_ply"
    assert told in refusal.value.message
