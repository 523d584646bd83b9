//! Mach-O: 32-bit and 64-bit, of either byte order.
//!
//! Source: `mach-o/loader.h` and `mach-o/fat.h` of Apple's XNU.

use object::macho::{CpuSubtype, CpuType};

/// Apple's name of an architecture, such as `arm64e`.
pub(super) fn architecture_name(cpu_type: CpuType, subtype: CpuSubtype) -> String {
    format!("{}-{}", cpu_type.0, subtype.0)
}
