//! What functions of other files do: `imports.txt`, which says how it is read.

use crate::domains::{AbstractValue, Base, ParameterSet, Summary};
use crate::isa::CallingConvention;
use binframe_ir::tables::UnknownReason;
use std::collections::BTreeMap;

/// What is known of a function by its name.
#[derive(Debug, Clone, Copy)]
struct Known {
    returns: Returns,
    /// ParameterSet whose product is the size of memory that is asked for.
    size: [Option<usize>; 2],
    written: Set,
    kept: Set,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Returns {
    Heap,
    Parameter(usize),
    Other,
}

#[derive(Debug, Clone, Copy)]
enum Set {
    None,
    One(usize),
    All,
}

/// The functions that are known by their names.
#[derive(Debug)]
pub(super) struct Imports {
    by_name: BTreeMap<&'static str, Known>,
    /// The same by how names end.
    by_end: Vec<(&'static str, Known)>,
}

impl Imports {
    pub(super) fn new() -> Self {
        let rows = include_str!("imports.txt").lines().filter(|line| !line.starts_with('#'));
        let known = rows.filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            let [returns, size, written, kept] = std::array::from_fn(|_| words.next().unwrap_or("-"));
            let returns = match (returns, returns.parse()) {
                ("heap", _) => Returns::Heap,
                (_, Ok(parameter)) => Returns::Parameter(parameter),
                _ => Returns::Other,
            };
            let mut factors = size.split('*').map(|factor| factor.parse().ok());
            let size = std::array::from_fn(|_| factors.next().flatten());
            Some((name, Known { returns, size, written: set(written), kept: set(kept) }))
        });
        let (ends, names): (Vec<_>, Vec<_>) = known.partition(|(name, _)| name.starts_with('*'));
        let by_end = ends.into_iter().map(|(name, known)| (&name[1..], known)).collect();
        Self { by_name: names.into_iter().collect(), by_end }
    }

    fn find(&self, name: &str) -> Option<&Known> {
        // What a version of a library is asked for is no part of the name.
        let name = name.split('@').next().filter(|name| !name.is_empty()).unwrap_or(name);
        let by_end = || self.by_end.iter().find(|(end, _)| name.ends_with(end)).map(|(_, known)| known);
        self.by_name.get(name).or_else(by_end)
    }

    /// What a call of a function does, if it is known.
    pub(super) fn summary(&self, name: &str, convention: CallingConvention) -> Option<Summary> {
        let known = self.find(name)?;
        let parameter = |parameter: usize| match convention.parameters.get(parameter) {
            Some(register) => ParameterSet::register(*register),
            None => ParameterSet::STACK,
        };
        let parameters = |set: Set| match set {
            Set::None => ParameterSet::default(),
            Set::One(one) => parameter(one),
            Set::All => ParameterSet::ALL,
        };
        Some(Summary {
            written: parameters(known.written),
            captured: parameters(known.kept),
            writes_unknown_memory: false,
            returned: Self::returned(known, convention),
            ..convention.summary()
        })
    }

    fn returned(known: &Known, convention: CallingConvention) -> AbstractValue {
        match known.returns {
            Returns::Heap => AbstractValue::at(Base::Heap(0), 0),
            Returns::Parameter(index) => match convention.parameters.get(index) {
                Some(register) => AbstractValue::at(Base::Register(*register), 0),
                None => {
                    let slot = i32::from(convention.address_size);
                    let above = (index - convention.parameters.len()) as i32 + 1;
                    AbstractValue::at(Base::Argument(slot * above + convention.home_size as i32), 0)
                }
            },
            Returns::Other => AbstractValue::unknown(UnknownReason::Clobbered),
        }
    }

    /// Whether a function asks for memory.
    pub(super) fn allocates(&self, name: &str) -> bool {
        self.find(name).is_some_and(|known| known.returns == Returns::Heap)
    }

    /// The parameters whose product is the size of memory that a function asks for.
    pub(super) fn size_parameters(&self, name: &str) -> impl Iterator<Item = usize> + use<> {
        self.find(name).map_or([None; 2], |known| known.size).into_iter().flatten()
    }
}

fn set(word: &str) -> Set {
    match (word, word.parse()) {
        ("*", _) => Set::All,
        (_, Ok(parameter)) => Set::One(parameter),
        _ => Set::None,
    }
}
