"""A testbed for prompt optimization: an instructor for whom wording matters, and a reader of feedback who rewrites its instructions.

`careless()` is the offline instructor with three bad habits. Each is left off when the instruction asks for its opposite in plain words, or
when a demonstration shows a program without it; otherwise, asked at a high temperature, it is left off by luck in one of two answers:

    anchors        it leaves ANCHORS empty                                    unless asked to rebuild the error, or for anchors
    constraints    a fifth of its draws find no sensible numbers and fail     unless asked for sensible problems or whole numbers
    variety        it draws from the level alone, five problems in all        unless asked to vary or for distinct problems

To ask is to give an order: a sentence that begins with what is to be done, or says "must". Naming the thing, or forbidding it, is none.

What it is shown beside the instruction (the contract, the failure) changes nothing: the habits answer to the instruction and the
demonstrations alone, which is what optimizers can change. `reflecting()` proposes wording from the feedback that it reads, one sentence for
each complaint; it knows the complaints, not the habits. Not covered: a real model's taste in wording.
"""

import hashlib
import json
import re
from collections import Counter

import dspy
from dspy.lm15 import Config, Message, Request, Response, TextPart, Usage
from openai_server import Reply

from errata.programs.instructor.offline.engine import OfflineEngine

BAD = "Write a program."
"""An instruction that asks for nothing."""
ORDERS = {
    "anchors": ("give|set|fill|define|write|include|rebuild", r"\banchors?\b|\brebuild"),
    "constraints": ("draw|choose|keep|use|make", r"\bsensible\b|\bwhole numbers?\b"),
    "variety": ("vary|draw|make|let", r"\bvary\b|\bdistinct\b"),
}
"""What to do, and with what."""
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
    "failed:": "Give ANCHORS that rebuild the problem of the error.",
    "draws failed": "Draw sensible numbers only.",
    "distinct problems in": "Vary the numbers, so that problems are distinct.",
}
"""What a complaint says -> what to ask for."""


def asked_for(instruction: str) -> set[str]:
    """What an instruction orders, sentence by sentence."""
    found = set()
    for sentence in re.split(r"(?<=[.!?:])\s+|\n", instruction):
        for name, (verbs, thing) in ORDERS.items():
            order = re.match(rf"\s*(?:please |always |also |then )?(?:{verbs})\b", sentence, re.I) or re.search(r"\bmust\b", sentence)
            forbidden = re.search(r"\b(?:not|never|no|nor|without)\b|n't\b", sentence, re.I)
            if order and re.search(thing, sentence, re.I) and not forbidden:
                found.add(name)
    return found


KNOWN: dict[str, Response] = {}


def written(request: Request) -> Response:
    """The offline instructor's answer, which hangs on the question alone; each is worked out once."""
    key = str(request.messages[-1].text)
    if key not in KNOWN:
        KNOWN[key] = OfflineEngine().complete(request)
    return KNOWN[key]


class Careless(OfflineEngine):
    """Obeys its instruction, not the contract beside it."""

    def __init__(self):
        self.asked = Counter()
        self.calls = 0

    def complete(self, request: Request) -> Response:
        self.calls += 1
        response = written(request)
        text = response.message.parts[0].text
        if "```python" not in text:
            return response
        instruction = request.system.partition("\n\nYou are given:")[0]
        shown = [message.text for message in request.messages[:-1] if message.role == "assistant" and "```python" in message.text]
        habits = [name for name in HABITS if not self._left_off(name, instruction, shown, request)]
        body, _, tail = text.rpartition("```")
        text = body + "".join(HABITS[name] for name in sorted(habits)) + "```" + tail
        return Response(response.id, response.model, Message.assistant([TextPart(text)]), finish_reason="stop", usage=response.usage)

    def _left_off(self, name, instruction, shown, request):
        if name in asked_for(instruction) or (shown and not any(HABITS[name].strip() in program for program in shown)):
            return True
        if (request.config.temperature or 0) < 0.9:
            return False
        key = name + instruction + request.messages[-1].text
        self.asked[key] += 1
        return hashlib.sha256(f"{self.asked[key]}{key}".encode()).digest()[0] % 2 == 0


class Reflecting:
    """Reads complaints and asks for their opposite; answers what GEPA (of code too), MIPROv2 and SIMBA ask of a model that rewrites."""

    def __init__(self):
        self.calls = 0

    def complete(self, request: Request) -> Response:
        self.calls += 1
        text = request.messages[-1].text
        form = request.system.rpartition("Your answer has this form:")[2]
        fields = [name for name in re.findall(r"^\[\[ ## (\w+) ## \]\]$", form, re.MULTILINE) if name != "completed"]
        advice = [sentence for complaint, sentence in ADVICE.items() if complaint in text]
        # without complaints to read, as in MIPROv2, it guesses
        guess = [sentence for place, sentence in enumerate(ADVICE.values()) if hashlib.sha256(f"c {text}".encode()).digest()[place] % 4]
        values = dict.fromkeys(fields, "nothing much")
        if "new_instruction" in values:
            old = text.partition("[[ ## current_instruction ## ]]")[2].partition("[[ ##")[0].strip()
            values["new_instruction"] = " ".join([old, *(sentence for sentence in advice if sentence not in old)])
        if "proposed_instruction" in values:
            values["proposed_instruction"] = " ".join([BAD, *guess])
        if "revised_source" in values:
            source = text.partition("[[ ## current_source ## ]]")[2].partition("[[ ## failures ## ]]")[0].strip()
            values["revised_source"] = source.replace(BAD, " ".join([BAD, *(sentence for sentence in advice if sentence not in source)]))
        if "module_advice" in values:
            names = json.loads(text.partition("[[ ## module_names ## ]]")[2].partition("[[ ##")[0].partition("Respond with")[0])
            values["module_advice"] = json.dumps({name: " ".join(advice or guess) for name in names})
        said = "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in values.items()) + "[[ ## completed ## ]]"
        usage = Usage(input_tokens=len(text.split()), output_tokens=len(said.split()))
        return Response("reflecting", request.model, Message.assistant([TextPart(said)]), finish_reason="stop", usage=usage)


class Both:
    """One model for both: it writes, and rewrites what it is told."""

    def __init__(self):
        self.careless, self.reflecting = Careless(), Reflecting()

    def complete(self, request: Request) -> Response:
        writes = re.search(r"^\[\[ ## (program|misconception) ## \]\]$", request.system, re.MULTILINE)
        return (self.careless if writes else self.reflecting).complete(request)


class Served(Both):
    """The same behind the OpenAI chat protocol, as a script of the loopback server."""

    def __call__(self, body, number):
        messages = [getattr(Message, row["role"])(row["content"]) for row in body["messages"][1:]]
        config = Config(temperature=body.get("temperature"))
        request = Request("loopback", messages, system=body["messages"][0]["content"], config=config)
        return Reply(self.complete(request).message.parts[0].text)


def careless() -> dspy.LM:
    return dspy.LM("local/careless", engine=Careless(), cache=False)


def reflecting() -> dspy.LM:
    return dspy.LM("local/reflecting", engine=Reflecting(), cache=False)


def both() -> dspy.LM:
    return dspy.LM("local/both", engine=Both(), cache=False)
