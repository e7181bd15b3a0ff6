//! `ca`: the authorities, how to trust them, their lists, and the replacement of the one that signs.

use crate::context::{Context, Service};
use crate::human;
use crate::output::{Style, print};
use crate::table::Table;
use anyhow::Context as _;
use clap::Subcommand;
use hypermesh_client::Client;
use hypermesh_wire::trustchain::{Authority, Rollover, TrustLevel};

/// `ca …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the authorities, and what each does now
    Show,
    /// Print how to trust the root: for the system, and for programs that are told
    Trust,
    /// Write the root's certificate to stdout, PEM
    Export {
        /// The intermediates, too
        #[arg(long)]
        bundle: bool,
    },
    /// Write an authority's list of revoked certificates to stdout, PEM
    Crl {
        /// The authority's id [default: the one that signs now]
        id: Option<String>,
    },
    /// Replace the authority that signs
    #[command(subcommand)]
    Rollover(RolloverCommand),
}

/// `ca rollover …`
#[derive(Debug, Subcommand)]
pub(crate) enum RolloverCommand {
    /// List rollovers
    List,
    /// Make the authority that is to sign next
    Prepare,
    /// Go to the next phase: distribute, activate, retire
    Advance {
        /// The rollover's id
        id: String,
    },
    /// Give it up, before the new authority signs
    Abandon {
        /// The rollover's id
        id: String,
    },
}

/// Runs `ca …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.client_of(Service::TrustChain)?;
    let output = context.output;
    match command {
        Command::Show => output.show(&client.authorities()?, |all, style| authorities(all, style)),
        Command::Trust => trust(context, &client),
        Command::Export { bundle } => {
            Ok(print(&client.text(if bundle { "/ca/bundle.pem" } else { "/ca/root.pem" })?)?)
        }
        Command::Crl { id } => {
            let id = match id {
                Some(id) => id,
                None => signing(&client)?,
            };
            Ok(print(&client.text(&format!("/crl/{id}.pem"))?)?)
        }
        Command::Rollover(command) => rollover(context, &client, command),
    }
}

/// The authority that signs now.
fn signing(client: &Client) -> anyhow::Result<String> {
    let hierarchy = client.hierarchy()?;
    let first = hierarchy.intermediates.into_iter().next();
    Ok(first.context("there is no intermediate authority")?.id)
}

fn authorities(authorities: &[Authority], style: Style) -> String {
    let mut table = Table::new(&["ID", "SUBJECT", "LEVEL", "STATE", "KEY", "VALID TO", "REVOKED"]);
    for authority in authorities {
        let certificate = &authority.certificate;
        table.row([
            certificate.id.clone(),
            certificate.subject.clone(),
            human::named(&certificate.trust_level),
            human::named(&authority.state),
            if authority.key_present { "here" } else { "elsewhere" }.to_owned(),
            format!("{:.0}", certificate.valid_to),
            authority.crl_url.clone(),
        ]);
    }
    table.render(style)
}

/// What to type. Nothing is changed here: whom a machine trusts is its owner's to say.
fn trust(context: &Context, client: &Client) -> anyhow::Result<()> {
    let authorities = client.authorities()?;
    let root = authorities.iter().find(|authority| authority.certificate.trust_level == TrustLevel::Root);
    let root = &root.context("the node has no root")?.certificate;
    let file = context.data_dir().join("root.pem");
    let file = match file.exists() {
        true => human::shell_word(&file),
        false => "root.pem   # hypermesh ca export > root.pem".to_owned(),
    };
    print(&format!(
        "The root is {subject}\n  {fingerprint}\n\
         Compare the fingerprint with the node's own before you trust it. Its certificate is\n  {file}\n\n\
         Debian, Ubuntu:  cp {file} /usr/local/share/ca-certificates/hypermesh.crt && update-ca-certificates\n\
         Fedora, RHEL:    cp {file} /etc/pki/ca-trust/source/anchors/hypermesh.pem && update-ca-trust\n\
         curl:            curl --cacert {file} …\n\
         openssl:         openssl s_client -CAfile {file} …\n\
         Python:          REQUESTS_CA_BUNDLE={file} certbot …\n\
         Go:              SSL_CERT_FILE={file} …\n\
         lego:            LEGO_CA_CERTIFICATES={file} lego …\n\
         hypermesh:       hypermesh --ca {file} --server https://HOST:8446 …\n",
        subject = human::printable(&root.subject),
        fingerprint = root.fingerprint,
    ))?;
    Ok(())
}

fn rollover(context: &Context, client: &Client, command: RolloverCommand) -> anyhow::Result<()> {
    let changed = match command {
        RolloverCommand::List => client.rollovers()?,
        RolloverCommand::Prepare => vec![client.prepare_rollover()?],
        RolloverCommand::Advance { id } => vec![client.change_rollover(&id, false)?],
        RolloverCommand::Abandon { id } => vec![client.change_rollover(&id, true)?],
    };
    context.output.show(&changed, |all, style| rollovers(all, style))
}

fn rollovers(rollovers: &[Rollover], style: Style) -> String {
    let mut table = Table::new(&["ID", "PHASE", "SINCE", "FROM", "TO"]);
    for rollover in rollovers {
        let since = rollover.steps.last().map_or_else(String::new, |step| format!("{:.0}", step.at));
        table.row([
            rollover.id.clone(),
            human::named(&rollover.phase),
            since,
            rollover.from_certificate_id.clone(),
            rollover.to_certificate_id.clone(),
        ]);
    }
    table.render(style)
}
