# SPDX-License-Identifier: Apache-2.0
"""The data streams' operation files against the service model in Debian's botocore, which is older:
all that is in the model is in the files, and every other difference is known."""

import json
import os

import botocore

import constraints
import test_12_botocore_drift as drift

NEWER = "in the service model of 2026-08, which is newer than this botocore"
# Where -> why. * stands for any text.
KNOWN = {
    "* only ours": NEWER,
    "*.StreamName required": f"StreamARN in its place is {NEWER}",
    "*.StreamARN pattern": f"no blanks are {NEWER}",
    "*PartitionKey required": "a stream's own record distribution needs none: the handler asks",
    "SubscribeToShard output*": "the file names the events, not the union around them",
    "*RetentionPeriodHours bounds": "1 to 8760 are told by the service, not by the model",
    "*Type values": "in the order in which the service tells them",
    "PutRecords output.FailedRecordCount bounds": "the service answers 0, which the model forbids",
    "*ShardLevelMetrics bounds": "the service answers an empty list, which the model forbids",
    "*Data bounds": f"10 MiB are {NEWER}",
}


def differences():
    path = os.path.join(os.path.dirname(botocore.__file__), "data/kinesis/2013-12-02/service-2.json")
    with open(path, encoding="utf-8") as f:
        model = json.load(f)
    shapes = model["shapes"]
    patterns = constraints.PATTERNS
    ours = {op.name: op for op in constraints.operations(("datastream",))}
    for name, theirs in sorted(model["operations"].items()):
        if name not in ours:
            yield name, True, False
            continue
        mine = ours[name]
        if mine.target != f"{model['metadata']['targetPrefix']}.{name}":
            yield f"{name} target", model["metadata"]["targetPrefix"], mine.target
        for error in theirs.get("errors", []):
            if error["shape"] not in [fault for fault, _, _ in mine.faults]:
                yield f"{name} fault {error['shape']}", True, False
        for side, members in (("input", mine.members_in), ("output", mine.members_out)):
            shape = theirs.get(side, {}).get("shape")
            facts = drift.model_facts(shapes, shape) if shape else {"members": {}}
            yield from drift.compare(f"{name} {side}", {"members": facts["members"]},
                                     {"members": drift.members_facts(members, patterns)})


def test_every_difference_from_the_model_is_known_and_has_a_reason():
    drift.check_known(differences(), KNOWN)


def test_there_are_45_operations():
    assert len([op for op in constraints.operations(("datastream",)) if op.group != "Kinema"]) == 45
