//! What goes where: data to stdout in the form that was asked for, talk to stderr.
//!
//! A failing stdout is an ordinary error; a closed one ends the program quietly (see [`crate::failure`]). A failing
//! stderr is ignored, since there is nobody to tell.

use clap::{ColorChoice, ValueEnum};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// Writes a line to stderr, whatever becomes of it.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

/// How data is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// As the API gives it
    Json,
    /// The same as YAML
    Yaml,
}

/// Colours of one stream, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    on: bool,
}

impl Style {
    /// Without colours.
    pub(crate) const PLAIN: Self = Self { on: false };

    /// Of stdout.
    pub(crate) fn of_stdout(choice: ColorChoice) -> Self {
        Self::of(choice, io::stdout().is_terminal())
    }

    /// Of stderr.
    pub(crate) fn of_stderr(choice: ColorChoice) -> Self {
        Self::of(choice, io::stderr().is_terminal())
    }

    fn of(choice: ColorChoice, terminal: bool) -> Self {
        // <https://no-color.org>: any value but the empty one.
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let on = match choice {
            ColorChoice::Auto => terminal && !refused,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        Self { on }
    }

    /// Whether it has colours.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(crate) fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn warning(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(crate) fn error(self, text: &str) -> String {
        self.paint("1;31", text)
    }
}

/// Stdout in the form that was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) style: Style,
}

impl Output {
    /// Prints `value`: as a document, or as the text that `table` makes of it.
    ///
    /// # Errors
    /// What stdout says.
    pub(crate) fn show<T: Serialize>(
        self,
        value: &T,
        table: impl FnOnce(&T, Style) -> String,
    ) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Table => table(value, self.style),
            Format::Json => serde_json::to_string_pretty(value)? + "\n",
            Format::Yaml => serde_yaml_ng::to_string(value)?,
        };
        Ok(print(&text)?)
    }

    /// Prints one of many documents, for streams: a line of JSON, or a YAML document of its own.
    ///
    /// # Errors
    /// What stdout says.
    pub(crate) fn show_next<T: Serialize>(
        self,
        value: &T,
        line: impl FnOnce(&T, Style) -> String,
    ) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Table => line(value, self.style),
            Format::Json => serde_json::to_string(value)? + "\n",
            Format::Yaml => format!("---\n{}", serde_yaml_ng::to_string(value)?),
        };
        Ok(print(&text)?)
    }
}

/// Writes to stdout, at once.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
