"""Programs from train rows alone, by recombining what the rows show: their parts, their slots, their values.

Nothing here understands a text. Wordings and answers are those of train rows, and a program says so in its first line.
"""

ORIGIN = "Wordings and answers come from train rows, recombined by the embedded instructor; nothing here rests on understanding."
