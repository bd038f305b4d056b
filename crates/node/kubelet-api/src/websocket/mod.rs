//! WebSocket: how kubectl speaks to containers. [`upgrade`] begins, [`channels`] carries the channels of exec, attach and
//! port-forward in messages, [`tunnel`] carries a whole SPDY connection.

pub(crate) mod body;
pub(crate) mod channels;
pub(crate) mod tunnel;
pub(crate) mod upgrade;
