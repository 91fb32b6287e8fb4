"""Runs the cells of bench/gaussian.py that a file lists, several at a time, each in a process of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

PROGRAM = Path(__file__).with_name("gaussian.py")


def run_queue(queue: Path, out: Path, jobs: int, minutes: float) -> int:
    """Run the lines of `queue` (arguments of a cell, less `--out`), `jobs` at a time, over all GPUs.

    A cell that fails is told and costs the others nothing; after `minutes` what runs is ended and nothing
    more begins.

    Returns:
        An exit code: 1 where any cell is missing.
    """
    lines = [shlex.split(line, comments=True) for line in queue.read_text().splitlines()]
    cells = [line for line in lines if line]
    gpus = torch.cuda.device_count()
    shared = ["--shared"] if jobs > max(1, gpus) else []
    deadline = time.monotonic() + 60 * minutes

    def run(number: int) -> bool:
        command = [sys.executable, str(PROGRAM), *cells[number], "--out", str(out), *shared]
        # Read when CUDA starts: each process sees one of the GPUs, and takes it for the only one.
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": str(number % gpus)} if gpus else None
        try:
            left = max(0.0, deadline - time.monotonic())
            done = left > 0 and subprocess.run(command, env=environment, timeout=left, check=False)
            told = "NO TIME" if not done else "done" if done.returncode == 0 else "FAILED"
        except subprocess.TimeoutExpired:
            told = "NO TIME"
        print(told, shlex.join(cells[number]), flush=True)
        return told == "done"

    with ThreadPoolExecutor(jobs) as pool:
        return 0 if all(list(pool.map(run, range(len(cells))))) else 1
