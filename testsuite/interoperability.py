"""Prints, as JSON, what DuckDB, Polars and PyArrow find in each table of a dataset: the rows, and the type of each column."""

import json
import os
import sys

import duckdb
import polars
import pyarrow.dataset


def by_duckdb(files):
    relation = duckdb.sql(f"SELECT * FROM '{files}'")
    # No name needs quotes.
    relation = duckdb.sql(f"SELECT {', '.join(relation.columns)} FROM '{files}'")
    types = {name: str(kind) for name, kind in zip(relation.columns, relation.types)}
    return relation.aggregate("count(*)").fetchall()[0][0], types


def by_polars(files):
    frame = polars.scan_parquet(files)
    types = {name: str(kind) for name, kind in frame.collect_schema().items()}
    # All columns are read, not only the number of rows that the files state.
    return frame.collect().height, types


def by_pyarrow(files):
    dataset = pyarrow.dataset.dataset(os.path.dirname(files))
    types = {field.name: str(field.type) for field in dataset.schema}
    return dataset.to_table().num_rows, types


directory = sys.argv[1]
found = {}
for table in sorted(os.listdir(directory)):
    if not table.startswith("_"):
        files = os.path.join(directory, table, "*.parquet")
        readers = {"duckdb": by_duckdb, "polars": by_polars, "pyarrow": by_pyarrow}
        found[table] = {name: read(files) for name, read in readers.items()}
print(json.dumps(found))
