"""Whether every public name has a type: `complete.py REPORT`; fails if one has not.

Goal: what a user's type checker sees of the package is known, not guessed. Method: pyright's report
on the installed package. What comes from a framework that has no types is left out, by its reason.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

UNTYPED = {
    "oncegate.celery.": "what its users inherit from Celery has no types in Celery itself",
    "oncegate.dramatiq.": "neither have Dramatiq's",
}


def main(report: Path) -> None:
    said = json.loads(report.read_text())["typeCompleteness"]
    exported = [symbol for symbol in said["symbols"] if symbol["isExported"]]
    assert len(exported) > 50, "the report has no symbols; is the package installed?"
    unknown = [
        (symbol["name"], [found["message"] for found in symbol["diagnostics"]])
        for symbol in exported
        # An attribute whose type follows from what it is set to has one: that is ambiguous at most.
        if not (symbol["isTypeKnown"] or symbol["isTypeAmbiguous"])
        and not symbol["name"].startswith(tuple(UNTYPED))
    ]
    for name, messages in unknown:
        print(name, *messages, sep="\n  ", file=sys.stderr)
    assert not unknown, f"{len(unknown)} public names have no complete type"
    print(f"{len(exported)} public names, all of them with types")


main(Path(sys.argv[1]))
