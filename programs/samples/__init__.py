"""Generated problems: the contract of each kind, the checks of programs and of rows, drawing."""
