"""What the pages of a site show, as JSON: pages can be written again without the model's work."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np

from lens.microscope.findings import Facts, Findings
from lens.microscope.parts import Drawn
from lens.microscope.pieces import Shown
from lens.sites import Site


def dumps(shown: Shown) -> str:
    """Write down all that the pages of a site show."""
    findings = shown.findings
    told = {
        "number": shown.number,
        "site": shown.site.name,
        "units": shown.units,
        "findings": {
            "values": findings.values,
            "stimuli": findings.stimuli,
            "facts": [asdict(facts) for facts in findings.units],
            "renderings": findings.renderings,
            "categories": findings.categories,
            "attrs": findings.attrs,
            "notes": findings.notes,
        },
        "drawn": {
            name: [[unit, asdict(made)] for unit, made in drawn.items()]
            for name, drawn in shown.drawn.items()
        },
        "asked": shown.asked,
        "recipes": shown.recipes,
        "outlines": list(shown.outlines.items()),
        "quality": list(shown.quality.items()),
        "notes": shown.notes,
    }
    return json.dumps(told, default=_plain, separators=(",", ":"))


def loads(text: str, site: Site) -> Shown:
    """Read it back."""
    told = json.loads(text)
    said = told["findings"]
    return Shown(
        number=told["number"],
        site=site,
        units=told["units"],
        findings=Findings(
            values=said["values"],
            stimuli=said["stimuli"],
            units=[_facts(row) for row in said["facts"]],
            renderings=said["renderings"],
            categories=said["categories"],
            attrs=said["attrs"],
            notes=said["notes"],
        ),
        drawn={
            name: {unit: Drawn(**made) for unit, made in rows}
            for name, rows in told["drawn"].items()
        },
        asked=told["asked"],
        recipes=told["recipes"],
        outlines=dict(told["outlines"]),
        quality={unit: [tuple(row) for row in rows] for unit, rows in told["quality"]},
        notes=told["notes"],
    )


def _facts(row: dict[str, Any]) -> Facts:
    arrays = {
        key: tuple(np.asarray(part) for part in row[key])
        for key in ("cells", "histogram", "shares")
    }
    pairs = {
        key: [tuple(pair) for pair in row[key]] for key in ("kinds", "similar", "opposing", "words")
    }
    of_rows = {"rows": np.asarray(row["rows"], int), "values": np.asarray(row["values"], float)}
    return Facts(**{**row, **arrays, **pairs, **of_rows})


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON")
