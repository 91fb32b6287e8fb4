"""A job program for tests: does what the variable STEPS says, one word a step."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(os.environ["SPACEPORT_ML_ROOT"])


def write(path: str, text: str) -> None:
    file = ROOT / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


for step in os.environ.get("STEPS", "").split():
    word, _, argument = step.partition("=")
    if word == "copy":  # every input, in capitals, to the output of that name
        for source in sorted((ROOT / "processing" / "input").rglob("*.txt")):
            write(f"processing/output/{argument}/{source.name}", source.read_text().upper())
    elif word == "model":
        write("model/model.ply", "ply")
        write("model/deep/metrics.json", (ROOT / "input/config/hyperparameters.json").read_text())
    elif word == "checkpoint":
        write("checkpoints/preview.jpg", argument)
    elif word == "resume":
        print("resumed from", (ROOT / "checkpoints/preview.jpg").read_text())
    elif word == "environment":
        print(json.dumps(dict(os.environ)))
    elif word == "print":
        print(argument)
        print(f"{argument} on stderr", file=sys.stderr)
    elif word == "sleep":
        time.sleep(float(argument))
    elif word == "grandchild":
        child = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep(600) # {argument}"])
        print(f"pids {os.getpid()} {child.pid}")
    elif word == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif word == "graceful":
        signal.signal(signal.SIGTERM, lambda *_: (write("model/partial.ply", "p"), sys.exit(0)))
    elif word == "message":
        write("output/message", argument)
        write("output/failure", argument)
    elif word == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif word == "exit":
        sys.exit(int(argument))
