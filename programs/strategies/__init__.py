"""dspy.Modules that turn failures into programs."""
