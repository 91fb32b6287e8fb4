"""The other formats hold the model that was given: read back by readers of other makers."""

from __future__ import annotations

import json
import struct
import zlib

import gsply
import numpy as np
import pytest
from pyproj import Transformer
from scipy.spatial.transform import Rotation

from spaceport.formats import FILES, Format
from spaceport.quality import Origin
from spaceport_compressor.formats.deliver import write_formats
from spaceport_compressor.formats.tiles3d import bounds, cut_into_tiles, tiles_of
from spaceport_compressor.formats.y_up import turned, y_up
from spaceport_compressor.lod.decimation import levels_of_detail
from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.sog.viewing import harmonics
from spaceport_compressor.sog.write import write_sog
from spaceport_compressor.viewer.camera import WORLD_TO_VIEWER
from spaceport_render.camera import Camera
from spaceport_render.gaussians import AntialiasedGaussians
from spaceport_render.metrics import psnr
from spaceport_render.ply import read_ply, write_ply
from spaceport_render.render import render

SWISS = Origin(lat=46.862149544, lon=8.228780588, alt=473.2375)
# What splat-transform takes PLY and SPZ files to be: turned about z by half a turn against its own axes.
HALF_TURN = np.diag([-1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def khronos_faults(run_node):
    """`khronos_faults(glb)`: the messages of the validator of glTF's makers."""
    program = (
        "const bytes = new Uint8Array(require('fs').readFileSync(process.argv[1]));"
        "require('gltf-validator').validateBytes(bytes, { maxIssues: 0 })"
        ".then((report) => console.log(JSON.stringify(report.issues.messages)));"
    )
    return lambda glb: json.loads(run_node("gltf-validator", "--eval", program, glb))


def camera_above() -> Camera:
    """It looks down on the land of `make_gaussians`, at a slant."""
    slant = Rotation.from_euler("x", 145, degrees=True).as_matrix()
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = slant
    world_to_camera[:3, 3] = -slant @ [5, -60, 75]
    return Camera("above.jpg", 160, 120, 120.0, 120.0, 80.0, 60.0, world_to_camera)


def glb_parts(path):
    """(document, block of bytes) of a `.glb`."""
    whole = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", whole)
    assert (magic, version, length) == (b"glTF", 2, len(whole))
    (size,) = struct.unpack_from("<I", whole, 12)
    return json.loads(whole[20 : 20 + size]), whole[28 + size :]


def attributes_of(path):
    """The arrays in a `.glb` by the attribute's name."""
    document, block = glb_parts(path)
    arrays = {}
    for name, index in document["meshes"][0]["primitives"][0]["attributes"].items():
        accessor = document["accessors"][index]
        view = document["bufferViews"][accessor["bufferView"]]
        kind = {5126: "<f4", 5121: "u1"}[accessor["componentType"]]
        components = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        arrays[name] = np.frombuffer(
            block, kind, accessor["count"] * components, view.get("byteOffset", 0)
        ).reshape(-1, components)
    return arrays


def box_of(tile):
    """The least and the greatest coordinates that a tile's bounding volume holds."""
    box = np.array(tile["boundingVolume"]["box"])
    return box[:3] - box[[3, 7, 11]], box[:3] + box[[3, 7, 11]]


def centers_of(folder, tile):
    """A tile's centres as its packed file has them, turned from y-up as readers of 3D Tiles turn it."""
    document, block = glb_parts(folder / tile["content"]["uri"])
    view = document["bufferViews"][0]
    (folder.parent / "one.spz").write_bytes(block[: view["byteLength"]])
    x, y, z = gsply.read_spz(folder.parent / "one.spz").means.T
    return np.stack([x, -z, y], axis=1)


def test_a_turned_model_has_its_colours_where_they_were_seen_from(make_gaussians):
    # Given a model, and any turn
    model = make_gaussians(50)
    rotation = Rotation.from_euler("xyz", [20, -70, 130], degrees=True).as_matrix()
    # When it is turned
    after = turned(model, rotation)
    # Then it has in the turned directions the colours that it had in the first
    directions = np.random.default_rng(1).normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    before_colors = np.einsum("dk,nkc->ndc", harmonics(directions, 3), model.sh[:, 1:])
    after_colors = np.einsum("dk,nkc->ndc", harmonics(directions @ rotation.T, 3), after.sh[:, 1:])
    assert np.abs(before_colors - after_colors).max() < 1e-5


def test_the_ply_holds_every_number_as_it_was(make_gaussians, splat_transform, tmp_path):
    # Given a model
    model = make_gaussians(700)
    # When it is delivered as PLY, and the converter writes another of that
    sizes = write_formats(tmp_path, [model], [Format.PLY], None)
    splat_transform(tmp_path / "model.ply", tmp_path / "theirs.ply")
    # Then not one number has changed on the way
    theirs = read_ply(tmp_path / "theirs.ply")
    assert sizes == {"model.ply": (tmp_path / "model.ply").stat().st_size}
    for name in ("means", "quats", "log_scales", "opacity_logits", "sh"):
        assert np.array_equal(getattr(theirs, name), getattr(model, name)), name


def test_spz_looks_like_the_model_to_another_reader(make_gaussians, splat_transform, tmp_path):
    # Given a model
    model = make_gaussians(4000)
    # When it is delivered as SPZ
    write_formats(tmp_path, [model], [Format.SPZ], None)
    # Then it is of version 4
    assert (tmp_path / "model.spz").read_bytes()[:8] == b"NGSP" + struct.pack("<I", 4)
    # And what the converter reads, turned back from y-up, looks the same
    splat_transform(tmp_path / "model.spz", tmp_path / "theirs.ply")
    theirs = turned(read_ply(tmp_path / "theirs.ply"), WORLD_TO_VIEWER.T)
    assert np.abs(theirs.means - model.means).max() < 2e-4
    assert psnr(render(theirs, camera_above()), render(model, camera_above())) > 40


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_spz_and_gltf_take_every_degree_of_harmonics(make_gaussians, splat_transform, tmp_path, degree):
    write_formats(tmp_path, [make_gaussians(20, degree=degree)], [Format.SPZ, Format.GLTF], None)
    splat_transform(tmp_path / "model.spz", tmp_path / "theirs.ply")
    assert read_ply(tmp_path / "theirs.ply").sh_degree == degree
    harmonics_told = [name for name in attributes_of(tmp_path / "model.glb") if "SH_DEGREE" in name]
    assert len(harmonics_told) == (degree + 1) ** 2


def test_gltf_has_the_numbers_that_another_writer_puts_there(make_gaussians, splat_transform, tmp_path):
    # Given a model
    model = make_gaussians(300)
    # When it is delivered as glTF, and the converter writes one of it, turned to where it takes y-up to be
    write_formats(tmp_path, [model], [Format.GLTF], None)
    write_ply(tmp_path / "turned.ply", turned(y_up(model), HALF_TURN))
    splat_transform(tmp_path / "turned.ply", tmp_path / "theirs.glb")
    # Then both hold the same attributes, and the same numbers to the precision of 32-bit floats
    ours, theirs = attributes_of(tmp_path / "model.glb"), attributes_of(tmp_path / "theirs.glb")
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        if name.endswith("ROTATION"):  # q and -q are one turn
            assert np.abs(np.abs((values * theirs[name]).sum(axis=1)) - 1).max() < 1e-5
        else:
            assert np.abs(values.astype(np.float64) - theirs[name]).max() < 1e-4, name


@pytest.mark.parametrize(("name", "unknown"), [("model.glb", set()), ("tiles/0_0.glb", {"UNUSED_OBJECT"})])
def test_khronos_validator_finds_no_fault(make_gaussians, khronos_faults, tmp_path, name, unknown):
    # Given a delivered file
    write_formats(tmp_path, [make_gaussians(100)], [Format.GLTF, Format.TILES], SWISS)
    # When the makers of glTF check it
    faults = khronos_faults(tmp_path / name)
    # Then all they say is what comes of their not knowing the extensions yet: that they don't, nor the names
    # of the attributes, nor what the packed bytes are for
    ours = {"UNSUPPORTED_EXTENSION", "MESH_PRIMITIVE_INVALID_ATTRIBUTE"} | unknown
    assert {fault["code"] for fault in faults} == ours
    names = [fault["pointer"] for fault in faults if fault["code"] == "MESH_PRIMITIVE_INVALID_ATTRIBUTE"]
    assert all("/KHR_gaussian_splatting:" in pointer for pointer in names)


def test_a_gaussian_lands_where_proj_has_it(make_gaussians, tmp_path):
    # Given a model whose origin is known
    model = make_gaussians(10)
    # When it is delivered as tiles
    write_formats(tmp_path, [model], [Format.TILES], SWISS)
    tileset = json.loads((tmp_path / "tiles/tileset.json").read_text())
    matrix = np.reshape(tileset["root"]["transform"], (4, 4)).T
    # Then each centre lands on the globe where PROJ's topocentric frame has it, to a tenth of a millimetre
    onward = Transformer.from_pipeline(
        f"+proj=pipeline +step +inv +proj=topocentric +ellps=WGS84 +lat_0={SWISS.lat} "
        f"+lon_0={SWISS.lon} +h_0={SWISS.alt}"
    )
    theirs = np.stack(onward.transform(*model.means.T.astype(np.float64)), axis=1)
    ours = model.means @ matrix[:3, :3].T + matrix[:3, 3]
    assert np.abs(theirs - ours).max() < 1e-4
    # And the tile turned from y-up, as readers of 3D Tiles turn it, is the model
    low, high = bounds(model)
    assert np.allclose(box_of(tileset["root"]), (low, high))
    document, _ = glb_parts(tmp_path / "tiles" / tileset["root"]["content"]["uri"])
    position = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    x, y, z = np.array([position["min"], position["max"]]).T
    assert np.allclose([x.min(), -z.max(), y.min()], model.means.min(axis=0), atol=1e-4)


@pytest.fixture
def tileset(make_gaussians, tmp_path):
    """(levels, the tileset's root, its folder) of a model of 3,000 Gaussians in four levels of detail."""
    levels = levels_of_detail(make_gaussians(3000), [])
    sizes = write_formats(tmp_path, levels, [Format.TILES], SWISS)
    folder = tmp_path / "tiles"
    assert sizes == {"tiles/tileset.json": sum(file.stat().st_size for file in folder.iterdir())}
    told = json.loads((folder / "tileset.json").read_text())
    assert told["geometricError"] >= told["root"]["geometricError"]
    return levels, told["root"], folder


class TestTilesOfManyLevels:
    def test_finer_tiles_replace_coarser_ones_down_to_the_model_itself(self, tileset, khronos_faults):
        levels, root, folder = tileset
        assert root["refine"] == "REPLACE"
        generations = [[root]]
        while finer := [child for tile in generations[-1] for child in tile.get("children", [])]:
            generations.append(finer)
        # Each generation is the whole of its level, in twice as many tiles, about as large as the root
        assert [len(tiles) for tiles in generations] == [1, 2, 4, 8]
        for level, tiles in zip(reversed(levels), generations, strict=True):
            found = np.concatenate([centers_of(folder, tile) for tile in tiles])
            assert len(found) == len(level)
            apart = np.linalg.norm(level.means[:, None] - found[None], axis=2).min(axis=1)
            assert apart.max() < 1e-3
            assert all(len(centers_of(folder, tile)) < 1.5 * len(levels[-1]) for tile in tiles)
        # and there is no other file
        names = {tile["content"]["uri"] for tiles in generations for tile in tiles}
        assert {file.name for file in folder.iterdir()} == {*names, "tileset.json"}
        assert len(names) == 15
        faults = {fault["code"] for fault in khronos_faults(folder / root["content"]["uri"])}
        assert "UNSUPPORTED_EXTENSION" in faults
        assert not any(code.startswith("ACCESSOR") for code in faults)

    def test_errors_fall_to_nothing_and_boxes_hold_what_is_in_them(self, tileset):
        # By 3D Tiles 1.1: a tile's error is no smaller than its children's, its box holds their content
        _, root, folder = tileset

        def check(tile, ancestors):
            boxes = [*ancestors, box_of(tile)]
            centers = centers_of(folder, tile)
            for low, high in boxes:
                assert (centers > low - 1e-3).all()
                assert (centers < high + 1e-3).all()
            assert "transform" not in tile or tile is root
            children = tile.get("children", [])
            assert (tile["geometricError"] == 0) == (not children)
            for child in children:
                assert child["geometricError"] <= tile["geometricError"]
                check(child, boxes)

        check(root, [])

    def test_a_tile_is_replaced_where_its_gaussians_are_two_pixels_apart(self, make_gaussians, tmp_path):
        # Given Gaussians on a grid, a metre apart
        grid = np.stack(np.meshgrid(np.arange(40), np.arange(50), indexing="ij"), axis=-1).reshape(-1, 2)
        coarse, fine = make_gaussians(2000), make_gaussians(2000)
        for level in (coarse, fine):
            level.means[:] = np.column_stack([grid, np.zeros(2000)])
        # When they are the coarser level
        root = cut_into_tiles([fine, coarse])
        # Then at 16 pixels of error, when a reader replaces them, a metre is two pixels
        assert 16 / root.error == pytest.approx(2.0, rel=0.15)

    def test_gaussians_all_in_one_place_are_not_lost(self, make_gaussians):
        model = make_gaussians(50)
        model.means[:] = 7.0
        tiles = tiles_of(cut_into_tiles([model, model.select(np.arange(20)), model.select(np.arange(10))]))
        assert [(tile.level, len(tile.members)) for tile in tiles] == [(2, 10), (1, 20), (0, 50)]

    @pytest.mark.parametrize("count", [1, 20])
    def test_gaussians_in_one_place_or_on_a_line_are_replaced_by_finer_ones(self, make_gaussians, count):
        for along in ([0, 0, 0], [0, 0, 3]):
            fine, coarse = make_gaussians(2 * count), make_gaussians(count)
            for level in (fine, coarse):
                level.means[:] = np.linspace([7, 7, 7], np.add(7, along), len(level))
            assert cut_into_tiles([fine, coarse]).error > 0

    def test_a_level_with_nothing_in_a_half_of_space_hides_no_finer_one(self, make_gaussians):
        # Given a coarse level whose two Gaussians lie apart, a middle one with both in the west
        fine, middle, coarse = make_gaussians(8), make_gaussians(2), make_gaussians(2)
        fine.means[:] = np.linspace([0, 0, 0], [70, 0, 0], 8)
        middle.means[:] = [[0, 0, 0], [1, 0, 0]]
        # When it is cut
        tiles = tiles_of(cut_into_tiles([fine, middle, coarse]))
        # Then each Gaussian of each level is in one tile
        for level, count in enumerate((8, 2, 2)):
            members = [tile.members for tile in tiles if tile.level == level]
            assert np.array_equal(np.sort(np.concatenate(members)), np.arange(count))


def test_without_a_place_on_earth_there_are_no_tiles(make_gaussians, tmp_path, caplog):
    with caplog.at_level("INFO"):
        assert write_formats(tmp_path, [make_gaussians(3)], [Format.TILES], None) == {}
    assert "where on Earth" in caplog.text
    assert not any(tmp_path.iterdir())


def test_how_a_model_is_to_be_drawn_is_told_wherever_a_format_can(
    make_gaussians, splat_transform, tmp_path, caplog
):
    # Given a model that was trained antialiased
    model = make_gaussians(300)
    model = AntialiasedGaussians(model.means, model.quats, model.log_scales, model.opacity_logits, model.sh)
    # When it is delivered in all formats, and the converter turns them into PLYs, which tell it by a comment
    write_formats(tmp_path, [model], list(Format), SWISS)
    write_sog(tmp_path / "model.sog", model)
    for name in ("model.ply", "model.spz", "model.sog"):
        splat_transform(tmp_path / name, tmp_path / "theirs.ply")
        # Then it is told
        assert read_ply(tmp_path / "theirs.ply").antialiased, name
    assert read_ply(tmp_path / "model.ply").antialiased
    assert read_sog(tmp_path / "model.sog").antialiased
    # also by a tile, whose packed Gaussians begin with NGSP and have their flags at 14
    _, block = glb_parts(tmp_path / "tiles/0_0.glb")
    unpacked = zlib.decompressobj(wbits=31).decompress(block)
    assert (unpacked[:4], unpacked[14]) == (b"NGSP", 1)
    # and of the one that can't, the log says so
    assert "glTF can't say" in caplog.text
    # A model that was not is not said to be
    write_formats(tmp_path, [make_gaussians(300)], [Format.SPZ, Format.PLY], None)
    splat_transform(tmp_path / "model.spz", tmp_path / "theirs.ply")
    assert not read_ply(tmp_path / "theirs.ply").antialiased
    assert not read_ply(tmp_path / "model.ply").antialiased


def test_what_is_done_to_a_model_does_not_change_how_it_is_drawn(make_gaussians):
    model = make_gaussians(300)
    model = AntialiasedGaussians(model.means, model.quats, model.log_scales, model.opacity_logits, model.sh)
    done = [model.select(np.arange(5)), y_up(model), *levels_of_detail(model, [])]
    assert all(each.antialiased for each in done)


def test_spz_takes_models_wider_than_its_usual_range(make_gaussians, splat_transform, tmp_path):
    # Given a model with a Gaussian 3 km away
    model = make_gaussians(5)
    model.means[2] = [3000, -2999, 0]
    # When it is delivered as SPZ
    write_formats(tmp_path, [model], [Format.SPZ], None)
    # Then it is read where it was, to half a millimetre
    splat_transform(tmp_path / "model.spz", tmp_path / "theirs.ply")
    theirs = turned(read_ply(tmp_path / "theirs.ply"), WORLD_TO_VIEWER.T)
    assert np.abs(theirs.means - model.means).max() < 5e-4


def test_what_a_format_cannot_hold_is_told_and_costs_the_others_nothing(make_gaussians, tmp_path, caplog):
    # Given a model that has a Gaussian on the other side of the globe
    model = make_gaussians(5)
    model.means[2, 0] = 12e6
    # When it is delivered in all formats
    sizes = write_formats(tmp_path, [model], list(Format), SWISS)
    # Then those that can't hold it are not there, and the log says why
    assert set(sizes) == {"model.ply", "model.glb"}
    assert not (tmp_path / "model.spz").exists()
    assert not (tmp_path / "tiles/tileset.json").exists()
    assert "12000000 m" in caplog.text


def test_the_same_model_gives_the_same_bytes(make_gaussians, tmp_path):
    for run in ("first", "again"):
        (tmp_path / run).mkdir()
        write_formats(tmp_path / run, [make_gaussians(200)], list(Format), SWISS)
    for name in FILES.values():
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    # Also a second later: the tile's gzip header tells no time of day
    _, packed = glb_parts(tmp_path / "first/tiles/0_0.glb")
    assert packed[:2] == b"\x1f\x8b"
    assert packed[4:8] == bytes(4)
