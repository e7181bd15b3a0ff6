//! What is mounted where: proc_pid_mountinfo(5).

use super::SystemRoot;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Where.
    pub(crate) point: PathBuf,
    /// What: a device's path, for most filesystems.
    pub(crate) source: String,
}

/// What is mounted exactly there, on top.
pub(crate) fn at(system: &SystemRoot, point: &Path) -> io::Result<Option<Mount>> {
    Ok(read(system)?.into_iter().rfind(|mount| mount.point == point))
}

/// The mount that a path lies in: that with the longest point, and of several there the topmost.
pub(crate) fn around(system: &SystemRoot, path: &Path) -> io::Result<Option<Mount>> {
    let inside = read(system)?.into_iter().filter(|mount| path.starts_with(&mount.point));
    Ok(inside.max_by_key(|mount| mount.point.components().count()))
}

fn read(system: &SystemRoot) -> io::Result<Vec<Mount>> {
    let text = fs::read(system.path("/proc/self/mountinfo"))?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let point = PathBuf::from(OsString::from_vec(unescape(fields.nth(4)?)));
    let mut after = fields.skip_while(|field| *field != b"-").skip(2);
    let source = String::from_utf8_lossy(&unescape(after.next()?)).into_owned();
    Some(Mount { point, source })
}

/// The kernel writes space, tab, newline and backslash as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let code = (first == b'\\').then(|| tail.get(..3)).flatten().and_then(octal);
        plain.push(code.unwrap_or(first));
        rest = if code.is_some() { &tail[3..] } else { tail };
    }
    plain
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINES: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
40 27 7:0 / /data/a\\040b/folder rw,nosuid shared:9 master:2 - ext4 /dev/loop0 rw
41 40 7:1 / /data/a\\040b/folder rw,nosuid - ext4 /dev/loop1 rw
";

    fn system(text: &str) -> (tempfile::TempDir, SystemRoot) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("proc/self")).unwrap();
        fs::write(folder.path().join("proc/self/mountinfo"), text).unwrap();
        let root = SystemRoot::new(folder.path());
        (folder, root)
    }

    #[test]
    fn the_topmost_mount_at_a_point_counts() {
        let (_folder, root) = system(LINES);
        let found = at(&root, Path::new("/data/a b/folder")).unwrap().unwrap();
        assert_eq!(found.source, "/dev/loop1");
        assert_eq!(at(&root, Path::new("/data")).unwrap(), None);
    }

    #[test]
    fn a_path_lies_in_the_longest_mount() {
        let (_folder, root) = system(LINES);
        let source = |path: &str| around(&root, Path::new(path)).unwrap().unwrap().source;
        assert_eq!(source("/data/a b/folder/x"), "/dev/loop1");
        assert_eq!(source("/data/a b/folders"), "/dev/vda");
        assert_eq!(source("/proc/1"), "proc");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_fail(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text);
        }

        #[test]
        fn what_the_kernel_escapes_comes_back(name in "[a-z \t\\\\]{1,20}") {
            let escaped: String = name.chars().map(|c| match c {
                ' ' => "\\040".into(), '\t' => "\\011".into(), '\\' => "\\134".into(), other => other.to_string(),
            }).collect();
            prop_assert_eq!(unescape(escaped.as_bytes()), name.into_bytes());
        }
    }
}
