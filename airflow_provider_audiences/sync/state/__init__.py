"""What a sync remembers of an audience, and how that changes so that a crash at any point loses nothing."""
