"""Prints what pefile says about a PE file, or LIEF about a Mach-O file, as JSON: `{table: [[key, [cell, …]], …]}`."""

import json
import sys


def pe(path):
    import pefile

    file = pefile.PE(path, fast_load=True)
    names = ["IMPORT", "DELAY_IMPORT", "EXPORT", "RESOURCE"]
    file.parse_data_directories([pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_" + name] for name in names])
    base = file.OPTIONAL_HEADER.ImageBase

    def text(name):
        return name.decode("utf-8", "replace") if name else ""

    imports = []
    for kind in ("IMPORT", "DELAY_IMPORT"):
        for library in getattr(file, "DIRECTORY_ENTRY_" + kind, []):
            for entry in library.imports:
                imports.append([hex(entry.address), [text(library.dll), text(entry.name)]])
    exports = []
    for entry in getattr(getattr(file, "DIRECTORY_ENTRY_EXPORT", None), "symbols", []):
        target = text(entry.forwarder) or hex(base + entry.address)
        exports.append([f"{entry.ordinal} {text(entry.name)}", [target]])
    resources = []
    for kind in getattr(getattr(file, "DIRECTORY_ENTRY_RESOURCE", None), "entries", []):
        for name in kind.directory.entries:
            for language in name.directory.entries:
                known = pefile.RESOURCE_TYPE.get(kind.id)
                kind_text = str(kind.name) if kind.name else known or str(kind.id)
                name_text = str(name.name) if name.name else str(name.id)
                data = language.data.struct
                cells = [kind_text, name_text, str(language.id), hex(base + data.OffsetToData), str(data.Size)]
                resources.append([str(len(resources)), cells])
    return {"binary_imports": imports, "binary_exports": exports, "binary_resources": resources}


def macho(path):
    import lief

    lief.logging.disable()
    imports = {}
    for binding in lief.MachO.parse(path).at(0).bindings:
        if binding.has_symbol and binding.has_library:
            imports[binding.symbol.name] = binding.library.name
    return {"binary_imports": [[name, [library]] for name, library in sorted(imports.items())]}


print(json.dumps({"pe": pe, "macho": macho}[sys.argv[1]](sys.argv[2])))
