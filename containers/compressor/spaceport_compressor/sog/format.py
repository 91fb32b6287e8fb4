"""SOG version 2 as its `meta.json` tells it (PlayCanvas; `@playcanvas/splat-transform` is the reference).

A `.sog` is a stored zip: `meta.json`, and lossless WebP images in which texel i belongs to Gaussian i.
Every `pack_*` module of this package turns one attribute into its images and back.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat

META_FILE = "meta.json"
GENERATOR = "Spaceport"

Number = Annotated[FiniteFloat, Field(ge=-3e38, le=3e38)]  # such as 32 bits hold
Codes = Annotated[list[Number], Field(min_length=256, max_length=256)]
LARGEST_LOGARITHM = 88.0  # of a 32-bit number
Coordinate = Annotated[FiniteFloat, Field(ge=-LARGEST_LOGARITHM, le=LARGEST_LOGARITHM)]  # log-scaled
Triple = tuple[Coordinate, Coordinate, Coordinate]


ANTIALIASED = "antialiased"


class _Part(BaseModel):
    # Other writers add fields of their own, and later versions will: they are not ours to refuse.
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class MeansMeta(_Part):
    """Centres: 16 bits an axis between `mins` and `maxs` of the log-scaled coordinates."""

    mins: Triple
    maxs: Triple
    files: tuple[str, str]


class CodedMeta(_Part):
    """Scales and base colour: bytes that index 256 levels."""

    codebook: Codes
    files: tuple[str]


def _with_sizes_in_range(scales: CodedMeta) -> CodedMeta:
    if max(scales.codebook) > LARGEST_LOGARITHM:
        raise ValueError("a size is larger than numbers go")
    return scales


class QuatsMeta(_Part):
    files: tuple[str]


class HarmonicsMeta(_Part):
    """View-dependent colour: 16-bit labels into `count` palette entries, whose bytes index 256 levels."""

    count: int = Field(ge=1, le=65_536)
    bands: int = Field(ge=1, le=3)
    codebook: Codes
    files: tuple[str, str]


class AssetMeta(_Part):
    generator: str


class SogMeta(_Part):
    """`meta.json`. `harmonics` (`shN` in the file) is missing where colour does not depend on the view.

    `model` is told by splat-transform since 3.2, and read by PlayCanvas' engine: ANTIALIASED, or another way
    to draw that we don't know; usual Gaussians have none.
    """

    version: Literal[2] = 2
    asset: AssetMeta | None = None
    count: int = Field(ge=1)
    model: str | None = None
    means: MeansMeta
    scales: Annotated[CodedMeta, AfterValidator(_with_sizes_in_range)]
    quats: QuatsMeta
    sh0: CodedMeta
    harmonics: HarmonicsMeta | None = Field(None, alias="shN")

    def to_json(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_none=True)

    def files(self) -> list[str]:
        """The names of the images that this file needs."""
        parts = (self.means, self.scales, self.quats, self.sh0, self.harmonics)
        return [name for part in parts if part is not None for name in part.files]
