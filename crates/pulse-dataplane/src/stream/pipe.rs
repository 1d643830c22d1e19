//! One bidirectional stream of a session, and the few bytes at its start (protocol §5).
//!
//! `kind 1 | length 4 | header` from the opener, `0` or `1 | code 4` back, then whatever the kind carries.
//! Invariant: a stream that was not finished on purpose is reset, so nobody takes half a message for a whole one
//! (quinn finishes a dropped stream by itself).

use std::time::Duration;

use quinn::{RecvStream, SendStream, VarInt};
use tokio::time::timeout;

use super::refusal;

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One request and one response.
    Rpc = 0,
    /// Bytes both ways.
    Tcp = 1,
}

/// Longest header.
pub const HEADER_LIMIT: usize = 4096;

const ABORTED: VarInt = VarInt::from_u32(1);

/// Both halves of one stream.
#[derive(Debug)]
pub struct Pipe {
    pub send: SendStream,
    pub recv: RecvStream,
    finished: bool,
}

/// The stream broke or its start makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

impl Pipe {
    pub fn new((send, recv): (SendStream, RecvStream)) -> Self {
        Self { send, recv, finished: false }
    }

    /// Write the start of a stream of ours.
    pub async fn write_header(&mut self, kind: Kind, header: &[u8]) -> Result<(), Broken> {
        let length = u32::try_from(header.len()).map_err(|_| Broken)?;
        let mut start = vec![kind as u8];
        start.extend(length.to_be_bytes());
        start.extend(header);
        self.send.write_all(&start).await.map_err(|_| Broken)
    }

    /// Read the start of a stream of theirs; slower than `deadline` is broken or hostile.
    pub async fn read_header(&mut self, deadline: Duration) -> Result<(Kind, Vec<u8>), Broken> {
        timeout(deadline, self.header()).await.map_err(|_| Broken)?
    }

    async fn header(&mut self) -> Result<(Kind, Vec<u8>), Broken> {
        let mut start = [0; 5];
        self.recv.read_exact(&mut start).await.map_err(|_| Broken)?;
        let kind = match start[0] {
            0 => Kind::Rpc,
            1 => Kind::Tcp,
            _ => return Err(Broken),
        };
        let length = u32::from_be_bytes([start[1], start[2], start[3], start[4]]) as usize;
        if length > HEADER_LIMIT {
            return Err(Broken);
        }
        let mut header = vec![0; length];
        self.recv.read_exact(&mut header).await.map_err(|_| Broken)?;
        Ok((kind, header))
    }

    /// Say yes.
    pub async fn accept(&mut self) -> Result<(), Broken> {
        self.send.write_all(&[0]).await.map_err(|_| Broken)
    }

    /// Say no, and why.
    pub async fn refuse(mut self, code: u32) {
        let mut answer = vec![1];
        answer.extend(code.to_be_bytes());
        if self.send.write_all(&answer).await.is_ok() {
            self.finish().await;
        }
    }

    /// Wait for yes or no; `Err` holds the code.
    pub async fn answer(&mut self) -> Result<(), u32> {
        let mut word = [0];
        self.recv.read_exact(&mut word).await.map_err(|_| refusal::LOST)?;
        if word == [0] {
            return Ok(());
        }
        let mut code = [0; 4];
        self.recv.read_exact(&mut code).await.map_err(|_| refusal::LOST)?;
        Err(u32::from_be_bytes(code))
    }

    /// All is written: returns once the peer has it, at the latest after ten seconds; false if it may not have it.
    pub async fn finish(&mut self) -> bool {
        self.end();
        matches!(timeout(Duration::from_secs(10), self.send.stopped()).await, Ok(Ok(None)))
    }

    /// All is written.
    pub fn end(&mut self) {
        self.finished = true;
        let _ = self.send.finish();
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if !self.finished {
            let _ = self.send.reset(ABORTED);
        }
    }
}
