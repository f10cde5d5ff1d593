"""Many accounts judged at once, in columns of floats that only pre-select; exact integers have the last word."""

from keeper.domain.columns.accounts import AccountColumns, Judged

__all__ = ["AccountColumns", "Judged"]
