# SPDX-License-Identifier: Apache-2.0
"""Every limit in every operation file, asked of the server: constraints.py makes the requests."""

import http.client
import json
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

import constraints
import kinema

OPERATIONS = constraints.operations() + [op for op in constraints.operations(("datastream",)) if not op.target]


class Sender:
    """One signed request after the other over one connection."""

    def __init__(self, server):
        self.endpoint = server.api
        where = urllib.parse.urlsplit(self.endpoint)
        self.connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
        credentials = botocore.credentials.Credentials(server.key.id, server.key.secret)
        self.signer = botocore.auth.SigV4Auth(credentials, "kinesisvideo", kinema.REGION)

    def send(self, case):
        operation = case.operation
        data = b"" if operation.input == "stream" else json.dumps(case.body).encode()
        request = botocore.awsrequest.AWSRequest(
            operation.method, self.endpoint + operation.route, data=data,
            headers={"Content-Type": "application/json", **case.headers})
        self.signer.add_auth(request)
        self.connection.request(operation.method, operation.route, body=data,
                                headers=dict(request.headers))
        answer = self.connection.getresponse()
        fault = (answer.getheader("x-amzn-ErrorType") or "").split(":")[0]
        length = answer.getheader("Content-Length")
        if length is None and answer.status == 200:  # a stream: it was accepted, which is enough
            self.connection.close()
            return answer.status, fault, {}
        text = answer.read()
        try:
            return answer.status, fault, json.loads(text) if text else {}
        except ValueError:
            return answer.status, fault, {"Message": repr(text[:100])}


@pytest.fixture(scope="module")
def sender():
    with kinema.Server(env={"KINEMA_STREAMS_MAX": "100000"}) as server:
        yield Sender(server)


def message_of(answer):
    return answer.get("Message") or answer.get("message") or ""


def is_serialization(answer):
    return str(answer.get("Output", {}).get("__type", "")).endswith("#SerializationException")


def judge(case, status, fault, answer):
    """What is wrong with the answer; None when it is as it must be."""
    message = message_of(answer)
    violated = "validation error" in message and "detected" in message
    if case.expect == "serialization":
        good = status == 400 and is_serialization(answer)
    elif case.expect == "violation":
        good = (status == 400 and fault == "InvalidArgumentException" and violated and
                case.constraint in message and f"at '{case.path}'" in message)
    else:
        good = status < 500 and not violated and not is_serialization(answer)
    return None if good else f"{case}: wanted {case.expect}, got {status} {fault} {answer}"


@pytest.mark.parametrize("operation", OPERATIONS, ids=[op.name for op in OPERATIONS])
def test_every_constraint_of_the_file_holds_on_the_wire(sender, operation):
    cases = list(constraints.cases(operation))
    assert cases, "no member of this operation could be tested"
    wrong = [found for case in cases if (found := judge(case, *sender.send(case)))]
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong[:20])


def test_the_cases_are_many_and_of_every_kind():
    """A generator that yields nothing would pass everything."""
    kinds = {}
    for operation in OPERATIONS:
        for case in constraints.cases(operation):
            kinds[case.expect] = kinds.get(case.expect, 0) + 1
    assert set(kinds) == {"violation", "serialization", "valid"}
    assert min(kinds.values()) > 100, kinds
    assert len(OPERATIONS) >= 43
