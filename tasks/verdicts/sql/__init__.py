"""SQL as an answer: queries read from responses, run in SQLite in a child process, and compared by their results."""
