//! What objects whose events are stream connections have in common: the listener
//! as a worker holds it, TCP's clients, and connections that stay.

mod clients;
mod connections;
mod guest;
mod http;
mod listener;

pub(super) use clients::{Clients, is_held};
pub(super) use connections::Connections;
pub(super) use listener::{Keep, Listener};
