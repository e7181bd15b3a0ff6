//! `cert`: certificates: issued, renewed, revoked, validated.

mod render;
mod rotation;

use crate::context::{Context, Service};
use crate::human;
use crate::output::print;
use crate::parse;
use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand};
use hypermesh_client::Client;
use hypermesh_wire::trustchain::{
    CertificateQuery, CertificateStatus, CreateCertificate, IssuedCertificate, KeyType, Purpose,
    RenewCertificate, RevocationReason, RevokeCertificate, TrustLevel, Usage, ValidateCertificate,
    ValidateQuery,
};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// `cert …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List certificates
    List(Filter),
    /// Show one certificate
    Show {
        /// Its id
        id: String,
    },
    /// Issue a certificate, by a subject or by a signing request
    Issue(Issue),
    /// Issue one of the same subject, names and use
    Renew(Renew),
    /// Take a certificate back, for ever
    Revoke {
        /// Its id
        id: String,
        /// unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn
        #[arg(long, default_value = "unspecified", value_parser = parse::name::<RevocationReason>)]
        reason: RevocationReason,
    },
    /// Check a certificate of the node or of anybody, rule by rule; exits 1 if it is not valid
    Validate(Validate),
    /// Write a certificate to stdout, PEM
    Export {
        /// Its id
        id: String,
        /// With those above it, but the root: what a TLS server sends
        #[arg(long)]
        chain: bool,
    },
    /// The proof that a certificate is in the transparency log
    Proof {
        /// Its id
        id: String,
    },
    /// Replace a certificate now, with a new key
    Rotate(rotation::Rotate),
    /// What was replaced by what
    History {
        /// Only of this certificate
        id: Option<String>,
    },
    /// When certificates are replaced
    #[command(subcommand)]
    Policy(rotation::Policy),
}

/// Which certificates.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// active, expired, revoked or pending
    #[arg(long, value_parser = parse::name::<CertificateStatus>)]
    status: Option<CertificateStatus>,
    /// root, intermediate or leaf
    #[arg(long, value_parser = parse::name::<TrustLevel>)]
    level: Option<TrustLevel>,
    /// server, client, node or code-signing
    #[arg(long, value_parser = parse::name::<Usage>)]
    usage: Option<Usage>,
    /// A part of the subject
    #[arg(long)]
    subject: Option<String>,
    /// An alternative name
    #[arg(long)]
    name: Option<String>,
}

/// `cert issue …`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whose").args(["subject", "csr"]).required(true).multiple(true))]
pub(crate) struct Issue {
    /// Who it is for, e.g. CN=www.hypermesh.network; its key is made by the node
    subject: Option<String>,
    /// A certificate signing request, PEM
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// An alternative name: DNS name, address, URI; may be repeated [default: the common name]
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// server, client, node or code-signing
    #[arg(long, default_value = "server", value_parser = parse::name::<Usage>)]
    usage: Usage,
    /// How long it is valid
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    /// ecdsa-p256, ecdsa-p384 or ed25519
    #[arg(long, value_parser = parse::name::<KeyType>, value_name = "TYPE", conflicts_with = "csr")]
    key_type: Option<KeyType>,
    /// Write PREFIX.pem (with those above it) and PREFIX.key
    #[arg(long, value_name = "PREFIX")]
    out: Option<PathBuf>,
}

/// `cert renew …`
#[derive(Debug, Args)]
pub(crate) struct Renew {
    /// The certificate
    id: String,
    /// A certificate signing request with the new key, PEM
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// Make a new key: ecdsa-p256, ecdsa-p384 or ed25519
    #[arg(long, value_parser = parse::name::<KeyType>, value_name = "TYPE", conflicts_with = "csr")]
    key_type: Option<KeyType>,
    /// How long it is valid [default: as long as the old one]
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    /// Write PREFIX.pem (with those above it) and PREFIX.key
    #[arg(long, value_name = "PREFIX")]
    out: Option<PathBuf>,
}

/// `cert validate …`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["id", "file"]).required(true))]
pub(crate) struct Validate {
    /// The certificate's id
    id: Option<String>,
    /// A file with any certificate, PEM; those above it may follow
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Trust anchors, PEM [default: the node's root]
    #[arg(long, value_name = "FILE", requires = "file")]
    roots: Option<PathBuf>,
    /// The host that it would stand for
    #[arg(long)]
    host: Option<String>,
    /// server, client or code-signing
    #[arg(long, value_parser = parse::name::<Purpose>)]
    purpose: Option<Purpose>,
}

/// Runs `cert …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.client_of(Service::TrustChain)?;
    let output = context.output;
    match command {
        Command::List(filter) => {
            let query = CertificateQuery {
                status: filter.status,
                trust_level: filter.level,
                usage: filter.usage,
                subject: filter.subject,
                name: filter.name,
                ..CertificateQuery::default()
            };
            output.show(&client.certificates(&query)?, |all, style| render::list(all, style))
        }
        Command::Show { id } => output.show(&client.certificate(&id)?, render::certificate),
        Command::Issue(wanted) => issue(context, &client, wanted),
        Command::Renew(wanted) => renew(context, &client, wanted),
        Command::Revoke { id, reason } => {
            let revoked = client.revoke_certificate(&id, &RevokeCertificate { reason })?;
            output.show(&revoked, |answer, _| human::printable(&answer.message) + "\n")
        }
        Command::Validate(wanted) => validate(context, &client, wanted),
        Command::Export { id, chain } => Ok(print(&client.certificate_pem(&id, chain)?)?),
        Command::Proof { id } => output.show(&client.inclusion(&id)?, render::proof),
        Command::Rotate(wanted) => rotation::rotate(context, &client, wanted),
        Command::History { id } => rotation::history(context, &client, id),
        Command::Policy(command) => rotation::policy(context, &client, command),
    }
}

fn issue(context: &Context, client: &Client, wanted: Issue) -> anyhow::Result<()> {
    let Issue { subject, csr, names, usage, days, key_type, out } = wanted;
    let issued = client.create_certificate(&CreateCertificate {
        subject,
        validity_days: days,
        key_type,
        usage: Some(vec![usage]),
        names: (!names.is_empty()).then_some(names),
        csr: csr.as_deref().map(read).transpose()?,
        key_size: None,
    })?;
    given(context, &issued, out.as_deref())
}

fn renew(context: &Context, client: &Client, wanted: Renew) -> anyhow::Result<()> {
    let body = RenewCertificate {
        csr: wanted.csr.as_deref().map(read).transpose()?,
        key_type: wanted.key_type,
        validity_days: wanted.days,
    };
    given(context, &client.renew_certificate(&wanted.id, &body)?, wanted.out.as_deref())
}

fn validate(context: &Context, client: &Client, wanted: Validate) -> anyhow::Result<()> {
    let Validate { id, file, roots, host, purpose } = wanted;
    let verdict = match (id, file) {
        (Some(id), _) => client.validate_certificate(&id, &ValidateQuery { purpose, host })?,
        (None, Some(file)) => client.validate(&ValidateCertificate {
            certificate: read(&file)?,
            roots: roots.as_deref().map(read).transpose()?,
            purpose,
            host,
            ..ValidateCertificate::default()
        })?,
        (None, None) => return Err(crate::failure::Failure::Usage("give an id or --file".into()).into()),
    };
    context.output.show(&verdict, render::verdict)?;
    if verdict.valid { Ok(()) } else { Err(crate::failure::Failure::EXPLAINED.into()) }
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))
}

/// Shows a new certificate; writes it and its key where that was asked for. Else the key is in what is printed.
pub(super) fn given(context: &Context, issued: &IssuedCertificate, out: Option<&Path>) -> anyhow::Result<()> {
    let Some(prefix) = out else {
        return context.output.show(issued, render::issued);
    };
    let file = |ending: &str| {
        let mut name = prefix.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    // The key first: without it the certificate is worth nothing.
    if let Some(key) = &issued.private_key_pem {
        write(&file(".key"), key, 0o600)?;
    }
    write(&file(".pem"), &issued.chain_pem, 0o644)?;
    context.output.show(&issued.certificate, |certificate, style| {
        let mut text = render::certificate(certificate, style);
        text.push_str(&format!("written to {}", human::printable(&file(".pem").display().to_string())));
        if issued.private_key_pem.is_some() {
            text.push_str(&format!(", its key to {}", human::printable(&file(".key").display().to_string())));
        }
        text + "\n"
    })
}

/// Writes a new file; one that is there is kept, since it may be a key.
fn write(path: &Path, content: &str, mode: u32) -> anyhow::Result<()> {
    let what = || format!("could not write {}", path.display());
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).with_context(what)?;
    file.write_all(content.as_bytes()).with_context(what)
}
