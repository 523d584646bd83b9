//! `binary_relocations` of the loader, from the opcodes of `LC_DYLD_INFO` or from chained fixups (`chains.rs`).

use super::binds::{self, Bind, BindTable, Place, Step};
use super::chains::{self, BindTargets};
use super::imports::BoundSymbol;
use super::pointers::Fixups;
use super::relocations::{RelocationRow, RelocationWriter};
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::macho::{Header, MachO};
use object::macho::{self, DyldInfoCommand};
use object::read::macho::{LoadCommandVariant, RebaseIterator, Segment};
use object::{Endianness, Error};

const OUTSIDE: &str = "a place is in no segment";

/// Number of symbols that pointers of a chain can refer to.
const TARGETS_MAX: usize = 1 << 16;

impl<'a, H: Header> Fixups<'_, 'a, '_, H> {
    /// Adds the pointers that the loader changes.
    pub(super) fn push(&mut self) {
        let macho = self.writer.macho;
        if let Some((offset, data)) = macho.linkedit(macho::LC_DYLD_CHAINED_FIXUPS) {
            self.imports.are_listed = true;
            let pushed = data.map_err(|error| error.to_string());
            if let Err(error) = pushed.and_then(|data| chains::push(self, data)) {
                self.writer.report(DiagnosticLocation::FileOffset(offset), error);
            }
        }
        let info = macho.variants().find_map(|(_, variant)| match variant {
            LoadCommandVariant::DyldInfo(info) => Some(info),
            _ => None,
        });
        if let Some(info) = info {
            self.imports.are_listed = true;
            self.push_info(info);
        }
    }

    fn push_info(&mut self, info: &DyldInfoCommand<Endianness>) {
        let macho = self.writer.macho;
        let (endian, file) = (macho.endian, macho.file.as_ref());
        let rebases = info.rebases(endian, file, H::pointer_size()).map_err(|error| error.to_string());
        if let Err(error) = rebases.and_then(|rebases| push_rebases(self.writer, rebases)) {
            self.writer.report(DiagnosticLocation::FileOffset(info.rebase_off.get(endian).into()), error);
        }
        let tables = [
            (info.bind_off, info.bind_data(endian, file), BindTable::Regular),
            (info.weak_bind_off, info.weak_bind_data(endian, file), BindTable::Weak),
            (info.lazy_bind_off, info.lazy_bind_data(endian, file), BindTable::Lazy),
        ];
        for (offset, operations, table) in tables {
            let operations = operations.map_err(|error| error.to_string());
            if let Err(error) = operations.and_then(|operations| self.push_binds(operations, table)) {
                self.writer.report(DiagnosticLocation::FileOffset(offset.get(endian).into()), error);
            }
        }
    }

    fn push_binds(&mut self, operations: &'a [u8], table: BindTable) -> Result<(), String> {
        let is_lazy = table == BindTable::Lazy;
        let mut targets = BindTargets::new(self.writer.macho.file.len());
        let mut last: Option<(&[u8], BoundSymbol)> = None;
        binds::run(operations, table, H::pointer_size(), |step| {
            match step {
                Step::Bind(place, bind) => {
                    // Consecutive binds often have the same symbol.
                    let (_, symbol) = match last.take().filter(|(name, _)| std::ptr::eq(*name, bind.symbol)) {
                        Some(last) => last,
                        None => (bind.symbol, self.imports.symbol(bind.symbol)),
                    };
                    self.push_bind(place, &bind, &symbol, is_lazy)?;
                    last = Some((bind.symbol, symbol));
                }
                Step::ClearTargets => targets.clear(),
                Step::AddTarget(_) if targets.len() == TARGETS_MAX => {
                    return Err("the table of symbols is too long".to_owned());
                }
                Step::AddTarget(bind) => targets.push(&bind, &mut self.imports)?,
                Step::Chain(place) => chains::push_chain(self, place, &targets)?,
            }
            Ok(())
        })
    }

    fn push_bind(
        &mut self,
        (segment_index, offset): Place,
        bind: &Bind<'_>,
        symbol: &BoundSymbol,
        is_lazy: bool,
    ) -> Result<(), &'static str> {
        let address = segment_address(self.writer.macho, segment_index.into(), offset).ok_or(OUTSIDE)?;
        self.imports.add(symbol, bind.dylib, bind.is_weak, is_lazy);
        self.imports.set_slot(symbol, address, is_lazy);
        let unnamed = format!("{:#x}", bind.kind.0);
        self.writer.push_row(&RelocationRow {
            is_dynamic: true,
            section_index: None,
            address,
            relocation_type: bind.kind.name().unwrap_or(&unnamed),
            symbol_index: symbol.index,
            symbol_name: Some(&symbol.name),
            addend: Some(bind.addend),
            auth: None,
        })
    }
}

fn push_rebases<H: Header>(
    writer: &mut RelocationWriter<'_, '_, H>,
    rebases: RebaseIterator<'_>,
) -> Result<(), String> {
    for rebase in rebases {
        let rebase = rebase.map_err(|error: Error| error.to_string())?;
        let address = segment_address(writer.macho, rebase.segment_index.into(), rebase.segment_offset)
            .ok_or(OUTSIDE)?;
        let unnamed = format!("{:#x}", rebase.kind.0);
        writer.push_row(&RelocationRow {
            is_dynamic: true,
            section_index: None,
            address,
            relocation_type: rebase.kind.name().unwrap_or(&unnamed),
            symbol_index: None,
            symbol_name: None,
            addend: None,
            auth: None,
        })?;
    }
    Ok(())
}

/// The address of an offset in a segment; `None` if it is outside.
fn segment_address<H: Header>(macho: &MachO<'_, H>, segment_index: usize, offset: u64) -> Option<u64> {
    let segment = macho.segments.get(segment_index)?.header;
    let size: u64 = segment.vmsize(macho.endian).into();
    let start: u64 = segment.vmaddr(macho.endian).into();
    start.checked_add(offset).filter(|_| offset < size)
}
