"""Named patterns among the errors of a run: found, written for a person, and chosen by one before anything is paid for."""
