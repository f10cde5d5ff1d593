"""`python -m keeper`."""

from __future__ import annotations

from keeper.cli import main

if __name__ == "__main__":
    main()
