# SPDX-License-Identifier: Apache-2.0
"""What every handler may rely on, over plain HTTP/1.1, TLS, HTTP/2 with prior knowledge, HTTP/2 by
ALPN, and (answers after the whole request) the console's libmicrohttpd."""

import os
import subprocess
import threading

import pytest

import wire

ALL = list(wire.TRANSPORTS)
DUPLEX = [name for name in ALL if name != "mhd"]


@pytest.fixture(scope="module")
def server():
    one = wire.Wire()
    yield one
    one.stop()


@pytest.fixture(params=ALL)
def transport(request):
    return request.param


@pytest.fixture(params=DUPLEX)
def duplex(request):
    return request.param


def test_a_small_answer(server, transport):
    status, headers, body = server.curl(transport, "/hello")
    assert (status, body) == (200, b"hello\n")
    assert headers["content-length"] == "6" and "date" in headers


@pytest.mark.parametrize("size", [1, 16384, 16385, 70000, 5_000_000])
def test_a_whole_answer_of_any_size_is_copied_before_reply_returns(server, transport, size):
    _, headers, body = server.curl(transport, f"/hello?size={size}")
    assert body == b"x" * size and headers["content-length"] == str(size)


@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 1 << 20])
def test_a_collected_body_comes_back_unchanged(server, transport, size):
    sent = os.urandom(size)
    status, _, body = server.curl(transport, "/echo", "--data-binary", "@-", "-X", "POST", body=sent)
    assert status == 200 and body == sent


def test_a_body_beyond_the_handlers_ceiling_is_413(server, transport):
    status, _, _ = server.curl(transport, "/echo", "--data-binary", "@-", body=b"x" * ((1 << 20) + 1))
    assert status == 413


@pytest.mark.parametrize("h1", ["plain", "tls"])
def test_a_chunked_body_beyond_the_handlers_ceiling_is_413(server, h1):
    status, _, _ = server.curl(h1, "/echo", "-X", "POST", "-T", "-", body=b"x" * (3 << 19))
    assert status == 413


def test_target_host_and_headers_arrive_as_sent(server, transport):
    _, _, body = server.curl(transport, "/headers?a=b%20c&d", "-H", "X-Odd: a  b\tc")
    lines = body.decode().split("\n")
    listener, scheme, _ = wire.TRANSPORTS[transport]
    h2 = int(transport in ("h2", "h2c"))
    host = f"localhost:{server.ports[listener]}"
    assert lines[0] == (f"GET|/headers|a=b%20c&d|host={host}|tls={int(scheme == 'https')}|h2={h2}"
                        "|loopback=1")
    assert "x-odd: a  b\tc" in lines
    assert [line for line in lines if line.startswith("host: ")] == [f"host: {host}"]


def test_unknown_path_unknown_method_and_head(server, transport):
    assert server.curl(transport, "/nope")[0] == 404
    status, headers, _ = server.curl(transport, "/hello", "-X", "DELETE")
    assert status == 405 and headers["allow"] == "GET"
    status, headers, body = server.curl(transport, "/hello", "-I")
    assert (status, headers["content-length"], body) == (200, "6", b"")
    assert server.curl(transport, "/stream", "-I")[0] == 200
    assert server.curl(transport, "/file", "-I")[1]["content-length"] == str(len(server.file))


def test_a_route_that_ends_in_a_star_takes_all_below_it(server, transport):
    assert server.curl(transport, "/prefix/any/thing")[2].startswith(b"GET|/prefix/any/thing|")


@pytest.mark.parametrize("query", ["count=3&size=5", "count=400&size=50000", "count=3&size=5&known=1",
                                   "count=100&size=70001&known=1", "count=4&size=3&wait=20",
                                   "count=0", "count=0&known=1"])
def test_a_streamed_answer_is_whole(server, transport, query):
    values = dict(pair.split("=") for pair in query.split("&"))
    count, size = int(values["count"]), int(values.get("size", 4))
    _, headers, body = server.curl(transport, "/stream?" + query)
    assert body == b"".join(bytes([97 + i % 26]) * size for i in range(count))
    assert ("known" in values) == ("content-length" in headers)


def test_a_streamed_answer_shorter_than_promised_is_an_error(server, transport):
    run = subprocess.run(server.curl_command(transport, "/stream?count=5&size=1000&known=1&short=1"),
                         capture_output=True, check=False)
    assert run.returncode != 0 and len(run.stdout) <= 4000


@pytest.mark.parametrize("off,length", [(0, 3 << 20), (1, 100), (4095, 65537), (0, 0)])
def test_a_part_of_a_file(server, transport, off, length):
    _, headers, body = server.curl(transport, f"/file?off={off}&len={length}")
    assert body == server.file[off:off + length] and headers["content-length"] == str(length)


def test_work_on_a_worker(server, transport):
    assert server.curl(transport, "/offload?ms=10", "-d", "x")[2] == b"worked\n"


def test_a_deadline_wakes_a_parked_request(server, transport):
    assert server.curl(transport, "/park?ms=30")[2] == b"bits=20000\n"


def at_rest(server):
    """Its state once no request of an earlier test is left."""
    return server.wait_state(lambda state: state["live"] == 0)


def both(server, transport, waiting, then):
    """Starts a request that waits, sends another once it does, returns both answers."""
    live = at_rest(server)["live"]
    answers = []
    thread = threading.Thread(target=lambda: answers.append(server.curl(transport, waiting)[2]))
    thread.start()
    server.wait_state(lambda state: state["live"] > live)
    answers.append(server.curl(transport, then)[2])
    thread.join()
    return sorted(answers)


def test_a_wake_up_from_another_thread(server, transport):
    assert both(server, transport, "/park", "/wake") == [b"bits=5\n", b"woken\n"]


def test_a_gate_wakes_who_waits_for_it(server, transport):
    assert both(server, transport, "/gate", "/bump") == [b"bits=40000\n", b"bumped\n"]


def test_a_gate_that_has_moved_wakes_at_once(server, transport):
    assert server.curl(transport, "/gate?seen=4000000000")[2] == b"bits=40000\n"


def test_an_aborted_request_gets_no_answer_and_the_server_goes_on(server, transport):
    run = subprocess.run(server.curl_command(transport, "/abort"), capture_output=True, check=False)
    assert run.returncode != 0
    assert server.curl(transport, "/hello")[0] == 200


def test_an_early_answer_reaches_a_peer_that_is_still_sending(server, transport):
    """The reset that an unread upload causes must not overtake the answer: 20 of 20."""
    for _ in range(20):
        status, _, body = server.curl(transport, "/forbidden", "--data-binary", "@-", "-H", "Expect:",
                                      body=b"x" * 600_000)
        assert (status, body) == (403, b"no\n")


@pytest.mark.parametrize("path", ["/duplex", "/over"])
def test_acks_flow_while_the_body_is_still_arriving(server, duplex, path):
    upload = wire.upload(server, duplex, path + "?every=1000")
    for i in range(1, 6):
        upload.send(b"x" * 1000)
        assert upload.receive() == b"ack %d\n" % (i * 1000)
    upload.finish()
    assert upload.receive() == b"end 5000\n"
    assert upload.receive() == b""


def test_an_upload_that_the_handler_pauses_loses_no_byte(server, duplex):
    _, _, body = server.curl(duplex, "/duplex?every=10000000&pause=1", "-X", "POST", "-T", "-",
                             body=b"x" * 6_000_000)
    assert body == b"end 6000000\n"


def test_a_peer_that_leaves_ends_its_request(server, transport):
    before = at_rest(server)
    run = subprocess.Popen(server.curl_command(transport, "/park"), stdout=subprocess.DEVNULL)
    server.wait_state(lambda state: state["live"] == before["live"] + 1)
    run.kill()
    run.wait()
    after = server.wait_state(lambda state: state["live"] == before["live"])
    assert after["peer_gone"] == before["peer_gone"] + 1


def test_a_job_of_a_request_whose_peer_has_left_still_returns(server, transport):
    before = at_rest(server)
    run = subprocess.Popen(server.curl_command(transport, "/offload?ms=1500", "-d", "x"))
    server.wait_state(lambda state: state["live"] == before["live"] + 1)
    run.kill()
    run.wait()
    server.wait_state(lambda state: state["live"] == before["live"])


def test_a_file_is_released_when_its_reader_leaves(server, transport):
    run = subprocess.Popen(server.curl_command(transport, "/file", "--limit-rate", "1000"),
                           stdout=subprocess.PIPE)
    assert run.stdout.read(100)
    run.kill()
    run.wait()
    server.wait_state(lambda state: state["files"] == 0)


def test_all_is_accounted_for(server):
    state = server.wait_state(lambda state: state["live"] == 0 and state["files"] == 0)
    assert state["done"] > 0
