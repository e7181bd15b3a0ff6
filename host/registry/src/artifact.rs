//! The CNCF "Wasm OCI Artifact layout": a manifest, a configuration that says what the component needs, and one layer,
//! the component.
//!
//! What is read is checked before anything of it is used: media types, sizes, digests, and that manifest and
//! configuration speak of the same component. What is built is a pure function of the package, so that the same package
//! has the same manifest digest on every export and every node. Manifests that came from elsewhere are kept as bytes:
//! signatures are over their digest.

use crate::digest::{digest_text, parse_digest, sha256};
use hypermesh_model::BlobDigest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// Media type of manifests (OCI Image Specification 1.1).
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of a component's configuration (Wasm OCI Artifact layout).
pub(crate) const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Media type of a component (Wasm OCI Artifact layout).
pub(crate) const WASM_LAYER: &str = "application/wasm";
/// Largest manifest and configuration: those of components are about 1 KiB.
pub(crate) const MAX_MANIFEST: u64 = 1 << 20;

const TITLE: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";
const DESCRIPTION: &str = "org.opencontainers.image.description";

/// Points at content by digest (OCI Image Specification 1.1, "Descriptor").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    /// What it is.
    pub(crate) media_type: String,
    /// `sha256:…`.
    pub(crate) digest: String,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// Anything said about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Points at these bytes.
    pub(crate) fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest_text(&sha256(bytes)),
            size: bytes.len() as u64,
            annotations: BTreeMap::new(),
        }
    }

    /// The SHA-256.
    ///
    /// # Errors
    /// [`ArtifactError::Digest`] for any other algorithm.
    pub(crate) fn sha256(&self) -> Result<BlobDigest, ArtifactError> {
        parse_digest(&self.digest)
            .ok_or_else(|| ArtifactError::Digest { digest: self.digest.chars().take(80).collect() })
    }
}

/// A manifest (OCI Image Specification 1.1, "Image Manifest"). Members that mean nothing here are not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// A component's configuration.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WasmConfig {
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    architecture: String,
    os: String,
    layer_digests: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<Interfaces>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Interfaces {
    exports: Vec<String>,
    imports: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

/// What an artifact is built from.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the member of the package")]
pub struct About<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub description: &'a str,
    pub authors: Option<&'a str>,
    pub licenses: Option<&'a str>,
    pub source: Option<&'a str>,
    pub homepage: Option<&'a str>,
    pub revision: Option<&'a str>,
    /// RFC 3339.
    pub created: String,
    pub component: &'a BlobDigest,
    pub size: u64,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

/// Manifest and configuration of one component, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    manifest: Vec<u8>,
    config: Vec<u8>,
    parsed: Manifest,
    component: BlobDigest,
}

/// Why something is no artifact of a component.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum ArtifactError {
    #[error("the {what} is no JSON of its kind")]
    Json {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("{what} has the media type `{found}`, not `{expected}`")]
    MediaType { what: &'static str, found: String, expected: &'static str },
    #[error("it has {found} layers; a component has one")]
    Layers { found: usize },
    #[error("`{digest}` is no SHA-256 digest")]
    Digest { digest: String },
    #[error("the {what} is {found} bytes long; at most {limit} are taken")]
    TooLarge { what: &'static str, found: u64, limit: u64 },
    #[error("the {what} is not what its digest says")]
    Content { what: &'static str },
    #[error("the configuration is of another component than the manifest")]
    Config,
}

impl Manifest {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ArtifactError> {
        let parsed: Self = serde_json::from_slice(bytes)
            .map_err(|source| ArtifactError::Json { what: "manifest", source })?;
        // Older writers leave the media type of the manifest itself out.
        if !parsed.media_type.is_empty() && parsed.media_type != MANIFEST {
            let found = cut(&parsed.media_type);
            return Err(ArtifactError::MediaType { what: "the manifest", found, expected: MANIFEST });
        }
        Ok(parsed)
    }

    /// The one layer of a component's manifest.
    pub(crate) fn component(&self, largest: u64) -> Result<&Descriptor, ArtifactError> {
        let is = |what, found: &str, expected| {
            if found == expected {
                Ok(())
            } else {
                Err(ArtifactError::MediaType { what, found: cut(found), expected })
            }
        };
        is("the configuration", &self.config.media_type, WASM_CONFIG)?;
        let [layer] = self.layers.as_slice() else {
            return Err(ArtifactError::Layers { found: self.layers.len() });
        };
        is("the layer", &layer.media_type, WASM_LAYER)?;
        for (what, descriptor, limit) in
            [("configuration", &self.config, MAX_MANIFEST), ("component", layer, largest)]
        {
            if descriptor.size > limit {
                return Err(ArtifactError::TooLarge { what, found: descriptor.size, limit });
            }
        }
        Ok(layer)
    }
}

impl Artifact {
    /// Builds the artifact of a package.
    pub fn build(about: &About<'_>) -> Self {
        let layer = Descriptor {
            media_type: WASM_LAYER.to_owned(),
            digest: digest_text(about.component),
            size: about.size,
            annotations: BTreeMap::new(),
        };
        let config = WasmConfig {
            created: about.created.clone(),
            author: about.authors.map(str::to_owned),
            architecture: "wasm".to_owned(),
            os: "wasip2".to_owned(),
            layer_digests: vec![layer.digest.clone()],
            component: Some(Interfaces {
                exports: about.exports.clone(),
                imports: about.imports.clone(),
                target: None,
            }),
        };
        let config = json(&config);
        let parsed = Manifest {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            config: Descriptor::of(WASM_CONFIG, &config),
            layers: vec![layer],
            annotations: annotations(about),
        };
        Self { manifest: json(&parsed), config, parsed, component: about.component.clone() }
    }

    /// Takes an artifact that came from elsewhere, once its parts are all there.
    ///
    /// # Errors
    /// [`ArtifactError`] for what is not the artifact of one component of at most `largest` bytes.
    pub fn read(manifest: Vec<u8>, config: Vec<u8>, largest: u64) -> Result<Self, ArtifactError> {
        let parsed = Manifest::parse(&manifest)?;
        let component = parsed.component(largest)?.sha256()?;
        if parsed.config.sha256()? != sha256(&config) {
            return Err(ArtifactError::Content { what: "configuration" });
        }
        let read: WasmConfig = serde_json::from_slice(&config)
            .map_err(|source| ArtifactError::Json { what: "configuration", source })?;
        if read.layer_digests.as_slice() != [digest_text(&component)] {
            return Err(ArtifactError::Config);
        }
        Ok(Self { manifest, config, parsed, component })
    }

    /// The manifest's bytes.
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// The configuration's bytes.
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// The SHA-256 of the manifest: what signatures are over.
    pub fn manifest_digest(&self) -> BlobDigest {
        sha256(&self.manifest)
    }

    /// The SHA-256 of the component.
    pub fn component(&self) -> &BlobDigest {
        &self.component
    }

    /// The component's length in bytes.
    pub fn component_size(&self) -> u64 {
        self.parsed.layers.first().map_or(0, |layer| layer.size)
    }

    /// What the manifest calls it.
    pub fn title(&self) -> Option<&str> {
        self.annotation(TITLE)
    }

    /// The version that the manifest says.
    pub fn version(&self) -> Option<&str> {
        self.annotation(VERSION)
    }

    /// The description that the manifest has.
    pub fn description(&self) -> Option<&str> {
        self.annotation(DESCRIPTION)
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        self.parsed.annotations.get(key).map(String::as_str).filter(|text| !text.is_empty())
    }
}

fn annotations(about: &About<'_>) -> BTreeMap<String, String> {
    let description = (!about.description.is_empty()).then_some(about.description);
    [
        (TITLE, Some(about.name)),
        (VERSION, Some(about.version)),
        (DESCRIPTION, description),
        ("org.opencontainers.image.authors", about.authors),
        ("org.opencontainers.image.licenses", about.licenses),
        ("org.opencontainers.image.source", about.source),
        ("org.opencontainers.image.url", about.homepage),
        ("org.opencontainers.image.revision", about.revision),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())))
    .collect()
}

/// These types have no member that JSON lacks.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Names of media types are shown to people, and are a stranger's.
fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// The tag of a version: registries don't know `+`, and Helm set the custom of writing `_` for it.
pub fn tag_of_version(version: &str) -> String {
    version.replace('+', "_")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The artifact of some bytes.
    pub(crate) fn artifact_of(component: &[u8]) -> Artifact {
        Artifact::build(&About {
            name: "hash-files",
            version: "1.0.0",
            description: "hashes",
            authors: None,
            licenses: Some("MIT"),
            source: None,
            homepage: None,
            revision: None,
            created: "2026-01-02T03:04:05Z".into(),
            component: &sha256(component),
            size: component.len() as u64,
            imports: vec!["wasi:io/streams@0.2.6".into()],
            exports: vec!["hypermesh:guest/job@0.1.0".into()],
        })
    }

    #[test]
    fn what_is_built_reads_back_and_is_always_the_same() {
        let artifact = artifact_of(b"component");
        let again = Artifact::read(artifact.manifest.clone(), artifact.config.clone(), 100).unwrap();
        assert_eq!(again, artifact);
        assert_eq!(artifact_of(b"component").manifest_digest(), artifact.manifest_digest());
        assert_eq!((again.title(), again.version()), (Some("hash-files"), Some("1.0.0")));
        let manifest: serde_json::Value = serde_json::from_slice(artifact.manifest()).unwrap();
        assert_eq!(manifest["mediaType"], MANIFEST);
        assert_eq!(manifest["config"]["mediaType"], WASM_CONFIG);
        assert_eq!(manifest["layers"][0]["mediaType"], WASM_LAYER);
        let config: serde_json::Value = serde_json::from_slice(artifact.config()).unwrap();
        assert_eq!((&config["architecture"], &config["os"]), (&"wasm".into(), &"wasip2".into()));
        assert_eq!(config["layerDigests"][0], manifest["layers"][0]["digest"]);
    }

    #[test]
    fn what_is_not_one_component_is_refused() {
        let good = artifact_of(b"component");
        let with = |change: fn(&mut Manifest)| {
            let mut manifest = good.parsed.clone();
            change(&mut manifest);
            Artifact::read(json(&manifest), good.config.clone(), 100).unwrap_err()
        };
        assert!(matches!(with(|m| m.layers.clear()), ArtifactError::Layers { found: 0 }));
        assert!(matches!(with(|m| m.layers.push(m.layers[0].clone())), ArtifactError::Layers { found: 2 }));
        assert!(matches!(
            with(|m| m.config.media_type = "application/vnd.oci.image.config.v1+json".into()),
            ArtifactError::MediaType { .. }
        ));
        assert!(matches!(with(|m| m.layers[0].size = 101), ArtifactError::TooLarge { .. }));
        assert!(matches!(with(|m| m.layers[0].digest = "md5:0".into()), ArtifactError::Digest { .. }));
        assert!(matches!(
            with(|m| m.layers[0].digest = digest_text(&sha256(b"other"))),
            ArtifactError::Config
        ));
        let other = Artifact::read(good.manifest.clone(), b"{}".to_vec(), 100);
        assert!(matches!(other, Err(ArtifactError::Content { .. })));
    }

    #[test]
    fn a_version_with_build_metadata_makes_a_tag() {
        assert_eq!(tag_of_version("1.0.0-rc.1+abc.5"), "1.0.0-rc.1_abc.5");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(manifest in "\\PC{0,200}", config in "\\PC{0,40}") {
            let _ = Artifact::read(manifest.into_bytes(), config.into_bytes(), 100);
        }
    }
}
