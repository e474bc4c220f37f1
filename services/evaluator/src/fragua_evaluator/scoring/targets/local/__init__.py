"""Models that this process loads itself: a base, a base with an adapter, and the two merged."""
