//! An OCI image layout (OCI Image Specification 1.1, "Image Layout") in a tar archive: how a package travels as a file.
//!
//! Reading takes the one component in it, with the signatures over its manifest, and checks every digest. Writing puts a
//! package and its signatures in, as `cosign save` does, so that `cosign load`, `oras cp --from-oci-layout` and a second
//! node can take it. The component is copied, never held in memory.

use crate::artifact::{Artifact, ArtifactError, Descriptor, MANIFEST, MAX_MANIFEST, Manifest, json};
use crate::digest::{Hashing, digest_text, sha256};
use crate::signature::{MAX_PAYLOAD, SIMPLE_SIGNING, Signature, signature_manifest};
use crate::tar::{self, Range, TarError, Writer};
use hypermesh_model::BlobDigest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use thiserror::Error;

/// Most manifests that are looked at.
const MAX_MANIFESTS: usize = 64;
/// Most signatures that are taken.
const MAX_SIGNATURES: usize = 16;
/// The annotation with a manifest's tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation by which cosign tells an image from its signatures.
const KIND: &str = "kind";
const KIND_IMAGE: &str = "dev.cosignproject.cosign/image";
const KIND_SIGNATURES: &str = "dev.cosignproject.cosign/sigs";
const VERSION: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";

/// Why an archive has no component to take.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum LayoutError {
    #[error("the archive can't be read")]
    Tar(#[source] TarError),
    #[error("the archive is no image layout: it has no `{name}`")]
    Missing { name: String },
    #[error("`{name}` is {found} bytes long; at most {limit} are taken")]
    TooLarge { name: String, found: u64, limit: u64 },
    #[error("`{name}` is no JSON of its kind")]
    Json {
        name: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the archive's layout is of version `{version}`, not 1.0.0")]
    Version { version: String },
    #[error("the archive holds no component: no manifest has the configuration of one")]
    NoComponent,
    #[error("the archive holds {found} components; it must hold one")]
    Several { found: usize },
    #[error("what the archive holds is no component's artifact")]
    Artifact(#[source] ArtifactError),
    #[error("`{name}` is not what its name says")]
    Content { name: String },
    #[error("writing what the archive holds")]
    Write(#[source] io::Error),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutVersion {
    image_layout_version: String,
}

/// An archive with one component.
#[derive(Debug)]
pub struct Layout<R> {
    archive: R,
    component: Range,
    artifact: Artifact,
    signatures: Vec<Signature>,
}

impl<R: Read + Seek> Layout<R> {
    /// Reads the archive's tables and its component's manifest. `largest` bounds the component, in bytes.
    ///
    /// # Errors
    /// [`LayoutError`].
    pub fn open(mut archive: R, largest: u64) -> Result<Self, LayoutError> {
        let files = tar::index(&mut archive).map_err(LayoutError::Tar)?;
        let mut blobs = Blobs { archive: &mut archive, files };
        let version: LayoutVersion = blobs.json("oci-layout")?;
        if version.image_layout_version != "1.0.0" {
            let version = version.image_layout_version.chars().take(20).collect();
            return Err(LayoutError::Version { version });
        }
        let index: Index = blobs.json("index.json")?;
        let mut components = Vec::new();
        let mut signatures = Vec::new();
        for descriptor in index.manifests.iter().filter(|d| d.media_type == MANIFEST).take(MAX_MANIFESTS) {
            let bytes = blobs.blob(descriptor, MAX_MANIFEST)?;
            let manifest = Manifest::parse(&bytes).map_err(LayoutError::Artifact)?;
            if manifest.layers.iter().any(|layer| layer.media_type == SIMPLE_SIGNING) {
                blobs.signatures(&manifest, &mut signatures)?;
            } else if manifest.component(largest).is_ok() || index.manifests.len() == 1 {
                components.push((bytes, manifest));
            }
        }
        let found = components.len();
        let (bytes, manifest) = match components.pop() {
            None => return Err(LayoutError::NoComponent),
            Some(_) if found > 1 => return Err(LayoutError::Several { found }),
            Some(one) => one,
        };
        let layer = manifest.component(largest).map_err(LayoutError::Artifact)?.clone();
        let config = blobs.blob(&manifest.config, MAX_MANIFEST)?;
        let artifact = Artifact::read(bytes, config, largest).map_err(LayoutError::Artifact)?;
        let component = blobs.range(&layer)?;
        let manifest_digest = artifact.manifest_digest();
        signatures.retain(|signature: &Signature| signature.signs(&manifest_digest));
        Ok(Self { archive, component, artifact, signatures })
    }

    /// Manifest and configuration.
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// The signatures that claim to be over the manifest. Nobody has verified them.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Copies the component.
    ///
    /// # Errors
    /// [`LayoutError::Content`] when it is not what the manifest says; what `to` has then is worthless.
    pub fn copy_component(&mut self, to: &mut dyn Write) -> Result<(), LayoutError> {
        let read = |e| LayoutError::Tar(TarError::Io(e));
        self.archive.seek(SeekFrom::Start(self.component.start)).map_err(read)?;
        let mut hashing = Hashing::new(to);
        let mut content = (&mut self.archive).take(self.component.size);
        io::copy(&mut content, &mut hashing).map_err(LayoutError::Write)?;
        let (digest, size) = hashing.finish();
        if digest == *self.artifact.component() && size == self.component.size {
            Ok(())
        } else {
            Err(LayoutError::Content { name: path_of(self.artifact.component()) })
        }
    }
}

struct Blobs<'a, R> {
    archive: &'a mut R,
    files: BTreeMap<String, Range>,
}

impl<R: Read + Seek> Blobs<'_, R> {
    fn file(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, LayoutError> {
        let range = *self.files.get(name).ok_or_else(|| LayoutError::Missing { name: name.to_owned() })?;
        if range.size > limit {
            return Err(LayoutError::TooLarge { name: name.to_owned(), found: range.size, limit });
        }
        let mut bytes = Vec::new();
        let read = |e| LayoutError::Tar(TarError::Io(e));
        self.archive.seek(SeekFrom::Start(range.start)).map_err(read)?;
        self.archive.take(range.size).read_to_end(&mut bytes).map_err(read)?;
        Ok(bytes)
    }

    fn json<T: for<'de> Deserialize<'de>>(&mut self, name: &str) -> Result<T, LayoutError> {
        let bytes = self.file(name, MAX_MANIFEST)?;
        serde_json::from_slice(&bytes).map_err(|source| LayoutError::Json { name: name.to_owned(), source })
    }

    /// A blob that is what its descriptor says.
    fn blob(&mut self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, LayoutError> {
        let digest = descriptor.sha256().map_err(LayoutError::Artifact)?;
        let name = path_of(&digest);
        let bytes = self.file(&name, limit)?;
        if sha256(&bytes) == digest && bytes.len() as u64 == descriptor.size {
            Ok(bytes)
        } else {
            Err(LayoutError::Content { name })
        }
    }

    fn range(&self, descriptor: &Descriptor) -> Result<Range, LayoutError> {
        let name = path_of(&descriptor.sha256().map_err(LayoutError::Artifact)?);
        match self.files.get(&name) {
            None => Err(LayoutError::Missing { name }),
            Some(range) if range.size == descriptor.size => Ok(*range),
            Some(_) => Err(LayoutError::Content { name }),
        }
    }

    fn signatures(&mut self, manifest: &Manifest, to: &mut Vec<Signature>) -> Result<(), LayoutError> {
        for layer in manifest.layers.iter().filter(|layer| layer.media_type == SIMPLE_SIGNING) {
            if to.len() < MAX_SIGNATURES {
                let payload = self.blob(layer, MAX_PAYLOAD)?;
                to.extend(Signature::of_layer(payload, &layer.annotations));
            }
        }
        Ok(())
    }
}

fn path_of(digest: &BlobDigest) -> String {
    format!("blobs/sha256/{digest}")
}

/// What is written into an archive, and how long it will be.
#[derive(Debug)]
pub struct Archive {
    files: Vec<(String, Vec<u8>)>,
    component: (String, u64),
}

impl Archive {
    /// A package, tagged, with its signatures.
    pub fn new(artifact: &Artifact, tag: &str, signatures: &[Signature]) -> Self {
        let mut blobs: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut add = |bytes: &[u8]| drop(blobs.insert(path_of(&sha256(bytes)), bytes.to_vec()));
        let named = |bytes: &[u8], name: &str, kind: &str| {
            let mut descriptor = Descriptor::of(MANIFEST, bytes);
            descriptor.annotations.insert(REF_NAME.to_owned(), name.to_owned());
            descriptor.annotations.insert(KIND.to_owned(), kind.to_owned());
            descriptor
        };
        add(artifact.manifest());
        add(artifact.config());
        let mut manifests = vec![named(artifact.manifest(), tag, KIND_IMAGE)];
        if let Some(signed) = signature_manifest(signatures) {
            let name = format!("sha256-{}.sig", artifact.manifest_digest());
            manifests.push(named(&signed.manifest, &name, KIND_SIGNATURES));
            add(&signed.manifest);
            add(&signed.config);
            signatures.iter().for_each(|signature| add(signature.payload()));
        }
        let index = Index {
            schema_version: 2,
            media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
            manifests,
        };
        let mut files = vec![("oci-layout".to_owned(), VERSION.as_bytes().to_vec())];
        files.push(("index.json".to_owned(), json(&index)));
        files.extend(blobs);
        Self { files, component: (path_of(artifact.component()), artifact.component_size()) }
    }

    /// How long the archive is, in bytes.
    pub fn size(&self) -> u64 {
        let small: u64 = self.files.iter().map(|(_, bytes)| tar::space_of(bytes.len() as u64)).sum();
        small + tar::space_of(self.component.1) + tar::END
    }

    /// Writes it; `component` is read to its end.
    ///
    /// # Errors
    /// What reading or writing said.
    pub fn write(&self, component: &mut dyn Read, to: impl Write) -> io::Result<()> {
        let mut writer = Writer::new(to);
        for (name, bytes) in &self.files {
            writer.file(name, bytes.len() as u64, &mut bytes.as_slice())?;
        }
        writer.file(&self.component.0, self.component.1, component)?;
        writer.finish().map(drop)
    }
}

/// A tag for a reference's signatures, as cosign makes it.
pub(crate) fn signature_tag(manifest: &BlobDigest) -> String {
    digest_text(manifest).replace(':', "-") + ".sig"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::tests::artifact_of;
    use crate::tar::tests::archive;
    use std::io::Cursor;

    const COMPONENT: &[u8] = b"a component";
    const LARGEST: u64 = 1 << 20;

    fn written(signatures: &[Signature]) -> Vec<u8> {
        let whole = Archive::new(&artifact_of(COMPONENT), "1.0.0", signatures);
        let mut bytes = Vec::new();
        whole.write(&mut &COMPONENT[..], &mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, whole.size());
        bytes
    }

    fn open(bytes: &[u8]) -> Result<Layout<Cursor<&[u8]>>, LayoutError> {
        Layout::open(Cursor::new(bytes), LARGEST)
    }

    fn reason(bytes: &[u8]) -> LayoutError {
        open(bytes).err().unwrap()
    }

    #[test]
    fn what_is_written_is_read_with_its_signatures() {
        let artifact = artifact_of(COMPONENT);
        let signature = |digest: BlobDigest| {
            Signature::new(crate::signature::payload("r.example/a", &digest), b"signed".to_vec())
        };
        let ours = signature(artifact.manifest_digest());
        let others = signature(sha256(b"something else"));
        let bytes = written(&[ours.clone(), others]);
        let mut layout = open(&bytes).unwrap();
        assert_eq!(layout.artifact(), &artifact);
        assert_eq!(layout.signatures(), [ours], "a signature of something else is none of this");
        let mut component = Vec::new();
        layout.copy_component(&mut component).unwrap();
        assert_eq!(component, COMPONENT);
    }

    #[test]
    fn what_was_tampered_with_is_refused() {
        let bytes = written(&[]);
        let text = |needle: &[u8]| bytes.windows(needle.len()).position(|w| w == needle).unwrap();
        // One bit of the component, of the configuration, of the manifest.
        for (needle, opens) in [(COMPONENT, true), (&b"wasip2"[..], false), (&b"hash-files"[..], false)] {
            let mut tampered = bytes.clone();
            tampered[text(needle)] ^= 1;
            match open(&tampered) {
                Ok(mut layout) => {
                    assert!(opens);
                    let copied = layout.copy_component(&mut io::sink());
                    assert!(matches!(copied, Err(LayoutError::Content { .. })), "{copied:?}");
                }
                Err(error) => assert!(!opens && matches!(error, LayoutError::Content { .. }), "{error:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_layout_of_one_component_says_why() {
        let version = ("oci-layout", VERSION.as_bytes());
        let index = |manifests: &str| format!("{{\"schemaVersion\":2,\"manifests\":[{manifests}]}}");
        let none = index("");
        assert!(matches!(open(b"noise"), Err(LayoutError::Tar(_))));
        assert!(matches!(open(&archive(&[])), Err(LayoutError::Missing { .. })));
        assert!(matches!(open(&archive(&[version])), Err(LayoutError::Missing { .. })));
        let found = reason(&archive(&[("oci-layout", b"{\"imageLayoutVersion\":\"2\"}")]));
        assert!(matches!(found, LayoutError::Version { .. }));
        let found = reason(&archive(&[version, ("index.json", none.as_bytes())]));
        assert!(matches!(found, LayoutError::NoComponent));
        let gone = index(&format!(
            "{{\"mediaType\":\"{MANIFEST}\",\"digest\":\"sha256:{}\",\"size\":1}}",
            "0".repeat(64)
        ));
        let found = reason(&archive(&[version, ("index.json", gone.as_bytes())]));
        assert!(matches!(found, LayoutError::Missing { .. }));
        assert!(matches!(
            Layout::open(Cursor::new(written(&[])), 5),
            Err(LayoutError::Artifact(ArtifactError::TooLarge { .. }))
        ));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(flips in proptest::collection::vec((0usize..6000, proptest::prelude::any::<u8>()), 1..12)) {
            let mut bytes = written(&[]);
            for (at, value) in flips {
                let length = bytes.len();
                bytes[at % length] = value;
            }
            if let Ok(mut layout) = open(&bytes) {
                let _ = layout.copy_component(&mut io::sink());
            }
        }
    }
}
