# SPDX-License-Identifier: Apache-2.0
"""Leases of an application's workers: whoever has seen the newest version changes it, nobody else."""

import threading

import control
import kinema
from data_fixtures import kinesis, server  # noqa: F401


def make_stream(kinesis):
    name = kinema.new_name("leased")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    return name


def update(server, stream, *leases, application="app", status=200):
    got, fault, answer = control.post(server, "/kinema/v1/updateLeases", {
        "StreamName": stream, "ApplicationName": application, "Leases": list(leases)})
    assert got == status, (got, fault, answer)
    return answer["Leases"] if got == 200 else fault


def leases(server, stream, application="app", **more):
    status, fault, answer = control.post(server, "/kinema/v1/listLeases", {
        "StreamName": stream, "ApplicationName": application, **more})
    assert status == 200, (status, fault, answer)
    return answer


def test_a_lease_is_made_changed_and_removed_by_its_version(server, kinesis):
    stream = make_stream(kinesis)
    assert leases(server, stream) == {"Leases": [], "HasMoreLeases": False}
    made, = update(server, stream, {"LeaseKey": "shard-1", "Owner": "a", "Checkpoint": "TRIM_HORIZON"})
    assert made["Changed"]
    shown, = leases(server, stream)["Leases"]
    created = shown.pop("CreationTime")
    assert shown == {"LeaseKey": "shard-1", "Version": made["Version"], "Owner": "a",
                     "Checkpoint": "TRIM_HORIZON"}
    again, = update(server, stream, {"LeaseKey": "shard-1"})
    assert again == {"LeaseKey": "shard-1", "Changed": False}  # there is one already
    taken, = update(server, stream, {"LeaseKey": "shard-1", "Version": made["Version"], "Checkpoint": "7/3"})
    assert taken["Changed"] and taken["Version"] > made["Version"]
    late, = update(server, stream, {"LeaseKey": "shard-1", "Version": made["Version"], "Owner": "b"})
    assert not late["Changed"]
    shown, = leases(server, stream)["Leases"]
    assert shown == {"LeaseKey": "shard-1", "Version": taken["Version"], "Checkpoint": "7/3",
                     "CreationTime": created}  # nobody's
    for version, changed in ((made["Version"], False), (taken["Version"], True), (taken["Version"], False)):
        one, = update(server, stream, {"LeaseKey": "shard-1", "Version": version, "Remove": True})
        assert one == {"LeaseKey": "shard-1", "Changed": changed}
    assert leases(server, stream)["Leases"] == []


def test_each_of_a_call_is_judged_alone(server, kinesis):
    stream = make_stream(kinesis)
    first = update(server, stream, *({"LeaseKey": f"s-{i}"} for i in range(3)))
    moved, = update(server, stream, {"LeaseKey": "s-1", "Version": first[1]["Version"], "Owner": "b"})
    answers = update(server, stream, *({"LeaseKey": one["LeaseKey"], "Version": one["Version"], "Owner": "a"}
                                       for one in first), {"LeaseKey": "s-3"})
    assert [one["Changed"] for one in answers] == [True, False, True, True]
    assert [one.get("Owner") for one in leases(server, stream)["Leases"]] == ["a", "b", "a", None]
    assert leases(server, stream)["Leases"][1]["Version"] == moved["Version"]
    assert update(server, stream, {"LeaseKey": "x"}, {"LeaseKey": "x"}, status=400) == \
        "InvalidArgumentException"


def test_lists_are_paged_and_applications_are_apart(server, kinesis):
    stream = make_stream(kinesis)
    keys = [f"shardId-{i:012}" for i in range(5)]
    update(server, stream, *({"LeaseKey": key} for key in keys))
    update(server, stream, {"LeaseKey": keys[0], "Owner": "z"}, application="app.2")
    found, after = [], {}
    while True:
        page = leases(server, stream, MaxResults=2, **after)
        found += [one["LeaseKey"] for one in page["Leases"]]
        if not page["HasMoreLeases"]:
            break
        after = {"AfterLeaseKey": found[-1]}
    assert found == keys
    assert [one["Owner"] for one in leases(server, stream, "app.2")["Leases"]] == ["z"]
    assert control.post(server, "/kinema/v1/listLeases",
                        {"StreamName": "nobody", "ApplicationName": "app"})[1] == "ResourceNotFoundException"


def test_of_many_who_want_it_one_gets_it(server, kinesis):
    stream = make_stream(kinesis)
    version = update(server, stream, {"LeaseKey": "s"})[0]["Version"]
    won = []

    def want(name):
        if update(server, stream, {"LeaseKey": "s", "Version": version, "Owner": name})[0]["Changed"]:
            won.append(name)

    threads = [threading.Thread(target=want, args=(f"w{i}",)) for i in range(12)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(won) == 1 and leases(server, stream)["Leases"][0]["Owner"] == won[0]


def test_there_are_so_many_applications_and_no_more(server, kinesis):
    stream = make_stream(kinesis)
    for i in range(100):
        update(server, stream, {"LeaseKey": "s"}, application=f"app-{i:03}")
    assert update(server, stream, {"LeaseKey": "s"}, application="other", status=400) == \
        "ClientLimitExceededException"
    update(server, stream, {"LeaseKey": "s2"}, application="app-050")  # those that are there go on


def test_leases_outlive_a_kill_and_end_with_their_stream(make_server):
    server = make_server()
    kinesis = server.client("kinesis")
    kinesis.create_stream(StreamName="orders", ShardCount=1)
    update(server, "orders", *({"LeaseKey": f"s-{i:04}", "Owner": "a", "Checkpoint": str(i)} for i in range(400)))
    update(server, "orders", *({"LeaseKey": f"s-{i:04}", "Checkpoint": str(i)} for i in range(400, 800)))
    before = leases(server, "orders")
    server.restart(hard=True)
    assert leases(server, "orders") == before and len(before["Leases"]) == 800
    kinesis.delete_stream(StreamName="orders")
    kinesis.create_stream(StreamName="orders", ShardCount=1)
    assert leases(server, "orders")["Leases"] == []
    update(server, "orders", {"LeaseKey": "s-0001"})
    server.restart(hard=True)
    assert len(leases(server, "orders")["Leases"]) == 1


def test_a_key_needs_the_permission(make_server):
    server = make_server()
    server.client("kinesis").create_stream(StreamName="orders", ShardCount=1)
    reader = server.create_key("--allow", "kinesis:*")
    assert control.post(server, "/kinema/v1/listLeases", {"StreamName": "orders", "ApplicationName": "app"},
                        key=reader)[0] in (401, 403)
