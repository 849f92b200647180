"""A testbed for prompt optimization: an instructor for whom wording matters, and a reader of feedback who rewrites its instructions.

`careless()` is the offline instructor with three bad habits. Each is left off when the instruction asks for its opposite in plain words, or
when a demonstration shows a program without it; otherwise, asked at a high temperature, it is left off by luck in one of two answers:

    anchors        it leaves ANCHORS empty                                    unless asked to rebuild the error, or for anchors
    constraints    a fifth of its draws find no sensible numbers and fail     unless asked for sensible problems or whole numbers
    variety        it draws from the level alone, five problems in all        unless asked to vary or for distinct problems

What it is shown beside the instruction (the contract, the failure) changes nothing: the habits answer to the instruction and the
demonstrations alone, which is what optimizers can change. `reflecting()` proposes wording from the feedback that it reads, one sentence for
each complaint; it knows the complaints, not the habits. Not covered: a real model's taste in wording.
"""

import hashlib
import json
import re
from collections import Counter

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, Usage

from errata.programs.offline.engine import OfflineEngine

BAD = "Write a program."
"""An instruction that asks for nothing."""
ASKED = {
    "anchors": re.compile(r"anchor|rebuild", re.I),
    "constraints": re.compile(r"sensible|whole number", re.I),
    "variety": re.compile(r"vary|distinct", re.I),
}
HABITS = {
    "anchors": "\nANCHORS = {}\n",
    "constraints": """
_sensible = draw
def draw(rng, level):
    if rng.random() < 0.2:
        raise ValueError("no sensible numbers")
    return _sensible(rng, level)
""",
    "variety": """
_varied = draw
def draw(rng, level):
    return _varied(type(rng)(level), level)
""",
}
ADVICE = {
    "failed:": "Give ANCHORS that rebuild the error's own problem.",
    "draws failed": "Draw sensible numbers only.",
    "distinct problems in": "Vary the numbers, so that problems are distinct.",
}
"""What a complaint says -> what to ask for."""


class Careless(OfflineEngine):
    """Obeys its instruction, not the contract beside it."""

    def __init__(self):
        self.asked = Counter()
        self.calls = 0

    def complete(self, request: Request) -> Response:
        self.calls += 1
        response = super().complete(request)
        text = response.message.parts[0].text
        if "```python" not in text:
            return response
        instruction = request.system.partition("your objective is:")[2]
        shown = [message.text for message in request.messages[:-1] if message.role == "assistant" and "```python" in message.text]
        habits = [name for name in HABITS if not self._left_off(name, instruction, shown, request)]
        body, _, tail = text.rpartition("```")
        text = body + "".join(HABITS[name] for name in sorted(habits)) + "```" + tail
        return Response(response.id, response.model, Message.assistant([TextPart(text)]), finish_reason="stop", usage=response.usage)

    def _left_off(self, name, instruction, shown, request):
        if ASKED[name].search(instruction) or (shown and not any(HABITS[name].strip() in program for program in shown)):
            return True
        if (request.config.temperature or 0) < 0.9:
            return False
        key = name + instruction + request.messages[-1].text
        self.asked[key] += 1
        return hashlib.sha256(f"{self.asked[key]}{key}".encode()).digest()[0] % 2 == 0


class Reflecting:
    """Reads complaints and asks for their opposite; answers what GEPA, MIPROv2 and SIMBA ask of a model that rewrites."""

    def __init__(self):
        self.calls = 0

    def complete(self, request: Request) -> Response:
        self.calls += 1
        text = request.messages[-1].text
        listed = request.system.partition("Your output fields are:")[2].partition("All interactions")[0]
        fields = re.findall(r"^\d+\. `(\w+)`", listed, re.MULTILINE)
        advice = [sentence for complaint, sentence in ADVICE.items() if complaint in text]
        # without complaints to read, as in MIPROv2, it guesses
        guess = [sentence for place, sentence in enumerate(ADVICE.values()) if hashlib.sha256(text.encode()).digest()[place] % 4]
        values = dict.fromkeys(fields, "nothing much")
        if "new_instruction" in values:
            old = text.partition("[[ ## current_instruction ## ]]")[2].partition("[[ ##")[0].strip()
            values["new_instruction"] = " ".join([old, *(sentence for sentence in advice if sentence not in old)])
        if "proposed_instruction" in values:
            values["proposed_instruction"] = " ".join([BAD, *guess])
        if "module_advice" in values:
            names = json.loads(text.partition("[[ ## module_names ## ]]")[2].partition("[[ ##")[0].partition("Respond with")[0])
            values["module_advice"] = json.dumps({name: " ".join(advice or guess) for name in names})
        said = "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in values.items()) + "[[ ## completed ## ]]"
        usage = Usage(input_tokens=len(text.split()), output_tokens=len(said.split()))
        return Response("reflecting", request.model, Message.assistant([TextPart(said)]), finish_reason="stop", usage=usage)


def careless() -> dspy.LM:
    return dspy.LM("local/careless", engine=Careless(), cache=False)


def reflecting() -> dspy.LM:
    return dspy.LM("local/reflecting", engine=Reflecting(), cache=False)
