"""A run's directory: its stages, its ledger, its evaluations, its progress."""
