"""The reference reader of the format's makers reads our files as we do: a file it refuses is a failure.

And the other way round: what their writer writes, our reader reads.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from spaceport_compressor.cleaning.broken import without_broken
from spaceport_compressor.cleaning.clean import Rules, clean
from spaceport_compressor.judging.rate_choice import ladder
from spaceport_compressor.sog.precision import FULL
from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.sog.write import write_sog
from spaceport_render.camera import Camera
from spaceport_render.gaussians import Gaussians
from spaceport_render.ply import write_ply

SIZES = [1, 2, 63, 64, 65, 4_095, 100_000]
READER = Path(__file__).parent / "reference_reader.mjs"


@pytest.fixture(scope="module")
def read_by_reference(repository, run_node):
    """`read_by_reference(folder)`: writes what the reference reader makes of each .sog in it beside that."""
    package = "@playcanvas/splat-transform"
    library = repository / "node_modules" / package / "dist/index.mjs"
    return lambda folder: run_node(package, READER, folder, library)


@dataclass(frozen=True)
class Case:
    """A model, and how it is written."""

    model: Gaussians
    options: dict


def looking_down(east):
    world_to_camera = np.diag([1.0, -1.0, -1.0, 1.0])
    world_to_camera[:3, 3] = -world_to_camera[:3, :3] @ (east, 0, 60)
    return Camera(f"{east}", 96, 64, 60.0, 60.0, 48.0, 32.0, world_to_camera)


def spoilt(model):
    """Some Gaussians of `model` hold no numbers."""
    model.means[3] = np.nan
    model.quats[5] = 0
    model.log_scales[7] = np.inf
    model.sh[9, 0] = -np.inf
    model.opacity_logits[11] = np.nan
    return model


def cleaned_of_dross(model):
    """What the stage packs of `model` with broken, wholly transparent and doubled Gaussians in it."""
    spoilt(model).opacity_logits[20:30] = -np.inf
    doubled = model.select(np.r_[:300, 40:60])
    cleaned = clean(without_broken(doubled, "model.ply"), None, Rules())
    assert (cleaned.removed.invisible, cleaned.removed.duplicates) == (10, 20)
    assert len(cleaned.gaussians) == 300 - 5 - 10
    return cleaned.gaussians


def every_case(make_gaussians):
    cameras = [looking_down(east) for east in (-40, 0, 40)]
    alike = make_gaussians(500).select(np.zeros(500, np.intp))
    invisible, far = make_gaussians(300), make_gaussians(300)
    invisible.opacity_logits[:150] = -40
    far.means[0] = (4e7, -4e7, 1e6)
    far.log_scales[1] = (-60, 20, -60)
    small_palette = {"precision": replace(FULL, gaussians_per_entry=200)}  # a large one takes seconds
    cases = {
        f"{count} Gaussians of degree {degree}": Case(
            make_gaussians(count, degree=degree), small_palette if count > 10_000 else {}
        )
        for count in SIZES
        for degree in range(4)
    }
    cases |= {
        f"step {step} of the ladder": Case(
            make_gaussians(1500), {"cameras": cameras, "precision": precision, "seed": step}
        )
        for step, precision in enumerate(ladder(1500))
        if step % 4 == 0
    }
    return cases | {
        "an entry for each": Case(make_gaussians(500), {"precision": replace(FULL, gaussians_per_entry=1)}),
        "all alike": Case(alike, {}),
        "half invisible": Case(invisible, {}),
        "far and thin": Case(far, {}),
        "cleaned of broken ones": Case(without_broken(spoilt(make_gaussians(300)), "model.ply"), {}),
        "cleaned of all dross": Case(cleaned_of_dross(make_gaussians(300)), {}),
    }


@pytest.fixture(scope="module")
def read_by_both(make_gaussians, read_by_reference, tmp_path_factory):
    """For each case the number of Gaussians written, what the reference reader sees, and what ours does."""
    folder = tmp_path_factory.mktemp("conformance")
    cases = every_case(make_gaussians)
    for name, case in cases.items():
        write_sog(folder / f"{name}.sog", case.model, **case.options)
    read_by_reference(folder)
    return {
        name: (len(case.model), by_reference(folder / f"{name}.json"), read_sog(folder / f"{name}.sog"))
        for name, case in cases.items()
    }


def by_reference(told):
    """The model of which `reference_reader.mjs` left the numbers; or the error that it told."""
    outcome = json.loads(told.read_text())
    if "error" in outcome:
        return outcome["error"]
    numbers = np.fromfile(told.with_suffix(".f32"), "<f4").reshape(len(outcome["names"]), outcome["count"])
    columns = dict(zip(outcome["names"], numbers, strict=True))

    def columns_of(*names):
        return np.stack([columns[name] for name in names], axis=1)

    rest = sum(name.startswith("f_rest_") for name in columns)
    sh = columns_of("f_dc_0", "f_dc_1", "f_dc_2")[:, None]
    if rest:
        by_channel = columns_of(*(f"f_rest_{i}" for i in range(rest))).reshape(-1, 3, rest // 3)
        sh = np.concatenate([sh, by_channel.transpose(0, 2, 1)], axis=1)
    return Gaussians(
        columns_of("x", "y", "z"),
        columns_of("rot_0", "rot_1", "rot_2", "rot_3"),
        columns_of("scale_0", "scale_1", "scale_2"),
        columns["opacity"],
        sh,
    )


def test_the_reference_reader_sees_what_ours_sees(read_by_both):
    for name, (count, theirs, ours) in read_by_both.items():
        # It accepts the file, and finds all Gaussians
        assert isinstance(theirs, Gaussians), f"{name}: {theirs}"
        assert len(theirs) == len(ours) == count, name
        assert theirs.sh_degree == ours.sh_degree, name
        # and the same numbers, to the precision of 32 bits: near the origin, and far from it
        assert np.allclose(theirs.means, ours.means, rtol=1e-5, atol=1e-5), name
        assert np.allclose(np.abs((theirs.quats * ours.quats).sum(axis=1)), 1, atol=1e-5), name
        assert np.allclose(theirs.log_scales, ours.log_scales, rtol=1e-5, atol=1e-5), name
        assert np.allclose(theirs.opacities, ours.opacities, atol=1e-5), name
        assert np.allclose(theirs.sh, ours.sh, rtol=1e-5, atol=1e-6), name


@pytest.mark.parametrize("degree", [0, 3])
def test_our_reader_reads_what_the_reference_writes(
    make_gaussians, splat_transform, read_by_reference, tmp_path, degree
):
    # Given a file by the makers' own writer
    model = make_gaussians(130, degree=degree)
    ply, sog = tmp_path / "model.ply", tmp_path / "model.sog"
    write_ply(ply, model)
    splat_transform("--gpu", "cpu", ply, sog)
    # When ours reads it, and theirs
    ours = read_sog(sog)
    read_by_reference(tmp_path)
    theirs = by_reference(tmp_path / "model.json")
    # Then both see the same, which is near to what was written
    assert len(ours) == 130
    assert ours.sh_degree == degree
    assert ours.means == pytest.approx(theirs.means, rel=1e-5, abs=1e-5)
    assert ours.sh == pytest.approx(theirs.sh, rel=1e-5, abs=1e-6)
    east, written_east = np.sort(ours.means[:, 0]), np.sort(model.means[:, 0])
    assert east == pytest.approx(written_east, abs=0.02)
    assert np.sort(ours.opacities) == pytest.approx(np.sort(model.opacities), abs=0.01)
