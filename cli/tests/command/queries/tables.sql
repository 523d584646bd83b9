-- Every table is a table, over all inputs.
SELECT binary_name, function_name, address, size FROM functions;
SELECT function_name FROM functions WHERE binary_name = 'stack' ORDER BY size DESC LIMIT 3;
SELECT binary_name, count(*) AS instructions FROM instructions GROUP BY binary_name;
SELECT count(*) FROM instructions;
SELECT mnemonic, count(*) AS n FROM instructions GROUP BY mnemonic ORDER BY n DESC, mnemonic LIMIT 5;
SELECT path, size > 1000 AS is_large FROM binaries;
SELECT binary_name, format, architecture, bits, entry_address, has_no_execute FROM binary_headers;
SELECT section_name, address, size, permissions FROM binary_sections WHERE is_executable;
SELECT section_name, byte_length(content) AS bytes FROM binary_sections WHERE binary_name = 'stack' AND section_name IN ('.data', '.bss', '.rodata');
SELECT symbol_name, symbol_type FROM binary_symbols WHERE binary_name = 'loops' AND symbol_name LIKE '%odd%';
SELECT * FROM binary_segments LIMIT 2;
SELECT DISTINCT owner_kind FROM binary_extents ORDER BY owner_kind;
SELECT count(*) AS blocks, sum(size) AS bytes, max(loop_depth) AS depth FROM basic_blocks;
SELECT kind, count(*) FROM cfg_edges GROUP BY kind ORDER BY kind;
SELECT caller_address, callee_address, kind FROM call_edges WHERE binary_name = 'loops';
SELECT header_address, depth, block_count FROM loops WHERE binary_name = 'stack';
SELECT function_address, frame_size, saved_registers FROM stack_frames WHERE frame_size > 0;
SELECT region, access, count(*) FROM memory_accesses GROUP BY region, access ORDER BY region, access;
SELECT type, start_address, size FROM memory_regions WHERE binary_name = 'stack';
SELECT address, size FROM binary_unwind_entries LIMIT 3;
SELECT count(*) FROM diagnostics;
SELECT text FROM binary_strings WHERE binary_name = 'loops' LIMIT 3;
-- Addresses are written as addresses.
SELECT function_name FROM functions WHERE address = 0x4010b0 AND binary_name = 'loops';
SELECT address, mnemonic FROM instructions WHERE address BETWEEN 0x4010b0 AND 0x4010b8 AND binary_name = 'loops';
SELECT address, mnemonic FROM instructions WHERE 0x4010c0 <= address AND address < 0x4010c8 AND binary_name = 'loops';
SELECT address, end_address FROM functions WHERE function_name = 'clamp';
-- Sections and functions are found among addresses.
SELECT binary_name, count(*) FROM instructions WHERE section_index = 1 GROUP BY binary_name;
SELECT binary_name, address, size FROM basic_blocks WHERE function_address = 0x401030;
SELECT instruction_address, region FROM memory_accesses WHERE function_address = 0x401030;
EXPLAIN SELECT address FROM instructions WHERE section_index = 1 AND mnemonic = 'ret';
SELECT address, mem_address FROM instructions WHERE mem_address IS NOT NULL AND binary_name = 'stack' LIMIT 3;
-- Other inputs are named where they are needed.
SELECT count(*) FROM functions('loops');
SELECT s.function_name FROM functions('stack') s LEFT ANTI JOIN functions('loops') l ON s.function_name = l.function_name;
-- Joins, windows and sets.
SELECT f.function_name, count(*) AS blocks FROM functions f JOIN basic_blocks b ON b.binary_name = f.binary_name AND b.function_address = f.address GROUP BY f.function_name ORDER BY blocks DESC, f.function_name LIMIT 4;
SELECT function_name, size, rank() OVER (ORDER BY size DESC) AS place FROM functions WHERE binary_name = 'loops';
SELECT function_name FROM functions WHERE binary_name = 'loops' INTERSECT SELECT function_name FROM functions WHERE binary_name = 'stack' ORDER BY function_name;
WITH calls AS (SELECT caller_address AS address, count(*) AS n FROM call_edges WHERE binary_name = 'loops' GROUP BY 1) SELECT function_name, n FROM functions JOIN calls USING (address) WHERE binary_name = 'loops';
SELECT function_name FROM functions f WHERE binary_name = 'loops' AND NOT EXISTS (SELECT 1 FROM call_edges c WHERE c.callee_address = f.address AND c.binary_name = 'loops');
SELECT binary_name, (SELECT max(size) FROM functions f WHERE f.binary_name = b.binary_name) AS largest FROM binaries b;
-- Differences are exact.
SELECT size - address AS below, block_count - instruction_count AS fewer, address - 16 AS before FROM functions WHERE binary_name = 'loops' LIMIT 1;
SELECT function_name FROM functions WHERE size - block_count < 14;
-- Lists.
SELECT function_address, saved_registers FROM stack_frames WHERE 'r12' = ANY(saved_registers);
SELECT register, count(*) FROM (SELECT unnest(saved_registers) AS register FROM stack_frames) GROUP BY register ORDER BY register;
