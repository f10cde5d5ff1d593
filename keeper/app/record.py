"""`keeper record`: a dry run without keys whose tape is kept whole, beside whatever keeper runs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from keeper.app import live
from keeper.app.places import require_directory
from keeper.settings.models import Settings, SignersSettings


def run(settings: Settings, out: Path, for_s: float | None) -> None:
    """Runs until SIGTERM, SIGINT or the end of `for_s`. Raises KeeperError where no tape can be written."""
    require_directory(out, "--out")
    with tempfile.TemporaryDirectory(prefix="keeper-record-") as scratch:
        alone = {
            "signers": SignersSettings(),
            "state_dir": Path(scratch),
            "admin_socket": Path(scratch) / "keeper.sock",
            "ops": settings.ops.model_copy(update={"port": 0}),
        }
        live.run(settings.model_copy(update=alone), dry_run=True, whole_tape=out, for_s=for_s)
