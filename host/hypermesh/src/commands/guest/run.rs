//! `guest run`: build, then `hypermesh run` with what it built.

use super::Place;
use super::build::build;
use super::private::Private;
use super::project::{Project, Template};
use crate::cli::{Cli, Command};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Format;
use clap::{Args, Parser};

/// `guest run …`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Run on a node that is started for this and ends with it, instead of the running one
    #[arg(long)]
    local: bool,
    /// Options of `hypermesh run`: --param, --input, --memory, --timeout, …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

/// Runs `guest run`.
pub(super) fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    // Before a build of minutes: options that make no sense.
    run_options("component.wasm", &arguments.options)?;
    let project = Project::find(arguments.place.project.as_deref())?;
    if project.world == Template::Validator {
        return Err(
            Failure::Usage("a validator has no operation to run; see `hypermesh guest test`".into()).into()
        );
    }
    let built = build(&project)?;
    crate::say!("{}", context.talk.faint(&format!("built {}", built.path.display())));
    let (format, options) = run_options(&built.path.to_string_lossy(), &arguments.options)?;
    let mut context = context.clone();
    // After an option of `run`, `-o` is among those too.
    if format != Format::default() {
        context.output.format = format;
    }
    if arguments.local {
        let node = Private::start(false)?;
        return crate::commands::run::run(&node.context(&context), options);
    }
    crate::commands::run::run(&context, options)
}

/// Arguments of `hypermesh run` for a component, and the format among them.
fn run_options(
    component: &str,
    options: &[String],
) -> anyhow::Result<(Format, crate::commands::run::Arguments)> {
    let line = ["hypermesh", "run", component].into_iter().chain(options.iter().map(String::as_str));
    match Cli::try_parse_from(line) {
        Ok(Cli { command: Command::Run(arguments), global }) => Ok((global.output, *arguments)),
        Ok(_) => Err(Failure::Usage("these are no options of `hypermesh run`".into()).into()),
        Err(error) => {
            let text = error.to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned();
            Err(Failure::Usage(text).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::exit_code;

    #[test]
    fn options_are_those_of_run() {
        let options = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (format, _) = run_options("a.wasm", &options("--param n=3 --memory 64MiB -o json")).unwrap();
        assert_eq!(format, Format::Json);
        let error = run_options("a.wasm", &options("--memory lots")).unwrap_err();
        assert_eq!(exit_code(&error), 2, "{error}");
        assert!(run_options("a.wasm", &options("b.wasm")).is_err());
    }
}
