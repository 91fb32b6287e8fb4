"""A stub program that does as it is told: `orders/{jobId}.{sfm|3dgs|sog}` beside this file holds one word;
`orders/{sfm|3dgs|sog}`, one for every job.

Without an order, or once it is done, it is the stub beside it (`stub_program.py`, copied as `program.py`).
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

from spaceport.job_program import MlTree

HERE = Path(__file__).parent
TREE = MlTree.from_environment()
NAME = os.environ.get("TRAINING_JOB_NAME") or os.environ["PROCESSING_JOB_NAME"]
JOB_ID, SUFFIX, _, _ = NAME.rsplit("-", 3)  # {jobId}-{sfm|3dgs|sog}-{run}-{attempt}
OWN, EVERY = HERE / "orders" / f"{JOB_ID}.{SUFFIX}", HERE / "orders" / SUFFIX
ORDER = OWN if OWN.exists() else EVERY

if SUFFIX == "3dgs":  # what training leaves, however it ends
    for file in (TREE.model / "model.ply", TREE.checkpoints / "iteration.txt"):
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():  # a checkpoint that was given back
            file.write_text("0")
match ORDER.read_text() if ORDER.exists() else "":
    case "refuse":  # as a UserError of the real programs
        message = TREE.training_failure if SUFFIX == "3dgs" else TREE.processing_message
        message.write_text(json.dumps({"code": "bad_light", "message": "Too dark.", "hint": "Fly at noon."}))
        sys.exit(1)
    case "poor":  # a scene of next to nothing
        runpy.run_path(str(HERE / "program.py"), run_name="__main__")
        report = TREE.processing_output("colmap") / "sfm.json"
        report.write_text(report.read_text().replace('"points":100', '"points":7'))
        sys.exit()
    case "break":
        sys.exit(70)
    case "die":  # as the kernel ends what uses too much memory
        os.kill(os.getpid(), signal.SIGKILL)
    case "hang" | "resist" as word:  # with a child
        if word == "resist":  # both are deaf to SIGTERM
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"], check=False)
    case "wait":
        while ORDER.exists():
            time.sleep(0.02)
runpy.run_path(str(HERE / "program.py"), run_name="__main__")
