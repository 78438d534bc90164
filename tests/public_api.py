#!/usr/bin/env python3
"""The public API as a list, from rustdoc's JSON, compared with tests/public_api.txt.

    tests/public_api.py            fails if the API and the list differ, or if a foreign crate is not allowed
    tests/public_api.py --write    writes the list

A line is an item by its shortest public path, a variant, a field, a method, the auto traits of a type, or an impl of another trait. Blanket impls are left out.
rustdoc's JSON is unstable, so another version of Rust may print an item differently;
the list says with which format it was written.
"""

import difflib
import json
import os
import pathlib
import stat
import subprocess
import sys
import tempfile

HOME = pathlib.Path(__file__).resolve().parent.parent
LIST = HOME / "tests" / "public_api.txt"
CRATE = "tower_audit"

# Foreign crates whose types, traits and macros may stand in the public API. A new major version of one of them is a new one of ours; README's "Versions"
# says so. `sqlx_core` and its drivers are what `sqlx` re-exports, `axum_core` what `axum` does, `serde_core` what `serde` does.
ALLOWED = {
    "std", "core", "alloc",
    "axum", "axum_core", "bytes", "futures_core", "http", "http_body", "ipnet", "serde_core", "serde_json",
    "sqlx_core", "sqlx_mysql", "sqlx_postgres", "sqlx_sqlite", "tower_layer", "tower_service", "uuid",
}
AUTO = ("Send", "Sync", "Unpin", "UnwindSafe", "RefUnwindSafe")


def rustdoc_json():
    """Builds the JSON with the toolchain at hand. Only rustdoc is told to accept unstable options, so no dependency is built again."""
    with tempfile.TemporaryDirectory() as folder:
        wrapper = pathlib.Path(folder) / "rustdoc"
        wrapper.write_text('#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec "${REAL_RUSTDOC:-rustdoc}" "$@"\n')
        wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
        env = dict(os.environ, RUSTDOC=str(wrapper), REAL_RUSTDOC=os.environ.get("RUSTDOC", "rustdoc"))
        env["RUSTDOCFLAGS"] = "-Z unstable-options --output-format json"
        # `--message-format` names the folder of the artefacts, wherever it is.
        command = ["cargo", "doc", "--quiet", "--locked", "--no-deps", "--lib", "--all-features"]
        subprocess.run(command, cwd=HOME, env=env, check=True)
        metadata = ["cargo", "metadata", "--locked", "--no-deps", "--format-version=1"]
        target = json.loads(subprocess.run(metadata, cwd=HOME, check=True, capture_output=True).stdout)["target_directory"]
    return json.loads((pathlib.Path(target) / "doc" / f"{CRATE}.json").read_text())


class Api:
    def __init__(self, doc):
        self.doc, self.index, self.paths = doc, doc["index"], doc["paths"]
        self.crates = {int(number): crate["name"] for number, crate in doc["external_crates"].items()}
        self.public = {}
        self.foreign = {}
        self.lines = set()
        self.here = ""

    def item(self, number):
        return self.index.get(str(number))

    # Names.

    def name_all(self):
        """Gives each reachable item its shortest public path: the crate's root first."""
        queue = [(self.doc["root"], CRATE)]
        while queue:
            number, path = queue.pop(0)
            for child in self.item(number)["inner"]["module"]["items"]:
                item = self.item(child)
                if item is None:
                    continue
                kind, inner = next(iter(item["inner"].items()))
                if kind == "use":
                    target = self.item(inner["id"])
                    if target is None:
                        self.lines.add(f"use {path}::{inner['name']} = {inner['source']}")
                    elif "module" in target["inner"]:
                        queue.append((inner["id"], f"{path}::{inner['name']}"))
                    else:
                        self.public.setdefault(inner["id"], f"{path}::{inner['name']}")
                elif kind == "module":
                    queue.append((child, f"{path}::{item['name']}"))
                elif kind != "impl":
                    self.public.setdefault(child, f"{path}::{item['name']}")

    def path(self, type_):
        """The path of a type or a trait: the public one of ours, the full one of others. Notes the crate of the latter."""
        number = type_["id"]
        known = self.paths.get(str(number))
        if number in self.public:
            return self.public[number]
        if known is None:
            return type_["path"]
        crate = CRATE if known["crate_id"] == 0 else self.crates[known["crate_id"]]
        if crate != CRATE:
            self.foreign.setdefault(crate, self.here)
        return "::".join(known["path"])

    # Types.

    def arguments(self, args):
        if not args:
            return ""
        if "parenthesized" in args:
            call = args["parenthesized"]
            return f"({', '.join(map(self.type, call['inputs']))})" + self.returns(call["output"])
        if "angle_bracketed" not in args:
            return ""
        parts = []
        for arg in args["angle_bracketed"]["args"]:
            kind, value = next(iter(arg.items())) if isinstance(arg, dict) else (arg, None)
            parts.append({"lifetime": lambda: value, "type": lambda: self.type(value), "const": lambda: value["expr"]}.get(kind, lambda: "_")())
        for constraint in args["angle_bracketed"]["constraints"]:
            kind, value = next(iter(constraint["binding"].items()))
            if kind == "equality":
                parts.append(f"{constraint['name']} = {self.type(value['type']) if 'type' in value else value['constant']['expr']}")
            else:
                parts.append(f"{constraint['name']}: {self.bounds(value)}")
        return f"<{', '.join(parts)}>" if parts else ""

    def returns(self, output):
        return "" if output is None else f" -> {self.type(output)}"

    def type(self, type_):
        kind, inner = next(iter(type_.items())) if isinstance(type_, dict) else (type_, None)
        if kind == "resolved_path":
            return self.path(inner) + self.arguments(inner["args"])
        if kind == "dyn_trait":
            traits = [self.quantified(t["generic_params"]) + self.path(t["trait"]) + self.arguments(t["trait"]["args"]) for t in inner["traits"]]
            return f"dyn {' + '.join(traits + [inner['lifetime']] * (inner['lifetime'] is not None))}"
        if kind in ("generic", "primitive"):
            return inner
        if kind == "tuple":
            return f"({', '.join(map(self.type, inner))})"
        if kind == "slice":
            return f"[{self.type(inner)}]"
        if kind == "array":
            return f"[{self.type(inner['type'])}; {inner['len']}]"
        if kind == "borrowed_ref":
            lifetime = f"{inner['lifetime']} " if inner["lifetime"] else ""
            return f"&{lifetime}{'mut ' if inner['is_mutable'] else ''}{self.type(inner['type'])}"
        if kind == "raw_pointer":
            return f"*{'mut' if inner['is_mutable'] else 'const'} {self.type(inner['type'])}"
        if kind == "impl_trait":
            return f"impl {self.bounds(inner)}"
        if kind == "qualified_path":
            base, trait = self.type(inner["self_type"]), inner["trait"]
            if trait is None or (base == "Self" and not trait["path"]):
                return f"{base}::{inner['name']}"
            return f"<{base} as {self.path(trait)}{self.arguments(trait['args'])}>::{inner['name']}"
        if kind == "function_pointer":
            return f"fn({', '.join(self.type(t) for _, t in inner['sig']['inputs'])}){self.returns(inner['sig']['output'])}"
        raise SystemExit(f"tests/public_api.py knows no type of the kind {kind!r} (rustdoc's format {self.doc['format_version']}): teach it")

    def quantified(self, params):
        return f"for<{', '.join(p['name'] for p in params)}> " if params else ""

    def bounds(self, bounds):
        parts = []
        for bound in bounds:
            if "outlives" in bound:
                parts.append(bound["outlives"])
            elif "trait_bound" in bound:
                inner = bound["trait_bound"]
                maybe = "?" if inner["modifier"] == "maybe" else ""
                parts.append(self.quantified(inner["generic_params"]) + maybe + self.path(inner["trait"]) + self.arguments(inner["trait"]["args"]))
            else:
                parts.append(f"use<{', '.join(next(iter(a.values())) for a in bound['use'])}>")
        return " + ".join(parts)

    def generics(self, generics):
        """The parameters in angle brackets, and the `where` clause."""
        params, clauses = [], []
        for param in generics["params"]:
            kind, inner = next(iter(param["kind"].items()))
            if kind == "lifetime":
                params.append(param["name"] + (f": {' + '.join(inner['outlives'])}" if inner["outlives"] else ""))
            elif kind == "const":
                params.append(f"const {param['name']}: {self.type(inner['type'])}")
            elif not inner["is_synthetic"]:
                bounds = self.bounds(inner["bounds"])
                default = f" = {self.type(inner['default'])}" if inner["default"] else ""
                params.append(param["name"] + (f": {bounds}" if bounds else "") + default)
        for clause in generics["where_predicates"]:
            kind, inner = next(iter(clause.items()))
            if kind == "bound_predicate":
                clauses.append(f"{self.quantified(inner['generic_params'])}{self.type(inner['type'])}: {self.bounds(inner['bounds'])}")
            elif kind == "lifetime_predicate":
                clauses.append(f"{inner['lifetime']}: {' + '.join(inner['outlives'])}")
        return f"<{', '.join(params)}>" if params else "", f" where {', '.join(clauses)}" if clauses else ""

    # Items.

    def function(self, item, path):
        inner = item["inner"]["function"]
        params, clauses = self.generics(inner["generics"])
        inputs = []
        for name, type_ in inner["sig"]["inputs"]:
            text = self.type(type_)
            receiver = {"Self": "self", "&Self": "&self", "&mut Self": "&mut self"}.get(text) if name == "self" else None
            inputs.append(receiver or f"{name}: {text}")
        header = inner["header"]
        words = "".join(f"{word} " for word in ("const", "async", "unsafe") if header[f"is_{word}"])
        self.lines.add(f"{words}fn {path}{params}({', '.join(inputs)}){self.returns(inner['sig']['output'])}{clauses}")

    def fields(self, path, kind):
        if kind == "unit" or kind == "plain":
            return ""
        if "tuple" in kind:
            shown = [self.item(f) for f in kind["tuple"] if f is not None]
            return f"({', '.join(self.type(f['inner']['struct_field']) if f else '_' for f in shown) or '_'})"
        plain = kind.get("plain") or kind.get("struct")
        for number in plain["fields"]:
            field = self.item(number)
            self.lines.add(f"field {path}::{field['name']}: {self.type(field['inner']['struct_field'])}")
        return " { .. }" if plain.get("has_stripped_fields") else ""

    def members(self, path, items, prefix=""):
        for number in items:
            item = self.item(number)
            if item is None:
                continue
            name, kind = f"{path}::{item['name']}", next(iter(item["inner"]))
            if kind == "function":
                self.function(item, name)
            elif kind == "assoc_const":
                self.lines.add(f"const {name}: {self.type(item['inner'][kind]['type'])}")
            elif kind == "assoc_type":
                inner = item["inner"][kind]
                bounds = f": {self.bounds(inner['bounds'])}" if inner["bounds"] else ""
                self.lines.add(f"type {name}{bounds}" + (f" = {self.type(inner['type'])}" if inner["type"] else ""))

    def impls(self, path, numbers):
        auto = {}
        for number in numbers:
            inner = self.item(number)["inner"]["impl"] if self.item(number) else None
            if inner is None or inner["blanket_impl"]:
                continue
            name = inner["trait"]["path"].rsplit("::", 1)[-1] if inner["trait"] else None
            if name in AUTO and "for" in inner:
                # A bound on a parameter is the usual one, that the parameter has the trait as well; pin-project's `Unpin` says the same in its own way.
                auto[name] = ("!" if inner["is_negative"] else "") + name
            if inner["is_synthetic"] or name in (*AUTO, "StructuralPartialEq"):
                continue
            params, clauses = self.generics(inner["generics"])
            if inner["trait"] is None:
                # A bound of an inherent impl is one of its methods.
                self.members(path, inner["items"])
                continue
            trait = self.path(inner["trait"]) + self.arguments(inner["trait"]["args"])
            self.lines.add(f"impl{params} {trait} for {self.type(inner['for'])}{clauses}")
            for member in inner["items"]:
                item = self.item(member)
                if item and "assoc_type" in item["inner"]:
                    self.type(item["inner"]["assoc_type"]["type"])
        if auto:
            self.lines.add(f"auto {path}: {', '.join(auto[name] for name in AUTO if name in auto)}")

    def render(self):
        self.name_all()
        for number, path in sorted(self.public.items(), key=lambda pair: pair[1]):
            item = self.item(number)
            kind, inner = next(iter(item["inner"].items()))
            self.here = path
            open_ = "non_exhaustive " if any("non_exhaustive" in str(attr) for attr in item["attrs"]) else ""
            if kind == "function":
                self.function(item, path)
            elif kind == "constant":
                self.lines.add(f"const {path}: {self.type(inner['type'])}")
            elif kind == "type_alias":
                params, clauses = self.generics(inner["generics"])
                self.lines.add(f"type {path}{params} = {self.type(inner['type'])}{clauses}")
            elif kind == "macro":
                self.lines.add(f"macro {path}!")
            elif kind == "struct":
                params, clauses = self.generics(inner["generics"])
                self.lines.add(f"{open_}struct {path}{params}{self.fields(path, inner['kind'])}{clauses}")
                self.impls(path, inner["impls"])
            elif kind == "enum":
                params, clauses = self.generics(inner["generics"])
                self.lines.add(f"{open_}enum {path}{params}{clauses}")
                for variant in map(self.item, inner["variants"]):
                    if variant is not None:
                        name = f"{path}::{variant['name']}"
                        self.lines.add(f"variant {name}{self.fields(name, variant['inner']['variant']['kind'])}")
                self.impls(path, inner["impls"])
            elif kind == "trait":
                params, clauses = self.generics(inner["generics"])
                bounds = f": {self.bounds(inner['bounds'])}" if inner["bounds"] else ""
                self.lines.add(f"trait {path}{params}{bounds}{clauses}")
                self.members(path, inner["items"])
                self.impls(path, inner["implementations"])
            else:
                raise SystemExit(f"tests/public_api.py knows no item of the kind {kind!r}: teach it")
        return sorted(self.lines, key=lambda line: (line.split("tower_audit::", 1)[-1], line))


def main():
    api = Api(rustdoc_json())
    head = f"# The public API, all features; written by `tests/public_api.py --write` from rustdoc's JSON, format {api.doc['format_version']}."
    lines = [head, *api.render()]
    refused = {crate: at for crate, at in api.foreign.items() if crate not in ALLOWED}
    unused = ALLOWED - set(api.foreign)
    if refused or unused:
        for crate, at in sorted(refused.items()):
            print(f"the public API names the crate {crate}, at {at}: it would tie our major version to theirs")
        for crate in sorted(unused):
            print(f"the public API does not name {crate}: strike it off ALLOWED")
        return 1
    if "--write" in sys.argv[1:]:
        LIST.write_text("\n".join(lines) + "\n")
        return 0
    before = LIST.read_text().splitlines()
    difference = list(difflib.unified_diff(before, lines, "tests/public_api.txt", "the public API", n=0, lineterm=""))
    if difference:
        print("\n".join(difference))
        print("\nif that is meant: tests/public_api.py --write, and a line in CHANGELOG.md")
        return 1
    print(f"{len(lines) - 1} items, as listed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
