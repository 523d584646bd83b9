//! `clr_methods`: the methods that the metadata of a .NET file declares.

use super::super::ir::LinkageBuilder;
use crate::diagnostics::DiagnosticLocation;
use crate::file::formats::clr::Clr;
use crate::file::formats::pe::Pe;
use binframe_ir::tables::{ClrMethod, DiagnosticCode};

/// The kind of table in the upper byte of a token.
const METHOD_TOKEN: u32 = 0x0600_0000;

pub(super) fn push(pe: &Pe<'_>, linkage: &mut LinkageBuilder) {
    let clr = match Clr::find(pe) {
        None => return,
        Some(Ok(clr)) => clr,
        Some(Err(error)) => {
            let message = format!("the methods of .NET were left out: {error}");
            let location = DiagnosticLocation::FileOffset(pe.headers_offset);
            return linkage.warning(DiagnosticCode::BrokenLinkage, location, &message);
        }
    };
    for method in clr.methods() {
        let type_name = (method.type_number > 0).then(|| clr.type_name(method.type_number));
        let names = &mut linkage.names;
        let type_name = type_name.map(|name| names.take(name));
        let (Some(type_name), Some(method_name)) = (
            type_name.map_or(Some(None), |name| name.map(Some)),
            names.take(String::from_utf8_lossy(method.name)),
        ) else {
            return;
        };
        linkage.clr_methods.push(ClrMethod {
            method_token: METHOD_TOKEN + method.number,
            type_name: type_name.as_deref(),
            method_name: &method_name,
            address: method.body.as_ref().map(|body| pe.address(body.rva)),
            code_size: method.body.as_ref().map(|body| body.size),
            max_stack: method.body.as_ref().map(|body| body.max_stack),
            attributes: method.attributes,
            implementation: method.implementation,
        });
    }
}
