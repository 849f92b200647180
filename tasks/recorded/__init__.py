"""Answers that a model has already given, read from the forms people have, each joined to the item that it answers.

Forms, each told by several of its fields together, so that no field of the user's own is taken for one:
- `errata`: rows of an attempts.jsonl of Errata's own.
- `lm-eval`: samples_*.jsonl of lm-evaluation-harness `--log_samples`. The response is what the model said (`resps`), never a filter's cut
  of it; a response counts once, however many filters it is logged under. Where options were scored, the likeliest one is the response.
- `inspect`: an eval log of inspect, .json or .eval (a zip, deflated or in Zstandard), one answer a sample and epoch. The gold is the
  sample's target. A sample that ended in an error is unjudged.
- `models`: rows that hold the answers of several models, each an object {"solution": text, "is_correct": ...} under the model's name.
- `rows`: rows of any container that errata.tasks.files reads, with a response and a question or an id. The response is a text, a list of
  texts, or the envelope of a server or engine (errata.tasks.recorded.replies); the whole row may be one, as in a batch's output.

A field that the user maps wins over that of the form. A row that carries its gold answer is read by the task's own reader, and is the
task's own item where question and gold are the same; else the gold is joined from the task's items by id or by the exact question. An
answer to a dev or test item is judged and counted, but the instructor never sees it. Duplicates count. A chat of several turns is of the
item whose turns are its last ones. Not here: other graders' scores, .json logs larger than memory, and judging
(errata.programs.run.recorded).
"""
