"""How many requests a second a served target can send, and what one costs this process, against servers that answer after SECONDS.

    python scripts/bench_served.py [--questions 3000] [--seconds 0.05] [--servers 1] [--in-flight 64] [--repeats 3]

Everything on the way is that of a run: prompts of about 400 tokens are hashed, seeded and sent, answers of about 150 tokens are read and
cleaned of keys. The servers are one process of their own on the loopback, which reads no more of a request than it must, so that the client
is what is measured. At best QUESTIONS take QUESTIONS * SECONDS / (SERVERS * IN_FLIGHT). Prints one JSON document: medians over the repeats
of requests a second and CPU milliseconds a request (of the client, of the servers), and errors. Exit code 1 when there were errors.
"""

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import time

WORDS = ["Ann", "has", "seven", "apples", "and", "buys", "three", "more", "at", "the", "market", "on", "her", "way", "home"]
MODELS = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "vllm", "parent": None}]}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": " ".join(WORDS * 9)}, "finish_reason": "stop", "logprobs": None}
ANSWER = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [CHOICE]}
ANSWER |= {"usage": {"prompt_tokens": 400, "completion_tokens": 150, "total_tokens": 550}}


def whole(document: dict) -> bytes:
    body = json.dumps(document).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


class Answering(asyncio.Protocol):
    """One connection: a GET is told the models at once, a POST gets the same answer after `seconds`."""

    models, answer = whole(MODELS), whole(ANSWER)
    seconds, served = 0.05, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.got = transport, b""

    def data_received(self, data: bytes) -> None:
        self.got += data
        head, end, body = self.got.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if not end or len(body) < int(length or 0):
            return
        self.got = b""
        if head.startswith(b"GET"):
            self.transport.write(self.models)
        else:
            Answering.served += 1
            asyncio.get_running_loop().call_later(self.seconds, self.transport.write, self.answer)


async def serve(servers: int, seconds: float, port: int) -> None:
    """Print the addresses, answer until stdin ends, print how many answers were given and the CPU seconds that they took."""
    Answering.seconds, loop = seconds, asyncio.get_running_loop()
    listening = [await loop.create_server(Answering, "127.0.0.1", port, backlog=1024) for _ in range(servers)]
    print(",".join(f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}/v1" for one in listening), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(Answering.served, time.process_time(), flush=True)


def measure(questions: int, servers: int, seconds: float, in_flight: int) -> dict[str, float]:
    from errata.trainers import open_target  # the servers do without
    from errata.trainers.settings import TargetSettings

    command = [sys.executable, __file__, "--serve", "--servers", str(servers), "--seconds", str(seconds)]
    prompts = [[{"role": "user", "content": " ".join([f"Question {number}:", *WORDS * 26])}] for number in range(questions)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        addresses = server.stdout.readline().strip()
        target = open_target(TargetSettings(api_base=addresses, served_name="m", batch_size=in_flight))
        list(target.generate(prompts[: 2 * in_flight], max_new_tokens=200))  # connections are open
        cpu, wall = time.process_time(), time.perf_counter()
        answers = dict(target.generate(prompts, max_new_tokens=200))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        target.close()
        served, busy = server.communicate("")[0].split()
    errors = sum(one.finish != "stop" for one in answers.values()) + questions - len(answers)
    errors += abs(int(served) - questions - min(questions, 2 * in_flight))
    return {
        "a_second": questions / wall,
        "client_cpu_ms": 1000 * cpu / questions,
        "server_cpu_ms": 1000 * float(busy) / int(served),
        "errors": errors,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=0.05, help="after which a server answers")
    parser.add_argument("--servers", type=int, default=1)
    parser.add_argument("--in-flight", type=int, default=64, help="questions under way at each server")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--serve", action="store_true", help="be the servers; the script starts this itself")
    parser.add_argument("--port", type=int, default=0, help="of the one server, with --serve")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.servers, options.seconds, options.port))
        return 0
    rows = [measure(options.questions, options.servers, options.seconds, options.in_flight) for _ in range(options.repeats)]
    middle = {name: round(statistics.median(row[name] for row in rows), 3) for name in rows[0]}
    best = options.servers * options.in_flight / options.seconds
    memory = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps({"servers": options.servers, **middle, "at_best_a_second": best, "memory_mb": memory}))
    return int(any(row["errors"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
