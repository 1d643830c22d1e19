//! Sessions others dial: each passes the same gate as a link, where a node's handle is its address.
//!
//! Invariant: a flood of first packets costs one small answer each, never a handshake.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use quinn::{Connection, Incoming};
use tokio::time::timeout;

use super::desk::Desk;
use super::endpoint;
use super::greeting::greet;
use crate::event::Level;
use crate::link::{Gate, Knock, Pass};

/// Accept sessions until the endpoint is closed.
pub async fn accept(desk: Arc<Desk>, endpoint: quinn::Endpoint) {
    let gate = Gate::new(Instant::now());
    while let Some(incoming) = endpoint.accept().await {
        let (source, proven) = (incoming.remote_address().ip(), incoming.remote_address_validated());
        match gate.knock(source, proven, Instant::now()) {
            Ok(pass) => drop(desk.runtime.spawn(welcome(Arc::clone(&desk), incoming, pass))),
            Err(Knock::Prove) => {
                desk.count_retry();
                // Fails only after a Retry, and then the address is proven.
                let _ = incoming.retry();
            }
            Err(Knock::Drop) => incoming.ignore(),
        }
    }
}

/// One handshake, which holds `pass` meanwhile, and what follows.
async fn welcome(desk: Arc<Desk>, incoming: Incoming, pass: Pass) {
    let from = incoming.remote_address().ip();
    let greeting = async {
        let connection = shake_hands(&desk, incoming).await?;
        drop(pass);
        greet(&desk, connection, false).await
    };
    let outcome = AssertUnwindSafe(timeout(desk.tuning.dial, greeting)).catch_unwind().await;
    let failure = match outcome {
        Ok(Ok(outcome)) => outcome.and_then(|greeted| desk.settle(greeted, false)).err(),
        Ok(Err(_)) => Some("timeout".to_owned()),
        Err(_) => Some(desk.count_panic("a handshake")),
    };
    if let Some(failure) = failure {
        desk.shared.bus.log(Level::Debug, format!("session from {from} failed: {failure}"));
    }
}

/// The certificate is judged by the identity and trust of this moment.
async fn shake_hands(desk: &Desk, incoming: Incoming) -> Result<Connection, String> {
    let (identity, trust) = desk.settings.both().ok_or("no identity is installed")?;
    let (config, verifier) = endpoint::server(&identity, &trust).map_err(|error| error.to_string())?;
    let accepted = incoming.accept_with(Arc::new(config)).map_err(|error| endpoint::refused(&error, &verifier))?;
    accepted.await.map_err(|error| endpoint::refused(&error, &verifier))
}
