"""A server's words are read from every envelope in use, its limits are told apart, and no reply holds a caller up or a terminal's keys."""

import base64
import gzip
import json
import socket
import threading
import time
from urllib.parse import quote

import httpx
import pytest

from errata.signatures.calls import plain, without_keys
from errata.signatures.replies import MOST_BYTES, answered, broken_limit, counts, exchange, tokens, words

BOOM = {
    "OpenAI": {"error": {"message": "boom", "type": "x", "code": 1}},
    "Ollama": {"error": "boom"},
    "vLLM": {"object": "error", "message": "boom", "type": "BadRequestError", "param": None, "code": 400},
    "message": {"message": "boom"},
    "FastAPI": {"detail": "boom"},
    "list of texts": {"error": ["boom"]},
    "list of errors": {"errors": [{"message": "boom"}]},
    "AWS": {"__type": "ValidationException", "message": "boom"},
    "AWS, capital": {"Message": "boom"},
    "Google": [{"error": {"code": 400, "message": "boom", "status": "INVALID_ARGUMENT"}}],
    "Azure": {"error": {"code": "DeploymentNotFound", "message": "boom", "innererror": {"code": "x"}}},
    "API management": {"statusCode": 401, "message": "boom"},
    "Apigee": {"fault": {"faultstring": "boom", "detail": {"errorcode": "x"}}},
    "msg": {"code": 1113, "msg": "boom"},
    "MiniMax": {"base_resp": {"status_code": 1004, "status_msg": "boom"}},
    "TGI": {"error": "boom", "error_type": "validation"},
    "Anthropic": {"type": "error", "error": {"type": "invalid_request_error", "message": "boom"}},
    "problem+json": {"title": "Bad", "status": 400, "detail": "boom"},
    "deep": {"error": {"message": {"detail": {"msg": "boom"}}}},
    "a truth value": {"error": True, "reason": "boom"},
    "a number": {"error": 1, "msg": "boom"},
    "null": {"success": False, "error": None, "message": "boom"},
    "JSON in JSON": {"error": {"message": '{"detail": "boom"}'}},
    "a text": "boom",
}


@pytest.mark.parametrize("envelope", BOOM.values(), ids=BOOM)
def test_words_of_an_error_are_found_in_every_envelope(envelope):
    assert words(json.dumps(envelope).encode()) == "boom"


SAID = {
    b"": "",
    b"{}": "",
    b"null": "",
    b'{"error": {}}': "",
    b"404 page not found\n": "404 page not found",
    b'{"detail": [{"loc": ["body", "max_tokens"], "msg": "less than 9", "type": "x"}]}': "body.max_tokens: less than 9",
    b'{"errors": {"model": ["not there"]}}': "model: not there",
    b'{"error": {"message": "", "code": "rate_limit"}}': "rate_limit",
    b'{"error": {"message": "failed", "metadata": {"raw": "{\\"error\\": \\"boom\\"}"}}}': "failed (boom)",
    b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>": "502 Bad Gateway",
    b"<!DOCTYPE html><html><body><h1>Not here</h1></body>": "Not here",
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Denied</Message></Error>': "Denied",
    b'{"error": {"message": "\\u001b[31mred\\u001b[0m\\nline two"}}': "red line two",
    b"\x1f\x8b\x08\x00\xff\xfe\x00\x91\x92": "9 bytes that are no text",
}


@pytest.mark.parametrize(("body", "said"), SAID.items())
def test_words_are_one_plain_line_of_text_page_or_nothing(body, said):
    assert words(body) == said


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"error": ' * 5000, b"x" * 10**6, b'{"error": "' + b"y" * 5000 + b'"}'])
def test_words_are_few_however_long_or_deep_a_reply_is(body):
    assert 0 < len(words(body)) <= 300


CONTEXT = "This model's maximum context length is 8192 tokens. "
OF_THE_ANSWER = {
    CONTEXT + "However, you requested 16050 tokens (50 in the messages, 16000 in the completion).": 8192,
    CONTEXT + "However, you requested 16000 output tokens and your prompt contains at least 50 input tokens, for a total of 16050.": 8192,
    "'max_tokens' or 'max_completion_tokens' is too large: 16000. " + CONTEXT + "Your request has 50 tokens (16000 > 8192 - 50).": 8192,
    "max_tokens is too large: 16000. This model supports at most 4096 completion tokens, whereas you provided 16000.": 4096,
    "max_tokens: 16000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet-20241022": 8192,
    "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 50 `inputs` tokens and 16000 `max_new_tokens`": 4096,
    "it has a maxOutputTokens value of 16000 but the supported range is from 1 (inclusive) to 8193 (exclusive)": 8193,
    "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens`": 8192,
    "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]": 8192,
    "The maximum tokens you requested exceeds the model limit of 4096.": 4096,
    "This endpoint's maximum context length is 8192 tokens. However, you requested about 16050 tokens (50 of text input)": 8192,
    "The sum of prompt length (50) and max_tokens (16000) exceeds max_seq_len 8192": 8192,
    "This model's maximum context length is 8,192 tokens, but 16,000 were requested in max_tokens": 8192,
    "Request too large for model `llama` on tokens per minute (TPM): Limit 6000, Requested 16733, please reduce your message size": 6000,
    "The sum of prompt tokens and max_tokens (16750) must be <= 8192": 8192,
    "max_tokens too large": None,
    "max_completion_tokens is out of range": None,
}
OF_THE_QUESTION = (
    "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
    CONTEXT + "However, your request has 9000 input tokens. Please reduce the length of the input messages.",
    "prompt is too long: 210000 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 190000 + 16000 > 200000, decrease input length or `max_tokens`",
    "the request exceeds the available context size. try increasing the context size or enable context shift",
    "the request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
    "the input length exceeds the context length",
    "Input validation error: `inputs` must have less than 4095 tokens. Given: 9000",
    "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000.",
    "Input is too long for requested model.",
    "Range of input length should be [1, 30720]",
    "Requested tokens (42012) exceed context window of 4096",
    "This model's maximum context length is 32768 tokens. You requested 36000 tokens (20000 in the messages, 16000 in the completion).",
)
OF_NOTHING = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "temperature must be 1",
    "Conversation roles must alternate user/assistant/user/assistant/...",
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    "The model `x` does not exist or you do not have access to it.",
    "",
)


@pytest.mark.parametrize(("said", "most"), OF_THE_ANSWER.items())
def test_a_limit_that_the_answers_length_breaks_is_told_with_the_servers_number(said, most):
    assert broken_limit(said, 16000) == (most, True)


@pytest.mark.parametrize("said", OF_THE_QUESTION)
def test_a_limit_that_the_question_breaks_is_not_blamed_on_the_answers_length(said):
    limit = broken_limit(said, 16000)
    assert limit is not None
    assert not limit.by_answer


@pytest.mark.parametrize("said", OF_NOTHING)
def test_other_refusals_are_no_limit(said):
    assert broken_limit(said, 16000) is None


def test_a_count_of_tokens_is_a_whole_number_also_as_text_and_nothing_else():
    assert [tokens(value) for value in (0, 5, "5", 5.0, " 7 ", "3.0")] == [0, 5, 5, 5, 7, 3]
    strange = (-1, "-1", True, None, "many", "", 1e308, float("nan"), float("inf"), 1.5, [1], {}, 10**12, "1e400", "9" * 5000)
    assert [tokens(value) for value in strange] == [None] * len(strange)
    assert counts({"prompt_tokens": "5", "total_tokens": -1, "details": {"cached_tokens": 3, "x": []}}) == {
        "prompt_tokens": 5,
        "details": {"cached_tokens": 3},
    }
    assert counts([1]) == {}


def choice(content, **more):
    return json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop", **more}]}).encode()


def test_an_answer_is_read_in_one_text_or_in_parts():
    parts = [{"type": "text", "text": "bl"}, {"type": "image_url"}, "ue", 7]
    assert [answered(choice(content)).text for content in ("blue", parts, None, [])] == ["blue", "blue", "", ""]
    assert [answered(choice("x", finish_reason=why)).finish for why in ("max_tokens", "MODEL_LENGTH", "length", None, 7, "odd")] == [
        "length", "length", "length", "stop", "stop", "odd",
    ]  # fmt: skip


NO_ANSWER = {
    b"": "an empty reply",
    b"[" * 100_000: "[[[",
    b'{"choices": ' + b"[" * 100_000: "choices",
    b"[1, 2]": "1; 2",
    b"{}": "no choices",
    b'{"choices": []}': "no choices",
    b'{"choices": {}}': "no choices",
    b'{"choices": [7]}': "a choice without a message",
    b'{"choices": [{"text": "x"}]}': "a choice without a message",
    choice(7): "content is no text",
    choice({"text": "x"}): "content is no text",
    b'data: {"choices": [{"delta": {"content": "x"}}]}\n\n': "a stream of events",
    b"<html><title>Welcome</title></html>": "Welcome",
    b'{"error": "overloaded"}': "overloaded",
    b"\xff\xfe\x00": "no text",
}


@pytest.mark.parametrize(("body", "said"), NO_ANSWER.items(), ids=[str(body[:30]) for body in NO_ANSWER])
def test_what_is_no_answer_is_told_in_words(body, said):
    with pytest.raises(ValueError, match=said.replace("[", r"\[")):
        answered(body)


# ---- bounds


class Raw:
    """A server that writes these bytes again and again, after a head."""

    def __init__(self, head, piece, pause=0.0, times=10**9):
        self.head, self.piece, self.pause, self.times = head, piece, pause, times
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        taken, _ = self.listening.accept()
        with taken:
            taken.recv(65536)
            try:
                taken.sendall(self.head)
                for _ in range(self.times):
                    taken.sendall(self.piece)
                    time.sleep(self.pause)
            except OSError:
                pass


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
DRIPS = {"body": (CHUNKED, b"1\r\n \r\n"), "head": (HEAD, b"X-A: b\r\n"), "one header": (HEAD + b"X-A: ", b"b"), "silence": (HEAD, b"")}


@pytest.mark.parametrize(("head", "piece"), DRIPS.values(), ids=DRIPS)
def test_a_reply_that_never_ends_is_waited_for_no_longer_than_asked(head, piece):
    server, begun = Raw(head, piece, pause=0.02), time.monotonic()
    with httpx.Client(timeout=5) as client, pytest.raises(httpx.TransportError):
        exchange(client, "GET", server.url, 0.4)
    assert time.monotonic() - begun < 3


def test_a_reply_that_is_too_long_is_taken_in_no_further():
    piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with httpx.Client(timeout=30) as client, pytest.raises(httpx.ReadError, match="more than 16 MB"):
        exchange(client, "GET", Raw(CHUNKED, piece).url, 60)


def test_a_compressed_reply_is_bounded_by_its_text_and_a_broken_one_is_a_fault():
    bomb = gzip.compress(b" " * (4 * MOST_BYTES))
    head = HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    with httpx.Client(timeout=30) as client:
        with pytest.raises(httpx.ReadError, match="more than 16 MB"):
            exchange(client, "GET", Raw(head % len(bomb), bomb, times=1).url, 60)
        with pytest.raises(httpx.DecodingError):
            exchange(client, "GET", Raw(head % 4, b"nope", times=1).url, 60)


# ---- what may be printed

KEY = "sk-canary-0123456789+/="
TOLD = {
    "as it is": KEY,
    "broken by blanks": KEY[:9] + " " + KEY[9:12] + "\n" + KEY[12:],
    "percent": quote(KEY, safe=""),
    "percent, all": "".join(f"%{ord(letter):02X}" for letter in KEY),
    "capitals": KEY.upper(),
    "hex": KEY.encode().hex(),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 for addresses": base64.urlsafe_b64encode(KEY.encode()).decode(),
    **{f"base64 after {n}": base64.b64encode(b"user:pw"[:n] + KEY.encode() + b"@x").decode() for n in range(1, 7)},
}


@pytest.mark.parametrize("told", TOLD.values(), ids=TOLD)
def test_a_key_is_taken_out_in_every_form_in_which_it_is_told(told):
    shown = without_keys(f"the key {told} is wrong", [KEY])
    assert "(key)" in shown
    parts = {told[at : at + 9] for at in range(len(told) - 8)}
    assert not [part for part in parts if part in shown]  # what is left of base64 is the neighbours'


def test_words_change_nothing_about_a_terminal():
    assert plain("\x1b[31mred\x1b[0m\x1b]0;title\x07 a\r\nb \u202ec\u200b\x00\x1b") == "red a b c"


HOSTILE = {
    "escapes": lambda n: plain("\x1b]" * n),
    "brackets": lambda n: plain("\x1b[" * n),
    "blanks": lambda n: plain(" \x1b" * n),
    "near keys": lambda n: without_keys("sk-canary-012345678 " * (n // 8), [KEY]),
    "key and blanks": lambda n: without_keys("s  k  -  " * (n // 8), [KEY]),
    "pages": lambda n: words(b"<html>" + b"<title>" * n),
    "lists": lambda n: words(b'{"error": [' + b"{}," * (4 * n) + b"1]}"),
}


@pytest.mark.parametrize("read", HOSTILE.values(), ids=HOSTILE)
def test_reading_words_takes_time_in_proportion_to_their_length(read):
    def seconds(n):
        begun = time.process_time()
        read(n)
        return time.process_time() - begun

    short = min(seconds(40_000) for _ in range(3))
    assert seconds(160_000) < 12 * short + 0.1
