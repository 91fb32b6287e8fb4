"""statelint on the state machine as CloudFormation deploys it: `python statemachine/lint.py`.

The definition's placeholders are filled with their own names first.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from statelint.config import Config
from statelint.linter import Linter
from statelint.problem import ProblemType

DEFINITION = Path(__file__).with_name("pipeline.asl.json")
# What statelint gets wrong, each with the reason. Anything else is an error.
NO_PROBLEMS = {
    # The Context object may be compared with: "Accessing execution data from the Context object",
    # Step Functions Developer Guide, "variable to variable comparison operators".
    'State Machine.States.CheckStatus.Choices[1].Not.StringEqualsPath is "$$.Execution.Id"'
    " but should be a Reference Path",
}


def problems(definition: str) -> list[str]:
    """What is wrong with a definition, in statelint's words."""
    filled = re.sub(r"\$\{(\w+)\}", r"\1", definition)
    # FLOAT: it wants 2.0 where AWS takes 2.
    found = Linter.validate(filled, Config({ProblemType.FLOAT}))
    return [problem for problem in found if problem not in NO_PROBLEMS]


if __name__ == "__main__":
    for problem in (found := problems(DEFINITION.read_text())):
        print(f"{DEFINITION.name}: {problem}", file=sys.stderr)
    sys.exit(1 if found else 0)
