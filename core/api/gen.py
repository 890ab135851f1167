#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gen.py <module> <outdir> <files…>: tables and types of a module's operations (see README.md).

Writes <module>_api.h and <module>_api.c. What comes out is data: rows, enums, structs, prototypes
and one typed trampoline an operation. All behaviour is in core/src/api*.c.
"""
import os
import re
import sys

sys.dont_write_bytecode = True  # the source folder stays clean
import opfile  # noqa: E402

C_SCALAR = {
    "string": "struct kn_str", "blob": "struct kn_bytes", "integer": "struct kn_api_i64",
    "long": "struct kn_api_i64", "timestamp": "struct kn_api_i64",
    "double": "struct kn_api_double", "boolean": "struct kn_api_bool",
}


def quote(text):
    out = []
    for byte in text.encode("utf-8"):
        char = chr(byte)
        if char in '"\\':
            out.append("\\" + char)
        elif 32 <= byte < 127 and char != "?":
            out.append(char)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def identifier(text):
    return re.sub(r"[^A-Za-z0-9_]", "_", text)


class Module:
    def __init__(self, name, operations, reader):
        self.name, self.operations, self.reader = name, operations, reader
        self.used = self.find_used()
        self.shape_ids = {}
        self.shape_rows = []

    def find_used(self):
        """Named types that an operation reaches, inner ones first."""
        used = []

        def visit(t):
            if t is None or t in used:
                return
            for m in t.members:
                visit(m.type)
            for part in (t.item, t.key, t.value):
                visit(part)
            if t.kind in ("enum", "structure"):
                used.append(t)
        for op in self.operations:
            for m in op.members_in + op.members_out:
                visit(m.type)
        return used

    def c_type(self, t):
        if t.kind == "enum":
            return f"enum {self.name}_{t.name}"
        if t.kind == "structure":
            return f"const struct {self.name}_{t.name} *"
        if t.kind == "map":
            return "struct kn_api_map"
        if t.kind == "list":
            return f"struct {self.list_name(t.item)}"
        return "struct kn_api_blob" if t.view else C_SCALAR[t.kind]

    def list_name(self, item):
        if item.kind == "string":
            return "kn_api_str_list"
        if item.kind in ("integer", "long"):
            return "kn_api_i64_list"
        return f"{self.name}_{item.name}_list"

    # --- the header ------------------------------------------------------------------------------
    def header(self):
        out = ["/* Made by core/api/gen.py; do not edit. */", f"#ifndef {self.name.upper()}_API_GENERATED_H",
               f"#define {self.name.upper()}_API_GENERATED_H", "",
               '#include "core/api.h"', '#include "core/api_row.h"', "", f"struct {self.name};"]
        listed = self.listed_items()
        for t in self.used:
            out.append("")
            out += self.enum(t) if t.kind == "enum" else self.struct(f"{self.name}_{t.name}", t.members)
            if t in listed:
                out += self.list_struct(t)
        for op in self.operations:
            out.append("")
            out += self.struct(f"{self.name}_{op.name}_in", op.members_in)
            out += self.struct(f"{self.name}_{op.name}_out", op.members_out)
            if op.status in ("done", "planned"):
                out += [f"int {self.name}_op_{op.name}(struct {self.name} *module, "
                        f"const struct {self.name}_{op.name}_in *in,",
                        f"    struct {self.name}_{op.name}_out *out, struct kn_api_call *call);"]
        out += [""] + [f"extern const struct kn_api_structure *const {self.name}_{t.name}_event;"
                       for t in self.events()]
        out += [f"extern const struct kn_api_service {self.name}_api_service;", "", "#endif", ""]
        return "\n".join(out)

    def events(self):
        """What streamed answers consist of: the module encodes these itself."""
        events = []
        for op in self.operations:
            if op.body == "stream" and op.status != "refused":
                events += [m.type for m in op.members_out if m.type.kind == "structure"]
        return list(dict.fromkeys(events))

    def listed_items(self):
        items = []

        def visit(t):
            if t is not None:
                if t.kind == "list" and t.item.kind in ("enum", "structure"):
                    items.append(t.item)
                for m in t.members:
                    visit(m.type)
                visit(t.item)
        for op in self.operations:
            for m in op.members_in + op.members_out:
                visit(m.type)
        return items

    def enum(self, t):
        prefix = f"{self.name.upper()}_{t.name}_"
        out = [f"enum {self.name}_{t.name} {{", f"    {prefix}ABSENT,"]
        out += [f"    {prefix}{identifier(v)}," for v in t.values]
        return out + ["};", f"extern const struct kn_str {self.name}_{t.name}_text[{len(t.values) + 1}];"]

    def struct(self, name, members):
        out = [f"struct {name} {{"]
        for m in members:
            c = self.c_type(m.type)
            out.append(f"    {c}{'' if c.endswith('*') else ' '}{m.name};")
        if not members:
            out.append("    char nothing;")
        return out + ["};"]

    def list_struct(self, t):
        c = f"enum {self.name}_{t.name}" if t.kind == "enum" else f"struct {self.name}_{t.name}"
        name = self.list_name(t)
        return [f"struct {name} {{", "    bool set;", "    size_t count;", f"    const {c} *items;", "};",
                f"static_assert(sizeof(struct {name}) == sizeof(struct kn_api_list), \"one layout\");"]

    # --- the tables ------------------------------------------------------------------------------
    def source(self):
        tables = []
        for t in self.used:
            tables += self.enum_table(t) if t.kind == "enum" else self.structure_table(
                f"{self.name}_{t.name}", t.name, t.members)
        for op in self.operations:
            tables += self.operation_tables(op)
        out = ["/* Made by core/api/gen.py; do not edit. */", f'#include "{self.name}_api.h"', ""]
        out += self.shape_rows + [""] + tables
        out += [f"const struct kn_api_structure *const {self.name}_{t.name}_event = "
                f"&structure_{self.name}_{t.name};" for t in self.events()]
        out += [f"static const struct kn_api_operation *const operations[] = {{"]
        out += [f"    &op_{op.name}," for op in self.operations]
        out += ["};", "", f"const struct kn_api_service {self.name}_api_service = {{",
                f"    .module = {quote(self.name)},", "    .operations = operations,",
                f"    .operation_count = {len(self.operations)},", "};", ""]
        return "\n".join(out)

    def enum_table(self, t):
        out = [f"const struct kn_str {self.name}_{t.name}_text[{len(t.values) + 1}] = {{", "    {NULL, 0},"]
        out += [f"    KN_STR_INIT({quote(v)})," for v in t.values]
        return out + ["};", ""]

    def shape(self, t):
        """The id of the row that describes type t; made on first use."""
        if id(t) in self.shape_ids:
            return self.shape_ids[id(t)]
        parts = {key: self.shape(part) for key, part in
                 (("item", t.item), ("key", t.key), ("value", t.value)) if part is not None}
        name = f"shape_{len(self.shape_ids)}_{identifier(t.name)}"
        self.shape_ids[id(t)] = name
        fields = [f".type = KN_API_{t.kind.upper()}{'_VIEW' if t.view else ''}"]
        for key, bound in (("min", t.low), ("max", t.high)):
            if bound is not None:
                fields += [f".has_{key} = true", f".{key} = {bound}"]
        if t.pattern:
            fields += [f".pattern = kn_api_pattern_{t.pattern}",
                       f".pattern_text = {quote(self.reader.patterns[t.pattern]['regex'])}"]
        if t.kind == "enum":
            fields += [f".values = {self.name}_{t.name}_text", f".value_count = {len(t.values)}"]
        if t.kind == "structure":
            self.shape_rows.append(f"static const struct kn_api_structure structure_{self.name}_{t.name};")
            fields.append(f".structure = &structure_{self.name}_{t.name}")
        if t.item is not None:
            fields.append(f".item_bytes = sizeof(*((struct {self.list_name(t.item)} *) 0)->items)")
        fields += [f".{key} = &{ident}" for key, ident in parts.items()]
        self.shape_rows.append(f"static const struct kn_api_shape {name} = {{{', '.join(fields)}}};")
        return name

    def structure_table(self, c_name, name, members):
        out = []
        if members:
            out.append(f"static const struct kn_api_row rows_{c_name}[] = {{")
            for m in members:
                fields = [f".name = KN_STR_INIT({quote(m.name)})", f".shape = &{self.shape(m.type)}",
                          f".offset = offsetof(struct {c_name}, {m.name})"]
                if m.required:
                    fields.append(".required = true")
                if m.header:
                    fields.append(f".header = {quote(m.header)}")
                out.append(f"    {{{', '.join(fields)}}},")
            out.append("};")
        rows = f"rows_{c_name}" if members else "NULL"
        return out + [f"static const struct kn_api_structure structure_{c_name} = {{",
                      f"    {quote(name)}, {rows}, {len(members)}, sizeof(struct {c_name})}};", ""]

    def operation_tables(self, op):
        c = f"{self.name}_{op.name}"
        out = self.structure_table(f"{c}_in", op.name + "Input", op.members_in)
        out += self.structure_table(f"{c}_out", op.name + "Output", op.members_out)
        if op.faults:
            out += [f"static const struct kn_api_fault_row faults_{op.name}[] = {{"]
            out += [f"    {{{quote(n)}, {status}, {quote(member)}}}," for n, status, member in op.faults]
            out += ["};"]
        if op.status == "done":
            out += [f"static int call_{op.name}(void *module, const void *in, void *out, struct kn_api_call *call)",
                    "{", f"    return {self.name}_op_{op.name}(module, in, out, call);", "}"]
        fields = [("name", quote(op.name)), ("service", quote(op.service)), ("method", quote(op.method)),
                  ("route", quote(op.route)), ("action", quote(op.action)),
                  ("in", f"&structure_{c}_in"), ("out", f"&structure_{c}_out"),
                  ("fault_count", str(len(op.faults)))]
        if op.faults:
            fields.append(("faults", f"faults_{op.name}"))
        names = [m.name for m in op.members_in]
        for key, member in [("name", op.resource.get("name"))] + [
                (f"arns[{i}]", arn) for i, arn in enumerate(op.arns)]:
            if member:
                fields.append((f"resource_{key}", f"&rows_{c}_in[{names.index(member)}]"))
        if "token" in op.resource:
            fields.append(("resource_token", f"&rows_{c}_in[{names.index(op.resource['token'])}]"))
        if op.protocol == "aws-json":
            fields += [("protocol", "KN_API_AWS_JSON"), ("target", quote(op.target))]
        for key, whose in (("calls_per_s", "account"), ("stream_calls_per_s", "stream")):
            if whose in op.calls_per_s:
                fields.append((key, str(op.calls_per_s[whose])))
        if op.body_limit:
            fields.append(("body_bytes_max", str(op.body_limit)))
        for key, on in (("blocking", op.blocking), ("changes", op.changes), ("input_stream", op.input == "stream"),
                        ("answer_stream", op.body == "stream")):
            if on:
                fields.append((key, "true"))
        if op.status == "done":
            fields.append(("invoke", f"call_{op.name}"))
        if op.reason:
            fields += [("refused_fault", quote(op.fault)), ("refused_reason", quote(op.reason))]
        out.append(f"static const struct kn_api_operation op_{op.name} = {{")
        out += [f"    .{key} = {value}," for key, value in fields]
        return out + ["};", ""]


def write_if_changed(path, text):
    try:
        with open(path, encoding="utf-8") as f:
            if f.read() == text:
                os.utime(path)
                return
    except FileNotFoundError:
        pass
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def main(argv):
    if len(argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    name, outdir, paths = argv[1], argv[2], argv[3:]
    try:
        operations, reader = opfile.read_module(paths)
    except opfile.Bad as e:
        print(f"gen.py: {e}", file=sys.stderr)
        return 1
    module = Module(name, operations, reader)
    os.makedirs(outdir, exist_ok=True)
    write_if_changed(os.path.join(outdir, f"{name}_api.h"), module.header())
    write_if_changed(os.path.join(outdir, f"{name}_api.c"), module.source())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
