//! A message there and one back. A fresh port and a random id each time: that is what a forger has to guess.

use super::answers;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long one try may take.
const PATIENCE: Duration = Duration::from_millis(1600);
/// How long an exchange by TCP may take.
const TCP_PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer by UDP that is read, in octets.
const LONGEST: usize = 65_535;

/// The message with an id of its own.
fn with_id(message: &[u8]) -> io::Result<Vec<u8>> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    let mut message = message.to_vec();
    message[..2].copy_from_slice(&id);
    Ok(message)
}

/// Sends a question by UDP and gives its answer; `None` if none came in time. Whatever else comes is not listened to.
pub(crate) async fn by_udp(server: SocketAddr, question: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let question = with_id(question)?;
    let any = match server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    let exchange = async {
        socket.send(&question).await?;
        let mut reply = vec![0; LONGEST];
        loop {
            let length = socket.recv(&mut reply).await?;
            if answers(&reply[..length], &question) {
                reply.truncate(length);
                return Ok(reply);
            }
        }
    };
    timeout(PATIENCE, exchange).await.ok().transpose()
}

/// The same by TCP.
pub(crate) async fn by_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let question = with_id(question)?;
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        let length = crate::wire::length16(question.len());
        stream.write_all(&[&length.to_be_bytes()[..], &question].concat()).await?;
        let mut reply = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut reply).await?;
        if answers(&reply, &question) {
            return Ok(reply);
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is one to another question"))
    };
    timeout(TCP_PATIENCE, exchange).await.ok().transpose()
}
