//! What the machine has.

/// Half of the machine's memory, in bytes: what work takes at most that nobody set a limit to.
pub fn default_memory() -> u64 {
    let system = rustix::system::sysinfo();
    u64::from(system.mem_unit).saturating_mul(system.totalram) / 2
}
