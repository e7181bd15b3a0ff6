//! Files in both directions: streamed, never held in memory, with a word on how far they are.

use crate::transport::SILENCE_AFTER_UPLOAD;
use crate::{Client, ClientError};
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use ureq::SendBody;
use ureq::http::{Method, header};

/// Bytes read and written at once: large enough that the calls don't matter, small enough that progress is smooth.
const CHUNK: usize = 64 << 10;

/// Bytes to upload. They are read once, while they are sent.
pub struct Upload<'a> {
    /// Where they come from.
    pub reader: &'a mut dyn Read,
    /// How many there are. Reading fewer is an error; more are not read.
    pub length: u64,
    /// Told the number of bytes read so far, after each read.
    pub progress: &'a mut dyn FnMut(u64),
}

/// Passes bytes on and remembers what the reader said, since the HTTP library only says "I/O error".
struct Counted<'a> {
    upload: Upload<'a>,
    sent: u64,
    failure: Option<io::Error>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.upload.length - self.sent;
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if room == 0 {
            return Ok(0);
        }
        let outcome = match self.upload.reader.read(&mut buffer[..room]) {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read")),
            other => other,
        };
        match outcome {
            Ok(count) => {
                self.sent += count as u64;
                (self.upload.progress)(self.sent);
                Ok(count)
            }
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(error);
                Err(kind.into())
            }
        }
    }
}

impl Client {
    pub(crate) fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        content: &str,
        upload: Upload<'_>,
    ) -> Result<T, ClientError> {
        self.upload_with(path, content, None, upload)
    }

    /// The same with a further header.
    pub(crate) fn upload_with<T: DeserializeOwned>(
        &self,
        path: &str,
        content: &str,
        header: Option<(&str, &str)>,
        upload: Upload<'_>,
    ) -> Result<T, ClientError> {
        let head = self
            .request(Method::POST, path, Some(content))
            .header(header::CONTENT_LENGTH, upload.length)
            // A refusal, e.g. for a missing token, comes before the bytes instead of in the middle of them.
            .header(header::EXPECT, "100-continue");
        let head = match header {
            Some((name, value)) => head.header(name, value),
            None => head,
        };
        let mut body = Counted { upload, sent: 0, failure: None };
        let answer = self.send(head, SendBody::from_reader(&mut body), SILENCE_AFTER_UPLOAD);
        match body.failure {
            Some(source) => {
                Err(ClientError::Local { what: "could not read what was to be uploaded", source })
            }
            None => self.result(answer?),
        }
    }

    pub(crate) fn download(
        &self,
        path: &str,
        to: &mut dyn Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64, ClientError> {
        let answer = self.success(self.send_empty(self.request(Method::GET, path, None))?)?;
        let mut body = answer.into_body().into_reader();
        let mut chunk = vec![0; CHUNK];
        let mut received = 0;
        loop {
            let count =
                body.read(&mut chunk).map_err(|e| ClientError::from_http(self.base_url(), e.into()))?;
            if count == 0 {
                return Ok(received);
            }
            to.write_all(&chunk[..count]).map_err(|source| ClientError::Local {
                what: "could not write what was downloaded",
                source,
            })?;
            received += count as u64;
            progress(received);
        }
    }
}
