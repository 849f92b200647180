"""Floor 1: the records that flow, the errors that are raised, and the DSPy signatures.

Importing this package imports nothing heavy; `errata.signatures.teach` is the one module here that needs dspy.
"""
