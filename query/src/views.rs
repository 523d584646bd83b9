//! Views for common questions. The last line of each query is the order of its rows.

/// A view of every session.
#[derive(Debug)]
pub struct View {
    /// Its name.
    pub name: &'static str,
    /// The meaning of its rows.
    pub doc: &'static str,
    /// The query that computes them.
    pub query: &'static str,
}

/// All views.
pub const VIEWS: &[View] = &[
    View {
        name: "function_sizes",
        doc: "Functions with their demangled names, largest first.",
        query: "SELECT demangle(function_name) AS function_name, size, instruction_count, block_count, address, binary_name
                FROM functions
                ORDER BY size DESC, binary_name, address",
    },
    View {
        name: "size_by_namespace",
        doc: "Size of code by crate or namespace, largest first. Instances of generic functions count for the namespace that defines them; `-` is code without a namespace.",
        query: r"SELECT namespace, sum(size) AS size, count(*) AS functions, binary_name
                FROM (
                    SELECT size, binary_name, coalesce(nullif(regexp_replace(demangle(function_name),
                        '^[^A-Za-z_]*(?:(?:dyn|impl|mut|const|void|bool|int|char|unsigned|long|auto) +)*(?:([A-Za-z_][A-Za-z0-9_]*)::)?.*$',
                        '\1'), ''), '-') AS namespace
                    FROM functions
                )
                GROUP BY binary_name, namespace
                ORDER BY size DESC, binary_name, namespace",
    },
    View {
        name: "largest_frames",
        doc: "Functions with the size of their stack frames, largest first.",
        query: "SELECT demangle(f.function_name) AS function_name, s.frame_size, s.saved_registers, s.uses_frame_pointer, s.status,
                    f.address, f.binary_name
                FROM stack_frames s JOIN functions f ON f.binary_name = s.binary_name AND f.address = s.function_address
                ORDER BY s.frame_size DESC, f.binary_name, f.address",
    },
    View {
        name: "string_refs",
        doc: "Instructions that refer to the start of a string.",
        query: "SELECT s.text, i.address, function_name(i.address, i.binary_name) AS function_name, s.address AS string_address, i.binary_name
                FROM instructions i JOIN binary_strings s ON s.binary_name = i.binary_name AND s.address = i.mem_address
                ORDER BY i.binary_name, i.address",
    },
    View {
        name: "import_uses",
        doc: "Imports with the number of their calls and of the functions that call them.",
        query: "SELECT i.import_name, i.library_name, count(c.call_address) AS calls,
                    count(DISTINCT c.caller_address) AS callers, i.binary_name
                FROM (SELECT DISTINCT import_name, library_name, binary_name FROM binary_imports WHERE import_name IS NOT NULL) i
                LEFT JOIN call_edges c ON c.binary_name = i.binary_name AND c.import_name = i.import_name
                GROUP BY i.binary_name, i.import_name, i.library_name
                ORDER BY calls DESC, i.binary_name, i.import_name",
    },
    View {
        name: "unresolved_indirects",
        doc: "Indirect jumps and calls with unknown targets.",
        query: "SELECT u.kind, u.address, u.function_address, demangle(f.function_name) AS function_name, u.binary_name
                FROM (
                    SELECT 'jump' AS kind, b.address, b.function_address, b.binary_name
                    FROM cfg_edges e JOIN basic_blocks b ON b.binary_name = e.binary_name AND b.address = e.source_address
                    WHERE e.evidence = 'unresolved'
                    UNION ALL
                    SELECT 'call', call_address, caller_address, binary_name
                    FROM call_edges
                    WHERE evidence = 'unresolved'
                ) u
                JOIN functions f ON f.binary_name = u.binary_name AND f.address = u.function_address
                ORDER BY u.binary_name, u.address",
    },
    View {
        name: "section_map",
        doc: "Sections sorted by address; sections that are not loaded come last.",
        query: "SELECT section_name, address, size, file_offset, file_size, permissions, kind, binary_name
                FROM binary_sections
                ORDER BY binary_name, NOT is_readable, address, section_index",
    },
    View {
        name: "hot_mnemonics",
        doc: "Mnemonics with the number of their instructions, and the share of all instructions in per cent.",
        query: "SELECT mnemonic, instructions, bytes,
                    round(100.0 * instructions / sum(instructions) OVER (PARTITION BY binary_name), 2) AS percent, binary_name
                FROM (
                    SELECT binary_name, mnemonic, count(*) AS instructions, sum(size) AS bytes
                    FROM instructions
                    GROUP BY binary_name, mnemonic
                )
                ORDER BY instructions DESC, binary_name, mnemonic",
    },
    View {
        name: "duplicate_functions",
        doc: "Functions with equal instructions: how many copies there are, in how many binaries, and the size of all copies but one.",
        query: "SELECT copies, binaries, size, (copies - 1) * size AS wasted, demangle(function_name) AS function_name, content_hash
                FROM (
                    SELECT content_hash, sum(copies) AS copies, count(*) AS binaries, max(size) AS size, min(function_name) AS function_name
                    FROM (
                        SELECT content_hash, binary_name, count(*) AS copies, max(size) AS size, min(function_name) AS function_name
                        FROM functions
                        WHERE instruction_count > 1
                        GROUP BY content_hash, binary_name
                    )
                    GROUP BY content_hash
                )
                WHERE copies > 1
                ORDER BY wasted DESC, content_hash",
    },
];

impl View {
    /// The statement that creates it.
    pub(crate) fn definition(&self) -> String {
        format!("CREATE VIEW {} AS {}", self.name, self.query)
    }
}
