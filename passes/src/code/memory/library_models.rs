//! Models of library functions: the effects of imported functions by name, from `library_models.txt`.

use crate::domains::{AbstractValue, Base, ParameterSet, Summary};
use crate::isa::CallingConvention;
use binframe_ir::tables::UnknownReason;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The model of a function. Parameters are named by index.
#[derive(Debug, Clone, Copy)]
struct LibraryModel {
    returns: ReturnModel,
    /// Parameters whose product is the size of the allocated memory.
    size: [Option<usize>; 2],
    written: ParameterModel,
    captured: ParameterModel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReturnModel {
    Heap,
    Parameter(usize),
    Other,
}

#[derive(Debug, Clone, Copy)]
enum ParameterModel {
    None,
    One(usize),
    All,
}

/// The models, parsed once per process from a constant.
static MODELS: LazyLock<LibraryModels> = LazyLock::new(LibraryModels::parse);

#[derive(Debug)]
struct LibraryModels {
    by_name: BTreeMap<&'static str, LibraryModel>,
    /// Models of names that end with a text.
    by_suffix: Vec<(&'static str, LibraryModel)>,
}

/// The summary of a call of a function with a model; `None` without a model.
pub(super) fn summary(name: &str, convention: CallingConvention) -> Option<Summary> {
    let model = MODELS.find(name)?;
    let parameter = |parameter: usize| match convention.parameters.get(parameter) {
        Some(register) => ParameterSet::register(register.0),
        None => ParameterSet::STACK,
    };
    let parameters = |model: ParameterModel| match model {
        ParameterModel::None => ParameterSet::default(),
        ParameterModel::One(one) => parameter(one),
        ParameterModel::All => ParameterSet::ALL,
    };
    Some(Summary {
        written: parameters(model.written),
        captured: parameters(model.captured),
        writes_unknown_memory: false,
        returned: returned(model, convention),
        ..convention.summary()
    })
}

/// Whether a function allocates memory.
pub(super) fn allocates(name: &str) -> bool {
    MODELS.find(name).is_some_and(|model| model.returns == ReturnModel::Heap)
}

/// The parameters whose product is the size of the memory that a function allocates; empty if unknown.
pub(super) fn size_parameters(name: &str) -> impl Iterator<Item = usize> + use<> {
    MODELS.find(name).map_or([None; 2], |model| model.size).into_iter().flatten()
}

fn returned(model: &LibraryModel, convention: CallingConvention) -> AbstractValue {
    match model.returns {
        ReturnModel::Heap => AbstractValue::at(Base::Heap(0), 0),
        ReturnModel::Parameter(index) => match convention.parameters.get(index) {
            Some(register) => AbstractValue::at(Base::Register(register.0), 0),
            None => {
                let size = i32::from(convention.address_size);
                let above = (index - convention.parameters.len()) as i32 + 1;
                AbstractValue::at(Base::Argument(size * above + convention.home_size as i32), 0)
            }
        },
        ReturnModel::Other => AbstractValue::unknown(UnknownReason::Clobbered),
    }
}

impl LibraryModels {
    fn parse() -> Self {
        let rows = include_str!("library_models.txt").lines().filter(|line| !line.starts_with('#'));
        let models = rows.filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            let [returns, size, written, captured] = std::array::from_fn(|_| words.next().unwrap_or("-"));
            let returns = match (returns, returns.parse()) {
                ("heap", _) => ReturnModel::Heap,
                (_, Ok(parameter)) => ReturnModel::Parameter(parameter),
                _ => ReturnModel::Other,
            };
            let mut factors = size.split('*').map(|factor| factor.parse().ok());
            let size = std::array::from_fn(|_| factors.next().flatten());
            let (written, captured) = (parameter_model(written), parameter_model(captured));
            Some((name, LibraryModel { returns, size, written, captured }))
        });
        let (suffixes, names): (Vec<_>, Vec<_>) = models.partition(|(name, _)| name.starts_with('*'));
        let by_suffix = suffixes.into_iter().map(|(name, model)| (&name[1..], model)).collect();
        Self { by_name: names.into_iter().collect(), by_suffix }
    }

    fn find(&self, name: &str) -> Option<&LibraryModel> {
        // A symbol version (`memcpy@GLIBC_2.14`) is not part of the name.
        let name = name.split('@').next().filter(|name| !name.is_empty()).unwrap_or(name);
        let by_suffix =
            || self.by_suffix.iter().find(|(suffix, _)| name.ends_with(suffix)).map(|(_, model)| model);
        self.by_name.get(name).or_else(by_suffix)
    }
}

fn parameter_model(word: &str) -> ParameterModel {
    match (word, word.parse()) {
        ("*", _) => ParameterModel::All,
        (_, Ok(parameter)) => ParameterModel::One(parameter),
        _ => ParameterModel::None,
    }
}
