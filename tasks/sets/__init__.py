"""Published data sets as tasks: each reads the forms in which its set is published, from a path or from the hub."""
