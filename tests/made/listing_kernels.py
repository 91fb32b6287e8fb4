"""A program that tells, on the last line of standard error, which kernels another one took: a JSON list.

    python listing_kernels.py MODULE

runs MODULE as `python -m MODULE` would, and leaves with its exit code. A kernel is named by file, name
and the types of its arguments, whether it was compiled or read from the cache.
"""

from __future__ import annotations

import json
import runpy
import sys

from numba.core.dispatcher import Dispatcher

code: object = 0
try:
    runpy.run_module(sys.argv.pop(1), run_name="__main__")
except SystemExit as end:
    code = end.code
values = {id(value): value for module in list(sys.modules.values()) for value in vars(module).values()}
kernels = [value for value in values.values() if isinstance(value, Dispatcher)]
taken = [
    f"{kernel.__module__}.{kernel.__name__}{types}"
    for kernel in kernels
    for types in {*kernel.stats.cache_hits, *kernel.stats.cache_misses}
]
print(json.dumps(sorted(taken)), file=sys.stderr)
sys.exit(code)
