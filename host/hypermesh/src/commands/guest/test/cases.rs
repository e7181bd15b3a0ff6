//! `tests/cases.toml`: what is run, with which limits, and what is expected.
//!
//! Misspelt members are errors: a case must not pass because what it expects isn't read.

use crate::commands::guest::project::Template;
use crate::files::LocalFile;
use crate::job;
use crate::parse;
use anyhow::{Context as _, anyhow, bail};
use hypermesh_client::Client;
use hypermesh_model::Bytes;
use hypermesh_wire::executions::{Input, Stdin};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where cases are, in a project.
const FILE: &str = "tests/cases.toml";
/// Longest wall time where a file says nothing, in seconds.
const DEFAULT_TIMEOUT: u64 = 60;

/// Every case of a project, in order.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    /// For cases that don't say otherwise.
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default, rename = "case")]
    pub(super) all: Vec<Case>,
}

/// Limits as written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    memory: Option<String>,
    cpu: Option<f64>,
    timeout: Option<String>,
    cpu_time: Option<String>,
}

/// Limits as understood. `None`: the node's default.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Parsed {
    /// Memory.
    pub(super) memory: Option<Bytes>,
    /// CPU share, percent of the pool.
    pub(super) cpu: Option<f64>,
    /// Wall time, seconds.
    pub(super) timeout: u64,
    /// CPU time, seconds.
    pub(super) cpu_time: Option<u64>,
}

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) operation: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(default)]
    inputs: Vec<Granted>,
    /// Of a command.
    arguments: Option<Vec<String>>,
    /// Of a command.
    environment: Option<BTreeMap<String, String>>,
    /// What a guest reads as standard input.
    stdin: Option<Text>,
    /// What an HTTP component is asked.
    pub(super) request: Option<Request>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) expect: Expect,
}

/// A text, or what a file of the project holds.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Text {
    Here(String),
    There(ThatFile),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThatFile {
    file: PathBuf,
}

/// An HTTP request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// `GET` when not given.
    pub(super) method: Option<String>,
    /// With its query, as the component sees it: `/` is its root.
    pub(super) path: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Option<Text>,
}

impl Text {
    /// Its bytes.
    ///
    /// # Errors
    /// Where the file can't be read.
    pub(super) fn bytes(&self, project: &Path) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Here(text) => Ok(text.clone().into_bytes()),
            Self::There(ThatFile { file }) => {
                let path = project.join(file);
                fs::read(&path).with_context(|| format!("could not read {}", path.display()))
            }
        }
    }
}

/// An input: a file of the project under its own name, or under another, or a text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Granted {
    Path(PathBuf),
    Named(Named),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    file: Option<PathBuf>,
    text: Option<String>,
}

/// What is expected. What isn't said isn't checked, but that a case without a `cause` gives a result.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// The result.
    pub(super) result: Option<Value>,
    /// The kind of the cause, e.g. `guest_error`, `wall_time`, `guest_memory`.
    pub(super) cause: Option<String>,
    /// A part of the cause's message.
    pub(super) message: Option<String>,
    /// Files that are written, by name.
    #[serde(default)]
    pub(super) outputs: BTreeMap<String, Content>,
    /// A part of a line of the log.
    pub(super) log: Option<String>,
    /// All that a command writes to its standard output.
    pub(super) stdout: Option<String>,
    /// How a command exits.
    pub(super) exit_code: Option<i64>,
    /// Status of an HTTP answer; 200 when not given.
    pub(super) status: Option<u16>,
    /// Headers of an HTTP answer, each with its whole value.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// Body of an HTTP answer.
    pub(super) body: Option<Content>,
}

/// What a file holds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Content {
    /// This text.
    Text(String),
    /// What this file of the project holds.
    File(PathBuf),
    /// Something with this digest.
    Sha256(String),
}

impl Cases {
    /// Reads the cases of a project of this world; none where it has no file of them.
    ///
    /// # Errors
    /// Where the file makes no sense.
    pub(super) fn read(project: &Path, world: Template) -> anyhow::Result<Self> {
        let file = project.join(FILE);
        match fs::read_to_string(&file) {
            Ok(text) => {
                Self::parse(&text, world).with_context(|| format!("{} makes no sense", file.display()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("could not read {}", file.display())),
        }
    }

    fn parse(text: &str, world: Template) -> anyhow::Result<Self> {
        let cases: Self = toml::from_str(text)?;
        for case in &cases.all {
            case.fits(world).with_context(|| format!("case `{}`", case.name))?;
            case.limits.over(&cases.limits).with_context(|| format!("case `{}`", case.name))?;
            for granted in &case.inputs {
                if let Granted::Named(Named { name, file, text }) = granted
                    && file.is_some() == text.is_some()
                {
                    bail!("case `{}`: input `{name}` takes either `file` or `text`", case.name);
                }
            }
        }
        Ok(cases)
    }
}

impl Limits {
    /// These, and what they don't say from `others`.
    ///
    /// # Errors
    /// Where one is no size, time or share.
    pub(super) fn over(&self, others: &Self) -> anyhow::Result<Parsed> {
        let seconds = |text: &String| parse::seconds(text).map_err(|why| anyhow!(why));
        let memory = self.memory.as_ref().or(others.memory.as_ref());
        let timeout = self.timeout.as_ref().or(others.timeout.as_ref());
        let cpu = self.cpu.or(others.cpu);
        let percent = |cpu: f64| parse::percent(&cpu.to_string()).map_err(|why| anyhow!("cpu: {why}"));
        Ok(Parsed {
            memory: memory
                .map(|text| parse::size(text).map_err(|why| anyhow!("memory: {why}")))
                .transpose()?,
            cpu: cpu.map(percent).transpose()?,
            timeout: timeout.map(seconds).transpose().context("timeout")?.unwrap_or(DEFAULT_TIMEOUT),
            cpu_time: self
                .cpu_time
                .as_ref()
                .or(others.cpu_time.as_ref())
                .map(seconds)
                .transpose()
                .context("cpu_time")?,
        })
    }
}

impl Case {
    /// A case says nothing that its component isn't asked: it would never be looked at.
    fn fits(&self, world: Template) -> anyhow::Result<()> {
        let asks_for_answer =
            self.expect.status.is_some() || !self.expect.headers.is_empty() || self.expect.body.is_some();
        match (world, &self.request) {
            (Template::Validator, _) => bail!("a validator has nothing that a case could run"),
            (Template::Http, None) => {
                bail!("an HTTP component is asked: write `request = {{ path = \"/\" }}`")
            }
            (Template::Http, Some(request)) => {
                let expect = &self.expect;
                let runs = self.operation.is_some() || !self.parameters.is_empty() || !self.inputs.is_empty();
                let is_command =
                    self.arguments.is_some() || self.environment.is_some() || self.stdin.is_some();
                let ends = expect.result.is_some() || expect.cause.is_some() || expect.message.is_some();
                let leaves =
                    !expect.outputs.is_empty() || expect.stdout.is_some() || expect.exit_code.is_some();
                if runs || is_command || ends || leaves {
                    bail!(
                        "an HTTP component has a `request`, and expects `status`, `headers`, `body`, `log`"
                    );
                }
                if !request.path.starts_with('/') {
                    bail!("the path `{}` begins with no `/`", request.path);
                }
                Ok(())
            }
            (Template::Job | Template::Command, Some(_)) => bail!("only an HTTP component takes a `request`"),
            (Template::Job | Template::Command, None) if asks_for_answer => {
                bail!("only an HTTP component gives `status`, `headers` and `body`")
            }
            (Template::Job, None) if self.stdin.is_some() => bail!("a job reads inputs and no `stdin`"),
            (Template::Job | Template::Command, None) => Ok(()),
        }
    }

    /// Stores its standard input on the node.
    ///
    /// # Errors
    /// Where a file can't be read or the node refuses it.
    pub(super) fn stdin(
        &self,
        client: &Client,
        project: &Path,
        folder: &Path,
    ) -> anyhow::Result<Option<Stdin>> {
        let Some(stdin) = &self.stdin else { return Ok(None) };
        let path = folder.join("stdin");
        fs::write(&path, stdin.bytes(project)?)
            .with_context(|| format!("could not write {}", path.display()))?;
        let stored = job::grant(client, &mut LocalFile::open(&path)?)?;
        Ok(Some(Stdin { digest: Some(stored.digest), stream: None }))
    }

    /// Its parameters; those of a command are its arguments and its environment.
    pub(super) fn parameters(&self) -> Map<String, Value> {
        let mut parameters = self.parameters.clone();
        if let Some(arguments) = &self.arguments {
            parameters.insert("arguments".to_owned(), json!(arguments));
        }
        if let Some(environment) = &self.environment {
            parameters.insert("environment".to_owned(), json!(environment));
        }
        parameters
    }

    /// Stores its inputs on the node. Texts become files in `folder` first.
    ///
    /// # Errors
    /// Where a file can't be read or the node refuses it.
    pub(super) fn grant(&self, client: &Client, project: &Path, folder: &Path) -> anyhow::Result<Vec<Input>> {
        let one = |(number, granted): (usize, &Granted)| {
            let (name, path) = match granted {
                Granted::Path(path) => (None, project.join(path)),
                Granted::Named(Named { name, file: Some(file), .. }) => (Some(name), project.join(file)),
                Granted::Named(Named { name, text, .. }) => {
                    let path = folder.join(number.to_string());
                    fs::write(&path, text.as_deref().unwrap_or_default())
                        .with_context(|| format!("could not write {}", path.display()))?;
                    (Some(name), path)
                }
            };
            let stored = job::grant(client, &mut LocalFile::open(&path)?)?;
            Ok(Input { name: name.cloned().unwrap_or(stored.name), digest: stored.digest })
        };
        self.inputs.iter().enumerate().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_cases_is_read() {
        let cases = Cases::parse(
            r#"
            [limits]
            memory = "64MiB"
            timeout = "10s"
            [[case]]
            name = "a"
            operation = "op"
            parameters = { n = 3, deep = { list = [1, 2.5, "x"] } }
            inputs = ["tests/a.txt", { name = "b", text = "c" }]
            limits = { timeout = "1m", cpu = 25 }
            expect.result = { n = 3 }
            expect.outputs = { "x.txt" = { text = "y" } }
            [[case]]
            name = "b"
            arguments = ["-l"]
            environment = { A = "b" }
            stdin = { file = "tests/in.txt" }
            expect.exit_code = 0
            "#,
            Template::Command,
        )
        .unwrap();
        let [a, b] = cases.all.as_slice() else { panic!("two cases") };
        assert_eq!(Value::from(a.parameters()), json!({ "n": 3, "deep": { "list": [1, 2.5, "x"] } }));
        let limits = a.limits.over(&cases.limits).unwrap();
        assert_eq!((limits.timeout, limits.cpu, limits.memory), (60, Some(25.0), Some(Bytes::mib(64))));
        assert_eq!(b.limits.over(&cases.limits).unwrap().timeout, 10);
        assert_eq!(Value::from(b.parameters()), json!({ "arguments": ["-l"], "environment": { "A": "b" } }));
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for wrong in [
            "[[case]]",
            "[[case]]\nname = 'a'\nexpekt.result = 1",
            "[[case]]\nname = 'a'\nexpect.reslt = 1",
            "[[case]]\nname = 'a'\nlimits.memory = 'lots'",
            "[[case]]\nname = 'a'\nlimits.cpu = 0",
            "[[case]]\nname = 'a'\ninputs = [{ name = 'b' }]",
            "[[case]]\nname = 'a'\ninputs = [{ name = 'b', text = 'c', file = 'd' }]",
            "[limits]\ntimeout = '-1'\n[[case]]\nname = 'a'",
        ] {
            assert!(Cases::parse(wrong, Template::Job).is_err(), "{wrong}");
        }
        assert!(Cases::read(Path::new("/nowhere"), Template::Job).unwrap().all.is_empty());
    }

    #[test]
    fn a_case_says_only_what_its_component_is_asked() {
        let asked = "[[case]]\nname = 'a'\nrequest = { path = '/x?y', headers = { a = 'b' }, body = 'c' }\n\
                     expect = { status = 404, headers = { d = 'e' }, body = { text = 'f' } }";
        assert!(Cases::parse(asked, Template::Http).is_ok());
        for (wrong, world) in [
            (asked, Template::Job),
            (asked, Template::Command),
            ("[[case]]\nname = 'a'", Template::Http),
            ("[[case]]\nname = 'a'", Template::Validator),
            ("[[case]]\nname = 'a'\nrequest.path = 'x'", Template::Http),
            ("[[case]]\nname = 'a'\nrequest.path = '/'\nexpect.result = 1", Template::Http),
            ("[[case]]\nname = 'a'\nrequest.path = '/'\nstdin = 'x'", Template::Http),
            ("[[case]]\nname = 'a'\nexpect.status = 200", Template::Job),
            ("[[case]]\nname = 'a'\nstdin = 'x'", Template::Job),
        ] {
            assert!(Cases::parse(wrong, world).is_err(), "{wrong} {world:?}");
        }
    }
}
