"""The small world of the target `tiny`: tasks whose items are made from a seed, each with a harder twin, and `mixed` of them all."""
