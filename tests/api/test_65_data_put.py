# SPDX-License-Identifier: Apache-2.0
"""PutRecord and PutRecords by boto3, and in CBOR: where records go, what they are told, what is refused."""

import base64
import hashlib

import pytest

import aws_json
import kinema
from data_fixtures import kinesis, server  # noqa: F401
from test_64_data_streams import fault

MIB = 1 << 20
TARGET = "Kinesis_20131202."


@pytest.fixture
def name(kinesis):
    one = kinema.new_name("data")
    kinesis.create_stream(StreamName=one, ShardCount=3)
    return one


def shard_of(key, count=3):
    return min(int(hashlib.md5(key.encode()).hexdigest(), 16) // ((1 << 128) // count), count - 1)


def shard_id(index):
    return f"shardId-{index:012d}"


def parts(sequence):
    """Creation, index and arrival, and the shard, out of a number."""
    digits = f"{int(sequence):047x}"
    assert digits[0] == "2" and digits[-1] == "2" and len(sequence) == 56
    return int(digits[1:10], 16), int(digits[11:27], 16), int(digits[29:38], 16), int(digits[38:46], 16)


def test_a_record_goes_to_the_shard_of_its_key(kinesis, name):
    for key in ("a", "b", "ключ", "x" * 256):
        answer = kinesis.put_record(StreamName=name, PartitionKey=key, Data=b"data")
        assert answer["ShardId"] == shard_id(shard_of(key))
        assert parts(answer["SequenceNumber"])[3] == shard_of(key)
        assert "EncryptionType" not in answer


def test_an_explicit_hash_key_has_its_way(kinesis, name):
    third = (1 << 128) // 3
    for key, shard in ((0, 0), (third - 1, 0), (third, 1), (2 * third - 1, 1), (2 * third, 2), ((1 << 128) - 1, 2)):
        answer = kinesis.put_record(StreamName=name, PartitionKey="a", ExplicitHashKey=str(key), Data=b"")
        assert answer["ShardId"] == shard_id(shard)
    message = f"Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {1 << 128}"
    refused = {"PartitionKey": "a", "ExplicitHashKey": str(1 << 128), "Data": b""}
    assert fault(kinesis.put_record, StreamName=name, **refused) == ("InvalidArgumentException", message)
    assert fault(kinesis.put_records, StreamName=name, Records=[refused]) == ("InvalidArgumentException", message)


def test_numbers_of_a_shard_follow_the_order_of_the_call(kinesis, name):
    keys = [f"key {i}" for i in range(500)]
    seen = {0: 0, 1: 0, 2: 0}
    for _ in range(3):
        answer = kinesis.put_records(StreamName=name, Records=[{"PartitionKey": k, "Data": k.encode()} for k in keys])
        assert answer["FailedRecordCount"] == 0 and "EncryptionType" not in answer
        assert [r["ShardId"] for r in answer["Records"]] == [shard_id(shard_of(k)) for k in keys]
        for entry in answer["Records"]:
            _, index, _, shard = parts(entry["SequenceNumber"])
            assert index == seen[shard] + 1
            seen[shard] = index
            assert set(entry) == {"ShardId", "SequenceNumber"}


def test_an_encrypted_stream_says_so(kinesis, name):
    kinesis.start_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    assert kinesis.put_record(StreamName=name, PartitionKey="a", Data=b"")["EncryptionType"] == "KMS"
    answer = kinesis.put_records(StreamName=name, Records=[{"PartitionKey": "a", "Data": b""}])
    assert answer["EncryptionType"] == "KMS"
    kinesis.stop_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId="alias/aws/kinesis")
    assert "EncryptionType" not in kinesis.put_record(StreamName=name, PartitionKey="a", Data=b"")


def too_long(where, size):
    return ("ValidationException", "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 "
            f"lim={size} cap={size}]' at '{where}' failed to satisfy constraint: Member must have length less "
            "than or equal to 1048576")


def test_a_record_is_as_large_as_the_stream_allows(kinesis, server, name):
    kinesis.put_record(StreamName=name, PartitionKey="a", Data=bytes(MIB))
    assert fault(kinesis.put_record, StreamName=name, PartitionKey="a", Data=bytes(MIB + 1)) == too_long("data", MIB + 1)
    records = [{"PartitionKey": "a", "Data": b""}, {"PartitionKey": "a", "Data": bytes(MIB + 2)}]
    assert fault(kinesis.put_records, StreamName=name, Records=records) == too_long("records.2.member.data", MIB + 2)

    caller = aws_json.caller_of(server)
    wide = kinema.new_name("data")
    status, _, _ = caller.call(TARGET + "CreateStream", {"StreamName": wide, "ShardCount": 1, "MaxRecordSizeInKiB": 10240})
    assert status == 200
    body = {"StreamName": wide, "PartitionKey": "a", "Data": base64.b64encode(bytes(10 * MIB)).decode()}
    status, _, answer = caller.call(TARGET + "PutRecord", body)
    assert (status, answer["ShardId"]) == (200, shard_id(0))


def test_a_call_holds_ten_mebibytes(kinesis, name):
    keys = [str(i) for i in range(10)]
    fits = [{"PartitionKey": k, "Data": bytes(MIB - 1)} for k in keys]
    assert kinesis.put_records(StreamName=name, Records=fits)["FailedRecordCount"] == 0
    refused = fits[:9] + [{"PartitionKey": "ab", "Data": bytes(MIB - 1)}]
    assert fault(kinesis.put_records, StreamName=name, Records=refused) == \
        ("InvalidArgumentException", "Records size exceeds 10 MB limit")


def test_a_number_for_ordering_must_be_one(kinesis, name):
    first = kinesis.put_record(StreamName=name, PartitionKey="a", Data=b"")
    second = kinesis.put_record(StreamName=name, PartitionKey="a", Data=b"",
                                SequenceNumberForOrdering=first["SequenceNumber"])
    assert int(second["SequenceNumber"]) > int(first["SequenceNumber"])
    for good in ("23bb2cc3d7f7fffffffffffffff000000000007fffffff2", "20000000000000000000000000000000000000000000001"):
        kinesis.put_record(StreamName=name, PartitionKey="a", Data=b"", SequenceNumberForOrdering=str(int(good, 16)))
    for bad in ("20000000000000000000000000000000000000000000000", "30000000000000000000000000000000000000000000001",
                "20000000000800000000000000000000000000000000002",
                "13bb2cc3d80000000000000000000000", "20000000000000000000000000000fffffffff000000002"):
        number = str(int(bad, 16))
        message = f"ExclusiveMinimumSequenceNumber {number} used in PutRecord on stream {name} under account " \
                  "000000000000 is invalid."
        assert fault(kinesis.put_record, StreamName=name, PartitionKey="a", Data=b"",
                     SequenceNumberForOrdering=number) == ("InvalidArgumentException", message)


def test_a_stream_that_is_not_there(kinesis):
    expected = ("ResourceNotFoundException", "Stream nobody under account 000000000000 not found.")
    assert fault(kinesis.put_record, StreamName="nobody", PartitionKey="a", Data=b"") == expected
    assert fault(kinesis.put_records, StreamName="nobody", Records=[{"PartitionKey": "a", "Data": b""}]) == expected


def test_a_key_is_missed_unless_the_stream_spreads_records_itself(server, name):
    caller = aws_json.caller_of(server)
    status, _, answer = caller.call(TARGET + "PutRecord", {"StreamName": name, "Data": ""})
    assert (status, answer["__type"]) == (400, "ValidationException")
    assert answer["message"] == ("1 validation error detected: Value null at 'partitionKey' failed to satisfy "
                                 "constraint: Member must not be null")
    _, _, answer = caller.call(TARGET + "PutRecords", {"StreamName": name, "Records": [
        {"PartitionKey": "a", "Data": ""}, {"Data": ""}]})
    assert "Value null at 'records.2.member.partitionKey'" in answer["message"]

    spread = kinema.new_name("data")
    caller.call(TARGET + "CreateStream", {"StreamName": spread, "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
                                          "RecordDistributionStrategy": "AUTO"})
    _, _, answer = caller.call(TARGET + "PutRecords", {"StreamName": spread, "Records": [{"Data": ""}] * 400})
    counts = [sum(r["ShardId"] == shard_id(i) for r in answer["Records"]) for i in range(4)]
    assert sum(counts) == 400 and all(90 <= count <= 110 for count in counts), counts


def test_dry_run_stores_nothing(server, name):
    caller = aws_json.caller_of(server)
    status, _, answer = caller.call(TARGET + "PutRecord", {"StreamName": name, "PartitionKey": "a", "Data": "", "DryRun": True})
    assert (status, answer["__type"]) == (400, "DryRunOperationException")
    _, _, answer = caller.call(TARGET + "PutRecord", {"StreamName": name, "PartitionKey": "a", "Data": ""})
    assert parts(answer["SequenceNumber"])[1] == 1


def test_bad_base64_stores_nothing_of_the_call(server, name):
    caller = aws_json.caller_of(server)
    good, bad = {"PartitionKey": "a", "Data": "AAAA"}, {"PartitionKey": "b", "Data": "A-A="}
    status, _, answer = caller.call(TARGET + "PutRecords", {"StreamName": name, "Records": [good, bad, good]})
    assert (status, answer["__type"]) == (400, "SerializationException")
    assert "Invalid Base64 character: '-'" in answer["Message"]
    _, _, answer = caller.call(TARGET + "PutRecords", {"StreamName": name, "Records": [good]})
    assert parts(answer["Records"][0]["SequenceNumber"])[1] == 1


def test_cbor_carries_bytes(server, name):
    caller = aws_json.caller_of(server)
    status, headers, answer = caller.call(TARGET + "PutRecord", {"StreamName": name, "PartitionKey": "a", "Data": b"\0\1"},
                                          aws_json.CBOR)
    assert (status, headers["content-type"]) == (200, aws_json.CBOR)
    assert set(answer) == {"ShardId", "SequenceNumber"}
    status, _, answer = caller.call(TARGET + "PutRecords", {"StreamName": name, "Records": [
        {"PartitionKey": "a", "Data": bytes(1000)}, {"PartitionKey": "a", "Data": b""}]}, aws_json.CBOR)
    assert status == 200 and answer["FailedRecordCount"] == 0
    assert [parts(r["SequenceNumber"])[1] for r in answer["Records"]] == [2, 3]


def test_numbers_grow_over_restarts(make_server):
    server = make_server()
    server.client("kinesis").create_stream(StreamName="s", ShardCount=1)
    last = 0
    for hard in (False, True, True, False):
        answer = server.client("kinesis").put_records(StreamName="s", Records=[{"PartitionKey": "a", "Data": b"x"}] * 20)
        numbers = [int(r["SequenceNumber"]) for r in answer["Records"]]
        assert numbers == sorted(set(numbers)) and numbers[0] > last
        last = numbers[-1]
        server.restart(hard=hard)
    assert parts(str(last))[1] == 80, "nothing was lost and nothing counted twice"


def test_a_shard_without_room_fails_record_by_record(make_server):
    """The budget of memory is full of one shard's records: theirs are refused as AWS throttles, the others stored."""
    server = make_server(args=("--shard-memory-bytes-max", 262144))
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName="s", ShardCount=2)
    big, small = ({"PartitionKey": "k", "ExplicitHashKey": key, "Data": bytes(size)}
                  for key, size in (("0", 100000), (str((1 << 128) - 1), 10)))
    answer = kinesis.put_records(StreamName="s", Records=[big, small, big, big, small])
    assert answer["FailedRecordCount"] == 3
    refused = {"ErrorCode": "ProvisionedThroughputExceededException",
               "ErrorMessage": "Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000."}
    assert [answer["Records"][i] for i in (0, 2, 3)] == [refused] * 3
    assert [parts(answer["Records"][i]["SequenceNumber"])[1] for i in (1, 4)] == [1, 2]
    assert fault(kinesis.put_record, StreamName="s", PartitionKey="a", ExplicitHashKey="0", Data=bytes(300000)) == (
        refused["ErrorCode"], refused["ErrorMessage"])


def test_a_body_that_no_record_explains_is_told_to_be_too_large(kinesis, name):
    with pytest.raises(kinesis.exceptions.ClientError) as raised:
        kinesis.put_record(StreamName=name, Data=b"x" * (13 << 20), PartitionKey="k")
    assert raised.value.response["Error"] == {"Code": "RequestEntityTooLargeException",
                                              "Message": f"The request's body is larger than {15 << 20} bytes."}
    kinesis.put_record(StreamName=name, Data=b"x", PartitionKey="k")
