//! Granted inputs and outputs with limits: the imports of `hypermesh:guest/blobs`.
//!
//! A guest names files by the names of its execution and never by a path. Its mistakes come back to it as errors; an
//! output over the limit ends it, since a truncated output would look like a whole one.

use super::{GuestState, OutputLimitReached, OutputMeter};
use crate::JobSpec;
use crate::bindings::job::hypermesh::guest::blobs::{Blob, BlobError, Host, HostInput, HostOutput};
use hypermesh_model::{Bytes, OutputFile};
use rustix::fs::{Mode, OFlags, openat};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use wasmtime::component::Resource;

/// The most that one read gives, in bytes.
const MAX_READ_BYTES: u32 = 1 << 20;
/// Outputs of one execution.
const MAX_OUTPUTS: u32 = 64;
/// Inputs and outputs that are open at once: each is a file descriptor of the worker.
const MAX_OPEN: u32 = 64;
/// The longest name of an output, in bytes: half of what file systems take, so that a suffix fits.
const MAX_NAME_BYTES: usize = 128;

/// An open input. Reading is at an offset that the guest gives.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OpenInput {
    file: File,
    size: u64,
}

/// An open output.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OpenOutput {
    file: File,
    /// Which of the execution's outputs it is.
    index: usize,
}

/// The files of one run.
pub(super) struct Blobs {
    names: Vec<String>,
    inputs: Option<OwnedFd>,
    output_dir: Option<OwnedFd>,
    outputs: Vec<OutputFile>,
    open: u32,
    meter: OutputMeter,
}

impl Blobs {
    pub(super) fn new(
        spec: &JobSpec,
        inputs: Option<OwnedFd>,
        output_dir: Option<OwnedFd>,
        meter: OutputMeter,
    ) -> Self {
        Self { names: spec.inputs.clone(), inputs, output_dir, outputs: Vec::new(), open: 0, meter }
    }

    pub(super) fn outputs(&self) -> Vec<OutputFile> {
        self.outputs.clone()
    }

    /// Whether one more file may be open.
    fn check_open(&self) -> Result<(), BlobError> {
        if self.open >= MAX_OPEN { Err(BlobError::TooMany(MAX_OPEN)) } else { Ok(()) }
    }

    fn closed(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    fn open_input(&mut self, name: &str) -> Result<OpenInput, BlobError> {
        self.check_open()?;
        let granted = self.names.iter().position(|known| known == name);
        let file =
            self.input(granted.ok_or_else(|| BlobError::NotFound(name.to_owned()))?).map_err(io_error)?;
        let size = file.metadata().map_err(io_error)?.len();
        self.open += 1;
        Ok(OpenInput { file, size })
    }

    /// Opens the file of input number `index`, which is all of its name.
    fn input(&self, index: usize) -> io::Result<File> {
        let folder = self.inputs.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(openat(folder, index.to_string(), flags, Mode::empty())?))
    }

    fn create_output(&mut self, name: String) -> Result<OpenOutput, BlobError> {
        check_name(&name)?;
        self.check_open()?;
        if self.outputs.len() >= MAX_OUTPUTS as usize {
            return Err(BlobError::TooMany(MAX_OUTPUTS));
        }
        let folder = self.output_dir.as_ref().ok_or_else(|| io_error(io::ErrorKind::NotFound.into()))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let created = openat(folder, &name, flags, Mode::RUSR | Mode::WUSR).map_err(io::Error::from);
        let file = created.map(File::from).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                BlobError::AlreadyExists(name.clone())
            } else {
                io_error(error)
            }
        })?;
        self.open += 1;
        self.outputs.push(OutputFile { name, size: Bytes(0) });
        Ok(OpenOutput { file, index: self.outputs.len() - 1 })
    }

    /// Counts bytes of an output before they are written.
    fn count(&mut self, index: usize, length: u64) -> Result<(), OutputLimitReached> {
        self.meter.count(length)?;
        if let Some(output) = self.outputs.get_mut(index) {
            output.size.0 += length;
        }
        Ok(())
    }
}

impl Host for GuestState {
    fn inputs(&mut self) -> wasmtime::Result<Vec<Blob>> {
        let blob = |(index, name): (usize, &String)| -> wasmtime::Result<Blob> {
            Ok(Blob { name: name.clone(), size: self.blobs.input(index)?.metadata()?.len() })
        };
        self.blobs.names.iter().enumerate().map(blob).collect()
    }

    fn open(&mut self, name: String) -> wasmtime::Result<Result<Resource<OpenInput>, BlobError>> {
        match self.blobs.open_input(&name) {
            Ok(input) => Ok(Ok(self.table.push(input)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    fn create(&mut self, name: String) -> wasmtime::Result<Result<Resource<OpenOutput>, BlobError>> {
        match self.blobs.create_output(name) {
            Ok(output) => Ok(Ok(self.table.push(output)?)),
            Err(error) => Ok(Err(error)),
        }
    }
}

impl HostInput for GuestState {
    fn size(&mut self, input: Resource<OpenInput>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&input)?.size)
    }

    fn read(
        &mut self,
        input: Resource<OpenInput>,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, BlobError>> {
        let input = self.table.get(&input)?;
        Ok(read_at(input, offset, length).map_err(io_error))
    }

    fn drop(&mut self, input: Resource<OpenInput>) -> wasmtime::Result<()> {
        self.table.delete(input)?;
        self.blobs.closed();
        Ok(())
    }
}

impl HostOutput for GuestState {
    fn write(
        &mut self,
        output: Resource<OpenOutput>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), BlobError>> {
        let output = self.table.get_mut(&output)?;
        self.blobs.count(output.index, bytes.len() as u64)?;
        Ok(output.file.write_all(&bytes).map_err(io_error))
    }

    fn drop(&mut self, output: Resource<OpenOutput>) -> wasmtime::Result<()> {
        self.table.delete(output)?;
        self.blobs.closed();
        Ok(())
    }
}

/// One `pread(2)`, again if a signal came first. Short at the end of the file, empty beyond.
fn read_at(input: &OpenInput, offset: u64, length: u32) -> io::Result<Vec<u8>> {
    let left = input.size.saturating_sub(offset);
    let wanted = left.min(u64::from(length.min(MAX_READ_BYTES)));
    let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(0)];
    // An offset beyond the end may be one that the kernel refuses (over `i64::MAX`).
    if bytes.is_empty() {
        return Ok(bytes);
    }
    loop {
        match input.file.read_at(&mut bytes, offset) {
            Ok(length) => {
                bytes.truncate(length);
                return Ok(bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The kind only: a path of the host is none of the guest's business.
fn io_error(error: io::Error) -> BlobError {
    BlobError::Io(error.kind().to_string())
}

/// Whether an output may be called so: one path component that no program treats specially.
fn check_name(name: &str) -> Result<(), BlobError> {
    let wrong = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME_BYTES {
        "it is longer than 128 bytes"
    } else if name.starts_with('.') {
        "it starts with a dot"
    } else if name.contains(['/', '\\']) {
        "it is more than one path component"
    } else if name.chars().any(char::is_control) {
        "it has a control character"
    } else {
        return Ok(());
    };
    Err(BlobError::InvalidName(wrong.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    #[test]
    fn names_that_programs_treat_specially_are_refused() {
        let long = "x".repeat(129);
        for bad in ["", ".", "..", ".profile", "a/b", "/a", "a\\b", "a\nb", "a\0", &long] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "result.json", "Ergebnis für Juli.txt", &long[..128]] {
            assert!(check_name(good).is_ok(), "{good:?}");
        }
    }

    proptest! {
        #[test]
        fn an_accepted_name_stays_in_its_folder(name in "\\PC{0,12}|[./a]{0,5}") {
            if check_name(&name).is_ok() {
                let parts: Vec<_> = Path::new(&name).components().collect();
                prop_assert!(matches!(parts[..], [Component::Normal(part)] if part == name.as_str()));
            }
        }

        #[test]
        fn reads_give_what_the_file_holds(offset in 0_u64..40, length in 0_u32..40) {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"0123456789abcdefghij").unwrap();
            let bytes = read_at(&OpenInput { file, size: 20 }, offset, length).unwrap();
            let all = &b"0123456789abcdefghij"[..];
            let start = usize::try_from(offset).unwrap().min(20);
            prop_assert_eq!(&bytes[..], &all[start..(start + length as usize).min(20)]);
        }
    }
}
