//! Sessions between two nodes, over real frames.

#![allow(clippy::unwrap_used, clippy::panic, clippy::default_trait_access)]

mod crowds;
mod keys;
mod lifecycle;
mod paths;
mod relay;
mod rpc;
mod streams;
mod world;
