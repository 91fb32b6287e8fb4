"""A stub program for tests of the queue. It waits while there is a file `held` beside it.

Then the first stage fails at once, so that the next job's turn comes; but where there is a file `whole`, it
is the stub beside it (`stub_program.py`, copied as `program.py`).
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent

while (HERE / "held").exists():
    time.sleep(0.02)
if not (HERE / "whole").exists():
    sys.exit(1)
runpy.run_path(str(HERE / "program.py"), run_name="__main__")
