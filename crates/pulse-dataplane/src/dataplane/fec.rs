//! Which paths have parity, as Python decides.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::{Dataplane, Error, Result};
use crate::fec::{MOST_PARITY, warm_up};
use crate::path::Protection;
use crate::{LinkId, NodeId};

/// A path – its node, our first link of it – with its parity, and whether its records go over a second path, too.
pub type Protected = (NodeId, LinkId, u8, bool);

impl Dataplane {
    /// Offer parity in sessions that begin from now on, and protect these paths so, and no others; none takes the offer
    /// back. A session whose peer did not offer it too carries plain records.
    pub fn set_fec(&self, table: Option<&[Protected]>) -> Result<()> {
        let too_much = |&&(.., parity, _): &&Protected| usize::from(parity) > MOST_PARITY;
        if let Some((.., parity, _)) = table.unwrap_or_default().iter().find(too_much) {
            return Err(Error::Invalid(format!("{parity} parity packets are more than {MOST_PARITY}")));
        }
        let running = self.running()?;
        if table.is_some() {
            warm_up();
        }
        running.settings.fec.store(table.is_some(), Ordering::Relaxed);
        let addresses = running.shared.addresses.load();
        let protection = |&(node, link, parity, duplicate): &Protected| {
            // Who is known no more has no paths either.
            let handle = addresses.peers.get(&node)?.handle;
            Some(((handle, link), Protection { parity, duplicate }))
        };
        let protections: HashMap<_, _> = table.unwrap_or_default().iter().filter_map(protection).collect();
        running.shared.paths.protect(protections);
        Ok(())
    }
}
