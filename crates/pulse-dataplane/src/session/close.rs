//! Why sessions close: codes on the wire, words for people.

use quinn::{ConnectionError, VarInt};

/// The node stops.
pub const LEAVING: VarInt = VarInt::from_u32(0);
/// The peer broke the protocol.
pub const PROTOCOL: VarInt = VarInt::from_u32(1);
/// The certificate does not count, or no longer.
pub const REFUSED: VarInt = VarInt::from_u32(2);
/// Nothing to do for ten minutes.
pub const IDLE: VarInt = VarInt::from_u32(3);
/// Python asked for it.
pub const CLOSED: VarInt = VarInt::from_u32(4);
/// Something inside broke.
pub const FAILED: VarInt = VarInt::from_u32(5);
/// Another session of the pair stays; same number as on links.
pub const DUPLICATE: VarInt = VarInt::from_u32(0x10);

/// What ended a connection, in our own words: those of the peer are not repeated.
pub fn reason(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(closed) => format!("the peer closed it: {}", word(closed.error_code)),
        ConnectionError::TimedOut => "timeout".to_owned(),
        ConnectionError::Reset => "the peer no longer knows it".to_owned(),
        ConnectionError::ConnectionClosed(closed) => format!("the peer refused: {}", closed.error_code),
        other => other.to_string(),
    }
}

fn word(code: VarInt) -> &'static str {
    match code {
        LEAVING => "leaving",
        PROTOCOL => "protocol",
        REFUSED => "refused",
        IDLE => "idle",
        CLOSED => "asked to",
        FAILED => "internal error",
        DUPLICATE => "duplicate",
        _ => "unknown reason",
    }
}
