# SPDX-License-Identifier: Apache-2.0
"""The command line that scripts rely on: help, settings and their errors, the ready line, ports,
TLS, access keys beside a running server, signals, exit codes."""

import http.client
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import botocore.exceptions
import pytest

import kinema
import media
import mkv

COMMANDS = ["serve", "credentials", "console-link", "check", "dump", "config", "version", "help"]
OK, FAILED, USAGE, DATA, ADDRESS = 0, 1, 2, 3, 4


def get(url, **headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
        return answer.status, answer.read().decode()


# --- help -----------------------------------------------------------------------------------------
def test_help_names_every_command():
    out = kinema.run("--help").stdout
    for command in COMMANDS:
        assert re.search(rf"^  {command}\s", out, re.M), command


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command):
    for args in ([command, "--help"], ["help", command]):
        out = kinema.run(*args).stdout
        assert out.startswith(f"Usage: kinema {command}")


@pytest.mark.parametrize("command, settings", [
    ("check", {"data"}),
    ("credentials", {"data", "catalogue-bytes-max"}),
    ("console-link", {"data", "console", "no-auth", "catalogue-bytes-max"}),
])
def test_help_lists_only_the_settings_that_a_command_reads(command, settings):
    listed = kinema.run(command, "--help").stdout.split("\nSettings ")[1]
    assert set(re.findall(r"^  --(\S+)", listed, re.M)) == settings
    assert len(re.findall(r"^  --(\S+)", kinema.run("serve", "--help").stdout, re.M)) > 20


def test_no_command_is_a_usage_error():
    done = kinema.run(check=False)
    assert done.returncode == USAGE and "Usage:" in done.stderr and done.stdout == ""


def test_version():
    assert re.fullmatch(r"kinema \d+\.\d+\.\d+\n", kinema.run("version").stdout)
    assert kinema.run("--version").stdout == kinema.run("version").stdout


@pytest.mark.parametrize("args, words", [
    (["frobnicate"], 'no command "frobnicate" (see'),
    (["sevre"], 'no command "sevre"; is serve meant? (see'),
    (["help", "chekc"], 'no command "chekc"; is check meant?\n'),
    (["serve", "--no-such-option"], "unknown option --no-such-option (see"),
    (["serve", "--ingset-tls=127.0.0.1:0"], "unknown option --ingset-tls; is --ingest-tls meant? (see"),
    (["serve", "--confg", "x"], "unknown option --confg; is --config meant? (see"),
    (["console-link", "--minute=5"], "unknown option --minute; is --minutes meant? (see"),
    (["serve", "extra"], "extra"),
    (["serve", "--data"], "--data wants a value"),
    (["serve", "--api_tls", "127.0.0.1:0"], "unknown option --api_tls; is --api-tls meant? (see"),
    (["serve", "--log-level", "loud"], 'log_level: "loud" is not one of its values: debug, info, warn'),
    (["serve", "--http-loops", "-1"], 'http_loops: "-1" is not a number\n'),
    (["serve", "--region", "US East"], 'lower-case letters, digits and hyphens, is "US East"'),
    (["serve", "--drain-ms", "banana"], "drain_ms"),
    (["serve", "--console-threads", "100000"], "console_threads"),
    (["serve", "--account", "12"], "account"),
    (["serve", "--tls-cert", "/nowhere.pem"], "together"),
    (["serve", "--ingest-tls", "localhost"], "ADDRESS:PORT"),
    (["serve", "--console", "example.org:80"], "example.org"),
    (["credentials"], "create, list or revoke"),
    (["credentials", "paint"], "create, list or revoke"),
    (["help", "frobnicate"], "frobnicate"),
])
def test_a_wrong_command_line_ends_with_2_and_says_why(args, words, tmp_path):
    done = kinema.run(*args, check=False)
    assert done.returncode == USAGE
    assert words in done.stderr and done.stderr.startswith("kinema: ")


# --- settings -------------------------------------------------------------------------------------
def test_the_reference_page_is_up_to_date():
    page = kinema.ROOT / "docs" / "config.md"
    assert page.read_text() == kinema.run("config", "--markdown").stdout, \
        "run: build/dev/kinema config --markdown > docs/config.md"


def test_serve_help_config_lists_every_setting():
    out = kinema.run("serve", "--help-config").stdout
    for name in ["--data", "--http-idle-timeout-ms", "--chunk-bytes-max", "--fragment-ms-max",
                 "--range-ms-max"]:
        assert name in out


def test_help_of_a_command_tells_defaults():
    lines = kinema.run("serve", "--help").stdout.splitlines()
    api = next(line for line in lines if line.startswith("  --api "))
    assert api.endswith("(default 127.0.0.1:4566)")


def test_flag_beats_environment_beats_file(make_server, tmp_path):
    conf = tmp_path / "kinema.conf"
    conf.write_text("# a comment\nregion = from-file\naccount = 111111111111\ndrain_ms = 2s\n")
    server = make_server(args=["--config", conf, "--account", "333333333333"],
                         env={"KINEMA_ACCOUNT": "222222222222", "KINEMA_REGION": "from-env"})
    arn = server.kvs().create_stream(StreamName="a", DataRetentionInHours=1)["StreamARN"]
    assert arn.startswith("arn:aws:kinesisvideo:from-env:333333333333:stream/a/")


def test_an_error_in_the_file_names_the_line(tmp_path):
    conf = tmp_path / "kinema.conf"
    conf.write_text("region = here\nspeed = 9\n")
    done = kinema.run("serve", "--config", conf, check=False)
    assert done.returncode == USAGE
    assert "kinema.conf:2" in done.stderr and "speed" in done.stderr


def test_a_setting_given_twice_in_the_file_names_both_lines(tmp_path):
    conf = tmp_path / "kinema.conf"
    conf.write_text("region = here\n\nregion = there\n")
    done = kinema.run("serve", "--config", conf, check=False)
    assert done.returncode == USAGE
    assert "kinema.conf:3: region: line 1 sets it already" in done.stderr


def test_a_mistyped_variable_is_told_and_those_of_others_are_not(make_server):
    others = {f"KINEMA_{name}": "1" for name in [
        "BINARY", "BUILD", "CAMERA", "CAMERA_BINARY", "CAMERA_PASSWORD", "CAMERA_URL", "CAMERA_USER", "LONG",
        "PORT", "PORT_4566_TCP_ADDR", "ROUNDS", "SEED", "SERVICE_HOST", "SERVICE_PORT", "SHARED", "SHOTS",
        "SOURCE", "TS_MODULE"]}
    server = make_server(env={**others, "KINEMA_REGOIN": "eu-west-1"}, args=["--log-format", "json"])
    told = [line for line in map(json.loads, server.log().splitlines()) if line["event"] == "variable_unknown"]
    assert [line["level"] for line in told] == ["warn"]
    assert told[0]["text"].startswith('name="KINEMA_REGOIN" nearest=region ')
    done = kinema.run("credentials", "list", "--data", server.data, env={**others, "KINEMA_DTA": "x"})
    assert re.fullmatch(r'\S+ warn  variable_unknown name="KINEMA_DTA" nearest=data .*\n', done.stderr)


def test_a_missing_file_of_settings_is_an_error(tmp_path):
    done = kinema.run("serve", "--config", tmp_path / "none.conf", check=False)
    assert done.returncode == USAGE and "none.conf" in done.stderr


# --- the ready line -------------------------------------------------------------------------------
def test_the_ready_line_is_all_of_standard_output(server):
    assert len(server.out) == 1
    assert re.fullmatch(r"ready api=http://127\.0\.0\.1:\d+ ingest=http://127\.0\.0\.1:\d+ "
                        r"console=http://127\.0\.0\.1:\d+( [a-z-]+=\S+)*", server.ready)


def test_port_0_gives_ports_that_answer(server):
    ports = {urllib.parse.urlsplit(server.endpoints[n]).port for n in ("api", "ingest", "console")}
    assert len(ports) == 3
    for port in ports:
        socket.create_connection(("127.0.0.1", port), 60).close()


def test_healthz_and_metrics(server):
    assert get(server.console + "/healthz") == (200, "ok\n")
    text = get(server.console + "/metrics")[1]
    assert "# TYPE kinema_build_info gauge" in text and "kinema_streams " in text


def test_healthz_tells_of_a_full_volume_and_is_200_all_the_same(make_server):
    server = make_server(args=["--volume-free-bytes-min", "1TiB"])
    server.wait_log("volume_full")
    code, text = get(server.console + "/healthz")
    assert code == 200 and text.startswith("degraded\nvolume_full: ")


# --- what can go wrong at the start ---------------------------------------------------------------
@pytest.mark.parametrize("name", ["api", "ingest", "console"])
def test_a_busy_port_ends_with_4_and_names_the_address(name, tmp_path):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        address = f"127.0.0.1:{busy.getsockname()[1]}"
        with pytest.raises(kinema.StartFailed) as failed:
            kinema.Server(data=tmp_path, args=[f"--{name}", address])
    assert failed.value.code == ADDRESS
    assert address in failed.value.log and name in failed.value.log
    assert failed.value.out == ""


def test_a_second_server_on_the_folder_ends_with_3(server):
    with pytest.raises(kinema.StartFailed) as failed:
        kinema.Server(data=server.data)
    assert failed.value.code == DATA and "another server has it" in failed.value.log


def test_a_folder_that_is_a_file_ends_with_3(tmp_path):
    (tmp_path / "file").write_text("x")
    done = kinema.run("serve", "--data", tmp_path / "file", check=False)
    assert done.returncode == DATA and "not a folder" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_ends_with_3(tmp_path):
    tmp_path.chmod(0o500)
    done = kinema.run("serve", "--data", tmp_path / "new", check=False)
    assert done.returncode == DATA and "new" in done.stderr


def test_an_address_without_a_port_is_refused(tmp_path):
    done = kinema.run("serve", "--data", tmp_path, "--api", "nonsense", check=False)
    assert done.returncode == USAGE and "nonsense" in done.stderr
    assert not list(tmp_path.iterdir())  # said before the data folder is made


def test_a_certificate_that_is_none_ends_with_2_and_names_it(tmp_path):
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    for path, why in ((bad, "nothing of PEM can be read from it"),
                      (tmp_path / "missing.pem", "No such file or directory")):
        done = kinema.run("serve", "--data", tmp_path / "data", "--api", "127.0.0.1:0", "--ingest",
                          "127.0.0.1:0", "--console", "127.0.0.1:0", "--api-tls", "127.0.0.1:0",
                          "--tls-cert", path, "--tls-key", path, check=False)
        assert done.returncode == USAGE
        assert "tls_cert" in done.stderr and f"{path}: {why}" in done.stderr


def test_plain_ingest_off_loopback_wants_a_flag(tmp_path):
    done = kinema.run("serve", "--data", tmp_path, "--ingest", "0.0.0.0:0", check=False)
    assert done.returncode == USAGE and "--plain-ingest-anywhere" in done.stderr


def test_plain_ingest_off_loopback_with_the_flag(make_server):
    server = make_server(args=["--ingest", "0.0.0.0:0", "--plain-ingest-anywhere"])
    assert server.endpoints["ingest"].startswith("http://0.0.0.0:")


def test_the_data_folder_is_private(server):
    assert server.data.stat().st_mode & 0o777 == 0o700
    for path in server.data.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


# --- TLS ------------------------------------------------------------------------------------------
def test_tls_makes_a_certificate_and_prints_its_path(tls_server):
    assert tls_server.endpoints["tls-cert"] == "file://" + tls_server.certificate
    assert (tls_server.data / "tls" / "key.pem").stat().st_mode & 0o777 == 0o600
    for host in ("localhost", "127.0.0.1"):
        port = urllib.parse.urlsplit(tls_server.endpoints["api-tls"]).port
        context = ssl.create_default_context(cafile=tls_server.certificate)
        with socket.create_connection(("127.0.0.1", port), 60) as plain:
            with context.wrap_socket(plain, server_hostname=host) as secure:
                assert secure.version() in ("TLSv1.2", "TLSv1.3")


def test_only_the_api_listener_offers_http2(tls_server):
    chosen = {}
    for name in ("api-tls", "ingest-tls"):
        context = ssl.create_default_context(cafile=tls_server.certificate)
        context.set_alpn_protocols(["h2", "http/1.1"])
        address = urllib.parse.urlsplit(tls_server.endpoints[name])
        with socket.create_connection((address.hostname, address.port), 60) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                chosen[name] = secure.selected_alpn_protocol()
    assert chosen == {"api-tls": "h2", "ingest-tls": "http/1.1"}


@pytest.mark.parametrize("body", [b"{}", b"x" * 200_000], ids=["short", "long"])
def test_http_to_a_port_of_tls_is_told_so(tls_server, body):
    address = urllib.parse.urlsplit(tls_server.endpoints["api-tls"])
    for _ in range(5):  # an answer that a reset takes away would miss in some of them
        client = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        client.request("POST", "/listStreams", body)
        answer = client.getresponse()
        assert (answer.status, answer.read()) == \
            (400, b"This port speaks TLS: its address begins with https://.\r\n")
        client.close()


def test_the_control_plane_over_tls_hands_out_tls_endpoints(tls_server):
    name = kinema.new_name()
    kvs = tls_server.kvs(endpoint=tls_server.endpoints["api-tls"])
    kvs.create_stream(StreamName=name, DataRetentionInHours=1)
    endpoint = kvs.get_data_endpoint(StreamName=name, APIName="PUT_MEDIA")["DataEndpoint"]
    assert endpoint == tls_server.endpoints["ingest-tls"]


# --- access keys ----------------------------------------------------------------------------------
def test_credentials_create_prints_the_two_members(tmp_path):
    fields = json.loads(kinema.run("credentials", "create", "--data", tmp_path, "--json").stdout)
    assert set(fields) == {"AccessKeyId", "SecretAccessKey"}
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}|AKIA[A-Z0-9]{16}", fields["AccessKeyId"])
    assert len(fields["SecretAccessKey"]) == 40


def test_credentials_as_shell_variables(tmp_path):
    out = kinema.run("credentials", "create", "--data", tmp_path).stdout
    assert re.fullmatch(r"AWS_ACCESS_KEY_ID=\S+\nAWS_SECRET_ACCESS_KEY=\S+\n", out)


def test_list_shows_grants_and_no_secret(tmp_path):
    key = kinema.create_key(tmp_path, "--allow", "kinesisvideo:PutMedia", "--allow",
                            "kinesisvideo:Get*", "--stream", "cam-*")
    out = kinema.run("credentials", "list", "--data", tmp_path, "--json").stdout
    assert key.secret not in out
    assert json.loads(out)[0]["Grants"] == [
        {"Allow": "kinesisvideo:PutMedia", "Stream": "cam-*"},
        {"Allow": "kinesisvideo:Get*", "Stream": "cam-*"}]


@pytest.mark.parametrize("action", ["PutMedia", "kinesisvideo:PutMeda", "kinesisvideo", "s3:*", ""])
def test_an_action_that_is_none_is_refused(tmp_path, action):
    done = kinema.run("credentials", "create", "--data", tmp_path / "new", "--allow", action, check=False)
    assert done.returncode == USAGE and "no operation has that name" in done.stderr
    assert not done.stdout and not (tmp_path / "new").exists()


@pytest.mark.parametrize("action", ["kinesisvideo:putmedia", "kinesis:Put*", "kinema:*Hold", "*"])
def test_an_action_may_be_a_pattern(tmp_path, action):
    kinema.create_key(tmp_path, "--allow", action)


def test_a_key_made_beside_the_server_works_at_once_and_dies_when_revoked(server):
    key = server.create_key()
    server.kvs(key=key).list_streams()
    kinema.run("credentials", "revoke", key.id, "--data", server.data)
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        server.kvs(key=key).list_streams()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_root_makes_is_of_the_owner_of_the_folder():
    with tempfile.TemporaryDirectory() as shared:
        os.chmod(shared, 0o711)
        folder = pathlib.Path(shared, "data")
        folder.mkdir(0o700)
        os.chown(folder, 65534, 65534)
        kinema.run("credentials", "create", "--data", folder)
        made = [(path.name, path.stat().st_uid, path.stat().st_gid) for path in folder.rglob("*")]
    assert len(made) >= 3 and {one[1:] for one in made} == {(65534, 65534)}, made


def test_revoking_an_unknown_key_fails(tmp_path):
    kinema.create_key(tmp_path)
    done = kinema.run("credentials", "revoke", "AKIDNOBODY", "--data", tmp_path, check=False)
    assert done.returncode == FAILED and "AKIDNOBODY" in done.stderr


def test_listing_a_folder_that_is_not_there_ends_with_3(tmp_path):
    done = kinema.run("credentials", "list", "--data", tmp_path / "none", check=False)
    assert done.returncode == DATA


def test_grants_bind_a_key_to_actions_and_names(server):
    mine, other = kinema.new_name("gate"), kinema.new_name("yard")
    for name in (mine, other):
        server.create_stream(name)
    kvs = server.kvs(key=server.create_key("--allow", "kinesisvideo:Describe*", "--stream", "gate-*"))
    kvs.describe_stream(StreamName=mine)
    for call in (lambda: kvs.describe_stream(StreamName=other),
                 lambda: kvs.delete_stream(StreamARN=server.kvs().describe_stream(
                     StreamName=mine)["StreamInfo"]["StreamARN"])):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == "NotAuthorizedException"


def test_no_auth_warns_takes_anything_and_refuses_foreign_pages(make_server):
    server = make_server(auth=False)
    server.wait_log("no_auth")
    server.kvs().list_streams()
    url, said = server.api + "/listStreams", []

    def post(**headers):
        request = urllib.request.Request(url, b"{}", {"content-type": "application/json", **headers})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            said.append(error.read().decode())
            return error.code

    assert post() == 200
    assert post(Origin="https://evil.example") == 403
    assert post(Host="evil.example") == 403
    assert "host_names" in said[-1]
    assert post(Origin=server.api) == 200


# --- the end --------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(make_server, number):
    server = make_server()
    name = server.create_stream()
    server.signal(number)
    assert server.wait() == OK
    assert "stopped" in server.log()
    server.start()
    server.wait_log("data_folder_opened")
    server.kvs().describe_stream(StreamName=name)


def test_sighup_does_not_end_it(make_server):
    server = make_server()
    server.signal(signal.SIGHUP)
    assert get(server.console + "/healthz")[0] == 200


def test_a_second_signal_does_not_wait_for_the_drain(make_server):
    server = make_server(args=["--drain-ms", "600000"])
    with socket.create_connection(("127.0.0.1", urllib.parse.urlsplit(server.api).port), 60) as half:
        half.sendall(b"POST /listStreams HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{")
        server.signal(signal.SIGTERM)
        server.wait_log(" stopping ")
        server.signal(signal.SIGTERM)
        assert server.wait() in (OK, FAILED)


def test_after_kill_9_the_start_says_what_it_recovered(make_server):
    server = make_server()
    name = server.create_stream()
    server.restart(hard=True)
    server.wait_log("data_folder_(opened|recovered)")
    server.kvs().describe_stream(StreamName=name)


def test_check_of_a_sound_folder(make_server):
    server = make_server()
    for _ in range(2):
        media.upload(server, server.create_stream(), mkv.capture(kinema.CAPTURES / "sink360_h264_abs.mkv"))
    server.create_stream()  # nothing is in it yet
    server.stop()
    out = kinema.run("check", "--data", server.data).stdout
    assert re.search(r"^checked streams=3 chunks=2 fragments=[1-9].* problems=0$", out, re.M)


def test_dump_goes_on_to_the_next_file(make_server):
    server = make_server()
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName="doors", ShardCount=1)
    kinesis.put_record(StreamName="doors", PartitionKey="north", Data=b"open")
    server.stop()
    journals = sorted((server.data / "journal").iterdir())
    done = kinema.run("dump", server.data / "nothing", journals[0], check=False)
    assert done.returncode == FAILED and "nothing" in done.stderr
    assert done.stdout.startswith("journal id=")


def test_check_of_a_folder_that_a_server_has_ends_with_3_and_says_so(server):
    done = kinema.run("check", "--data", server.data, check=False)
    assert done.returncode == DATA and done.stdout == ""
    assert f"a server has {server.data}: stop it first" in done.stderr
