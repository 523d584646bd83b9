//! Names of processor flags.

use iced_x86::RflagsBits;

/// The flags by their bits.
pub(super) const FLAGS: [(u32, &str); 14] = [
    (RflagsBits::AF, "af"),
    (RflagsBits::CF, "cf"),
    (RflagsBits::DF, "df"),
    (RflagsBits::OF, "of"),
    (RflagsBits::PF, "pf"),
    (RflagsBits::SF, "sf"),
    (RflagsBits::ZF, "zf"),
    (RflagsBits::IF, "if"),
    (RflagsBits::AC, "ac"),
    (RflagsBits::UIF, "uif"),
    (RflagsBits::C0, "c0"),
    (RflagsBits::C1, "c1"),
    (RflagsBits::C2, "c2"),
    (RflagsBits::C3, "c3"),
];
