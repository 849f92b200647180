"""The steps of a round, one file a step, and beside them what only they use."""
