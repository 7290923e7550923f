"""ArcBlock's own packages as an oracle: a process of Node that answers a list of cases."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.environments import modules_of, node

SCRIPTS = Path(__file__).parent
LOCK = "arcblock"
RUN_S = 240.0
Case = dict[str, Any]


def run(script: str, home: Path, environ: dict[str, str] | None = None) -> str:
    """Run a script of this folder with the packages beside it, and return what it prints."""
    modules = home / "node_modules"
    if not modules.exists():
        modules.symlink_to(modules_of(LOCK))
    (home / script).write_bytes((SCRIPTS / script).read_bytes())
    done = subprocess.run(
        [str(node()), script],
        check=False,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        cwd=home,
        env={"PATH": os.defpath, "HOME": str(home), "LANG": "C.UTF-8", **(environ or {})},
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def answers(cases: list[Case], home: Path) -> list[Any]:
    """Return what the packages say to each case (see oracle.mjs)."""
    (home / "cases.json").write_text(json.dumps(cases))
    run("oracle.mjs", home)
    said: list[Any] = json.loads((home / "answers.json").read_text())
    assert len(said) == len(cases)
    return said
