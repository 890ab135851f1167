# SPDX-License-Identifier: Apache-2.0
"""Reads operation files (README.md here) into plain objects: shapes resolved, defaults filled in.

Everything that reads the files goes through here: gen.py, coverage.py, tests/api/constraints.py.
Standard library only.
"""
import json
import os

HERE = os.path.dirname(os.path.abspath(__file__))
SCALARS = ("string", "blob", "integer", "long", "timestamp", "double", "boolean", "enum")
TYPE_KEYS = {
    "string": {"length", "pattern"}, "blob": {"length", "view"}, "integer": {"range"}, "long": {"range"},
    "timestamp": set(), "double": set(), "boolean": set(), "enum": {"values"},
    "structure": {"members"}, "list": {"length", "item"}, "map": {"length", "key", "value"},
}
MEMBER_KEYS = {"required", "header", "doc"}
OPERATION_KEYS = {
    "operation", "group", "service", "status", "reason", "fault", "source", "method", "route",
    "action", "resource", "blocking", "changes", "input", "body", "in", "out", "faults", "shapes",
    "doc",
    "protocol", "target", "body_limit", "calls_per_s",
}
DEFAULT_KEYS = {"group", "service", "protocol", "target"}
BODY_LIMIT_MAX = 16 << 20


class Bad(Exception):
    """A file that breaks the rules of README.md; the text says where."""


def load(path):
    def no_doubles(pairs):
        seen = {}
        for key, value in pairs:
            if key in seen:
                raise Bad(f"{path}: {key!r} is there twice")
            seen[key] = value
        return seen
    with open(path, encoding="utf-8") as f:
        try:
            return json.load(f, object_pairs_hook=no_doubles)
        except json.JSONDecodeError as e:
            raise Bad(f"{path}: {e}") from e


class Type:
    """A resolved type. name: of its shape, or made from its place (enum and structure only)."""

    def __init__(self, kind, name):
        self.kind, self.name = kind, name
        self.low = self.high = None
        self.pattern = None
        self.values = []
        self.view = False
        self.members = []
        self.item = self.key = self.value = None


class Member:
    def __init__(self, name, type_, required, header):
        self.name, self.type, self.required, self.header = name, type_, required, header


class Operation:
    pass


class Reader:
    """One module's files. Named types are shared; `named` keeps them in order of first use."""

    def __init__(self):
        self.patterns = load(os.path.join(HERE, "patterns.json"))
        self.fault_rows = {"rest-json": load(os.path.join(HERE, "faults.json")),
                           "aws-json": load(os.path.join(HERE, "faults-aws-json.json"))}
        self.defaults = {}
        self.raw, self.where, self.done, self.named = {}, {}, {}, []
        self.add_shapes(os.path.join(HERE, "shapes.json"))

    def add_shapes(self, path, shapes=None):
        if shapes is None:
            content = load(path)
            self.check_keys(path, content, {"shapes", "defaults", "doc"})
            self.check_keys(path, content.get("defaults", {}), DEFAULT_KEYS)
            self.defaults.update(content.get("defaults", {}))
            shapes = content.get("shapes", {})
        for name, spec in shapes.items():
            if name in self.raw and os.path.dirname(self.where[name]) != HERE:
                raise Bad(f"{path}: shape {name} is already defined in {self.where[name]}")
            self.raw[name], self.where[name] = spec, path

    def check_keys(self, where, spec, allowed):
        if not isinstance(spec, dict):
            raise Bad(f"{where}: an object is expected")
        for key in spec:
            if key not in allowed:
                raise Bad(f"{where}: unknown key {key!r}")

    def type_of(self, where, spec, place):
        if "shape" in spec:
            self.check_keys(where, spec, {"shape"} | MEMBER_KEYS)
            return self.shape(where, spec["shape"])
        kind = spec.get("type")
        if kind not in TYPE_KEYS:
            raise Bad(f"{where}: unknown type {kind!r}")
        self.check_keys(where, spec, {"type"} | TYPE_KEYS[kind] | MEMBER_KEYS)
        return self.build(where, spec, kind, place)

    def shape(self, where, name):
        if name not in self.raw:
            raise Bad(f"{where}: there is no shape {name}")
        if name not in self.done:
            self.done[name] = None
            self.done[name] = self.type_of(f"{self.where[name]}: shape {name}", self.raw[name], name)
        if self.done[name] is None:
            raise Bad(f"{where}: shape {name} contains itself")
        return self.done[name]

    def build(self, where, spec, kind, place):
        t = Type(kind, place)
        bounds = spec.get("length", spec.get("range", [None, None]))
        if len(bounds) != 2 or (None not in bounds and bounds[0] > bounds[1]):
            raise Bad(f"{where}: bounds are [min, max], null for an open end")
        t.low, t.high = bounds
        if kind == "string" and t.low == 0 and self.defaults.get("protocol") != "aws-json":
            t.low = None  # Kinesis tells it, in constraints of map values
        t.view = spec.get("view", False)
        t.pattern = spec.get("pattern")
        if t.pattern is not None and t.pattern not in self.patterns:
            raise Bad(f"{where}: patterns.json has no {t.pattern!r}")
        if kind == "enum":
            t.values = spec.get("values") or []
            if not t.values or len(set(t.values)) != len(t.values):
                raise Bad(f"{where}: an enum has one or more distinct values")
            self.named.append(t)
        if kind == "structure":
            t.members = self.members(where, spec.get("members", {}), place)
            self.named.append(t)
        if kind == "list":
            t.item = self.part(where, spec, "item", place, ("string", "integer", "long", "enum", "structure"))
        if kind == "map":
            t.key = self.part(where, spec, "key", place, ("string", "enum"))
            t.value = self.part(where, spec, "value", place, ("string",))
        return t

    def part(self, where, spec, key, place, kinds):
        if key not in spec:
            raise Bad(f"{where}: {key} is missing")
        part = self.type_of(f"{where}.{key}", spec[key], f"{place}_{key}")
        if part.kind not in kinds:
            raise Bad(f"{where}: {key} cannot be a {part.kind}")
        return part

    def members(self, where, specs, place):
        return [Member(name, self.type_of(f"{where}.{name}", spec, f"{place}_{name}"),
                       bool(spec.get("required", False)), spec.get("header"))
                for name, spec in specs.items()]

    def faults(self, where, spec, protocol):
        names = spec if isinstance(spec, list) else list(spec)
        rows = []
        for name in names:
            row = spec[name] if isinstance(spec, dict) else self.fault_rows[protocol].get(name)
            if row is None:
                raise Bad(f"{where}: no status is known of {name}; give it")
            if isinstance(row, int):
                row = {"status": row}
            self.check_keys(where, row, {"status", "message"})
            member = row.get("message", "Message" if protocol == "rest-json" else "message")
            rows.append((name, row["status"], member))
        return rows

    def operation(self, path):
        spec = load(path)
        self.check_keys(path, spec, OPERATION_KEYS)
        own, spec = spec, {**self.defaults, **spec}
        op = Operation()
        op.protocol = spec.get("protocol", "rest-json")
        if op.protocol == "aws-json":
            spec.setdefault("route", "/")
        for key in ("operation", "status", "source", "route"):
            if not spec.get(key):
                raise Bad(f"{path}: {key} is missing")
        op.path, op.name = path, spec["operation"]
        if os.path.basename(path) != op.name + ".json":
            raise Bad(f"{path}: the file of {op.name} is called {op.name}.json")
        op.service = spec.get("service", "kinesisvideo")
        op.group = spec.get("group", op.service)
        op.source, op.status = spec["source"], spec["status"]
        op.method, op.route = spec.get("method", "POST"), spec["route"]
        if op.protocol != "aws-json" and "target" not in own:
            spec.pop("target", None)  # the module's, for those that are
        op.target = f"{spec['target']}.{op.name}" if spec.get("target") else None
        op.action = spec.get("action", f"{op.service}:{op.name}")
        op.blocking, op.changes = spec.get("blocking", False), spec.get("changes", False)
        op.body_limit = spec.get("body_limit")
        op.calls_per_s = spec.get("calls_per_s", {})
        op.input, op.body = spec.get("input", "json"), spec.get("body", "json")
        self.check_protocol(op)
        op.faults = self.faults(path, spec.get("faults", []), op.protocol)
        self.add_shapes(path, spec.get("shapes", {}))
        op.members_in = self.members(f"{path}: in", spec.get("in", {}), op.name)
        op.members_out = self.members(f"{path}: out", spec.get("out", {}), op.name)
        op.resource = spec.get("resource", {})
        op.reason, op.fault = spec.get("reason"), spec.get("fault")
        self.check_operation(op)
        return op

    def check_protocol(self, op):
        if op.protocol not in ("rest-json", "aws-json"):
            raise Bad(f"{op.path}: the protocol is rest-json or aws-json")
        aws = op.protocol == "aws-json"
        if aws != bool(op.target) or (aws and (op.method, op.route) != ("POST", "/")):
            raise Bad(f"{op.path}: aws-json, and only that, is POST / with a target")
        if aws and op.input != "json":
            raise Bad(f"{op.path}: the input of aws-json is its body")
        self.check_keys(f"{op.path}: calls_per_s", op.calls_per_s, {"account", "stream"})
        if not all(isinstance(rate, int) and rate > 0 for rate in op.calls_per_s.values()):
            raise Bad(f"{op.path}: calls_per_s are whole numbers")
        if op.body_limit is not None and not 0 < op.body_limit <= BODY_LIMIT_MAX:
            raise Bad(f"{op.path}: body_limit is up to {BODY_LIMIT_MAX} bytes")

    def check_operation(self, op):
        if op.status not in ("done", "refused", "planned"):
            raise Bad(f"{op.path}: status is done, refused or planned")
        if op.status == "refused" or op.reason or op.fault:
            if op.status == "planned" or not op.reason or op.fault not in [name for name, _, _ in op.faults]:
                raise Bad(f"{op.path}: refusing needs a reason, and a fault out of its faults")
        if op.input not in ("json", "stream") or op.body not in ("json", "stream"):
            raise Bad(f"{op.path}: input and body are json or stream")
        limited = "LimitExceededException" if op.protocol == "aws-json" else "ClientLimitExceededException"
        if op.calls_per_s and limited not in [name for name, _, _ in op.faults]:
            raise Bad(f"{op.path}: calls_per_s needs {limited} in its faults")
        if op.changes and not op.blocking:
            raise Bad(f"{op.path}: what changes the catalogue is blocking")
        if not op.route.startswith("/"):
            raise Bad(f"{op.path}: the route starts with /")
        self.check_keys(f"{op.path}: resource", op.resource, {"name", "arn", "token"})
        by_name = {m.name: m for m in op.members_in}
        op.arns = op.resource.get("arn", [])
        op.arns = [op.arns] if isinstance(op.arns, str) else op.arns
        others = [op.resource[key] for key in ("name", "token") if key in op.resource]
        if len(op.arns) > 2:
            raise Bad(f"{op.path}: two ARNs are enough")
        for member in op.arns + others:
            if member not in by_name or by_name[member].type.kind != "string":
                raise Bad(f"{op.path}: resource {member} is no string of in")
        for m in op.members_in:
            if op.input == "stream" and not m.header:
                raise Bad(f"{op.path}: {m.name}: with input stream members come from headers")
            if op.protocol == "aws-json" and m.header:
                raise Bad(f"{op.path}: {m.name}: aws-json has no members in headers")
            if m.header and (m.type.kind not in SCALARS or m.header != m.header.lower()):
                raise Bad(f"{op.path}: {m.name}: a header is lower case and holds a scalar")


def read_module(paths):
    """(operations sorted by name, named types in order of definition)."""
    reader, operations = Reader(), []
    files = sorted(p for p in paths if os.path.basename(p) != "shapes.json")
    for path in paths:
        if os.path.basename(path) == "shapes.json":
            reader.add_shapes(path)
    for path in files:
        operations.append(reader.operation(path))
    routes = {}
    for op in operations:
        key = (op.method, op.target or op.route)
        if key in routes:
            raise Bad(f"{op.path}: {key[1]} is {routes[key]}'s")
        routes[key] = op.name
    return operations, reader
