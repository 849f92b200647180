"""Answers that a model has already given, read from the forms people have, each joined to the item that it answers.

Forms, told apart by their fields:
- `errata`: rows of an attempts.jsonl of Errata's own.
- `lm-eval`: samples_*.jsonl of lm-evaluation-harness `--log_samples`. The response is what the model said (`resps`), never a filter's cut
  of it; a document is logged once a filter, and only the rows of the first filter count. Where options were scored and nothing was said,
  the option of the highest likelihood is the response.
- `inspect`: an eval log of inspect, .json or .eval (a zip, deflated or in Zstandard). A sample that ended in an error is unjudged.
- `models`: rows that hold the answers of several models, each an object {"solution": text} under the model's name.
- `rows`: JSON lines, or a .json list, with a response and a question or an id.

A row that carries its gold answer is read by the task's own reader, and the task needs no data of its own; else the gold is joined from the
task's items by id or by the exact question. An answer to a dev or test item is judged and counted, but stands apart from train: the
instructor never sees it. Duplicates count.

What is not here: chats of several turns, scores by other people's graders (each answer is judged anew), compressed JSON lines, and .json
logs larger than memory. Judging the answers into a run: errata.programs.steps.recorded.
"""
