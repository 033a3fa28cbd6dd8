"""The report: tables of medians, with the spread of the rounds."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path

from rounds import Row


def printed(rows: list[Row]) -> str:
    """All parts, each as a table of Markdown."""
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(row.part, []).append(row)
    return "\n\n".join(table(part, of) for part, of in parts.items())


def table(part: str, rows: list[Row]) -> str:
    """One part."""
    base = next((row for row in rows if row.base), None)
    lines = [f"### {part}", "", "| | ns | spread | times | half of its rounds |"]
    lines.append("|---|---|---|---|---|")
    for row in rows:
        cells = [row.name, number(row.median)]
        cells.append(f"{number(min(row.samples))} to {number(max(row.samples))}")
        if base is None:
            cells += ["", ""]
        else:
            ratios = sorted(mine / its for mine, its in zip(row.samples, base.samples, strict=True))
            quarter = len(ratios) // 4
            cells.append(number(row.times(base)))
            cells.append(f"{number(ratios[quarter])} to {number(ratios[-1 - quarter])}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def number(value: float) -> str:
    """Three digits that count."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def machine() -> str:
    """What it ran on."""
    model = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = lines[0].partition(":")[2].strip() if lines else model
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    python = platform.python_version()
    return f"{os.cpu_count()} processors, {model}; load {load}; CPython {python}"


def versions(names: tuple[str, ...]) -> str:
    """What was compared."""
    return ", ".join(f"{name} {metadata.version(name)}" for name in names)


def saved(rows: list[Row], path: Path, about: dict[str, str]) -> None:
    """All samples, for whoever wants to look closer."""
    told = [
        {"part": row.part, "name": row.name, "count": row.count, "ns": row.samples} for row in rows
    ]
    path.write_text(json.dumps({"about": about, "rows": told}, indent=1) + "\n")
