//! PE and COFF.
//!
//! Source: Microsoft's "PE Format".
