"""What a wheel must hold: `wheel.py WHEEL PROJECT VERSION`; fails if it holds more, or less.

Goal: what is published is the package, its types and its licences, and says what it is. Method: the
files of the archive against those of the tree, and the metadata line by line.
"""

from __future__ import annotations

import sys
import zipfile
from email.parser import Parser
from email.policy import compat32
from pathlib import Path


def expected(project: Path, info: str) -> set[str]:
    package = project / "python"
    files = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.is_file() and path.suffix in {".py", ".pyi", ".typed"}
    }
    files |= {f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL")}
    files |= {f"{info}/licenses/{name}" for name in ("LICENSE-APACHE", "LICENSE-MIT")}
    # What the library was built from, for those who look for vulnerable parts.
    return files | {"oncegate/_core.abi3.so", f"{info}/sboms/oncegate-python.cyclonedx.json"}


def main(archive: str, project: Path, version: str) -> None:
    info = f"oncegate-{version}.dist-info"
    with zipfile.ZipFile(archive) as wheel:
        files = set(wheel.namelist())
        metadata = Parser(policy=compat32).parsestr(wheel.read(f"{info}/METADATA").decode())
    wanted = expected(project, info)
    assert files == wanted, f"missing: {wanted - files}; too much: {files - wanted}"
    said = {
        "Name": "oncegate",
        "Version": version,
        "Requires-Python": ">=3.9",
        "License-Expression": "MIT OR Apache-2.0",
    }
    for field, value in said.items():
        assert metadata[field] == value, f"{field}: {metadata[field]}"
    always = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert not always, f"the package needs {always}"
    assert str(metadata.get_payload()).strip() == (project / "README.md").read_text().strip()
    assert "oncegate/py.typed" in files


main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
