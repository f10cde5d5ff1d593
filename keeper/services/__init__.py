"""One running loop per file: wait, snapshot, decide, hand on."""
