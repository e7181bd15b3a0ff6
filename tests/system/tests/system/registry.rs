//! Packages between nodes and registries: archives, a real registry (Debian's `docker-registry`), signatures by key and
//! the policy that asks for them.
//!
//! The registry listens on a free port of loopback and ends with the test that owns it. Where it isn't installed those
//! tests say SKIPPED.

use hypermesh_artifacts::{HASH_FILES, MATRIX_MULTIPLY};
use hypermesh_client::Upload;
use hypermesh_harness::{Node, Options, has_tool, problem, skip};
use hypermesh_wire::catalog::{
    CatalogApplication, PullPackage, PushPackage, RegistryCredentials, UploadQuery,
};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// `user` and `correct horse`, as `htpasswd -B` writes them.
const HTPASSWD: &str = "user:$2b$12$pLnJ/m.Ljn1sD1LIiHHgKO4FpV/NsTisMG4D6C2M.T81xCK2nkZpS\n";
const PASSWORD: &str = "correct horse";

#[track_caller]
fn exits(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
}

/// A registry with a folder of its own.
struct Registry {
    child: Child,
    address: String,
    folder: TempDir,
}

/// What a registry asks of its callers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Nothing,
    Password,
    Tls,
}

impl Registry {
    /// `None` where it, or what makes its certificate, isn't installed.
    fn start(asks: Asks) -> Option<Self> {
        if !has_tool("docker-registry") || (asks == Asks::Tls && !has_tool("openssl")) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display();
        let (mut auth, mut tls) = (String::new(), String::new());
        match asks {
            Asks::Nothing => {}
            Asks::Password => {
                fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
                auth = format!("auth: {{htpasswd: {{realm: test, path: {root}/htpasswd}}}}\n");
            }
            Asks::Tls => {
                certificate(folder.path());
                tls = format!(", tls: {{certificate: {root}/tls.pem, key: {root}/tls.key}}");
            }
        }
        let config = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\n\
             http: {{addr: '127.0.0.1:0'{tls}}}\n{auth}"
        );
        fs::write(&config, text).unwrap();
        let mut child = Command::new("docker-registry")
            .args(["serve", config.to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.by_ref().find_map(|line| {
            let line = line.unwrap();
            let rest = line.split_once("listening on ")?.1;
            Some(rest.split(['"', ',', ' ']).next()?.to_owned())
        });
        // Somebody has to read what it goes on to say.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { child, address: address.expect("it listens"), folder })
    }

    fn reference(&self, path: &str) -> String {
        format!("{}/{path}", self.address)
    }

    /// Where a blob's bytes are.
    fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
        let blobs = self.folder.path().join("docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    /// The manifest that a tag points to.
    fn manifest(&self, repository: &str, tag: &str) -> Value {
        let repositories = self.folder.path().join("docker/registry/v2/repositories");
        let link = repositories.join(repository).join("_manifests/tags").join(tag).join("current/link");
        let digest = fs::read_to_string(link).unwrap();
        serde_json::from_slice(&fs::read(self.blob(digest.trim())).unwrap()).unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate for 127.0.0.1, and the authority that vouches for it.
fn certificate(folder: &Path) {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let [ca_key, ca, key, request, extensions, pem] =
        ["ca.key", "ca.pem", "tls.key", "tls.csr", "tls.ext", "tls.pem"].map(path);
    let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let authority = ["-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", &ca_key, "-out", &ca];
    openssl(&[&["req"][..], &curve, &authority].concat());
    let leaf = ["-subj", "/CN=registry", "-keyout", &key, "-out", &request];
    openssl(&[&["req"][..], &curve, &leaf].concat());
    fs::write(&extensions, "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    let by = ["-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-days", "2"];
    let files = ["-in", &request, "-extfile", &extensions, "-out", &pem];
    openssl(&[&["x509", "-req"][..], &by, &files].concat());
}

fn pull(reference: &str) -> PullPackage {
    PullPackage { reference: reference.into(), insecure: true, credentials: None, name: None, version: None }
}

fn push(reference: &str) -> PushPackage {
    PushPackage { reference: reference.into(), insecure: true, credentials: None }
}

/// A pair of keys that openssl made; `None` where there is no openssl.
fn keys(folder: &Path, name: &str) -> Option<(String, String)> {
    let path = |kind: &str| folder.join(format!("{name}.{kind}")).to_str().unwrap().to_owned();
    let (private, public) = (path("key"), path("pub"));
    let curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let made = Command::new("openssl").arg("genpkey").args(curve).args(["-out", &private]).output().ok()?;
    assert!(made.status.success(), "{made:?}");
    openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
    Some((private, public))
}

#[track_caller]
fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {output:?}");
}

/// A node that asks for signatures by this key.
fn strict(public: &str, mode: &str) -> Node {
    let trust = format!("[{{ prefix = \"\", keys = [\"{public}\"] }}]");
    let options = Options::default()
        .environment("HYPERMESH_CATALOG_SIGNATURES", mode)
        .environment("HYPERMESH_CATALOG_TRUST", &trust);
    Node::configured(options)
}

fn add_unsigned(node: &Node) -> Result<CatalogApplication, hypermesh_client::ClientError> {
    let about = UploadQuery { name: Some("unsigned".into()), ..UploadQuery::default() };
    node.upload_package(&about, HASH_FILES.component)
}

#[test]
fn a_package_travels_as_an_archive_and_stays_the_same() {
    let (first, second) = (Node::start(), Node::start());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hash.tar");
    let path = file.to_str().unwrap();
    let added = first.add(&HASH_FILES);
    exits(&first.cli(&["catalog", "export", &added.id, "-f", path]), 0);
    let imported = second.cli(&["-o", "json", "catalog", "import", path]);
    exits(&imported, 0);
    let imported: CatalogApplication = serde_json::from_slice(&imported.stdout).unwrap();
    assert_eq!(
        (&imported.digest, &imported.manifest_digest, &imported.name, &imported.version),
        (&added.digest, &added.manifest_digest, &added.name, &added.version)
    );
    assert_eq!(imported.operations, added.operations);
    // From the second node it is the same archive, to the byte.
    let again = folder.path().join("again.tar");
    exits(&second.cli(&["catalog", "export", &imported.id, "-f", again.to_str().unwrap()]), 0);
    let bytes = fs::read(&file).unwrap();
    assert_eq!(fs::read(again).unwrap(), bytes);

    // One byte of the component is another: nothing of it comes in.
    let mut tampered = bytes;
    let at = tampered.windows(64).position(|window| window == &HASH_FILES.component[500..564]).unwrap();
    tampered[at] ^= 1;
    let about = UploadQuery { name: Some("tampered".into()), ..UploadQuery::default() };
    let mut reader = tampered.as_slice();
    let upload = Upload { length: reader.len() as u64, reader: &mut reader, progress: &mut |_| {} };
    let refused = problem(second.client().import_package(&about, upload));
    assert!(refused.status == 422 && refused.detail.contains("not what its name says"), "{refused:?}");
    assert_eq!(fs::read_dir(second.data_dir().join("components")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(second.data_dir().join("incoming")).unwrap().count(), 0);
}

#[test]
fn a_package_of_an_earlier_build_gets_its_manifest_at_the_next_start() {
    if !has_tool("sqlite3") {
        skip!("sqlite3 is not installed");
    }
    let mut node = Node::start();
    let added = node.add(&HASH_FILES);
    node.stop();
    // What an earlier build didn't write.
    let members = ["manifest", "metadata", "signatures"].map(|member| format!("'$.{member}'")).join(", ");
    let forget =
        format!("UPDATE packages SET body = json_remove(body, {members}); DELETE FROM package_sources;");
    let done = Command::new("sqlite3").arg(node.data_dir().join("node.sqlite")).arg(forget).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    node.restart();
    let now = node.client().application(&added.id).unwrap();
    assert_eq!((&now.manifest_digest, &now.operations), (&added.manifest_digest, &added.operations));
    let length = node.client().export_package(&added.id, &mut std::io::sink(), &mut |_| {}).unwrap();
    assert!(length > HASH_FILES.component.len() as u64);
}

#[test]
fn a_package_goes_through_a_registry_to_another_node() {
    let Some(registry) = Registry::start(Asks::Nothing) else { skip!("docker-registry is not installed") };
    let (first, second) = (Node::start(), Node::start());
    let added = first.add(&HASH_FILES);
    let pushed = first.client().push_package(&added.id, &push(&registry.reference("acme/hash"))).unwrap();
    let digest = added.manifest_digest.clone().unwrap();
    assert_eq!(pushed.reference, registry.reference(&format!("acme/hash:{}", added.version)));
    assert_eq!(pushed.digest, registry.reference(&format!("acme/hash@sha256:{digest}")));
    // Again: nothing is missing there.
    assert_eq!(
        first.client().push_package(&added.id, &push(&registry.reference("acme/hash"))).unwrap(),
        pushed
    );
    let manifest = registry.manifest("acme/hash", &added.version);
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"][0]["digest"], format!("sha256:{}", added.digest));

    let pulled = second.client().pull_package(&pull(&pushed.reference)).unwrap();
    assert_eq!((&pulled.digest, &pulled.manifest_digest), (&added.digest, &added.manifest_digest));
    assert_eq!((&pulled.name, &pulled.version), (&added.name, &added.version));
    assert_eq!(pulled.origin.as_deref(), Some(pushed.digest.as_str()));
    // The same once more is the same package, also by its digest.
    assert_eq!(second.client().pull_package(&pull(&pushed.digest)).unwrap().id, pulled.id);

    let gone = problem(second.client().pull_package(&pull(&registry.reference("acme/hash:9.9.9"))));
    assert!(gone.status == 422 && gone.detail.contains("has no"), "{gone:?}");
    let secure = PullPackage { insecure: false, ..pull(&pushed.reference) };
    assert_eq!(problem(second.client().pull_package(&secure)).status, 422, "it speaks no TLS");

    // One bit of what the registry keeps is another.
    let third = Node::start();
    let blob = registry.blob(&added.digest);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[1000] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let refused = problem(third.client().pull_package(&pull(&pushed.reference)));
    assert!(refused.status == 422 && refused.detail.contains("not what it was asked for"), "{refused:?}");
    assert_eq!(fs::read_dir(third.data_dir().join("components")).unwrap().count(), 0);
}

#[test]
fn a_registry_gets_the_credentials_that_it_asks_for_and_nobody_else_sees_them() {
    let Some(registry) = Registry::start(Asks::Password) else { skip!("docker-registry is not installed") };
    let node = Node::start();
    let added = node.add(&HASH_FILES);
    let to = push(&registry.reference("hash"));
    let none = problem(node.client().push_package(&added.id, &to));
    assert!(none.status == 422 && none.detail.contains("credentials"), "{none:?}");
    let credentials =
        |password: &str| Some(RegistryCredentials { username: "user".into(), password: password.into() });
    let wrong = PushPackage { credentials: credentials("battery staple"), ..to.clone() };
    assert_eq!(problem(node.client().push_package(&added.id, &wrong)).status, 422);
    let right = PushPackage { credentials: credentials(PASSWORD), ..to };
    let pushed = node.client().push_package(&added.id, &right).unwrap();
    let log = node.log();
    assert!(!log.contains("horse") && !log.contains("staple") && !log.contains("Basic "), "{log}");

    // As `docker login` would have left it: `user:correct horse` in base64.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.json");
    let auth = "dXNlcjpjb3JyZWN0IGhvcnNl";
    fs::write(&file, format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{auth}\"}}}}}}", registry.address)).unwrap();
    let options = Options::default()
        .environment("HYPERMESH_CATALOG_CREDENTIALS", file.to_str().unwrap())
        .environment("HYPERMESH_CATALOG_REGISTRIES", &registry.address);
    let other = Node::configured(options);
    let pulled = other.client().pull_package(&pull(&pushed.reference)).unwrap();
    assert_eq!(pulled.digest, added.digest);
    let elsewhere = problem(other.client().pull_package(&pull("localhost:1/a:1.0.0")));
    assert!(elsewhere.detail.contains(&registry.address), "it says what is allowed: {elsewhere:?}");
    assert_eq!(elsewhere.member.as_deref(), Some("reference"));
}

#[test]
fn tls_is_spoken_with_an_authority_that_the_operator_names_and_no_other() {
    let Some(registry) = Registry::start(Asks::Tls) else {
        skip!("docker-registry or openssl is not installed")
    };
    let node = Node::start();
    let added = node.add(&HASH_FILES);
    let to = PushPackage { insecure: false, ..push(&registry.reference("hash")) };
    let unknown = problem(node.client().push_package(&added.id, &to));
    assert!(unknown.status == 422 && unknown.detail.contains("ertificate"), "{unknown:?}");
    let pem = registry.folder.path().join("ca.pem");
    let options = Options::default().environment("HYPERMESH_CATALOG_CERTIFICATES", pem.to_str().unwrap());
    let trusting = Node::configured(options);
    let added = trusting.add(&HASH_FILES);
    let pushed = trusting.client().push_package(&added.id, &to).unwrap();
    let secure = PullPackage { insecure: false, name: Some("again".into()), ..pull(&pushed.digest) };
    assert_eq!(trusting.client().pull_package(&secure).unwrap().digest, added.digest);
}

#[test]
fn plain_text_to_another_machine_is_refused_before_anything_is_sent() {
    let node = Node::start();
    let refused = problem(node.client().pull_package(&pull("registry.example/a:1.0.0")));
    assert_eq!((refused.status, refused.member.as_deref()), (422, Some("reference")));
    assert!(refused.detail.contains("plain HTTP"), "{refused:?}");
}

#[test]
fn a_required_signature_lets_in_what_is_signed_and_nothing_else() {
    let Some(registry) = Registry::start(Asks::Nothing) else { skip!("docker-registry is not installed") };
    let folder = tempfile::tempdir().unwrap();
    let Some((private, public)) = keys(folder.path(), "acme") else { skip!("openssl is not installed") };
    let (stranger, _) = keys(folder.path(), "stranger").unwrap();
    let author = Node::start();
    let strict = strict(&public, "require");

    let refused = problem(add_unsigned(&strict));
    assert!(refused.status == 422 && refused.detail.contains("is not signed"), "{refused:?}");
    assert_eq!(fs::read_dir(strict.data_dir().join("components")).unwrap().count(), 0);

    // Pushed without a signature, with a stranger's, with the right one.
    let added = author.add(&HASH_FILES);
    let reference = registry.reference("acme/hash");
    let plain = author.client().push_package(&added.id, &push(&reference)).unwrap();
    assert_eq!(plain.signatures, 0);
    let refused = problem(strict.client().pull_package(&pull(&plain.digest)));
    assert!(refused.detail.contains("is not signed"), "{refused:?}");
    let arguments = ["catalog", "push", &added.id, &reference, "--insecure", "--sign-key"];
    exits(&author.cli(&[&arguments[..], &[stranger.as_str()]].concat()), 0);
    let refused = problem(strict.client().pull_package(&pull(&plain.digest)));
    assert!(refused.detail.contains("none of the 1 signatures"), "{refused:?}");
    exits(&author.cli(&[&arguments[..], &[private.as_str()]].concat()), 0);
    let pulled = strict.client().pull_package(&pull(&plain.digest)).unwrap();
    assert_eq!(pulled.signatures.len(), 1);
    let verified = strict.cli(&["-o", "json", "catalog", "verify", &pulled.id, "--key", &public]);
    exits(&verified, 0);
    let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(verified["signed_by"][0], format!("key {}", pulled.signatures[0].key_id));
    assert_eq!(verified["signatures"], 2, "the stranger's came along");

    // What stands in the registry is what cosign looks for, and openssl verifies it.
    let tag = format!("sha256-{}.sig", added.manifest_digest.unwrap());
    let image = registry.manifest("acme/hash", &tag);
    let layers = image["layers"].as_array().unwrap();
    let is_right = |layer: &&Value| {
        assert_eq!(layer["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
        fs::write(path("text"), signature).unwrap();
        openssl(&["base64", "-d", "-A", "-in", &path("text"), "-out", &path("signature")]);
        let payload = registry.blob(layer["digest"].as_str().unwrap());
        let arguments = ["dgst", "-sha256", "-verify", &public, "-signature", &path("signature")];
        Command::new("openssl").args(arguments).arg(payload).output().unwrap().status.success()
    };
    assert_eq!((layers.len(), layers.iter().filter(is_right).count()), (2, 1));
}

#[test]
fn an_upload_may_bring_its_signature_along() {
    let folder = tempfile::tempdir().unwrap();
    let Some((private, public)) = keys(folder.path(), "acme") else { skip!("openssl is not installed") };
    let strict = strict(&public, "require");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    // As `cosign sign-blob` signs a file: in base64.
    let sign = |component: &[u8], name: &str| {
        fs::write(path(&format!("{name}.wasm")), component).unwrap();
        let raw = path("raw");
        openssl(&["dgst", "-sha256", "-sign", &private, "-out", &raw, &path(&format!("{name}.wasm"))]);
        openssl(&["base64", "-A", "-in", &raw, "-out", &path(&format!("{name}.sig"))]);
    };
    sign(HASH_FILES.component, "hash");
    sign(MATRIX_MULTIPLY.component, "matrix");
    let import = |component: &str, signature: &str| {
        let (component, signature) = (path(component), path(signature));
        strict.cli(&["-o", "json", "catalog", "import", &component, "--signature", &signature])
    };
    exits(&import("hash.wasm", "matrix.sig"), 3);
    let added = import("hash.wasm", "hash.sig");
    exits(&added, 0);
    let added: CatalogApplication = serde_json::from_slice(&added.stdout).unwrap();
    assert_eq!(added.signatures.len(), 1, "{added:?}");

    // A policy that only looks lets the unsigned in, and tells who signed; a wrong signature is refused all the same.
    let looking = self::strict(&public, "verify");
    assert!(add_unsigned(&looking).unwrap().signatures.is_empty());
    let wrong = ["catalog", "import", &path("matrix.wasm"), "--signature", &path("hash.sig")];
    exits(&looking.cli(&wrong), 3);
}
