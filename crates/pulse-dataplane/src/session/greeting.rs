//! The first words of a session: who is there, and both hellos.
//!
//! Invariant: no session begins before the certificate, the handle it came from and the peer's hello are known.

use std::sync::Arc;

use quinn::{Connection, RecvStream, SendStream};

use super::close;
use super::desk::Desk;
use super::keyring::{Keyring, Sealing, Suite};
use super::socket::handle_of;
use crate::hello::{Hello, read_message, write_message};
use crate::keys::{EXPORTER_LABEL, exporter_context};
use crate::path::{self, Proof};
use crate::verify::{Certified, peer_certificate, short};

/// A connection that shook hands, and its control stream.
#[derive(Debug)]
pub struct Greeted {
    /// The connection.
    pub connection: Connection,
    /// The peer's certificate.
    pub certified: Certified,
    /// Our half of the control stream.
    pub send: SendStream,
    /// Their half.
    pub recv: RecvStream,
    /// What we said.
    pub ours: Hello,
    /// What they said.
    pub theirs: Hello,
}

/// Check who is at the other end and exchange hellos; the dialler speaks first. The error is for our log.
pub async fn greet(desk: &Desk, connection: Connection, dialled: bool) -> Result<Greeted, String> {
    let certified = peer_certificate(&connection).ok_or("the peer showed no certificate")?;
    let from = connection.remote_address();
    if desk.us() == Some(certified.node) {
        connection.close(close::REFUSED, b"refused");
        return Err("it shows our own certificate".to_owned());
    }
    if handle_of(&from) != Some(certified.v4) {
        connection.close(close::REFUSED, b"refused");
        return Err(format!("{} came from {}, which is not its address", short(&certified.node), from.ip()));
    }
    match hellos(desk, &connection, dialled).await {
        Ok((send, recv, ours, theirs)) => Ok(Greeted { connection, certified, send, recv, ours, theirs }),
        Err(error) => {
            connection.close(close::PROTOCOL, b"protocol");
            Err(error)
        }
    }
}

async fn hellos(
    desk: &Desk,
    connection: &Connection,
    dialled: bool,
) -> Result<(SendStream, RecvStream, Hello, Hello), String> {
    let opened = if dialled { connection.open_bi().await } else { connection.accept_bi().await };
    let (mut send, mut recv) = opened.map_err(|error| close::reason(&error))?;
    let ours = desk.settings.hello(0, 0);
    let words = ours.encode().map_err(text)?;
    if dialled {
        write_message(&mut send, &words).await.map_err(text)?;
    }
    let heard = read_message(&mut recv).await.map_err(text)?.ok_or("the peer said no hello")?;
    let theirs = Hello::decode(&heard).map_err(text)?;
    if !dialled {
        write_message(&mut send, &words).await.map_err(text)?;
    }
    Ok((send, recv, ours, theirs))
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

impl Greeted {
    /// A keyring bound to this connection.
    pub fn keyring(&self, desk: &Desk) -> Result<Keyring, String> {
        let us = desk.us().ok_or("no identity is installed")?;
        let context = exporter_context(&us, &self.certified.node);
        let exporter = exporter(&self.connection, EXPORTER_LABEL, &context)?;
        let parts = (Arc::clone(&desk.shared), Arc::clone(&desk.indexes), Arc::new(Sealing::default()));
        let suite = Suite { cipher: self.ours.cipher(&self.theirs), parity: self.ours.takes_parity(&self.theirs) };
        Ok(Keyring::new(parts, us, self.certified.clone(), exporter, suite, desk.tuning.limits))
    }

    /// What vouches for path probes between the two ends of this connection.
    pub fn proof(&self, desk: &Desk) -> Result<Proof, String> {
        let us = desk.us().ok_or("no identity is installed")?;
        let context = exporter_context(&us, &self.certified.node);
        exporter(&self.connection, path::EXPORTER_LABEL, &context).map(|secret| Proof::new(&secret))
    }
}

/// 32 bytes that only the two ends of `connection` know.
fn exporter(connection: &Connection, label: &[u8], context: &[u8]) -> Result<[u8; 32], String> {
    let mut secret = [0; 32];
    let exported = connection.export_keying_material(&mut secret, label, context);
    exported.map(|()| secret).map_err(|_| "the connection exports no keys".to_owned())
}
