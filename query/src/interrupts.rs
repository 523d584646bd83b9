//! How often Ctrl-C was pressed.

use std::sync::OnceLock;
use std::thread;
use tokio::runtime::Builder;
use tokio::sync::watch;

/// What says so to whoever waits. From the first call on, Ctrl-C does not end the process any more.
///
/// The listener has a thread of its own: those that answer a query may be busy for long.
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
