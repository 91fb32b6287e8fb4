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
    'State Machine.States.CheckStatus.Choices[1].Not.StringEqualsPath is "$$.Execution.Id"'
    " but should be a Reference Path": "The Context object may be compared with: Step Functions Developer"
    ' Guide, "Accessing execution data from the Context object".',
}
IGNORED = {ProblemType.FLOAT: "It wants 2.0 where AWS takes 2."}


def problems(definition: str) -> list[str]:
    """What is wrong with a definition, in statelint's words."""
    filled = re.sub(r"\$\{(\w+)\}", r"\1", definition)
    found = Linter.validate(filled, Config(set(IGNORED)))
    return [problem for problem in found if problem not in NO_PROBLEMS]


if __name__ == "__main__":
    for problem in (found := problems(DEFINITION.read_text())):
        print(f"{DEFINITION.name}: {problem}", file=sys.stderr)
    sys.exit(1 if found else 0)
