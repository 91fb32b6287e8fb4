"""What the client gets, in words: the files, what was cleaned away before, and why this file of all tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spaceport.quality import Candidate, DeliveryNumbers, LevelsOfDetail, RemovedGaussians
from spaceport_compressor.judging.fidelity import LEAST_DECODE_DB, LEAST_UNSEEN_DB, MOST_LOSS_DB, PROMISED_DB
from spaceport_compressor.report_page.numbers import size

# What each file or folder is for.
PURPOSES = {
    "model.sog": "the model for the web: what the viewer shows",
    "lod": "the same in levels of detail: the viewer shows these, and reads only what it needs",
    "model.ply": "uncompressed, for editors such as SuperSplat, and for other converters",
    "model.spz": "compressed, for apps on phones and for engines",
    "model.glb": "glTF with Gaussian splats (KHR_gaussian_splatting)",
    "tiles": "3D Tiles, on its place on the globe: CesiumJS and the like",
}
# What became of the Gaussians that were cleaned away, by the name of the rule.
REMOVED = {
    "broken": "with numbers that nothing can draw",
    "invisible": "fainter than anything draws",
    "duplicates": "twice in the same place",
    "fog": "fog around the cameras",
    "above": "hanging in the air",
    "below": "far below the ground",
    "isolated": "strays with nothing around them",
    "outside": "beyond the flown area",
}


@dataclass(frozen=True)
class FileWords:
    """One file: `smaller` is how many times it is smaller than the trained model's PLY, in words."""

    name: str
    size: str
    smaller: str
    told: str


@dataclass(frozen=True)
class CandidateWords:
    """One of the files tried: all in words but `chosen`."""

    name: str
    size: str
    gaussians: str
    decode: str
    loss: str
    judgement: str
    chosen: bool


def files(delivery: DeliveryNumbers) -> Sequence[FileWords]:
    """Those that are delivered, that for the web first."""
    purposes = PURPOSES | ({"model.sog": "the whole model in one file, for the web"} if delivery.lod else {})
    sizes = {"model.sog": delivery.sog_bytes}
    if delivery.lod:
        sizes["lod/"] = delivery.lod.bytes
    # A folder is told by its own name, not by that of the file in it to open.
    sizes |= {"".join(name.partition("/")[:2]): count for name, count in delivery.files.items()}
    return [
        FileWords(name, size(count), _smaller(delivery.ply_bytes / count), purposes.get(name.rstrip("/"), ""))
        for name, count in sizes.items()
    ]


def candidates(delivery: DeliveryNumbers) -> Sequence[CandidateWords]:
    """The smallest first; empty where the report tells of none."""
    return [
        CandidateWords(
            name=one.name,
            size=size(one.sog_bytes),
            gaussians=f"{one.gaussians:,}",
            decode=f"{one.decode_psnr_db:.1f} dB",
            loss="–" if one.psnr_loss_db is None else f"{round(one.psnr_loss_db, 2) + 0.0:.2f} dB",
            judgement=_judgement(one),
            chosen=one.chosen,
        )
        for one in sorted(delivery.candidates, key=lambda one: one.sog_bytes)
    ]


def choice_words(delivery: DeliveryNumbers, *, held_out: bool) -> str:
    """By what the delivered file was chosen from the candidates.

    Args:
        held_out: whether some photos were kept away from training, and from this choice.
    """
    if delivery.psnr_loss_db is None:
        where = "from places around the model that nobody flew to"
        wanted = f"{LEAST_UNSEEN_DB:.0f} dB there, as such views are kinder than a flight’s"
    else:
        where = "where training photos were taken"
        wanted = (
            f"{LEAST_DECODE_DB:.0f} dB against the cleaned model, for {PROMISED_DB:.0f} elsewhere, "
            f"and loses at most {MOST_LOSS_DB:g} dB on the photos"
        )
    if any(one.chosen and one.good_enough for one in delivery.candidates):
        ending = f"Delivered is the smallest that keeps {wanted}"
    else:
        ending = f"None keeps {wanted}: delivered is the most faithful"
    aside = "; held-out photos had no say" if held_out else ""
    return (
        "Step 1 is the coarsest, the last as fine as the format goes. "
        f"Each was decoded, drawn {where} and held against the model that it packs. {ending}{aside}."
    )


def removed_words(removed: RemovedGaussians | None) -> str:
    """How many Gaussians were cleaned away, by what they were; empty where none was."""
    if removed is None or removed.total == 0:
        return ""
    counts = [(count, REMOVED.get(rule, rule)) for rule, count in removed.model_dump().items() if count]
    kinds = ", ".join(f"{count:,} {words}" for count, words in sorted(counts, reverse=True))
    return f"Cleaned away before: {removed.total:,} Gaussian{'s' if removed.total != 1 else ''} ({kinds})."


def lod_words(lod: LevelsOfDetail | None) -> str:
    """How the model is streamed; empty where it is small enough to be read at once."""
    if lod is None:
        return ""
    levels = ", ".join(f"{count:,}" for count in lod.gaussians)
    return (
        f"In {len(lod.gaussians)} levels of detail ({levels} Gaussians), {lod.chunks:,} chunks: a viewer "
        "reads what is near finely, and the rest coarsely."
    )


def _smaller(times: float) -> str:
    if times >= 9.5:
        return f"{times:.0f} times smaller"
    return f"{times:.1f} times smaller" if times >= 1.05 else "as large"


def _judgement(one: Candidate) -> str:
    if one.chosen:
        return "delivered"
    return "good enough, but larger" if one.good_enough else "loses too much"
