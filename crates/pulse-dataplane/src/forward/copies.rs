//! Copies of sealed records, on their way over a second hop of their peer.
//!
//! Invariant: a copy is the very bytes of its record, so the receiver's replay window lets in one of the two. What leaves
//! twice is noted on no trail: a report cannot tell which of the two arrived.

use std::sync::Arc;

use super::parcel::Parcel;
use super::ways::Wrapping;
use crate::tables::Link;

/// Copies that leave together.
#[derive(Debug, Default)]
pub struct Copies {
    parcel: Parcel,
    link: Option<Arc<Link>>,
}

impl Copies {
    /// Add a copy of `record`, wrapped so, for `link`; `send` is given what must leave first, and its stride.
    pub fn add(
        &mut self,
        link: &Arc<Link>,
        wrapping: &Wrapping,
        record: &[u8],
        mut send: impl FnMut(&Link, &[u8], usize),
    ) {
        if !self.link.as_ref().is_some_and(|own| Arc::ptr_eq(own, link)) {
            self.flush(&mut send);
            self.link = Some(Arc::clone(link));
        }
        let send = |bytes: &[u8], stride: usize| send(link, bytes, stride);
        match wrapping {
            Wrapping::Bare => _ = self.parcel.add(0, record, send),
            Wrapping::Framed(header) => self.parcel.frame(&link.sealer, header, record, send),
            Wrapping::Cut(header) => self.parcel.cut(&link.sealer, header, record, send),
        }
    }

    /// Let what is there leave.
    pub fn flush(&mut self, mut send: impl FnMut(&Link, &[u8], usize)) {
        if let Some(link) = self.link.take() {
            self.parcel.flush(|bytes, stride| send(&link, bytes, stride));
        }
    }
}
