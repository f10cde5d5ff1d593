"""Judges a finished run from its recording. Shares no code with the keeper: an error in one must not hide in the other."""
