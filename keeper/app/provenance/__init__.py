"""`keeper explain` and `keeper verify`: from a published price back to what it was computed from."""
