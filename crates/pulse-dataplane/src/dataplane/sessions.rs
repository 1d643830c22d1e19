//! How sessions end on purpose, and are made anew.

use super::{Dataplane, Result};
use crate::NodeId;

impl Dataplane {
    /// Close the session with `node`.
    pub fn close_session(&self, node: NodeId, reason: &str) -> Result<()> {
        self.running()?.sessions.close_session(node, reason);
        Ok(())
    }

    /// Have a new session with everybody beside the one there is, which it replaces; of two ends the lower id dials.
    pub fn renew_sessions(&self) -> Result<()> {
        self.running()?.sessions.renew_all();
        Ok(())
    }
}
