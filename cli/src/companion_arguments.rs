//! Arguments about companion files, which several commands share.

use binframe::CompanionSearch;
use clap::Args;
use std::path::PathBuf;

/// Where companion files are searched for.
#[derive(Debug, Args)]
pub(crate) struct CompanionArguments {
    /// Search files with debug information (.debug, .dwo, .dwp) in this directory, not where the executable says; can be
    /// repeated
    #[arg(long, value_name = "DIR", conflicts_with = "no_companions")]
    debug_path: Vec<PathBuf>,
    /// Open no other files with debug information
    #[arg(long)]
    no_companions: bool,
}

impl CompanionArguments {
    pub(crate) fn search(&self) -> CompanionSearch {
        match self.debug_path.is_empty() && !self.no_companions {
            true => CompanionSearch::Standard,
            false => CompanionSearch::Directories(self.debug_path.clone()),
        }
    }
}
