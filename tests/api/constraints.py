# SPDX-License-Identifier: Apache-2.0
"""Negative (and boundary) requests made from the operation files: one list for every member.

    for op in constraints.operations():
        for case in constraints.cases(op):
            ...send case.body and case.headers to op.route...

A case says what must come back:
    case.expect == "violation"      400, and the message holds case.constraint and at '<case.path>'
    case.expect == "serialization"  400, coral's SerializationException envelope
    case.expect == "valid"          anything but those two: the value lies just inside its limits
    case.lenient                    Kinesis converts such a value and does not refuse its type

Every case changes one member of a body that is otherwise valid, so exactly one thing is wrong. No
network and no pytest in here.
"""
import copy
import glob
import os
import sys
from dataclasses import dataclass, field

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "core", "api"))

import opfile  # noqa: E402

MODULES = ("ingest", "playback")
LONG = 70000  # how much text or how many items a case may hold
ARN = "arn:aws:kinesisvideo:us-east-1:000000000000:stream/{}/1700000000000"
TIMESTAMP = 1700000000


@dataclass
class Case:
    operation: object
    what: str      # "StreamName: longer than 256"
    expect: str    # violation, serialization, valid
    path: str = ""
    constraint: str = ""
    body: dict = None  # None: the operation reads no JSON
    headers: dict = field(default_factory=dict)
    lenient: bool = False

    def __str__(self):
        return f"{self.operation.name}-{self.what}".replace(" ", "_")


def operations(modules=MODULES):
    """All operations of the modules, as opfile reads them, sorted by name."""
    found = []
    for module in modules:
        found += opfile.read_module(sorted(glob.glob(os.path.join(ROOT, module, "api", "*.json"))))[0]
    return sorted(found, key=lambda op: op.name)


PATTERNS = opfile.load(os.path.join(ROOT, "core", "api", "patterns.json"))


# --- values --------------------------------------------------------------------------------------
def text(pattern, length):
    """A string of this length that fits the pattern, or None when there is none."""
    pattern = pattern or ""
    good = PATTERNS[pattern]["good"] if pattern else ""
    if pattern == "stream_id":
        return good if length == len(good) else None
    if pattern.endswith("arn"):
        head = {"arn": ARN.split("{}", maxsplit=1)[0], "thing_arn": good[:-3],
                "secret_arn": good[:-6], "stream_arn": good[:-6], "kinesis_arn": good[:-10],
                "consumer_arn": good[:-14]}[pattern]
        tail = ARN.split("{}")[1] if pattern == "arn" else good[-11:] if pattern == "consumer_arn" else ""
        room = length - len(head) - len(tail)
        return head + "x" * room + tail if room > 0 else None
    if pattern == "media_type":
        return "video/" + "x" * (length - 6) if length > 6 else None
    if pattern == "destination_uri":
        return "s3://" + "x" * (length - 5) if length > 5 else None
    if pattern == "region":
        return "us-" + "x" * (length - 5) + "-1" if length > 5 else None
    if pattern == "schedule" and not 11 <= length <= 100:
        return None
    if pattern == "base64_token" and length < 1:
        return None
    return ("1" if pattern in ("digits", "word", "hash_key", "sequence_number") else "x") * length


def example(t):
    """A value of this type that breaks nothing."""
    if t.kind == "string":
        if t.pattern:
            return PATTERNS[t.pattern]["good"]
        return "x" * max(t.low or 0, 1)
    if t.kind in ("integer", "long"):
        return t.low if t.low is not None else min(t.high, 1) if t.high is not None else 1
    if t.kind == "timestamp":
        return TIMESTAMP
    if t.kind == "double":
        return 0.5
    if t.kind == "boolean":
        return True
    if t.kind == "blob":
        return "AAAA"
    if t.kind == "enum":
        return t.values[0]
    if t.kind == "structure":
        return members(t.members)
    if t.kind == "list":
        return [example(t.item) for _ in range(max(t.low or 0, 1))]
    return {f"{example(t.key)}{i or ''}": example(t.value) for i in range(max(t.low or 0, 1))}


def members(list_of_members):
    """The required members alone."""
    return {m.name: example(m.type) for m in list_of_members if m.required and not m.header}


def header_text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- what can be wrong with one value --------------------------------------------------------------
def bounds(low, high, what):
    return (f"Member must have {what} greater than or equal to {low}",
            f"Member must have {what} less than or equal to {high}")


def bad_strings(t):
    least, most = bounds(t.low, t.high, "length")
    if t.low and (value := text(t.pattern, t.low)) is not None:
        yield f"of {t.low}", "valid", value, ""
    if t.low == 1 or (t.low and text(t.pattern, t.low - 1) is not None):
        yield f"shorter than {t.low}", "violation", text(t.pattern, t.low - 1) or "", least
    if t.high is not None and t.high < LONG:
        for length, expect, constraint in ((t.high, "valid", ""), (t.high + 1, "violation", most)):
            value = text(t.pattern, length)
            if value is not None:
                yield f"of {length}", expect, value, constraint
    if t.pattern:
        row = PATTERNS[t.pattern]
        yield ("against its pattern", "violation", row["bad"],
               f"Member must satisfy regular expression pattern: {row['regex']}")


def bad_numbers(t):
    least, most = bounds(t.low, t.high, "value")
    if t.low is not None:
        yield f"of {t.low}", "valid", t.low, ""
        yield f"below {t.low}", "violation", t.low - 1, least
    if t.high is not None:
        yield f"of {t.high}", "valid", t.high, ""
        yield f"above {t.high}", "violation", t.high + 1, most
    limit = 2 ** 31 if t.kind == "integer" else 2 ** 63
    yield "too large for its type", "serialization", limit, ""
    yield "with a fraction", "serialization", 1.5, ""


def bad_lists(t):
    least, most = bounds(t.low, t.high, "length")
    if t.low:
        yield f"of {t.low - 1}", "violation", [example(t.item)] * (t.low - 1), least
    if t.high is not None and t.high < LONG:
        yield f"of {t.high + 1}", "violation", [example(t.item)] * (t.high + 1), most
    yield "with null in it", "serialization", [None], ""
    if t.item.kind in ("string", "enum"):
        for what, expect, value, _ in bad_values(t.item):
            if expect == "violation":
                yield (f"with an item {what}", "violation", [value],
                       "Member must satisfy constraint: [")


def bad_maps(t):
    least, most = bounds(t.low, t.high, "length")
    if t.low:
        yield f"of {t.low - 1}", "violation", {}, least
    if t.high is not None and t.high < LONG and t.key.kind == "string":
        many = {f"key{i}": example(t.value) for i in range(t.high + 1)}
        yield f"of {t.high + 1}", "violation", many, most
    for what, expect, value, _ in bad_values(t.key):
        if expect == "violation":
            yield (f"with a key {what}", "violation", {value: example(t.value)},
                   "Map keys must satisfy constraint: [")
    for what, expect, value, _ in bad_values(t.value):
        if expect == "violation":
            yield (f"with a value {what}", "violation", {example(t.key): value},
                   "Map value must satisfy constraint: [")
    yield "with a number as value", "serialization", {example(t.key): 1}, ""


def bad_values(t):
    """(what, expect, value, constraint) for a value of type t by itself."""
    if t.kind == "string":
        yield from bad_strings(t)
    elif t.kind in ("integer", "long"):
        yield from bad_numbers(t)
    elif t.kind == "enum":
        for value in t.values:
            yield f"of {value}", "valid", value, ""
        yield ("outside its set", "violation", "NO_SUCH_VALUE",
               f"Member must satisfy enum value set: [{', '.join(t.values)}]")
    elif t.kind == "list":
        yield from bad_lists(t)
    elif t.kind == "map":
        yield from bad_maps(t)


WRONG_TYPES = {
    "string": 5, "blob": 5, "enum": 5, "integer": "5", "long": "5", "timestamp": "2026-01-01T00:00:00Z",
    "double": "0.5", "boolean": "true", "structure": "x", "list": "x", "map": "x",
}


# --- where ---------------------------------------------------------------------------------------
def lower_first(name):
    return name[0].lower() + name[1:]


def walk(list_of_members, path=()):
    """(member, path of steps) for every member of the body, nested ones too. A step is a name, or
    0 for the first item of a list."""
    for m in list_of_members:
        if m.header:
            continue
        here = path + (m.name,)
        yield m, here
        if m.type.kind == "structure":
            yield from walk(m.type.members, here)
        elif m.type.kind == "list" and m.type.item.kind == "structure":
            yield from walk(m.type.item.members, here + (0,))


def path_text(path):
    return ".".join("1.member" if step == 0 else lower_first(step) for step in path)


def with_containers(op, path):
    """A valid body in which everything above the end of path exists."""
    body = members(op.members_in)
    at, types = body, {m.name: m.type for m in op.members_in}
    for step in path[:-1]:
        if step == 0:
            at = at[0]
            continue
        t = types[step]
        at = at.setdefault(step, example(t))
        inner = t.item if t.kind == "list" else t
        types = {m.name: m.type for m in inner.members}
    return body, at


def changed(op, path, value):
    body, at = with_containers(op, path)
    at[path[-1]] = value
    return body


def without(op, path):
    body, at = with_containers(op, path)
    at.pop(path[-1], None)
    return body


# --- the cases -------------------------------------------------------------------------------------
def body_cases(op):
    for m, path in walk(op.members_in):
        where, name = path_text(path), ".".join(map(str, path))
        if m.required:
            for what, body in (("missing", without(op, path)), ("null", changed(op, path, None))):
                yield Case(op, f"{name}: {what}", "violation", where, "Member must not be null", body)
        yield Case(op, f"{name}: wrong type", "serialization", where, "",
                   changed(op, path, WRONG_TYPES[m.type.kind]), lenient=m.type.kind == "boolean")
        for what, expect, value, constraint in bad_values(m.type):
            yield Case(op, f"{name}: {what}", expect, where, constraint, changed(op, path, value),
                       lenient=expect == "serialization" and m.type.kind in ("integer", "long"))
    for what, body in (("an array", []), ("a number", 1), ("text", "x")):
        if op.input == "json":
            yield Case(op, f"body: {what}", "serialization", "", "", body)


def header_cases(op):
    located = [m for m in op.members_in if m.header]
    base = {m.header: header_text(example(m.type)) for m in located if m.required}
    body = members(op.members_in) if op.input == "json" else None
    for m in located:
        where = lower_first(m.name)
        if m.required:
            rest = {k: v for k, v in base.items() if k != m.header}
            yield Case(op, f"{m.name}: missing", "violation", where, "Member must not be null", body, rest)
        for what, expect, value, constraint in bad_values(m.type):
            value = header_text(value)
            if value.isprintable() and value == value.strip() and value.isascii():
                yield Case(op, f"{m.name}: {what}", expect, where, constraint, body,
                           {**base, m.header: value})


def cases(op):
    """Every case of one operation. A refused operation without `in` has none."""
    if op.status == "refused" and not op.members_in:
        return
    yield from (copy.deepcopy(case) for case in header_cases(op))
    if op.input == "json":
        yield from (copy.deepcopy(case) for case in body_cases(op))
