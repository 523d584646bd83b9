-- Functions of values.
SELECT hex(4198400) AS a, hex(0x401000) AS b, hex(NULL) AS c;
SELECT demangle('_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE'), demangle('_Z3addii'), demangle('main');
SELECT disasm(X'4883c00a', 0x1000), disasm(X'e8fb0f0000', 0x1000), disasm(X'06', 0);
SELECT disasm_att(X'4883c00a', 0x1000), disasm_att(X'e8fb0f0000', 0x1000);
SELECT disasm(bytes, address) AS instruction FROM instructions WHERE binary_name = 'loops' AND address < 0x401010;
-- Functions of a binary, which is named where there are several.
SELECT symbolize(0x4010b4, 'loops'), symbolize(0x4010b0, 'loops'), symbolize(0x10, 'loops');
SELECT section_of(0x4010b4, 'loops'), section_of(0x402000, 'loops'), section_of(0, 'loops');
SELECT function_of(0x4010b4, 'loops'), function_name(0x4010b4, 'loops'), function_of(0x402000, 'loops');
SELECT bytes_at(0x401000, 4, 'loops'), bytes_at(0x4010d8, 100, 'loops'), bytes_at(0, 4, 'loops');
SELECT hex(read_u8(0x401000, 'loops')), hex(read_u16(0x401000, 'loops')), hex(read_u32(0x401000, 'loops')), hex(read_u64(0x401000, 'loops'));
SELECT f.binary_name, f.function_name FROM functions f WHERE symbolize(f.address, f.binary_name) = f.function_name AND f.size < 20;
SELECT binary_name, symbol_name, read_u64(symbol_address, binary_name) AS value FROM binary_symbols WHERE symbol_type = 'variable';
SELECT string_at(symbol_address, binary_name) IS NULL AS is_null FROM binary_symbols WHERE symbol_name = 'scratch';
-- Functions that give tables.
SELECT caller_name, call_address, kind FROM callers('clamp');
SELECT * FROM callers(0x4010b4, 'loops');
SELECT callee_name, call_address FROM callees('sum_of_odd');
SELECT callee_name, kind, binary_name FROM callees('_start');
SELECT source_address, target_address, kind FROM cfg('clamp');
SELECT calls, function_name FROM reachable('_start', 'loops');
SELECT step, function_name FROM path('_start', 'is_odd');
SELECT count(*) FROM path('is_odd', '_start');
SELECT round(rank, 4) AS rank, name FROM pagerank('call_edges') WHERE binary_name = 'loops';
SELECT name, count(*) AS blocks FROM pagerank('cfg_edges', 'loops') GROUP BY name ORDER BY blocks DESC, name;
SELECT * FROM xrefs(0x4010b0, 'loops');
SELECT x.kind, x.function_name FROM xrefs(0x4010a0, 'loops') x;
SELECT count(*) FROM xrefs(0x1, 'loops');
