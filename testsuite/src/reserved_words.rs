//! Words that a name of a table, column or function in SQL must not be: an engine would need quotes around it.

/// Engines, each with its reserved words.
///
/// Sources: for `DuckDB`, `duckdb_keywords()` of version 2.0, categories `reserved` and `type_function`; for `PostgreSQL`,
/// `kwlist.h`, both reserved categories; for Spark, the reserved keywords of ANSI mode in "ANSI Compliance" of its reference.
pub const RESERVED_WORDS: [(&str, &str); 3] = [
    (
        "DuckDB",
        "all analyse analyze and anti any array as asc asof asymmetric at authorization binary both by case cast \
         check collate collation column columns concurrently constraint create cross default deferrable desc describe \
         distinct do else end except false fetch for foreign freeze from full generated glob group having ilike in \
         initially inner intersect into is isnull join lambda lateral leading left like limit map natural not notnull \
         null offset on only or order outer overlaps pivot pivot_longer pivot_wider placing positional primary \
         qualify references returning right select semi show similar some struct summarize symmetric table \
         tablesample then to trailing true try_cast tuple union unique unpack unpivot using variadic verbose when \
         where window with",
    ),
    (
        "PostgreSQL",
        "all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate \
         collation column concurrently constraint create cross current_catalog current_date current_role \
         current_schema current_time current_timestamp current_user default deferrable desc distinct do else end \
         except false fetch for foreign freeze from full grant group having ilike in initially inner intersect into \
         is isnull join lateral leading left like limit localtime localtimestamp natural not notnull null offset on \
         only or order outer overlaps placing primary references returning right select session_user similar some \
         symmetric system_user table tablesample then to trailing true union unique user using variadic verbose when \
         where window with",
    ),
    (
        "Spark",
        "all and any as authorization both case cast check collate column constraint create cross current_date \
         current_time current_timestamp current_user distinct else end escape except false fetch filter for foreign \
         from full grant group having in inner intersect into is join lateral leading left natural not null on only \
         or order outer overlaps primary references right select session_user some table then time to trailing union \
         unique unknown user using when where with",
    ),
];
