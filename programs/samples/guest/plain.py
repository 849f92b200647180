"""Completes a row of a kind that needs nothing more from the sandbox."""


def complete(row):
    return row
