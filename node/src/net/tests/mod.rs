//! Networks of real nodes on loopback, and peers that misbehave on purpose. Every wait is for an event.

mod channels;
mod connect;
mod gossip;
mod hostile;
mod kit;
mod sync;
