//! Benches of binframe: `benches/pipeline.rs` times the passes and writing Parquet, `peers/objdump.sh` a whole run beside
//! `objdump`. The library itself is empty.
