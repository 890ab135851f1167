# SPDX-License-Identifier: Apache-2.0
"""Drives the kinema binary as a user does: a data folder, a process, its endpoints and clients.

The ready line on standard output is the only contract used to learn the ports:
    ready api=http://127.0.0.1:4566 ingest=http://127.0.0.1:4567 console=http://127.0.0.1:8080
"""

import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid

import boto3
import botocore.client
import botocore.config

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("KINEMA_BINARY", str(ROOT / "build" / "dev" / "kinema"))
SHARED = pathlib.Path(os.environ.get("KINEMA_SHARED", ROOT.parent / "shared"))
CAPTURES = SHARED / "media" / "captures"
REGION = "us-east-1"
START_TIMEOUT_S = 60
CRASHES = {signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV}
STOP_TIMEOUT_S = 60

# What a sanitizer or a failed assertion leaves in the log; none of it is ever acceptable.
DISASTER = re.compile(
    r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:"
    r"|assertion .* failed|kn_assert|Assertion|stack smashing|double free|corrupted"
)


class StartFailed(Exception):
    def __init__(self, code, out, log):
        super().__init__(f"kinema ended with {code} before it was ready\n{out}{log}")
        self.code, self.out, self.log = code, out, log


class Key:
    """An access key, as `kinema credentials create --json` prints it."""

    def __init__(self, fields):
        self.id = fields["AccessKeyId"]
        self.secret = fields["SecretAccessKey"]
        self.token = fields.get("SessionToken")

    def env(self):
        env = {"AWS_ACCESS_KEY_ID": self.id, "AWS_SECRET_ACCESS_KEY": self.secret,
               "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}
        if self.token:
            env["AWS_SESSION_TOKEN"] = self.token
        return env


def run(*args, check=True, timeout=60, env=None, stdin=None):
    """One kinema command to its end: a CompletedProcess with text."""
    done = subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True,
                          timeout=timeout, env=clean_env(env), input=stdin)
    assert not DISASTER.search(done.stderr), done.stderr
    if check and done.returncode != 0:
        raise AssertionError(f"kinema {args} ended with {done.returncode}: {done.stderr}")
    return done


def clean_env(extra=None):
    """Our environment without settings of somebody's own Kinema or AWS profile."""
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("KINEMA_", "AWS_")) or k == "KINEMA_SHARED"}
    env.update(extra or {})
    return env


def create_key(data, *args):
    return Key(json.loads(run("credentials", "create", "--data", data, "--json", *args).stdout))


class Server:
    """`kinema serve` on free loopback ports. tls: also the TLS listeners. auth=False: --no-auth."""

    def __init__(self, data=None, args=(), env=None, tls=False, auth=True, start=True):
        self.own_data = data is None
        self.data = pathlib.Path(data or tempfile.mkdtemp(prefix="kinema-test-"))
        self.log_path = pathlib.Path(tempfile.mkstemp(prefix="kinema-log-", suffix=".txt")[1])
        self.args, self.env, self.tls, self.auth = list(map(str, args)), env, tls, auth
        self.process, self.ready, self.endpoints, self.out = None, None, {}, []
        self.key = create_key(self.data) if auth else None
        if start:
            self.start()

    # --- the process ---------------------------------------------------------------------------
    def command(self, same_ports=True):
        names = ["api", "ingest", "console"] + (["api-tls", "ingest-tls"] if self.tls else [])
        command = [BINARY, "serve", "--data", str(self.data)]
        for name in names:
            if f"--{name}" in self.args:
                continue
            known = self.endpoints.get(name) if same_ports else None
            command += [f"--{name}", known.split("//")[1] if known else "127.0.0.1:0"]
        return command + ([] if self.auth else ["--no-auth"]) + self.args

    def start(self, same_ports=True):
        assert self.process is None or self.process.poll() is not None, "already running"
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(self.command(same_ports), stdout=subprocess.PIPE,
                                        stderr=log, stdin=subprocess.DEVNULL,
                                        env=clean_env(self.env))
        log.close()
        lines = queue.Queue()

        def pump(stream):
            for raw in stream:
                lines.put(raw.decode(errors="replace").rstrip("\n"))
            lines.put(None)

        threading.Thread(target=pump, args=(self.process.stdout,), daemon=True).start()
        self.out, deadline = [], time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                line = lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                self.kill9()
                raise StartFailed("a timeout", "\n".join(self.out), self.log()) from None
            if line is None:
                raise StartFailed(self.process.wait(), "\n".join(self.out), self.log())
            self.out.append(line)
            if line.startswith("ready "):
                break
        self.ready = line
        self.endpoints = dict(pair.split("=", 1) for pair in line.split()[1:])
        return self

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=STOP_TIMEOUT_S):
        return self.process.wait(timeout)

    def stop(self):
        """Ends it in order; the exit code must be 0 and the log free of disasters."""
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGTERM)
            code = self.wait()
            assert code == 0, f"kinema ended with {code}\n{self.log()[-4000:]}"
        elif self.process and -self.process.returncode in CRASHES:
            raise AssertionError(f"kinema: exit code {self.process.returncode}\n{self.log()[-4000:]}")
        self.check_log()

    def kill9(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def restart(self, hard=False):
        """hard: kill -9 instead of a signal to stop. The ports stay the same."""
        self.kill9() if hard else self.stop()
        return self.start()

    def close(self):
        try:
            self.stop()
        finally:
            self.kill9()
            if self.own_data:
                shutil.rmtree(self.data, ignore_errors=True)
            self.log_path.unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(f"--- log of kinema ---\n{self.log()[-20000:]}")
        self.close()

    def log(self):
        return self.log_path.read_text(errors="replace")

    def check_log(self):
        found = DISASTER.search(self.log())
        assert not found, f"{found.group(0)} in the log:\n{self.log()[-8000:]}"

    def wait_log(self, pattern, timeout=60):
        """Waits until the log holds the pattern; returns the match."""
        deadline = time.monotonic() + timeout
        while True:
            found = re.search(pattern, self.log())
            if found:
                return found
            assert time.monotonic() < deadline, f"no {pattern!r} in the log:\n{self.log()[-4000:]}"
            time.sleep(0.02)

    # --- addresses -----------------------------------------------------------------------------
    @property
    def api(self):
        return self.endpoints["api"]

    @property
    def ingest(self):
        return self.endpoints["ingest"]

    @property
    def console(self):
        return self.endpoints["console"]

    @property
    def certificate(self):
        """The self-signed certificate of the TLS listeners, for clients to trust."""
        return str(self.data / "tls" / "cert.pem")

    # --- clients -------------------------------------------------------------------------------
    def create_key(self, *args):
        """Beside the running server: create_key("--allow", "kinesisvideo:PutMedia", …)."""
        return create_key(self.data, *args)

    def client(self, service, endpoint=None, key=None, validate=True, **config):
        """A boto3 client. validate=False sends what botocore itself would refuse."""
        key = key or self.key or Key({"AccessKeyId": "AKIDNOBODY", "SecretAccessKey": "none"})
        endpoint = endpoint or self.api
        config.setdefault("retries", {"total_max_attempts": 1})
        return boto3.session.Session().client(
            service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id=key.id,
            aws_secret_access_key=key.secret, aws_session_token=key.token,
            verify=self.certificate if endpoint.startswith("https") else None,
            config=botocore.config.Config(parameter_validation=validate, read_timeout=60,
                                          inject_host_prefix=False, **config))

    def kvs(self, **options):
        return self.client("kinesisvideo", **options)

    def data_endpoint(self, stream, api_name, **options):
        return self.kvs(**options).get_data_endpoint(
            StreamName=stream, APIName=api_name)["DataEndpoint"]

    def media(self, stream, **options):
        return self.client("kinesis-video-media", self.data_endpoint(stream, "GET_MEDIA"),
                           **options)

    def archived(self, stream, api_name="LIST_FRAGMENTS", **options):
        return self.client("kinesis-video-archived-media", self.data_endpoint(stream, api_name),
                           **options)

    def create_stream(self, name=None, hours=24, **fields):
        """A new stream; its name."""
        name = name or new_name()
        fields.setdefault("MediaType", "video/h264")
        self.kvs().create_stream(StreamName=name, DataRetentionInHours=hours, **fields)
        return name


def wait_for(what, said="it does not come", timeout=60):
    """What `what` gives, once that is something: for what is true a moment after it was answered."""
    deadline = time.monotonic() + timeout
    while not (found := what()):
        assert time.monotonic() < deadline, said
        time.sleep(0.02)
    return found


def new_name(prefix="cam"):
    return f"{prefix}-{uuid.uuid4().hex[:12]}"
