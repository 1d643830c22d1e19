//! The tables Python sets whole.
//!
//! Invariant: each call is atomic and may be made again; a table that cannot be meant changes nothing.

use std::sync::Arc;

use super::{Dataplane, Error, Ownership, Result, Way, addresses, routes};
use crate::Handle;
use crate::clock::second;
use crate::policy::{Policy, Rule};

impl Dataplane {
    /// The whole table of routes: ways to each handle, best first. Links that are gone are skipped; sessions that go
    /// another way now are kicked.
    pub fn replace_routes(&self, routes: &[(Handle, Vec<Way>)]) -> Result<()> {
        let running = self.running()?;
        routes::replace(&running.shared, routes, || running.sessions.rerouted());
        Ok(())
    }

    /// The whole table of who owns which address. A node's mesh addresses are its first /32 and first /128.
    pub fn replace_addresses(&self, owners: &[Ownership]) -> Result<()> {
        let running = self.running()?;
        let me = running.shared.me.load().as_ref().map(|me| me.node);
        let table = addresses::build(owners, &running.shared.addresses.load(), me).map_err(Error::Invalid)?;
        running.shared.addresses.store(Arc::new(table));
        Ok(())
    }

    /// The whole policy: the first rule that matches decides; without rules everything is allowed.
    pub fn replace_policy(&self, rules: Vec<Rule>) -> Result<()> {
        if let Some((low, high)) = rules.iter().flat_map(|rule| &rule.ports).find(|(low, high)| low > high) {
            return Err(Error::Invalid(format!("ports {low}-{high} are no range")));
        }
        let running = self.running()?;
        let shared = &running.shared;
        let policy = Policy::new(rules, &shared.hits);
        if shared.policy.load().is_open() && !policy.is_open() {
            shared.conntrack.begin(second());
        }
        shared.policy.store(Arc::new(policy));
        Ok(())
    }
}
