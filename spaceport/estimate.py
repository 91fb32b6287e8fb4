"""What a job will cost, before it starts: expected seconds of its stages times the table of prices.

An upper estimate. No machine of SageMaker's has been measured: SfM and compression are what 16 and 2 cores
of an Intel Xeon took (docs/sfm.md, docs/compression.md), training is what an H200's kernels took
(docs/training.md, "Where an iteration's time goes") times how much less memory bandwidth the machine's GPU
has. docs/cost.md says what of it is sure.
"""

from __future__ import annotations

from collections.abc import Mapping

from spaceport.prices import Bill, bill_at
from spaceport.stages import COMPRESSION, SFM, TRAINING
from spaceport.tuning import Tuning

# Seconds of each stage that are billed before its program begins: image and data are fetched once the machine
# is there (DescribeTrainingJob: billed from TrainingStartTime on). Assumed.
START_S = 120.0
# 13.9 s for brighton's 18 photos on 16 cores; the demo flight's take 2.2 times as long (docs/sfm.md).
SFM_S_A_PHOTO = 1.7
COMPRESSION_S = 30.0  # 10 on 2 cores for 295,000 Gaussians, and 15 where those are busy
# Photos read, seeds placed, model measured and filmed, on the machine's few cores.
TRAINING_BESIDES_S = 30.0
# Milliseconds that the kernels of one iteration take on an H200, of 100,000 Gaussians at 1024 px.
H200_MS = 1.55
REFERENCE_GAUSSIANS, REFERENCE_PX = 100_000, 1024
LEAST_MS = 5.0  # Python and its launches, which no GPU makes faster
# How many times less memory bandwidth than an H200's 4.8 TB/s: T4 320 GB/s, A10G 600 GB/s (NVIDIA's data
# sheets). By arithmetic they are 8 and 2 times slower; the worse of both is taken.
SLOWER_THAN_H200 = {"ml.g4dn": 15.0, "ml.g5": 8.0}


def expected_seconds(photos: int, tuning: Tuning, training_instance: str) -> dict[str, float | None]:
    """Billed seconds by the stage's name; None for training on a machine that nothing is known of."""
    return {
        SFM.name: START_S + SFM_S_A_PHOTO * photos,
        TRAINING.name: _training(tuning, training_instance),
        COMPRESSION.name: START_S + COMPRESSION_S,
    }


def estimate(photos: int, tuning: Tuning, instances: Mapping[str, str], region: str) -> Bill:
    """The bill to expect, at list prices on demand.

    Args:
        instances: the type of each stage's machine, by the stage's name.
    """
    seconds = expected_seconds(photos, tuning, instances[TRAINING.name])
    bill = bill_at({name: spent for name, spent in seconds.items() if spent is not None}, instances, region)
    untimed = dict.fromkeys(name for name, spent in seconds.items() if spent is None)
    return Bill({**bill.stages, **untimed}, bill.instances)


def _training(tuning: Tuning, instance: str) -> float | None:
    slower = SLOWER_THAN_H200.get(instance.rpartition(".")[0])
    if slower is None:
        return None
    # The ceilings of the settings: most scenes support fewer Gaussians, and many runs end before.
    work = max(tuning.max_gaussians / REFERENCE_GAUSSIANS, (tuning.train_max_size / REFERENCE_PX) ** 2)
    iteration = max(H200_MS * slower * work, LEAST_MS)
    return START_S + TRAINING_BESIDES_S + tuning.max_iterations * iteration / 1000
