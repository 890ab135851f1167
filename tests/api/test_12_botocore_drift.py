# SPDX-License-Identifier: Apache-2.0
"""Our operation files against the service models in Debian's botocore: every difference is known.

The files are written by hand from the contract; this lists where they and the models part, with the
reason, and fails both on a new difference and on a reason that no longer applies.
"""

import fnmatch
import glob
import json
import os
import sys

import botocore

import kinema

sys.path.insert(0, str(kinema.ROOT / "core" / "api"))
import opfile  # noqa: E402

MODELS = ["kinesisvideo/2017-09-30", "kinesis-video-media/2017-09-30",
          "kinesis-video-archived-media/2017-09-30", "kinesis-video-signaling/2019-12-04"]

NEWER = "in the service model of 2026-08, which is newer than this botocore"
# Where -> why. Where is "Operation", or "Operation what path"; * stands for any text.
KNOWN = {
    "PutMedia": "in no service model",
    "DescribeStreamStorageConfiguration": NEWER,
    "UpdateStreamStorageConfiguration": NEWER,
    "DescribeMediaStorageConfiguration": NEWER,
    "UpdateMediaStorageConfiguration": NEWER,
    "DescribeMappedResourceConfiguration": NEWER,
    "StartEdgeConfigurationUpdate": NEWER,
    "DescribeEdgeConfiguration": NEWER,
    "DeleteEdgeConfiguration": NEWER,
    "ListEdgeAgentConfigurations": NEWER,
    "JoinStorageSession": NEWER,
    "JoinStorageSessionAsViewer": NEWER,
    "CreateStream input.StreamStorageConfiguration only ours": NEWER,
    "GetSignalingChannelEndpoint * values": f"WEBRTC is {NEWER}",
    "*NextToken bounds": f"1024 is {NEWER}; ours stay within 512",
    "*SamplingInterval bounds": f"no bounds are {NEWER}",
    "GetImages input.SamplingInterval required": f"optional is {NEWER}",
    "GetImages fault NoDataRetentionException": NEWER,
    "ListTagsFor* output.Tags bounds": "no tags are {} in the answer, so that a client finds Tags",
    "* output.ContentType pattern": "botocore's allows no slash, so no content type would match",
    "*Stream input.StreamARN pattern": "the handler judges it, for InvalidResourceFormatException",
    "* input.*ARN pattern": "other partitions than aws are accepted here too",
    "SendAlexaOfferToMaster input.MessagePayload pattern": "the same letters; the length is >= 1",
}


def model_facts(shapes, name, seen=()):
    shape = shapes[name]
    kind = shape["type"]
    facts = {"kind": kind, "bounds": (shape.get("min"), shape.get("max"))}
    if "enum" in shape:
        facts["kind"], facts["values"] = "enum", tuple(shape["enum"])
        facts["bounds"] = (None, None)
    if "pattern" in shape:
        facts["pattern"] = shape["pattern"]
    if kind == "structure":
        facts["members"] = {
            member: (member in shape.get("required", []), model_facts(shapes, ref["shape"]))
            for member, ref in shape["members"].items()}
    if kind == "list":
        facts["item"] = model_facts(shapes, shape["member"]["shape"])
    if kind == "map":
        facts["key"] = model_facts(shapes, shape["key"]["shape"])
        facts["value"] = model_facts(shapes, shape["value"]["shape"])
    return facts


def our_facts(t, patterns):
    facts = {"kind": t.kind, "bounds": (t.low, t.high)}
    if t.kind == "enum":
        facts["values"] = tuple(t.values)
    if t.pattern:
        facts["pattern"] = patterns[t.pattern]["regex"]
    if t.kind == "structure":
        facts["members"] = members_facts(t.members, patterns)
    if t.kind == "list":
        facts["item"] = our_facts(t.item, patterns)
    if t.kind == "map":
        facts["key"] = our_facts(t.key, patterns)
        facts["value"] = our_facts(t.value, patterns)
    return facts


def members_facts(members, patterns):
    return {m.name: (m.required, our_facts(m.type, patterns)) for m in members}


def normal(key, value):
    """Forms that mean the same: a least length of 0 and none; anchors around a whole pattern."""
    if key == "bounds":
        return (value[0] or None, value[1])
    if key == "pattern" and value:
        value = value.lstrip("^").rstrip("$")
        whole = value.startswith("(") and value.endswith(")") and value.count("(") == 1
        return value[1:-1] if whole else value
    return value


def compare(where, theirs, ours):
    """Yields "where" for each difference, with both sides."""
    for key in sorted(set(theirs) | set(ours) - {"members"}):
        a, b = theirs.get(key), ours.get(key)
        if key == "members":
            for name in sorted(set(a or {}) | set(b or {})):
                if name not in (a or {}) or name not in (b or {}):
                    yield f"{where}.{name} only {'ours' if name in (b or {}) else 'theirs'}", a, b
                    continue
                if a[name][0] != b[name][0]:
                    yield f"{where}.{name} required", a[name][0], b[name][0]
                yield from compare(f"{where}.{name}", a[name][1], b[name][1])
        elif key in ("item", "key", "value"):
            yield from compare(f"{where}[{key}]", a, b)
        elif normal(key, a) != normal(key, b):
            yield f"{where} {key}", a, b


def load_models():
    root = os.path.join(os.path.dirname(botocore.__file__), "data")
    operations = {}
    for name in MODELS:
        with open(os.path.join(root, name, "service-2.json"), encoding="utf-8") as f:
            model = json.load(f)
        for operation in model["operations"].values():
            operations[operation["name"]] = (operation, model["shapes"])
    return operations


def load_ours():
    operations = {}
    for module in ("ingest", "playback"):
        found, reader = opfile.read_module(
            sorted(glob.glob(str(kinema.ROOT / module / "api" / "*.json"))))
        for operation in found:
            if operation.group == "Kinema":
                continue  # our own, in no model of Amazon's
            operations[operation.name] = (operation, reader.patterns)
    return operations


def differences():
    models, ours = load_models(), load_ours()
    for name in sorted(set(models) | set(ours)):
        if name not in models or name not in ours:
            yield name, name in models, name in ours
            continue
        operation, shapes = models[name]
        mine, patterns = ours[name]
        if (operation["http"]["method"], operation["http"]["requestUri"]) != (
                mine.method, mine.route):
            yield f"{name} route", operation["http"], mine.route
        theirs = {}
        for error in operation.get("errors", []):
            shape = shapes[error["shape"]]
            theirs[error["shape"]] = (shape["error"]["httpStatusCode"], *shape["members"])
        faults = {fault: (status, member) for fault, status, member in mine.faults}
        for fault in sorted(set(theirs) | set(faults)):
            if theirs.get(fault) != faults.get(fault):
                yield f"{name} fault {fault}", theirs.get(fault), faults.get(fault)
        for side, members in (("input", mine.members_in), ("output", mine.members_out)):
            shape = operation.get(side, {}).get("shape")
            facts = model_facts(shapes, shape) if shape else {"members": {}}
            yield from compare(f"{name} {side}", {"members": facts["members"]},
                               {"members": members_facts(members, patterns)})


def check_known(found, reasons):
    """found: (where, theirs, ours), …; reasons: a pattern of where -> why."""
    found = {where: (theirs, ours) for where, theirs, ours in found}
    known = {where: [pattern for pattern in reasons if fnmatch.fnmatchcase(where, pattern)] for where in found}
    unknown = [f"{where}: botocore {theirs!r}, ours {ours!r}"
               for where, (theirs, ours) in found.items() if not known[where]]
    assert not unknown, "\n".join(unknown)
    assert sorted(set(reasons) - set(sum(known.values(), []))) == [], "reasons that no longer apply"


def test_every_difference_from_the_models_is_known_and_has_a_reason():
    check_known(differences(), KNOWN)


def test_every_operation_of_the_models_has_a_file():
    assert set(load_models()) - set(load_ours()) == set()


def test_the_comparison_notices_a_wrong_bound_a_missing_fault_and_a_pattern():
    """Against a copy of a model with three things changed."""
    models = load_models()
    operation, shapes = models["CreateStream"]
    good = model_facts(shapes, operation["input"]["shape"])
    bad = json.loads(json.dumps(good))
    bad["members"]["StreamName"][1]["bounds"] = [1, 255]
    bad["members"]["MediaType"][1]["pattern"] = "x"
    del bad["members"]["Tags"]
    wrong = {where for where, _, _ in compare("it", good, bad)}
    assert {"it.StreamName bounds", "it.MediaType pattern", "it.Tags only theirs"} <= wrong
