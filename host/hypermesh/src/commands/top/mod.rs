//! `top`: the node on one screen, over the same API that everybody has.
//!
//! ```text
//! keys ──────▶ state (pure: key → what to do) ──▶ view (pure: state → frame)
//! poll thread ─▶ a reading a second ──▲
//! ```
//! * `state`: what is shown and chosen · `poll`: asking the node · `view`: drawing
//!
//! A node that can't be reached is said on the screen and asked again; nothing here ends because of it. The terminal is put
//! back as it was at the end, after a panic and when a signal ends the program.

mod poll;
mod state;
#[cfg(test)]
mod tests;
mod view;

use crate::context::Context;
use crate::failure::Failure;
use hypermesh_client::Client;
use poll::Reading;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use state::{Doing, State};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// How often the node is asked.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a key is waited for before the screen is drawn again.
const KEY_WAIT: Duration = Duration::from_millis(100);

/// Shows the node until `q`.
///
/// # Errors
/// When stdout is no terminal, or the terminal refuses.
pub(crate) fn run(context: &Context) -> anyhow::Result<()> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        let hint = "`top` needs a terminal; `alloc list`, `exec list` and `asset list` print the same";
        return Err(Failure::Usage(hint.to_owned()).into());
    }
    let client = context.client()?;
    let ended = Arc::new(AtomicBool::new(false));
    end_on_signals(&ended)?;
    let readings = poll_on_a_thread(client.clone());
    // Puts the terminal back after a panic, too.
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, &client, &readings, State::new(context.output.style.is_on()), &ended);
    ratatui::try_restore()?;
    shown
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    client: &Client,
    readings: &Receiver<Reading>,
    mut state: State,
    ended: &AtomicBool,
) -> anyhow::Result<()> {
    while !ended.load(Ordering::Relaxed) {
        while let Ok(reading) = readings.try_recv() {
            state.take(reading);
        }
        terminal.draw(|frame| view::draw(frame, &state))?;
        if !event::poll(KEY_WAIT)? {
            continue;
        }
        let Event::Key(key) = event::read()? else { continue };
        if key.kind != KeyEventKind::Press {
            continue;
        }
        match state.press(key) {
            Doing::Nothing => {}
            Doing::Quit => return Ok(()),
            Doing::Release(id) => state.say(client.release(&id).map(|answer| answer.message)),
            Doing::Cancel(id) => {
                state.say(
                    client.cancel(&id).map(|answer| answer.reason.unwrap_or_else(|| "cancelled".into())),
                );
            }
            Doing::Detail(id) => state.show_detail(poll::detail(client, &id)),
        }
    }
    Ok(())
}

/// SIGTERM and SIGHUP end the loop, so that the terminal is put back; Ctrl-C is a key here.
fn end_on_signals(ended: &Arc<AtomicBool>) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut hang_up) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    let ended = Arc::clone(ended);
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
        });
        ended.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// Asks the node every second; ends when nobody listens any more.
fn poll_on_a_thread(client: Client) -> Receiver<Reading> {
    let (send, readings) = mpsc::channel();
    std::thread::spawn(move || {
        while send.send(poll::read(&client)).is_ok() {
            std::thread::sleep(INTERVAL);
        }
    });
    readings
}
