"""Orders, dispatch and quotes: the hot path."""
