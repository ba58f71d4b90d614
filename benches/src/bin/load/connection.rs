//! A connection of HTTP/1.1, as plain as can be: one request, one answer with a length, and again. It does not know what is asked.

use std::{
    io::{Error, ErrorKind},
    net::SocketAddr,
    ops::Range,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection that stays open from answer to answer.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer; its body is in the connection until the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether the server wishes to close the connection.
    pub(crate) is_last: bool,
    body: Range<usize>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(1 << 12) })
    }

    pub(crate) fn body(&self, answer: &Answer) -> &[u8] {
        &self.buffer[answer.body.clone()]
    }

    /// Whether anything came of the answer that is awaited.
    pub(crate) fn has_begun(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Sends a request, and waits for its answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Answer, Error> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        self.read().await
    }

    /// Sends a request and closes this side, before the answer.
    pub(crate) async fn ask_last(&mut self, request: &[u8]) -> Result<Answer, Error> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        self.stream.shutdown().await?;
        self.read().await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.write_all(bytes).await
    }

    /// Waits until the server closes the connection; what it says until then is not read.
    pub(crate) async fn closed(&mut self) {
        while matches!(self.stream.read_buf(&mut self.buffer).await, Ok(1..)) {
            self.buffer.clear();
        }
    }

    async fn read(&mut self) -> Result<Answer, Error> {
        loop {
            if let Some(answer) = parse(&self.buffer)?
                && self.buffer.len() >= answer.body.end
            {
                return Ok(answer);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// The head of an answer; nothing as long as it is not whole.
fn parse(bytes: &[u8]) -> Result<Option<Answer>, Error> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let wrong = |what: &str| Error::new(ErrorKind::InvalidData, what.to_owned());
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| wrong("a head that is no text"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| wrong("no status"))?;
    let (mut length, mut is_last) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse::<usize>().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            is_last = value.trim().eq_ignore_ascii_case("close");
        }
    }
    let length = length.ok_or_else(|| wrong("an answer without a length"))?;
    Ok(Some(Answer { status, is_last, body: end + 4..end + 4 + length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text =
            b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 3\r\nConnection: Close\r\n\r\nabc";
        for short in 0..text.len() - 3 {
            assert_eq!(parse(&text[..short]).unwrap(), None, "{short}");
        }
        let answer = parse(text).unwrap().unwrap();
        assert_eq!((answer.status, answer.is_last, &text[answer.body]), (429, true, &b"abc"[..]));
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for wrong in ["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "HTTP\r\n\r\n", "\u{1}\r\n\r\n"] {
            assert_eq!(parse(wrong.as_bytes()).unwrap_err().kind(), ErrorKind::InvalidData, "{wrong}");
        }
    }
}
