//! The lanes of real data planes on loopback: who is let in, who is not, and what they can say.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod authority;
mod birthday;
mod certificates;
mod idlers;
mod joins;
mod life;
mod links;
mod middle;
mod node;
mod paths;
mod probes;
mod relays;
mod rogues;
mod strangers;
mod websockets;
