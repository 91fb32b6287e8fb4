"""Tables of the cells of bench/gaussian.py, in markdown."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

Cell = Mapping[str, Any]
# What a cell tells, what the column is called, and its digits after the point.
COLUMNS = {
    "seconds": ("training s", 1),
    "job_seconds": ("job s", 1),
    "iterations": ("iterations", 0),
    "stopped_by": ("stopped by", None),
    "psnr": ("held out dB", 2),
    "psnr_corrected": ("colour-corrected", 2),
    "ssim": ("SSIM", 3),
    "detail": ("detail", 2),
    "psnr_train": ("training dB", 2),
    "gaussians": ("Gaussians", 0),
    "ply_mb": ("PLY MB", 1),
    "peak_mb": ("peak MB", 0),
    "fps": ("FPS", 0),
    "decoded_psnr": ("decoded dB", 2),
    "sog_mb": ("SOG MB", 2),
}
CHANGES = ("psnr", "psnr_corrected", "ssim", "detail", "psnr_train")  # told with what they changed by
COSTS = ("gaussians", "ply_mb", "peak_mb", "seconds")
TIMINGS = {"seconds", "job_seconds", "fps"}  # mean nothing on a machine with other work


def read_cells(folder: Path) -> list[Cell]:
    cells = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    return sorted(cells, key=lambda cell: (*_group(cell), cell["split"], cell["set"], cell["seed"]))


def headline(name: str, cell: Cell) -> str:
    """A cell in one line."""
    columns = ("seconds", "iterations", "psnr", "ssim", "detail", "gaussians")
    return f"{name}: " + ", ".join(f"{COLUMNS[column][0]} {_told(cell, column)}" for column in columns)


def table(cells: Sequence[Cell]) -> str:
    """A row a cell; a stock trainer's best checkpoint, and below it its last one."""
    rows = []
    for cell in cells:
        rows.append(_row(cell, _name(cell)))
        if "last" in cell:
            same = {key: cell[key] for key in ("scene", "split", "size", "seed", "shared")}
            rows.append(_row({**same, **cell["last"]}, f"{_name(cell)}, its end"))
    return _markdown(
        ["scene", "split", "trainer", "seed", *(name for name, _ in COLUMNS.values())], rows, cells
    )


def ablation(cells: Sequence[Cell], base: Sequence[str]) -> str:
    """What each setting changes: means over the splits and seeds that a cell with it and one of the `base`
    settings alone are both there for, and in brackets the mean difference of the two.
    """
    groups: dict[tuple[Any, ...], dict[str, dict[tuple[Any, ...], Cell]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for cell in cells:
        if "last" not in cell and set(base) <= set(cell["set"]):
            changed = " ".join(setting for setting in cell["set"] if setting not in base)
            groups[_group(cell)][changed][cell["split"], cell["seed"]] = cell
    rows = []
    for (scene, trainer, size, iterations), by_change in groups.items():
        plain = by_change.pop("", {})
        what = " ".join([trainer, *base, *([f"({iterations:,} iterations)"] if iterations else [])])
        where = f"{scene}, {size} px"
        if plain:
            rows.append([where, f"**{what}**", _runs(plain), *_means(list(plain.values()), None)])
        for changed, changed_cells in by_change.items():
            both = sorted(plain.keys() & changed_cells.keys())
            if both:
                pair = [changed_cells[key] for key in both], [plain[key] for key in both]
                rows.append([where, changed, _runs(both), *_means(*pair)])
    names = [COLUMNS[column][0] for column in (*CHANGES, *COSTS)]
    return _markdown(["scene", "changed", "splits", *names], rows, cells)


def _group(cell: Cell) -> tuple[Any, ...]:
    """What cells must have in common to differ by settings alone."""
    return cell["scene"], cell["trainer"], cell["size"], cell["asked_iterations"] or 0


def _runs(keys: Any) -> str:
    seeds = defaultdict(int)
    for split, _ in keys:
        seeds[split] += 1
    return ", ".join(split if count == 1 else f"{split} × {count}" for split, count in sorted(seeds.items()))


def _means(cells: Sequence[Cell], plain: Sequence[Cell] | None) -> list[str]:
    shown = []
    for column in (*CHANGES, *COSTS):
        digits = COLUMNS[column][1]
        if column in TIMINGS and any(cell["shared"] for cell in cells):
            shown.append("")
            continue
        mean = fmean(cell[column] for cell in cells)
        text = f"{mean:,.{digits}f}"
        if plain is not None and column in CHANGES:
            text += f" ({mean - fmean(cell[column] for cell in plain):+.{digits}f})"
        shown.append(text)
    return shown


def _name(cell: Cell) -> str:
    asked = [f"({cell['asked_iterations']:,} iterations)"] if cell["asked_iterations"] else []
    return " ".join([cell["trainer"], *cell["set"], *asked])


def _row(cell: Cell, name: str) -> list[str]:
    first = [cell["scene"], f"{cell['split']}, {cell['size']} px", name, str(cell["seed"])]
    return first + [_told(cell, column) for column in COLUMNS]


def _told(cell: Cell, column: str) -> str:
    decoded = cell.get("decoded") or {}
    values = {**cell, "decoded_psnr": decoded.get("psnr"), "sog_mb": decoded.get("sog_mb")}
    value, digits = values.get(column), COLUMNS[column][1]
    if value is None or (column in TIMINGS and cell["shared"]):
        return ""
    return str(value) if digits is None else f"{value:,.{digits}f}"


def _markdown(names: Sequence[str], rows: Sequence[Sequence[str]], cells: Sequence[Cell]) -> str:
    """The table, below a line for each machine; columns with nothing in them are left out."""
    if not rows:
        return "no cells"
    machines = sorted({_machine(cell) for cell in cells})
    used = [index for index in range(len(names)) if any(row[index] for row in rows)]
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join([*machines, "", *("| " + " | ".join(line[i] for i in used) + " |" for line in lines)])


def _machine(cell: Cell) -> str:
    """Where a cell ran, without how busy that was."""
    facts = [fact for fact in cell["machine"].split(", ") if not fact.startswith("load ")]
    return ", ".join([*facts, cell["gpu"] or "no GPU"])
