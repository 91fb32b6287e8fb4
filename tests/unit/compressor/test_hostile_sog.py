"""Files that nobody's writer made: whatever is in them, the reader says so, in little time and memory."""

import io
import json
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from spaceport.errors import UserError
from spaceport_compressor.sog.read import read_sog
from spaceport_compressor.sog.write import write_sog

# 16,383 × 10,900 texels, all black
BLANK = bytes.fromhex("524946461a000000574542505650384c0d0000002ffeffa41a071011118888fe0700")
ODD_VALUES = [
    None,
    True,
    -1,
    0,
    2**70,
    1e308,
    float("nan"),
    float("inf"),
    "x",
    "../x",
    [],
    {},
    [[]],
    [1.5] * 256,
]


@pytest.fixture(scope="module")
def files(make_gaussians, tmp_path_factory):
    """The files of a good SOG, name → contents."""
    path = tmp_path_factory.mktemp("hostile") / "good.sog"
    write_sog(path, make_gaussians(90))
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def refusal(files, tmp_path):
    """`refusal(name=contents, ...)`: what the reader says of the good files with these in their places; None
    where it reads them."""

    def told(packing=zipfile.ZIP_STORED, **replaced):
        path = tmp_path / "hostile.sog"
        with zipfile.ZipFile(path, "w", packing) as archive:
            for name, data in files.items():
                archive.writestr(name, replaced.get(name.partition(".")[0], data))
        return outcome(path)

    return told


def outcome(path):
    try:
        gaussians = read_sog(path)
    except UserError as refused:
        return refused.message
    for name in ("means", "quats", "log_scales", "opacity_logits", "sh", "scales"):
        assert np.isfinite(getattr(gaussians, name)).all(), name
    return None


def webp(width, height, color=(0, 0, 0, 255)):
    data = io.BytesIO()
    Image.new("RGBA", (width, height), color).save(data, "WEBP", lossless=True, method=0)
    return data.getvalue()


def changed(files, *place, to):
    """`meta.json` with the value at `place` replaced."""
    meta = json.loads(files["meta.json"])
    *parents, last = place
    part = meta
    for key in parents:
        part = part[key]
    part[last] = to
    return json.dumps(meta).encode()


def places(node, path=()):
    """Where in `node` something stands; of long lists the first and the last."""
    if isinstance(node, dict | list):
        keys = list(node) if isinstance(node, dict) else sorted({0, len(node) - 1})
        for key in keys:
            yield (*path, key)
            yield from places(node[key], (*path, key))


def test_anything_anywhere_in_the_description_is_read_or_refused(files, refusal):
    # Given each value of meta.json replaced by each of many odd ones
    meta = json.loads(files["meta.json"])
    for place in places(meta):
        for odd in ODD_VALUES:
            # Then the file is read or refused, never more
            refusal(meta=changed(files, *place, to=odd))


def test_damage_anywhere_in_the_file_is_read_or_refused(files, tmp_path):
    # Given a good file of which bytes were changed, or that broke off
    path = tmp_path / "damaged.sog"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(good)
        for place in rng.integers(0, len(good), 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(len(good))] if rng.random() < 0.3 else damaged)
        outcome(path)


@pytest.mark.parametrize("count", [2**31, 10**12, 2**63, 10**30])
def test_absurd_counts(files, refusal, count):
    assert refusal(meta=changed(files, "count", to=count))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("scales", "codebook", 3), float("nan")),
        (("sh0", "codebook", 255), float("inf")),
        (("shN", "codebook", 0), -1e39),
        (("scales", "codebook", 7), 89.0),
        (("means", "mins", 0), float("nan")),
        (("means", "maxs", 2), 1e3),
    ],
)
def test_numbers_that_no_gaussian_has(files, refusal, place, value):
    assert place[0] in refusal(meta=changed(files, *place, to=value))


def test_labels_and_tags_out_of_range(refusal):
    assert "label" in refusal(shN_labels=webp(12, 8, (255, 255, 0, 255)))
    assert "rotation" in refusal(quats=webp(12, 8, (1, 2, 3, 4)))


def test_pictures_of_wrong_sizes(refusal):
    assert "texels" in refusal(scales=webp(4, 4))
    assert "entries" in refusal(shN_centroids=webp(64, 4))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_would_fill_the_memory_is_refused_before_it_does(files, refusal):
    # Given a picture of 179 million texels in 34 bytes, and a description that shrank to a thousandth
    hostile = [
        ({"means_l": BLANK}, "texels"),
        ({"packing": zipfile.ZIP_DEFLATED, "meta": files["meta.json"] + b" " * 20_000_000}, "unpacks"),
    ]
    for replaced, told in hostile:
        # When it is read
        tracemalloc.start()
        message = refusal(**replaced)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # Then it is refused, and took hardly any memory
        assert told in message
        assert most < 5_000_000
