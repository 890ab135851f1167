# SPDX-License-Identifier: Apache-2.0
"""Every limit in every operation file of the data streams, in JSON and in CBOR; constraints.py makes
the requests."""

import pytest

import aws_json
import constraints
import kinema

OPERATIONS = [op for op in constraints.operations(("datastream",)) if op.status != "refused" and op.target]
TARGETS = {op.name: op.target for op in OPERATIONS}


@pytest.fixture(scope="module")
def caller():
    with kinema.Server() as server:
        yield aws_json.caller_of(server)


def judge(case, status, answer):
    """What is wrong with the answer; None when it is as it must be."""
    answer = answer if isinstance(answer, dict) else {}
    kind, message = answer.get("__type"), answer.get("message") or ""
    if case.expect == "serialization":
        good = status == 400 and kind == "SerializationException" and "message" not in answer
    elif case.expect == "violation":
        good = (status == 400 and kind == "ValidationException" and "validation error" in message and
                case.constraint in message and f"at '{case.path}'" in message)
    else:
        good = status < 500 and kind not in ("SerializationException", "ValidationException")
    return None if good else f"{case}: wanted {case.expect}, got {status} {answer}"


@pytest.mark.parametrize("content_type", [aws_json.JSON, aws_json.CBOR], ids=["json", "cbor"])
@pytest.mark.parametrize("operation", OPERATIONS, ids=[op.name for op in OPERATIONS])
def test_every_constraint_of_the_file_holds_on_the_wire(caller, operation, content_type):
    wrong = []
    for case in constraints.cases(operation):
        if case.lenient or (content_type == aws_json.CBOR and isinstance(case.body, dict) and
                            any(is_beyond(value) for value in case.body.values())):
            continue
        status, _, answer = caller.call(operation.target, case.body, content_type)
        wrong.append(judge(case, status, answer))
    assert [found for found in wrong if found] == []


def is_beyond(value):
    """No integer of CBOR."""
    return isinstance(value, int) and not -(2 ** 64) <= value < 2 ** 64


def test_an_operation_of_the_model_has_a_file():
    assert len(TARGETS) == 40
    assert set(TARGETS.values()) == {f"Kinesis_20131202.{name}" for name in TARGETS}
