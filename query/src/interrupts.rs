//! Counts presses of Ctrl-C.

use std::sync::OnceLock;
use std::thread;
use tokio::runtime::Builder;
use tokio::sync::watch;

/// A receiver of the count, which wakes at each press. From the first call on, Ctrl-C does not end the process.
///
/// The listener has its own thread, because the threads of a query can be busy for a long time.
pub(crate) fn receiver() -> watch::Receiver<u64> {
    static RECEIVER: OnceLock<watch::Receiver<u64>> = OnceLock::new();
    let start = || {
        let (presses, receiver) = watch::channel(0);
        thread::spawn(move || {
            let Ok(runtime) = Builder::new_current_thread().enable_io().build() else { return };
            runtime.block_on(async {
                while tokio::signal::ctrl_c().await.is_ok() {
                    presses.send_modify(|count| *count += 1);
                }
            });
        });
        receiver
    };
    let mut receiver = RECEIVER.get_or_init(start).clone();
    receiver.mark_unchanged();
    receiver
}
