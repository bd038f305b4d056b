//! Following a table: everything that is in it, and then every change.

use std::sync::Arc;

use windlass_store::{Item, Range, Table};

/// Hands over each object that is there and each that changes or goes, for ever. What has gone is handed over as it was last. After a gap
/// in the events `begin` is told, for nobody knows what went in it, and all objects come again.
pub(super) async fn follow(table: &Arc<Table>, mut begin: impl FnMut(), mut seen: impl FnMut(&Item)) {
    loop {
        let state = table.state();
        let Ok(mut watch) = table.watch(state.last()) else { continue };
        begin();
        state.iter(&Range::default()).for_each(|item| seen(item));
        drop(state);
        while let Ok(events) = watch.next().await {
            events.iter().for_each(|event| seen(&event.item));
        }
    }
}
