//! `acme`: where the ACME server is, and what to type for the usual clients.

use crate::context::{Context, Service};
use crate::human;
use crate::output::print;
use clap::Subcommand;

/// `acme …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the directory: where what is
    Show,
    /// Print what to type for certbot, lego, dehydrated and acme-tiny
    Clients {
        /// The name that a certificate is wanted for
        #[arg(default_value = "www.hypermesh.network")]
        name: String,
    },
}

/// Where the directory is.
const DIRECTORY: &str = "/acme/directory";

/// Runs `acme …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.client_of(Service::TrustChain)?;
    let directory: serde_json::Value = serde_json::from_str(&client.text(DIRECTORY)?)?;
    match command {
        Command::Show => context.output.show(&directory, |directory, _| {
            serde_json::to_string_pretty(directory).unwrap_or_default() + "\n"
        }),
        Command::Clients { name } => {
            let (url, root) = (client.base_url(), context.data_dir().join("root.pem"));
            Ok(print(&clients(url, &human::shell_word(&root), &name, url.starts_with("https")))?)
        }
    }
}

fn clients(url: &str, root: &str, name: &str, tls: bool) -> String {
    let name = human::printable(name);
    let trusting = |variable: &str| if tls { format!("{variable}={root} ") } else { String::new() };
    let (python, go, plain) =
        (trusting("REQUESTS_CA_BUNDLE"), trusting("LEGO_CA_CERTIFICATES"), trusting("SSL_CERT_FILE"));
    let curl = if tls { format!("CURL_OPTS=\"--cacert {root}\"") } else { "CURL_OPTS=".to_owned() };
    format!(
        "The directory is {url}{DIRECTORY}\n\n\
         {python}certbot certonly --standalone --server {url}{DIRECTORY} -d {name}\n\n\
         {go}lego --accept-tos -m you@example.org -s {url}{DIRECTORY} --http -d {name} run\n\n\
         dehydrated, in its config:  CA={url}{DIRECTORY}  {curl}\n\
         dehydrated --register --accept-terms && dehydrated -c -d {name}\n\n\
         {plain}acme-tiny --directory-url {url}{DIRECTORY} --account-key account.key --csr {name}.csr \
         --acme-dir /var/www/challenges\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_whom_to_trust_only_over_tls() {
        let plain = clients("http://127.0.0.1:8444", "r.pem", "a.b", false);
        assert!(!plain.contains("r.pem") && plain.contains("-d a.b"));
        let secure = clients("https://127.0.0.1:8444", "r.pem", "a.b", true);
        assert_eq!(secure.matches("r.pem").count(), 4, "{secure}");
    }
}
