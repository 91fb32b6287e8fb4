"""An earlier version of the product, for tests of what becomes of a stack that is updated.

It is kept as a file, `earlier_version.tar.xz`, because a clone may be shallow, as in CI, and have no earlier
commits. It was made of one of 23 November 2026, the last without links to results, by

    git archive --format=tar 5494dfc template.yaml statemachine functions spaceport | xz -9e

Once there is a release, its tag takes the place of that commit.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

KEPT = Path(__file__).with_suffix(".tar.xz")


def unpack(folder: Path, node_modules: Path) -> Path:
    """Lay it into `folder`, as `LocalCloud(project=...)` takes it.

    On AWS its functions import the contract package of their own version from their layer, here from the
    environment, which has today's. So each gets its own beside its code, where Python looks first.
    """
    with tarfile.open(KEPT) as archive:
        archive.extractall(folder, filter="data")
    for function in (folder / "functions").iterdir():
        shutil.copytree(folder / "spaceport", function / "spaceport")
    (folder / "node_modules").symlink_to(node_modules)  # of the viewer: the template is refused without
    return folder
