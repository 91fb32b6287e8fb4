"""A program that tells, on the last line of standard error, how many kernels another one had to compile.

    python counting_kernels.py MODULE

runs MODULE's `main()`, as `python -m PROGRAM` would, and leaves with its exit code.
"""

from __future__ import annotations

import importlib
import sys

from numba.core.dispatcher import Dispatcher

code = importlib.import_module(sys.argv.pop(1)).main()
values = {id(value): value for module in list(sys.modules.values()) for value in vars(module).values()}
kernels = [value for value in values.values() if isinstance(value, Dispatcher)]
print(sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels), file=sys.stderr)
sys.exit(code)
