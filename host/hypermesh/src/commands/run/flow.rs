//! A command's streams: its standard output comes to ours as it writes it, and ours goes to it.

use crate::job::follow;
use crate::output::Style;
use hypermesh_client::{Client, ClientError};
use hypermesh_wire::executions::VmExecution;
use std::io::{self, Write};
use std::thread;

/// Follows a command to its end, its streams flowing.
///
/// # Errors
/// When the node can't be reached any more. The execution goes on.
pub(crate) fn command(
    client: &Client,
    id: &str,
    streams_stdin: bool,
    style: Style,
) -> Result<VmExecution, ClientError> {
    if streams_stdin {
        let (client, id) = (client.clone(), id.to_owned());
        // Not waited for: it may sit in a read of a terminal when the guest has long ended.
        thread::spawn(move || {
            if let Err(error) = client.send_stdin(&id, &mut io::stdin().lock()) {
                crate::say!("standard input: {error}");
            }
        });
    }
    let out = {
        let (client, id) = (client.clone(), id.to_owned());
        thread::spawn(move || {
            let mut stdout = io::stdout().lock();
            client.stdout(&id, 0, &mut stdout).and_then(|_| {
                stdout.flush().map_err(|source| ClientError::Local { what: "could not write", source })
            })
        })
    };
    let execution = follow::follow(client, id, style)?;
    match out.join() {
        Ok(written) => written.map(|()| execution),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
