//! A small client: one question to one server, by UDP, and by TCP if the answer doesn't fit.

mod exchange;

pub(crate) use exchange::{by_tcp, by_udp};

use crate::message::{HEADER, IN, QR, RD, TC, counts};
use crate::name::Name;
use crate::record::{Record, RecordData};
use crate::types::{Rcode, RecordType};
use crate::wire::{Malformed, Reader};
use std::io;
use std::net::SocketAddr;
use thiserror::Error;

/// How often a question is sent by UDP.
const TRIES: usize = 3;

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// How it was answered.
    pub rcode: Rcode,
    /// Whether the server has the zone.
    pub authoritative: bool,
    /// The records of the answer, in their order, CNAMEs on the way among them. Types that aren't kept here are left out.
    pub records: Vec<Record>,
}

/// A question without an answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nobody answered in time.
    #[error("{0} did not answer")]
    Silent(SocketAddr),
    /// The network said no.
    #[error("{server} can't be asked")]
    Network {
        /// Who was asked.
        server: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The answer can't be read.
    #[error("the answer of {server} can't be read")]
    Unreadable {
        /// Who was asked.
        server: SocketAddr,
        /// What is wrong with it.
        #[source]
        source: Malformed,
    },
}

/// Asks a server for the records of a name and type, with recursion if it does that. Takes 5 seconds at most by UDP and as
/// long again if TCP is needed.
///
/// # Errors
/// [`AskError`]; that there is no such name is an answer, and no error.
pub async fn ask(server: SocketAddr, name: &Name, record_type: RecordType) -> Result<Reply, AskError> {
    let question = question(name, record_type);
    let network = |source| AskError::Network { server, source };
    let mut reply = None;
    for _ in 0..TRIES {
        reply = by_udp(server, &question).await.map_err(network)?;
        if reply.is_some() {
            break;
        }
    }
    let mut reply = reply.ok_or(AskError::Silent(server))?;
    if reply[2] & TC != 0 {
        reply = by_tcp(server, &question).await.map_err(network)?.ok_or(AskError::Silent(server))?;
    }
    Reply::read(&reply).map_err(|source| AskError::Unreadable { server, source })
}

/// A question with EDNS; its id is set when it is sent.
pub(crate) fn question(name: &Name, record_type: RecordType) -> Vec<u8> {
    let mut message = vec![0, 0, RD, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    message.extend_from_slice(name.wire());
    message.extend_from_slice(&record_type.code().to_be_bytes());
    message.extend_from_slice(&IN.to_be_bytes());
    message.push(0);
    message.extend_from_slice(&RecordType::OPT.code().to_be_bytes());
    message.extend_from_slice(&crate::answer::MAX_UDP.to_be_bytes());
    message.extend_from_slice(&[0; 6]);
    message
}

/// Whether this answers that: same id, an answer, same question but for case.
pub(crate) fn answers(reply: &[u8], question: &[u8]) -> bool {
    let Some(end) = question_end(question) else { return false };
    reply.len() >= end
        && reply[2] & QR != 0
        && reply[..2] == question[..2]
        && reply[4..6] == [0, 1]
        && reply[HEADER..end].eq_ignore_ascii_case(&question[HEADER..end])
}

fn question_end(message: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(message, HEADER);
    reader.skip_name().ok()?;
    reader.take(4).ok()?;
    Some(reader.at())
}

impl Reply {
    /// Reads an answer's octets.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn read(reply: &[u8]) -> Result<Self, Malformed> {
        if reply.len() < HEADER {
            return Err(Malformed("an answer is shorter than its header"));
        }
        sections(reply)
    }
}

fn sections(reply: &[u8]) -> Result<Reply, Malformed> {
    let [_, answers, _, _] = counts(reply);
    let mut reader = Reader::new(reply, HEADER);
    reader.skip_name()?;
    reader.take(4)?;
    let mut records = Vec::new();
    for _ in 0..answers {
        let name = reader.name()?;
        let record_type = RecordType::from_code(reader.u16()?);
        reader.u16()?;
        let ttl = reader.u32()?;
        let length = usize::from(reader.u16()?);
        let data = RecordData::decode(record_type, &mut reader, length)?;
        records.extend(data.map(|data| Record { name, ttl, data }));
    }
    Ok(Reply {
        rcode: Rcode(u16::from(reply[3] & 0xf)),
        authoritative: reply[2] & crate::message::AA != 0,
        records,
    })
}
