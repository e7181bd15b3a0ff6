//! The part of tar (POSIX.1-1988 ustar) that image-layout archives need: regular files and folders, read in place.
//!
//! Nothing is ever unpacked: an archive is read as a table of names and ranges, so a name can't lead anywhere. Names that
//! try to (absolute, `..`) are refused all the same, since such an archive is an attack on somebody; so are links, devices,
//! names that come twice, and extensions that would change a name or a size.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use thiserror::Error;

/// tar's unit: headers are one block, contents are padded to whole ones.
const BLOCK: usize = 512;
/// Most entries: an image layout of one component has eight.
const MAX_ENTRIES: usize = 1024;
/// Largest extended header that is looked into: those of one file are below 1 KiB.
const MAX_EXTENSION: u64 = 64 << 10;

/// Where a file lies in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u64,
    pub(crate) size: u64,
}

/// Why an archive can't be read.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum TarError {
    #[error("reading the archive")]
    Io(#[source] io::Error),
    #[error("it is no tar archive: the header at byte {at} is broken")]
    Header { at: u64 },
    #[error("it ends in the middle of `{name}`")]
    Cut { name: String },
    #[error("the entry `{name}` would lead out of the archive")]
    Escapes { name: String },
    #[error("the entry `{name}` is {what}; only files and folders are taken")]
    Kind { name: String, what: &'static str },
    #[error("the entry `{name}` is there twice")]
    Twice { name: String },
    #[error("it has more than {limit} entries")]
    TooMany { limit: usize },
}

/// The files of an archive, by name.
pub(crate) fn index<R: Read + Seek>(archive: &mut R) -> Result<BTreeMap<String, Range>, TarError> {
    let length = archive.seek(SeekFrom::End(0)).map_err(TarError::Io)?;
    let mut files = BTreeMap::new();
    let mut at = 0;
    for _ in 0..MAX_ENTRIES {
        let Some(header) = header(archive, at, length)? else { return Ok(files) };
        let start = at + BLOCK as u64;
        let Some(end) = start.checked_add(header.size).filter(|end| *end <= length) else {
            return Err(TarError::Cut { name: header.name });
        };
        match header.kind {
            b'0' | 0 => {
                let name = checked(header.name)?;
                if files.insert(name.clone(), Range { start, size: header.size }).is_some() {
                    return Err(TarError::Twice { name });
                }
            }
            b'5' => drop(checked(header.name)?),
            // Times and comments are nobody's business; a name or size that is said elsewhere would be.
            b'x' | b'g' => extension(archive, start, &header)?,
            kind => return Err(TarError::Kind { name: header.name, what: kind_text(kind) }),
        }
        at = end.next_multiple_of(BLOCK as u64);
    }
    Err(TarError::TooMany { limit: MAX_ENTRIES })
}

struct Header {
    name: String,
    size: u64,
    kind: u8,
}

/// The header at a place; `None` at the end of the archive.
fn header<R: Read + Seek>(archive: &mut R, at: u64, length: u64) -> Result<Option<Header>, TarError> {
    if at >= length {
        return Ok(None);
    }
    let broken = || TarError::Header { at };
    let mut block = [0; BLOCK];
    archive.seek(SeekFrom::Start(at)).map_err(TarError::Io)?;
    archive.read_exact(&mut block).map_err(|_| broken())?;
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let sum = octal(&block[148..156]).ok_or_else(broken)?;
    // The checksum counts its own field as spaces.
    let counted = block.iter().enumerate().map(|(i, byte)| match i {
        148..156 => u64::from(b' '),
        _ => u64::from(*byte),
    });
    if counted.sum::<u64>() != sum {
        return Err(broken());
    }
    let text = |range: std::ops::Range<usize>| {
        let bytes = &block[range];
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        std::str::from_utf8(&bytes[..end]).map(str::to_owned).map_err(|_| broken())
    };
    let (name, prefix) = (text(0..100)?, text(345..500)?);
    // Only ustar has a prefix; elsewhere the bytes mean something else.
    let has_prefix = block[257..262] == *b"ustar" && block[262] == 0 && !prefix.is_empty();
    let name = if has_prefix { format!("{prefix}/{name}") } else { name };
    let size = octal(&block[124..136]).ok_or_else(broken)?;
    Ok(Some(Header { name, size, kind: block[156] }))
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches(|c: char| c == '\0' || c == ' ');
    let is_octal = digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok().filter(|_| is_octal) }
}

/// A name below the root, without `./` before it.
fn checked(name: String) -> Result<String, TarError> {
    let trimmed = name.strip_prefix("./").unwrap_or(&name).trim_end_matches('/');
    let mut parts = trimmed.split('/');
    let is_root = trimmed.is_empty() || trimmed == ".";
    let safe = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && !part.chars().any(|c| c.is_control() || c == '\\')
    };
    if !is_root && !parts.all(safe) {
        return Err(TarError::Escapes { name: visible(&name) });
    }
    Ok(trimmed.to_owned())
}

/// Refuses an extended header (pax) that says what the header itself says: then this reader would be wrong.
fn extension<R: Read + Seek>(archive: &mut R, start: u64, header: &Header) -> Result<(), TarError> {
    let refused = |what| Err(TarError::Kind { name: visible(&header.name), what });
    if header.size > MAX_EXTENSION {
        return refused("an extended header of unusual length");
    }
    let mut records = Vec::new();
    archive.seek(SeekFrom::Start(start)).map_err(TarError::Io)?;
    archive.take(header.size).read_to_end(&mut records).map_err(TarError::Io)?;
    let text = String::from_utf8_lossy(&records);
    let keys = text.lines().filter_map(|line| Some(line.split_once(' ')?.1.split_once('=')?.0));
    for key in keys {
        if ["path", "size", "linkpath"].contains(&key) || key.starts_with("GNU.sparse") {
            return refused("an extended header with another name or size");
        }
    }
    Ok(())
}

fn kind_text(kind: u8) -> &'static str {
    match kind {
        b'1' => "a hard link",
        b'2' => "a symbolic link",
        b'3' | b'4' => "a device",
        b'6' => "a pipe",
        b'L' | b'K' => "a long name of GNU tar",
        _ => "of an unknown kind",
    }
}

fn visible(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// Writes an archive. The time of every file is the epoch, so that the same content is the same archive.
pub(crate) struct Writer<W> {
    to: W,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to }
    }

    /// Writes a file of `size` bytes. The name is at most 100 bytes long: ours are.
    pub(crate) fn file(&mut self, name: &str, size: u64, content: &mut dyn Read) -> io::Result<()> {
        self.to.write_all(&header_of(name, size, b'0')?)?;
        let copied = io::copy(&mut content.take(size), &mut self.to)?;
        if copied != size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a file became shorter while it was read",
            ));
        }
        let over = size.next_multiple_of(BLOCK as u64) - size;
        io::copy(&mut io::repeat(0).take(over), &mut self.to).map(drop)
    }

    /// Writes the end.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.to.write_all(&[0; 2 * BLOCK])?;
        self.to.flush()?;
        Ok(self.to)
    }
}

/// How long a file is in an archive.
pub(crate) fn space_of(size: u64) -> u64 {
    BLOCK as u64 + size.next_multiple_of(BLOCK as u64)
}

/// How long an archive's end is.
pub(crate) const END: u64 = 2 * BLOCK as u64;

fn header_of(name: &str, size: u64, kind: u8) -> io::Result<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    if name.len() > 100 || size > 0o77_777_777_777 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a name or size that ustar can't hold"));
    }
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        for (name, content) in files {
            writer.file(name, content.len() as u64, &mut &content[..]).unwrap();
        }
        writer.finish().unwrap()
    }

    fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = header_of(name, content.len() as u64, kind).unwrap().to_vec();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    fn read(bytes: &[u8]) -> Result<BTreeMap<String, Range>, TarError> {
        index(&mut Cursor::new(bytes))
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["../a", "/etc/passwd", "a/../../b", "a//b", "a/./b", "..", "a\\b", "./../a"] {
            let found = read(&entry(name, b'0', b"x"));
            assert!(matches!(found, Err(TarError::Escapes { .. })), "{name}: {found:?}");
            assert!(read(&entry(name, b'5', b"")).is_err(), "{name}");
        }
        assert_eq!(read(&entry("./a/b", b'0', b"x")).unwrap().keys().next().unwrap(), "a/b");
        assert!(read(&entry("./", b'5', b"")).unwrap().is_empty());
    }

    #[test]
    fn links_and_devices_are_refused() {
        for kind in [b'1', b'2', b'3', b'4', b'6', b'7', b'L', b'S', 0xff] {
            assert!(matches!(read(&entry("a", kind, b"")), Err(TarError::Kind { .. })), "{kind}");
        }
    }

    #[test]
    fn an_extension_may_tell_the_time_and_no_name() {
        let time = entry("x", b'x', b"30 mtime=1350244992.023960108\n");
        assert!(read(&[time, entry("a", b'0', b"1")].concat()).unwrap().contains_key("a"));
        let path = entry("x", b'x', b"18 path=../../../b\n");
        assert!(matches!(read(&[path, entry("a", b'0', b"1")].concat()), Err(TarError::Kind { .. })));
    }

    #[test]
    fn what_is_cut_doubled_or_broken_is_refused() {
        let whole = archive(&[("a", &[7; 700]), ("b", b"")]);
        assert!(matches!(read(&whole[..1000]), Err(TarError::Cut { .. })));
        assert!(matches!(read(&whole[..100]), Err(TarError::Header { at: 0 })));
        let mut broken = whole.clone();
        broken[3] ^= 1;
        assert!(matches!(read(&broken), Err(TarError::Header { at: 0 })));
        let twice = archive(&[("a", b"1"), ("a", b"2")]);
        assert!(matches!(read(&twice), Err(TarError::Twice { .. })));
        let many: Vec<String> = (0..=MAX_ENTRIES).map(|n| n.to_string()).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
        assert!(matches!(read(&archive(&many)), Err(TarError::TooMany { .. })));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(files in proptest::collection::btree_map(
            "[a-z]{1,20}(/[a-z]{1,20}){0,3}", proptest::collection::vec(any::<u8>(), 0..2000), 0..6
        )) {
            let listed: Vec<(&str, &[u8])> = files.iter().map(|(n, c)| (n.as_str(), c.as_slice())).collect();
            let bytes = archive(&listed);
            let space: u64 = listed.iter().map(|(_, c)| space_of(c.len() as u64)).sum();
            prop_assert_eq!(bytes.len() as u64, space + END);
            let found = read(&bytes).unwrap();
            prop_assert_eq!(found.len(), files.len());
            for (name, range) in found {
                let at = |n: u64| usize::try_from(n).unwrap();
                let content = &bytes[at(range.start)..at(range.start + range.size)];
                prop_assert_eq!(content, files[&name].as_slice());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(
            noise in proptest::collection::vec(any::<u8>(), 0..1500),
            flips in proptest::collection::vec((0usize..3000, any::<u8>()), 0..8),
        ) {
            let _ = read(&noise);
            let mut bytes = archive(&[("a", &[7; 700]), ("blobs/sha256/b", b"1")]);
            for (at, value) in flips {
                let length = bytes.len();
                bytes[at % length] = value;
            }
            let _ = read(&bytes);
        }
    }
}
