"""Nouns and maths: pure, synchronous, `now` is an argument."""
