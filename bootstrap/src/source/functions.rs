//! Functions of a source by name and by address.

use super::{Filter, Source};
use crate::error::Error;
use binframe_ir::tables::{FunctionParts, Functions};
use std::collections::BTreeSet;
use std::ops::Range;

impl Source {
    /// Functions with the given name, each as its binary and its address range.
    pub fn functions_named(&self, name: &str) -> Result<Vec<(String, Range<u64>)>, Error> {
        let mut found = Vec::new();
        let mut similar = SimilarNames::new(name);
        for (binary, rows) in self.all::<Functions>(&Filter::default())? {
            for function in rows.columns().iter() {
                match function.function_name {
                    Some(own) if own == name => {
                        found.push((binary.clone(), function.address..function.address + function.size));
                    }
                    Some(own) => similar.add(own),
                    None => {}
                }
            }
        }
        if found.is_empty() {
            return Err(Error::NoSuchFunction { name: name.to_owned(), similar: similar.into_names() });
        }
        Ok(found)
    }

    /// Functions whose range or fragments cover an address, each as its binary and its address range.
    pub fn functions_at(&self, address: u64) -> Result<Vec<(String, Range<u64>)>, Error> {
        let mut parts = BTreeSet::new();
        let mut found = Vec::new();
        let covers = |start: u64, size: u64| address >= start && address - start < size;
        for (binary, rows) in self.all::<FunctionParts>(&Filter::default())? {
            let covering = rows.columns().iter().filter(|part| covers(part.address, part.size));
            parts.extend(covering.map(|part| (binary.clone(), part.function_address)));
        }
        for (binary, rows) in self.all::<Functions>(&Filter::default())? {
            for function in rows.columns().iter() {
                if covers(function.address, function.size)
                    || parts.contains(&(binary.clone(), function.address))
                {
                    found.push((binary.clone(), function.address..function.address + function.size));
                }
            }
        }
        if found.is_empty() {
            return Err(Error::NoFunctionAt { address });
        }
        Ok(found)
    }

    /// The given functions and their fragments (table `function_parts`), each as its binary and its address range.
    pub fn with_fragments(
        &self,
        functions: &[(String, Range<u64>)],
    ) -> Result<Vec<(String, Range<u64>)>, Error> {
        let fragments = self.all::<FunctionParts>(&Filter::default())?;
        let mut found = Vec::new();
        for own in functions.chunk_by(|one, next| one.0 == next.0) {
            found.extend_from_slice(own);
            let is_requested = |address: u64| own.iter().any(|(_, range)| range.start == address);
            for (binary, rows) in fragments.iter().filter(|(binary, _)| *binary == own[0].0) {
                let own = rows.columns().iter().filter(|part| is_requested(part.function_address));
                found.extend(own.map(|part| (binary.clone(), part.address..part.address + part.size)));
            }
        }
        Ok(found)
    }
}

/// The names that are most similar to a requested one: names that contain it, or differ from it in at most a third of
/// its letters.
struct SimilarNames<'a> {
    requested: &'a str,
    /// Distances and names, the nearest first.
    names: BTreeSet<(usize, String)>,
}

impl<'a> SimilarNames<'a> {
    /// Number of names to suggest.
    const NAMES_MAX: usize = 5;

    fn new(requested: &'a str) -> Self {
        Self { requested, names: BTreeSet::new() }
    }

    fn add(&mut self, name: &str) {
        let length_difference = name.len().abs_diff(self.requested.len());
        let distance_max = self.requested.len() / 3;
        let distance = if name.contains(self.requested) {
            length_difference
        } else if length_difference <= distance_max {
            match strsim::osa_distance(name, self.requested) {
                distance if distance <= distance_max => distance,
                _ => return,
            }
        } else {
            return;
        };
        self.names.insert((distance, name.to_owned()));
        if self.names.len() > Self::NAMES_MAX {
            self.names.pop_last();
        }
    }

    fn into_names(self) -> Vec<String> {
        self.names.into_iter().map(|(_, name)| name).collect()
    }
}
