"""Prints what pefile says about a PE file, or LIEF about a Mach-O or ELF file, as JSON: `{table: [[key, [cell, …]], …]}`."""

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


def elf(path):
    import lief

    lief.logging.disable()
    file = lief.ELF.parse(path)
    symbol_class = lief.ELF.Symbol
    imports, exports = [], []
    for index, symbol in enumerate(file.dynamic_symbols):
        is_weak = symbol.binding == symbol_class.BINDING.WEAK
        if not is_weak and symbol.binding != symbol_class.BINDING.GLOBAL:
            continue
        version = symbol.symbol_version
        has_name = version is not None and version.has_auxiliary_version
        text = version.symbol_version_auxiliary.name if has_name else ""
        if symbol.shndx == 0:
            imports.append([str(index), [symbol.name, text, str(is_weak).lower()]])
        # Default or protected; other bits are those of the processor.
        elif symbol.other & 3 in (0, 3):
            is_thread_local = symbol.type == symbol_class.TYPE.TLS
            exports.append([str(index), [symbol.name, text, "" if is_thread_local else hex(symbol.value)]])
    functions = [("init", file.ctor_functions), ("fini", file.dtor_functions)]
    called = sorted({f"{kind} {hex(function.address)}" for kind, group in functions for function in group})
    initializers = [[key, ["present"]] for key in called]
    return {"binary_imports": imports, "binary_exports": exports, "binary_initializers": initializers}


print(json.dumps({"pe": pe, "macho": macho, "elf": elf}[sys.argv[1]](sys.argv[2])))
