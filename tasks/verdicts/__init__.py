"""How an answer is read and judged, one file a kind of answer: number, choice, code, short, and mathverify (LaTeX). It knows of no task."""
