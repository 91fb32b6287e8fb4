"""Which stage reads which settings: what the help of each program lists. All of them take all."""

from __future__ import annotations

from spaceport.stages import COMPRESSION, SFM, Stage
from spaceport.tuning import TuningRequest

_POSES_ONLY = {"sfm_max_size", "sfm_pairs", "sfm_mapper", "drop_blurred", "sparse_text"}
_DELIVERY_ONLY = {
    "remove_invisible",
    "merge_duplicates",
    "remove_floaters",
    "crop",
    "crop_margin",
    "lod_above",
    "formats",
}
_READ = {
    SFM: _POSES_ONLY | {"preset", "dense_seeds", "seed"},
    COMPRESSION: _DELIVERY_ONLY | {"preset", "train_max_size", "seed"},
}


def settings_of(stage: Stage) -> tuple[str, ...]:
    """The settings that `stage` reads, those that a preset brings among them, in the order of TuningRequest.

    Training reads all that is not another stage's alone.
    """
    read = _READ.get(stage, TuningRequest.model_fields.keys() - _POSES_ONLY - _DELIVERY_ONLY)
    return tuple(name for name in TuningRequest.model_fields if name in read)
