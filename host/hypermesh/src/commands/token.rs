//! `token`: who may write, and what.

use crate::context::Context;
use crate::human;
use crate::parse;
use crate::table::{Table, fields};
use clap::Subcommand;
use hypermesh_wire::tokens::{CreateToken, Role};

/// `token …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a token; it is shown this once
    Create {
        /// Who holds it: a-z, 0-9, '-', '_', '.'
        name: String,
        /// viewer (reads), operator (leases, executes, uploads; changes what it holds itself) or admin
        #[arg(long, value_parser = parse::name::<Role>)]
        role: Role,
    },
    /// List tokens, without their secrets
    List,
    /// Make a token worthless; what its holder has stays
    Revoke {
        /// Who holds it
        name: String,
    },
}

/// Runs `token …`.
pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.client()?;
    let output = context.output;
    match command {
        Command::Create { name, role } => {
            output.show(&client.create_token(&CreateToken { name, role })?, |token, style| {
                let members = [
                    ("name", token.name.clone()),
                    ("role", human::named(&token.role)),
                    ("token", token.token.clone()),
                    ("use", "HYPERMESH_TOKEN=… hypermesh …; it is not shown again".to_owned()),
                ];
                fields(&members, style)
            })
        }
        Command::List => output.show(&client.tokens()?, |tokens, style| {
            let mut table = Table::new(&["NAME", "ROLE", "MADE AT"]);
            for token in tokens {
                table.row([
                    token.name.clone(),
                    human::named(&token.role),
                    format!("{:.0}", token.created_at),
                ]);
            }
            table.render(style)
        }),
        Command::Revoke { name } => {
            output.show(&client.revoke_token(&name)?, |answer, _| human::printable(&answer.message) + "\n")
        }
    }
}
