"""The local server of `errata view`: it answers to who knows its token and speaks to it by its own name, and to nobody else."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from browser import Browser, needs_chromium
from fake_run import fake_run

from errata.programs.view.page import View
from errata.programs.view.server import Server
from errata.programs.view.show import show
from errata.signatures.errors import UsageError


@pytest.fixture(scope="module")
def server(plain):
    server = Server(lambda: View([str(plain)]))
    threading.Thread(target=server.run, daemon=True).start()
    yield server
    server.shutdown()


def ask(server, path, host=None):
    """(status, body, headers)"""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.headers


def test_it_listens_on_this_machine_alone_and_its_address_holds_a_token_of_32_letters(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/{server.token}/"
    assert len(server.token) == 32
    assert Server(lambda: View([])).token != server.token


@pytest.mark.parametrize(
    "path", ["/", "//", "/x/", "/{half}/", "/{token}x/", "/%2e%2e/{token}/", "/{token}%00/", "/%C3%A9/item?n=0", "/x/search?q=a"]
)
def test_who_does_not_know_the_token_sees_nothing(server, path):
    path = path.format(token=server.token, half=server.token[:16])
    status, body, _ = ask(server, path)
    assert status == 403
    assert b"2 + 2" not in body


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "evil.example:{port}", "127.0.0.1:{port}.evil.example", "localhost:1", "[::1]:{port}"]
)
def test_a_page_of_someone_else_whose_name_points_here_sees_nothing(server, host):
    status, body, _ = ask(server, f"/{server.token}/", host.format(port=server.server_port))
    assert status == 403
    assert b"2 + 2" not in body


def test_items_and_searches_are_answered_and_nothing_is_kept_or_framed(server, plain):
    item = server.held.view.items[5]
    status, body, headers = ask(server, f"/{server.token}/item?n=5")
    assert status == 200
    assert json.loads(body) == server.held.view.texts(item)
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"
    found = json.loads(ask(server, f"/{server.token}/search?q=TEST+halves%20%22%20")[1])
    assert found == []
    found = json.loads(ask(server, f"/{server.token}/search?q=TEST+halves")[1])
    names = {server.held.view.items[place].skill for place in found}
    assert names == {"halves"}


@pytest.mark.parametrize(
    "path", ["item", "item?n=", "item?n=-1", "item?n=164", "item?n=1e3", "item?n=%C2%B2", "passwd", "../run.json", "item/../../run.json"]
)
def test_what_is_not_there_is_said_to_be_so(server, path):
    assert ask(server, f"/{server.token}/{path}")[0] == 404


def test_a_page_that_was_loaded_before_the_run_went_on_is_given_no_texts_of_other_items(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["adds"]}, rounds=1)
    server = Server(lambda: View([str(path)]))
    threading.Thread(target=server.run, daemon=True).start()
    pages = [re.search(rb'"served":(\d+)', ask(server, f"/{server.token}/")[1])[1].decode()]
    assert ask(server, f"/{server.token}/item?n=1&of={pages[0]}")[0] == 200
    (path / "result.json").unlink()
    pages.append(re.search(rb'"served":(\d+)', ask(server, f"/{server.token}/")[1])[1].decode())
    assert [ask(server, f"/{server.token}/{what}&of={page}")[0] for what in ("item?n=1", "search?q=2") for page in pages] == [409, 200] * 2
    server.shutdown()


def test_no_page_is_written_where_a_server_is_asked_for(plain, tmp_path):
    with pytest.raises(UsageError, match="--serve writes no page; leave --out out"):
        show([str(plain)], tmp_path / "x.html", True, lambda *_: None)


def test_too_many_answers_for_a_page_are_served(plain, tmp_path, monkeypatch):
    monkeypatch.setattr("errata.programs.view.show.PAGE", 1000)
    monkeypatch.setattr(Server, "run", lambda self: self.server_close())
    told = []
    show([str(plain)], None, False, lambda document, text: told.append((document, text)))
    ((document, text),) = told
    assert document["address"].startswith("http://127.0.0.1:")
    assert text.endswith(f"{document['address']}\nopen it in a browser; Ctrl-C ends it")
    with pytest.raises(UsageError, match="are too much for a page; leave --out out"):
        show([str(plain)], tmp_path / "x.html", False, lambda *_: None)


@pytest.mark.slow  # a process of its own
def test_ctrl_c_ends_it_without_a_word(plain):
    command = [str(Path(sys.executable).with_name("errata")), "view", str(plain), "--serve"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        _, address, told = [process.stdout.readline() for _ in range(3)]
        assert told == "open it in a browser; Ctrl-C ends it\n"
        with urllib.request.urlopen(address.strip(), timeout=120) as page:
            assert b"data-made-by=errata-view" in page.read()
        os.kill(process.pid, signal.SIGINT)
        assert process.communicate(timeout=120) == ("", "")
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0


@pytest.mark.slow  # a browser of its own; that of test_page.py draws with the same script
@needs_chromium
def test_the_served_page_shows_and_finds_what_the_file_does_and_what_was_added_since(tmp_path):
    path = fake_run(tmp_path / "run", {"t": ["adds", "halves"]}, rounds=1)
    server = Server(lambda: View([str(path)]))
    threading.Thread(target=server.run, daemon=True).start()
    with Browser(tmp_path) as browser:
        browser.open(f"{server.address}#q=TEST+halves")
        browser.wait("found.length > 0")
        browser.press("j")
        browser.wait("document.querySelector('#detail pre')?.innerText.includes('of halves: 2 + 2?')")
        assert browser.text(".side pre") in ("It is 4.", "It is 5.")
        (path / "result.json").unlink()
        browser.call("Page.reload")
        browser.wait("document.getElementById('notes')?.innerText.includes('has not come to its end')")
        server.shutdown()
        browser.press("j")
        browser.wait("document.getElementById('detail').innerText.includes('does not answer any more')")
        assert not [one for one in browser.events if one["method"] == "Runtime.exceptionThrown"]
