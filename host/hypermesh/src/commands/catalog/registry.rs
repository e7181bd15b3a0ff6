//! Packages in and out: files, registries, signatures.
//!
//! Keys are read here and never sent. What is verified is verified here, from the archive alone: the node is not asked
//! whether it is right.

use super::show::show;
use crate::bar;
use crate::context::Context;
use crate::failure::Failure;
use crate::files::LocalFile;
use crate::human;
use crate::job::package;
use crate::table::fields;
use anyhow::{Context as _, bail};
use clap::Args;
use hypermesh_client::{Client, Upload};
use hypermesh_model::BlobDigest;
use hypermesh_registry::{Layout, PublicKey, Reference, SigningKey, payload};
use hypermesh_wire::catalog::{
    CatalogApplication, PullPackage, PushPackage, PushedPackage, RegistryCredentials, SignPackage,
    UploadQuery,
};
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// Largest component in an archive that is verified: the node's own limit.
const MAX_COMPONENT: u64 = 64 << 20;

/// A new package.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// A component (.wasm) or an archive (.tar)
    file: PathBuf,
    /// Its name: a-z, 0-9 and - [default: the archive's, or made from the file's]
    #[arg(long)]
    name: Option<String>,
    /// Its version [default: the archive's; for a component 0.1.0, or the next one of that name]
    #[arg(long)]
    version: Option<String>,
    /// One line for people
    #[arg(long)]
    description: Option<String>,
    /// A file with a signature over the component's bytes, as `cosign sign-blob` gives it
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
}

/// A package to write.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Its id, its name, or a name and a requirement
    package: String,
    /// Where to write it [default: NAME-VERSION.tar]
    #[arg(long, short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,
}

/// How a registry is reached.
#[derive(Debug, Args)]
pub(crate) struct Reach {
    /// By plain HTTP; only to registries on the node's own machine, unless its configuration allows more
    #[arg(long)]
    insecure: bool,
    /// Name at the registry [default: as the node's credentials file has it]
    #[arg(long, value_name = "NAME", requires = "password_stdin")]
    username: Option<String>,
    /// Read the password or token from standard input
    #[arg(long, requires = "username")]
    password_stdin: bool,
}

/// A package to pull.
#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// What, e.g. ghcr.io/acme/hash-files:1.2.0
    reference: String,
    /// Its name in the catalog [default: as its manifest says]
    #[arg(long)]
    name: Option<String>,
    /// Its version in the catalog [default: as its manifest or tag says]
    #[arg(long)]
    version: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

/// A package to push.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// Its id, its name, or a name and a requirement
    package: String,
    /// Where to, e.g. ghcr.io/acme/hash-files; without a tag the version is one
    reference: String,
    /// Sign it first, with this private key (PEM)
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
    #[command(flatten)]
    reach: Reach,
}

/// A package to sign.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// Its id, its name, or a name and a requirement
    package: String,
    /// The private key: ECDSA on P-256 or Ed25519, PEM of PKCS #8
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// What is verified.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A package by id, name or requirement, or an archive (.tar)
    package: String,
    /// A public key (PEM); may be given often, any one will do
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
}

/// What was verified.
#[derive(Debug, Serialize)]
struct Verified {
    manifest: BlobDigest,
    component: BlobDigest,
    signatures: usize,
    signed_by: Vec<String>,
}

fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tar")
}

pub(super) fn import(context: &Context, client: &Client, arguments: Import) -> anyhow::Result<()> {
    let Import { file, name, version, description, signature } = arguments;
    let mut file = LocalFile::open(&file)?;
    if is_archive(&file.path) {
        if signature.is_some() {
            let text = "the signatures of an archive are in it; --signature is for components";
            return Err(Failure::Usage(text.into()).into());
        }
        let about = UploadQuery { name, version, description };
        let bar = bar::transfer(&file.name(), file.length);
        let upload = Upload {
            length: file.length,
            reader: &mut file.file,
            progress: &mut |sent| bar.set_position(sent),
        };
        let imported = client.import_package(&about, upload);
        bar.finish_and_clear();
        return context.output.show(&imported?, show);
    }
    let name = Some(name.unwrap_or_else(|| package::name_of(&file.path)));
    let about = UploadQuery { name, version, description };
    let Some(signature) = signature else {
        let (application, is_new) = package::ensure(client, &mut file, about)?;
        if !is_new {
            let CatalogApplication { name, version, .. } = &application;
            crate::say!("this component is there already, as {name} {version}");
        }
        return context.output.show(&application, show);
    };
    let text = fs::read_to_string(&signature).with_context(|| could_not_read(&signature))?;
    let upload = Upload { length: file.length, reader: &mut file.file, progress: &mut |_| {} };
    context.output.show(&client.upload_signed_package(&about, text.trim(), upload)?, show)
}

pub(super) fn export(client: &Client, arguments: &Export) -> anyhow::Result<()> {
    let application = package::find(client, &arguments.package)?;
    let named = || PathBuf::from(format!("{}-{}.tar", application.name, application.version));
    let path = arguments.file.clone().unwrap_or_else(named);
    let what = || format!("could not write {}", path.display());
    let file = File::create(&path).with_context(what)?;
    let mut writer = BufWriter::new(file);
    let length = client.export_package(&application.id, &mut writer, &mut |_| {})?;
    writer.flush().with_context(what)?;
    crate::say!("{}: {}", path.display(), human::bytes(Some(length)));
    Ok(())
}

pub(super) fn pull(context: &Context, client: &Client, arguments: Pull) -> anyhow::Result<()> {
    let Pull { reference, name, version, reach } = arguments;
    let credentials = reach.credentials()?;
    let request = PullPackage { reference, insecure: reach.insecure, credentials, name, version };
    context.output.show(&client.pull_package(&request)?, show)
}

pub(super) fn push(context: &Context, client: &Client, arguments: Push) -> anyhow::Result<()> {
    let Push { package, reference, sign_key, reach } = arguments;
    let application = package::find(client, &package)?;
    let parsed = Reference::parse(&reference).map_err(|error| Failure::Usage(error.to_string()))?;
    if let Some(key) = sign_key {
        client.sign_package(&application.id, &signed(&application, &parsed.place(), &key)?)?;
    }
    let credentials = reach.credentials()?;
    let request = PushPackage { reference, insecure: reach.insecure, credentials };
    context.output.show(&client.push_package(&application.id, &request)?, |pushed, style| {
        let PushedPackage { reference, digest, signatures } = pushed;
        fields(
            &[
                ("reference", reference.clone()),
                ("digest", digest.clone()),
                ("signatures", signatures.to_string()),
            ],
            style,
        )
    })
}

pub(super) fn sign(context: &Context, client: &Client, arguments: &Sign) -> anyhow::Result<()> {
    let application = package::find(client, &arguments.package)?;
    let origin = application.origin.as_deref().and_then(|text| Reference::parse(text).ok());
    let place = origin.map_or_else(|| application.name.clone(), |reference| reference.place());
    let request = signed(&application, &place, &arguments.key)?;
    context.output.show(&client.sign_package(&application.id, &request)?, show)
}

/// Signs the package's manifest with a key of this machine.
fn signed(application: &CatalogApplication, place: &str, key: &Path) -> anyhow::Result<SignPackage> {
    let pem = fs::read(key).with_context(|| could_not_read(key))?;
    let key =
        SigningKey::from_pem(&pem).map_err(|error| Failure::Usage(format!("{}: {error}", key.display())))?;
    let digest =
        application.manifest_digest.clone().context("the node does not say the manifest's digest")?;
    let payload = payload(place, &BlobDigest::parse(digest)?);
    let signature = hypermesh_registry::Signature::new(payload.clone(), key.sign(&payload)?);
    Ok(SignPackage { payload: String::from_utf8(payload)?, signature: signature.text() })
}

pub(super) fn verify(context: &Context, client: &Client, arguments: &Verify) -> anyhow::Result<()> {
    let keys = arguments.keys.iter().map(|path| public_key(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let path = Path::new(&arguments.package);
    let archive = if is_archive(path) {
        File::open(path).with_context(|| could_not_read(path))?
    } else {
        let application = package::find(client, &arguments.package)?;
        let mut file = tempfile::tempfile().context("could not make a temporary file")?;
        client.export_package(&application.id, &mut file, &mut |_| {})?;
        file.rewind().context("could not read a temporary file")?;
        file
    };
    let verified = check(archive, &keys)?;
    context.output.show(&verified, |verified, style| {
        fields(
            &[
                ("component", verified.component.to_string()),
                ("manifest", verified.manifest.to_string()),
                ("signatures", verified.signatures.to_string()),
                ("signed by", verified.signed_by.join("\n")),
            ],
            style,
        )
    })?;
    if verified.signed_by.is_empty() {
        bail!("it is whole, and none of its {} signatures is by a given key", verified.signatures);
    }
    Ok(())
}

fn check(archive: File, keys: &[PublicKey]) -> anyhow::Result<Verified> {
    let mut layout = Layout::open(BufReader::new(archive), MAX_COMPONENT)?;
    layout.copy_component(&mut io::sink())?;
    let is_signed = |key: &&PublicKey| layout.signatures().iter().any(|signature| signature.is_by(key));
    let signed_by = keys.iter().filter(is_signed).map(|key| format!("key {}", key.id())).collect();
    Ok(Verified {
        manifest: layout.artifact().manifest_digest(),
        component: layout.artifact().component().clone(),
        signatures: layout.signatures().len(),
        signed_by,
    })
}

fn public_key(path: &Path) -> anyhow::Result<PublicKey> {
    let pem = fs::read(path).with_context(|| could_not_read(path))?;
    let read = PublicKey::from_pem(&pem);
    Ok(read.map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?)
}

fn could_not_read(path: &Path) -> String {
    format!("could not read {}", path.display())
}

impl Reach {
    fn credentials(&self) -> anyhow::Result<Option<RegistryCredentials>> {
        let Some(username) = self.username.clone() else { return Ok(None) };
        let mut password = String::new();
        io::stdin().read_to_string(&mut password).context("could not read the password")?;
        let password = password.trim_end_matches(['\r', '\n']).to_owned();
        Ok(Some(RegistryCredentials { username, password }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_registry::{About, Archive, Artifact, Signature};
    use sha2::{Digest, Sha256};

    #[test]
    fn an_archive_is_verified_without_a_node() {
        let component = b"component";
        let digest = BlobDigest::from_bytes(&Sha256::digest(component).into());
        let artifact = Artifact::build(&About {
            name: "a",
            version: "1.0.0",
            description: "",
            authors: None,
            licenses: None,
            source: None,
            homepage: None,
            revision: None,
            created: "2026-01-02T03:04:05Z".into(),
            component: &digest,
            size: 9,
            imports: vec![],
            exports: vec![],
        });
        let (ours, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let payload = payload("a", &artifact.manifest_digest());
        let signature = Signature::new(payload.clone(), ours.sign(&payload).unwrap());
        let mut file = tempfile::tempfile().unwrap();
        Archive::new(&artifact, "1.0.0", &[signature]).write(&mut &component[..], &file).unwrap();
        file.rewind().unwrap();
        let keys = [other.public().unwrap(), ours.public().unwrap()];
        let verified = check(file.try_clone().unwrap(), &keys).unwrap();
        assert_eq!(verified.signed_by, [format!("key {}", keys[1].id())]);
        assert_eq!(verified.component, digest);
        file.rewind().unwrap();
        assert!(check(file, &keys[..1]).unwrap().signed_by.is_empty());
    }
}
