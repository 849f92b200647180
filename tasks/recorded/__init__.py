"""Answers that a model has already given, read from the forms people have, each joined to the item that it answers.

Forms, told apart by their fields:
- `errata`: rows of an attempts.jsonl of Errata's own.
- `lm-eval`: samples_*.jsonl of lm-evaluation-harness `--log_samples`. The response is what the model said (`resps`), never a filter's cut
  of it; only the rows of the first filter count. Where options were scored, the one of the highest likelihood is the response.
- `inspect`: an eval log of inspect, .json or .eval (a zip, deflated or in Zstandard). A sample that ended in an error is unjudged.
- `models`: rows that hold the answers of several models, each an object {"solution": text} under the model's name.
- `rows`: JSON lines, or a .json list, with a response and a question or an id.

A row that carries its gold answer is read by the task's own reader; else the gold is joined from the task's items by id or by the exact
question. An answer to a dev or test item is judged and counted, but the instructor never sees it. Duplicates count. Not here: chats of
several turns, other graders' scores, compressed JSON lines, .json logs larger than memory, and judging (errata.programs.steps.recorded).
"""
