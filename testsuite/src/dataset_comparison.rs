//! `(dataset, dataset) -> differences`: compares the Parquet files of two datasets column by column.
//!
//! All stored bytes are compared except documentation: pages, encodings, sizes and statistics of each column chunk,
//! row groups, names and types of columns, and units, references and keys in the schema.
//!
//! Chunks are located by the offsets in their own footer, so a larger chunk does not make all later chunks differ.

use bytes::Bytes;
use parquet::arrow::parquet_to_arrow_schema;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, ParquetMetaData, ParquetMetaDataReader};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::Path;

/// Folder of a dataset with the manifest of the run, which contains times.
const RECORDS: &str = "_binframe";

/// Key of the footer whose value depends on the documentation of the columns.
const FINGERPRINT_KEY: &str = "binframe.schema_fingerprint";

/// Key of the footer that holds the Arrow schema, which is decoded and compared field by field.
const ARROW_SCHEMA_KEY: &str = "ARROW:schema";

/// Metadata key of the documentation of the schema and its fields.
const DOC_KEY: &str = "doc";

/// Result of a comparison.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Tables that both datasets have.
    pub tables: usize,
    /// Files that both datasets have.
    pub files: usize,
    /// Bytes of pages and indexes that were compared, counted on one side.
    pub bytes: u64,
    /// First difference of each column, by `table.column`; of a table as a whole, by `table`.
    pub differences: BTreeMap<String, String>,
}

/// Compares all tables of two datasets.
pub fn compare(old: &Path, new: &Path) -> io::Result<Comparison> {
    let mut comparison = Comparison::default();
    let (old_tables, new_tables) = (entries(old)?, entries(new)?);
    for table in old_tables.symmetric_difference(&new_tables) {
        comparison.differ(table, "is in one dataset only");
    }
    for table in old_tables.intersection(&new_tables) {
        comparison.tables += 1;
        let (old, new) = (old.join(table), new.join(table));
        let (old_files, new_files) = (entries(&old)?, entries(&new)?);
        for file in old_files.symmetric_difference(&new_files) {
            comparison.differ(table, &format!("{file} is in one dataset only"));
        }
        for file in old_files.intersection(&new_files) {
            comparison.files += 1;
            let [old, new] = [File::open(&old.join(file))?, File::open(&new.join(file))?];
            comparison.compare_files(table, file, &old, &new);
        }
    }
    Ok(comparison)
}

/// Names in a folder, without the records of the run.
fn entries(folder: &Path) -> io::Result<BTreeSet<String>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.filter(|name| name.as_ref().is_ok_and(|name| name != RECORDS) || name.is_err()).collect()
}

/// A Parquet file and its footer.
struct File {
    bytes: Bytes,
    footer: ParquetMetaData,
}

impl File {
    fn open(path: &Path) -> io::Result<Self> {
        let invalid = |error: ParquetError| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
        };
        let bytes = Bytes::from(fs::read(path)?);
        let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes).map_err(invalid)?;
        Ok(Self { bytes, footer })
    }

    /// Bytes at an offset of the footer; `None` if the file ends before their end.
    fn slice(&self, offset: u64, size: u64) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        self.bytes.get(start..start.checked_add(usize::try_from(size).ok()?)?)
    }

    /// Stored bytes of a column chunk: pages, column index, offset index and Bloom filter.
    fn stored(&self, column: &ColumnChunkMetaData) -> [Option<&[u8]>; 4] {
        let (start, size) = column.byte_range();
        let slice = |offset: Option<i64>, size: Option<i32>| {
            self.slice(u64::try_from(offset?).ok()?, u64::try_from(size?).ok()?)
        };
        [
            self.slice(start, size),
            slice(column.column_index_offset(), column.column_index_length()),
            slice(column.offset_index_offset(), column.offset_index_length()),
            slice(column.bloom_filter_offset(), column.bloom_filter_length()),
        ]
    }
}

impl Comparison {
    fn differ(&mut self, name: &str, reason: &str) {
        self.differences.entry(name.to_owned()).or_insert_with(|| reason.to_owned());
    }

    fn compare_files(&mut self, table: &str, file: &str, old: &File, new: &File) {
        for (name, reason) in schema_differences(table, &old.footer, &new.footer) {
            self.differ(&name, &reason);
        }
        let (old_groups, new_groups) = (old.footer.row_groups(), new.footer.row_groups());
        if old_groups.len() != new_groups.len() {
            let reason = format!("{file} has {} row groups, expected {}", old_groups.len(), new_groups.len());
            self.differ(table, &reason);
        }
        for (index, (old_group, new_group)) in old_groups.iter().zip(new_groups).enumerate() {
            let place = format!("row group {index} of {file}");
            if old_group.num_rows() != new_group.num_rows() {
                let (old_rows, new_rows) = (old_group.num_rows(), new_group.num_rows());
                self.differ(table, &format!("{place} has {old_rows} rows, expected {new_rows}"));
            }
            if old_group.sorting_columns() != new_group.sorting_columns() {
                self.differ(table, &format!("{place} declares a different sort order"));
            }
            for (old_column, new_column) in old_group.columns().iter().zip(new_group.columns()) {
                let reason = if old.stored(old_column) != new.stored(new_column) {
                    "stored bytes"
                } else if without_offsets(old_column) != without_offsets(new_column) {
                    "encodings, sizes or statistics"
                } else {
                    ""
                };
                let stored = old.stored(old_column).into_iter().flatten().map(|bytes| bytes.len() as u64);
                self.bytes += stored.sum::<u64>();
                if !reason.is_empty() {
                    let column = old_column.column_path().string();
                    self.differ(&format!("{table}.{column}"), &format!("{reason} in {place}"));
                }
            }
        }
    }
}

/// Footer entry of a column chunk, with offsets relative to the chunk.
fn without_offsets(column: &ColumnChunkMetaData) -> Option<ColumnChunkMetaData> {
    let start = column.byte_range().0 as i64;
    let builder = column
        .clone()
        .into_builder()
        .set_data_page_offset(column.data_page_offset() - start)
        .set_dictionary_page_offset(column.dictionary_page_offset().map(|offset| offset - start))
        .set_index_page_offset(column.index_page_offset().map(|offset| offset - start))
        .set_column_index_offset(None)
        .set_offset_index_offset(None)
        .set_bloom_filter_offset(None);
    builder.build().ok()
}

/// Differences in names and types of columns and in table metadata, without documentation.
fn schema_differences(table: &str, old: &ParquetMetaData, new: &ParquetMetaData) -> Vec<(String, String)> {
    let mut differences = Vec::new();
    let [old_file, new_file] = [old.file_metadata(), new.file_metadata()];
    let [old_columns, new_columns] = [old_file, new_file].map(|metadata| metadata.schema_descr().columns());
    if old_columns.len() != new_columns.len() {
        let reason = format!("has {} columns, expected {}", old_columns.len(), new_columns.len());
        differences.push((table.to_owned(), reason));
    }
    for (old, new) in old_columns.iter().zip(new_columns) {
        if old != new {
            let reason = format!("is now `{}`, or of another Parquet type", new.path());
            differences.push((format!("{table}.{}", old.path()), reason));
        }
    }
    let writers = [old_file, new_file].map(|metadata| (metadata.version(), metadata.created_by()));
    if writers[0] != writers[1] || old_file.column_orders() != new_file.column_orders() {
        differences.push((table.to_owned(), "version, writer or sort order of values".to_owned()));
    }
    let [old_entries, new_entries] = [old_file, new_file].map(|metadata| metadata.key_value_metadata());
    if other_entries(old_entries) != other_entries(new_entries) {
        differences.push((table.to_owned(), "key-value metadata of the footer".to_owned()));
    }
    let [old_schema, new_schema] = [old_file, new_file]
        .map(|metadata| parquet_to_arrow_schema(metadata.schema_descr(), metadata.key_value_metadata()));
    let (Ok(old_schema), Ok(new_schema)) = (old_schema, new_schema) else {
        differences.push((table.to_owned(), "the Arrow schema cannot be read".to_owned()));
        return differences;
    };
    if without_doc(old_schema.metadata()) != without_doc(new_schema.metadata()) {
        differences.push((table.to_owned(), "metadata of the schema".to_owned()));
    }
    for (old, new) in old_schema.fields().iter().zip(new_schema.fields()) {
        let name = format!("{table}.{}", old.name());
        if old.data_type() != new.data_type() || old.is_nullable() != new.is_nullable() {
            differences.push((name, "Arrow type".to_owned()));
        } else if without_doc(old.metadata()) != without_doc(new.metadata()) {
            differences.push((name, "metadata of the column".to_owned()));
        }
    }
    differences
}

/// Footer entries other than the Arrow schema and the schema fingerprint.
fn other_entries(entries: Option<&Vec<KeyValue>>) -> BTreeMap<&str, Option<&str>> {
    let entries = entries.into_iter().flatten();
    let entries = entries.map(|entry| (entry.key.as_str(), entry.value.as_deref()));
    entries.filter(|(key, _)| ![FINGERPRINT_KEY, ARROW_SCHEMA_KEY].contains(key)).collect()
}

/// Metadata of a schema or field without documentation. Arrow adds the entries of the footer to the metadata of the
/// schema.
fn without_doc(metadata: &HashMap<String, String>) -> BTreeMap<&str, &str> {
    let entries = metadata.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    entries.filter(|(key, _)| ![DOC_KEY, FINGERPRINT_KEY].contains(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixtures, lowering};
    use binframe::ir::Stage;
    use parquet::file::metadata::{FileMetaData, ParquetMetaDataWriter};
    use std::path::PathBuf;
    use tempfile::TempDir;

    /// Two datasets of one executable in a temporary folder.
    struct Pair {
        folder: TempDir,
    }

    impl Pair {
        fn new() -> Self {
            let pair = Self { folder: tempfile::tempdir().expect("a temporary folder") };
            let input = pair.folder.path().join("input");
            fs::write(&input, fixtures::loops_and_calls().bytes).expect("the temporary folder is writable");
            for side in ["old", "new"] {
                lowering::lower_into(&input, &pair.folder.path().join(side), &[Stage::Sections, Stage::Cfg])
                    .expect("the fixture is supported");
            }
            pair
        }

        /// The file of the table `functions` on the new side.
        fn file(&self) -> PathBuf {
            self.folder.path().join("new/functions/part-00000.parquet")
        }

        fn compare(&self) -> Comparison {
            let side = |name| self.folder.path().join(name);
            compare(&side("old"), &side("new")).expect("both datasets can be read")
        }

        fn names(&self) -> Vec<String> {
            self.compare().differences.into_keys().collect()
        }

        /// Rewrites the footer of the file.
        fn change_footer(&self, change: impl FnOnce(ParquetMetaData) -> ParquetMetaData) {
            let File { bytes, footer } = File::open(&self.file()).expect("a Parquet file");
            let size = u32::from_le_bytes(*bytes[..bytes.len() - 4].last_chunk().expect("a size")) as usize;
            let mut changed = bytes[..bytes.len() - 8 - size].to_vec();
            let footer = change(footer);
            ParquetMetaDataWriter::new(&mut changed, &footer).finish().expect("the footer can be written");
            fs::write(self.file(), changed).expect("the dataset is writable");
        }

        /// Rewrites the Arrow schema in the footer.
        fn change_schema(&self, change: impl FnOnce(arrow_schema::Schema) -> arrow_schema::Schema) {
            self.change_footer(|footer| {
                let file = footer.file_metadata();
                let mut entries = file.key_value_metadata().expect("entries").clone();
                let schema = parquet_to_arrow_schema(file.schema_descr(), Some(&entries)).expect("a schema");
                let schema = parquet::arrow::encode_arrow_schema(&change(schema));
                for entry in &mut entries {
                    match entry.key.as_str() {
                        ARROW_SCHEMA_KEY => entry.value = Some(schema.clone()),
                        FINGERPRINT_KEY => entry.value = Some("another".to_owned()),
                        _ => {}
                    }
                }
                let changed = FileMetaData::new(
                    file.version(),
                    file.num_rows(),
                    file.created_by().map(str::to_owned),
                    Some(entries),
                    file.schema_descr_ptr(),
                    file.column_orders().cloned(),
                );
                ParquetMetaData::new(changed, footer.row_groups().to_vec())
            });
        }
    }

    #[test]
    fn datasets_of_one_file_agree() {
        let Comparison { tables, files, bytes, differences } = Pair::new().compare();
        assert_eq!(differences, BTreeMap::new());
        assert!(tables > 20 && files > 5 && bytes > 1000, "{tables} tables, {files} files, {bytes} bytes");
    }

    #[test]
    fn a_changed_byte_is_found_in_its_column() {
        let pair = Pair::new();
        let original = fs::read(pair.file()).expect("the file was written");
        let footer = File::open(&pair.file()).expect("a Parquet file").footer;
        for column in footer.row_group(0).columns() {
            let (start, size) = column.byte_range();
            for offset in [start, start + size / 2, start + size - 1] {
                let mut changed = original.clone();
                changed[offset as usize] ^= 1;
                fs::write(pair.file(), changed).expect("the dataset is writable");
                assert_eq!(pair.names(), [format!("functions.{}", column.column_path().string())]);
            }
        }
        fs::write(pair.file(), original).expect("the dataset is writable");
        assert_eq!(pair.names(), [""; 0]);
    }

    #[test]
    fn a_table_or_file_on_one_side_is_a_difference() {
        let pair = Pair::new();
        fs::remove_file(pair.file()).expect("the file was written");
        assert_eq!(pair.names(), ["functions"]);
        fs::remove_dir(pair.file().parent().expect("the table's folder")).expect("the folder is empty");
        assert_eq!(pair.names(), ["functions"]);
    }

    #[test]
    fn changed_statistics_and_missing_row_groups_are_differences() {
        let pair = Pair::new();
        pair.change_footer(|footer| {
            let mut builder = footer.into_builder();
            let mut groups = builder.take_row_groups();
            for column in groups[0].columns_mut() {
                if column.column_path().string() == "address" {
                    *column = column.clone().into_builder().clear_statistics().build().expect("a column");
                }
            }
            builder.set_row_groups(groups).build()
        });
        assert_eq!(pair.names(), ["functions.address"]);
        pair.change_footer(|footer| footer.into_builder().set_row_groups(Vec::new()).build());
        assert_eq!(pair.names(), ["functions"]);
    }

    #[test]
    fn metadata_is_compared_except_documentation() {
        let with = |key: &'static str| {
            move |schema: arrow_schema::Schema| {
                let fields = schema.fields().iter().map(|field| {
                    let mut metadata = field.metadata().clone();
                    if field.name() == "address" {
                        metadata.insert(key.to_owned(), "Another text.".to_owned());
                    }
                    field.as_ref().clone().with_metadata(metadata)
                });
                arrow_schema::Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone())
            }
        };
        let pair = Pair::new();
        pair.change_schema(with(DOC_KEY));
        assert_eq!(pair.names(), [""; 0]);
        pair.change_schema(with("unit"));
        assert_eq!(pair.names(), ["functions.address"]);
    }
}
